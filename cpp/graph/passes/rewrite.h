// How passes change a graph: they write a new one, node by node, from the old.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
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

// Who reads the live nodes of a unit.
class Users {
 public:
  explicit Users(const Unit& unit);

  // A node once for each of its inputs and operands that is one of this node's outputs, in recording order.
  std::span<const Node* const> of(const Node& node) const {
    return std::span(users_).subspan(first_[node.id], first_[node.id + 1] - first_[node.id]);
  }
  // Whether an output of the unit is one of this node's.
  bool wanted(const Node& node) const { return wanted_[node.id]; }
  // Whether the one reader of the node is another node.
  bool has_one(const Node& node) const { return of(node).size() == 1 && !wanted(node); }

 private:
  std::vector<std::size_t> first_;  // by node id: where its users begin
  std::vector<const Node*> users_;
  std::vector<bool> wanted_;  // by node id
};

// A new graph while it is written.
class Rewriting {
 public:
  explicit Rewriting(const Graph& from);

  Graph& to() const { return *graph_; }
  // What stands in the new graph for a value of the old, whose node was visited or replaced.
  const Value& now(const Value& old) const {
    return values_[first_[old.node->id] + static_cast<std::size_t>(old.index)];
  }
  // From here on these values stand for the outputs of a node of the old graph, visited or not.
  void replace(const Node& old, const Values& values);
  bool is_replaced(const Node& old) const { return replaced_[old.id]; }
  // A copy of a node of the old graph, on values of the new, stands for it.
  Node& copy(const Node& old, Values inputs);
  // The new graph, once all is written.
  std::unique_ptr<Graph> take() { return std::move(graph_); }

 private:
  std::unique_ptr<Graph> graph_;
  // One flat list, so that a pass over a graph of any size allocates nothing a node.
  std::vector<std::size_t> first_;  // by node id of the old graph
  Values values_;
  std::vector<bool> replaced_;  // by node id of the old graph
};

// Copies live nodes into a new graph. `rule` may return values of the new graph for a node's outputs (an
// effect that is left out has none), or nothing for a plain copy; it sees the old node and its inputs' values
// in the new graph. All inputs of the graph are kept.
using RewriteRule =
    std::function<std::optional<Values>(Rewriting& rewriting, const Node& node, const Values& inputs)>;
Unit rewrite(const Graph& graph, std::span<const Value> outputs, const RewriteRule& rule);
// Live nodes alone, as they are.
Unit copy_live(const Graph& graph, std::span<const Value> outputs);

// A line a node, for people.
std::string to_string(const Unit& unit);

// ---- passes that know of no operation by name; rules/pipeline.cpp puts all in order

class RuleSet;

// Merges equal nodes on equal inputs, folds constants, and applies rules on the way.
Unit canonicalize(const Unit& unit, const RuleSet& rules, const kernels::KernelTable& kernels);
// Op::expand: compound operations in parts that can fuse with their neighbours.
Unit expand(const Unit& unit);
bool has_compounds(const Unit& unit);
// Where no state changes: what depends on states alone is replaced by states, whose values `kept` provides.
Unit keep_derived(const Unit& unit, const kernels::KernelTable& kernels,
                  std::vector<std::shared_ptr<Derived>>& kept);
// Elementwise nodes become fused nodes, or epilogues of the operation before them.
Unit fuse(const Unit& unit);

}  // namespace ravine
