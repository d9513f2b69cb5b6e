// Rules: what is known of several operations together. A rule looks at a node and its neighbours and says
// what stands in their place. The rules themselves are in cpp/rules, above the operations.
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "graph/passes/rewrite.h"

namespace ravine {

// By node id: whether a node depends on nothing but states and constants.
std::vector<bool> fixed_nodes(const Unit& unit);

// What rules ask of the unit as a whole, found when it is first asked.
class Analysis {
 public:
  explicit Analysis(const Unit& unit) : unit_(unit) {}
  const Users& users() const;
  const Values& outputs() const { return unit_.outputs; }
  // Whether a node depends on nothing but states and constants.
  bool is_fixed(const Node& node) const;

 private:
  const Unit& unit_;
  mutable std::optional<Users> users_;
  mutable std::optional<std::vector<bool>> fixed_;
};

// The place that a rule looks at.
struct Match {
  const Node& node;      // of the old graph, as everything that is reached through it
  const Values& inputs;  // of the node, in the new graph
  Rewriting& rewriting;
  const Analysis& analysis;
  const kernels::KernelTable& kernels;

  Graph& to() const { return rewriting.to(); }
  const Users& users() const { return analysis.users(); }
  const Values& outputs() const { return analysis.outputs(); }
  const Value& now(const Value& old) const { return rewriting.now(old); }
};

struct Rule {
  const char* name;
  const Op* root;  // the operation of the nodes that it looks at
  // What stands for the node's outputs, in the new graph; nothing where the rule does not apply.
  std::optional<Values> (*replace)(const Match& match);
};

class RuleSet {
 public:
  RuleSet(std::initializer_list<std::span<const Rule>> rules);
  // Those that look at nodes of an operation, in the order in which they are tried.
  std::span<const Rule* const> of(const Op& op) const;

 private:
  std::unordered_map<const Op*, std::vector<const Rule*>> by_root_;
};

// The first rule that applies.
std::optional<Values> apply_first(const RuleSet& rules, const Match& match);

// One sweep in recording order. A unit in which no rule finds its root is returned as it was given.
Unit apply_rules(Unit unit, const RuleSet& rules, const kernels::KernelTable& kernels);

}  // namespace ravine
