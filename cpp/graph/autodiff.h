// Reverse-mode differentiation: extends a graph with nodes that compute gradients, so that they can be
// differentiated again.
#pragma once

#include <span>
#include <vector>

#include "graph/graph.h"

namespace ravine {

// d output / d wrt[i] for a floating scalar `output`; zeros where it does not depend on wrt[i].
Values gradients(Value output, std::span<const Value> wrt);

// Sum over i of cotangents[i] . d outputs[i] / d wrt[j]; "none" where there is no dependence.
Values vector_jacobian_product(std::span<const Value> outputs, std::span<const Value> cotangents,
                               std::span<const Value> wrt);

// Which values of a graph depend on some of them. However many values are asked for, each node is looked at
// once; the graph may grow meanwhile.
class Dependence {
 public:
  explicit Dependence(std::span<const Value> on) : on_(on.begin(), on.end()) {}
  // Whether any of those goes into the computation of this value of the same graph.
  bool of(const Value& value);

 private:
  bool known_of(const Value& value) const;

  Values on_;
  std::vector<bool> of_nodes_;  // by their numbers
};

// What a gradient rule returns, by differentiating the node's decomposition: for nodes without a rule, and
// for rules that do not cover every output.
Values cotangents_by_decomposition(const Node& node, std::span<const Value> cotangents);

}  // namespace ravine
