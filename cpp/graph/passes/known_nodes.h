// The nodes of a graph that is being written, found by what they compute.
#pragma once

#include <cstddef>
#include <optional>
#include <unordered_map>

#include "graph/graph.h"

namespace ravine {

class KnownNodes {
 public:
  // The outputs of the copy of `node` on these inputs; of an equal node where the graph has one. Nothing
  // for a node that is never merged: random numbers, effects, inputs.
  std::optional<Values> copy_of(Graph& to, const Node& node, const Values& inputs);
  // For nodes that a rule recorded, from number `first_new` on, and the values it returned: the values with
  // equal earlier nodes in place of new ones.
  Values merged(Graph& graph, std::size_t first_new, Values values);

 private:
  static bool can_merge(const Node& node);
  Node* find(const Node& node, const Values& inputs, std::size_t key) const;

  std::unordered_multimap<std::size_t, Node*> known_;
};

}  // namespace ravine
