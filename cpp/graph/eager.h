// Computing a node at once: eager recording and constant folding.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "graph/program.h"

namespace ravine {

// The outputs of the node's operation on these inputs, by the same kernels as a program; `random` serves
// random nodes.
std::vector<Array> evaluate(const Node& node, std::span<const Array> inputs,
                            std::shared_ptr<RandomState> random = nullptr);

// The value if it is a constant, seen through views (row-major copies of small ones); else none.
std::optional<Array> constant_array(const Value& value);

// From now on every node recorded in the graph is computed, and its values are kept in Node::eager_values.
// With check_nan, an operation that makes a NaN from inputs without one raises FloatingPointError naming the
// operation.
void make_eager(Graph& graph, bool check_nan, std::shared_ptr<RandomState> random);

}  // namespace ravine
