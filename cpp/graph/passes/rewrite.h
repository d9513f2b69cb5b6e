// How passes change a graph: they write a new one, node by node, from the old.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dispatch/dispatch.h"
#include "graph/graph.h"

namespace ravine {

class Derived;

// A graph and what is wanted of it (its effects are always wanted).
struct Unit {
  std::unique_ptr<Graph> graph;
  Values outputs;
};

// The nodes that the outputs and effects need, in recording order.
std::vector<const Node*> live_nodes(const Graph& graph, std::span<const Value> outputs);

// Copies live nodes into a new graph. `rule` may return other values of the new graph for a node's outputs,
// or an empty list for a plain copy; it sees the old node and its inputs' values in the new graph. All inputs
// of the graph are kept.
using RewriteRule = std::function<Values(Graph& to, const Node& node, const Values& inputs)>;
Unit rewrite(const Graph& graph, std::span<const Value> outputs, const RewriteRule& rule);
// Live nodes alone, as they are.
Unit copy_live(const Graph& graph, std::span<const Value> outputs);

// How often nodes read each node's outputs, by node id; a wanted output counts as a use.
std::vector<int> count_uses(const Unit& unit);

// A line a node, for people.
std::string to_string(const Unit& unit);

// ---- the passes, which passes/pipeline.cpp puts in order

// Removes what does nothing (x + 0, a cast to the same dtype, double transposes), folds constants, merges
// equal nodes on equal inputs.
Unit canonicalize(const Unit& unit);
// Op::expand: compound operations in parts that can fuse with their neighbours.
Unit expand(const Unit& unit);
bool has_compounds(const Unit& unit);
// Where no state changes (passes/derive.cpp): products take filters in the form that serves kept values best;
// what depends on states alone is replaced by states, whose values `kept` provides.
Unit fix_filters(const Unit& unit, const kernels::KernelTable& kernels);
Unit keep_derived(const Unit& unit, const kernels::KernelTable& kernels,
                  std::vector<std::shared_ptr<Derived>>& kept);
// Max-pooling behind a convolution, a sum with numbers of its channels and ReLU goes before the latter two
// and into the convolution.
Unit pool_in_products(Unit unit, const kernels::KernelTable& kernels);
// Max-pooling of what BatchNorm and ReLU make becomes one operation.
Unit normalize_in_pools(Unit unit);
// Max-pooling keeps offsets of a byte in the windows, not indices of eight, where its gradient alone reads
// them.
Unit tell_maxima_by_offsets(Unit unit);
// Elementwise nodes become fused nodes, or epilogues of the operation before them.
Unit fuse(const Unit& unit);

}  // namespace ravine
