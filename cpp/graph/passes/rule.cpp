#include "graph/passes/rule.h"

#include <algorithm>

namespace ravine {

std::vector<bool> fixed_nodes(const Unit& unit) {
  std::vector<bool> fixed(unit.graph->nodes().size(), false);
  for (const auto& node : unit.graph->nodes()) {
    if (node->op == &state_op || node->op == &constant_op) {
      fixed[node->id] = true;
    } else if (node->op->kind != OpKind::effect && !node->op->random && !node->inputs.empty()) {
      fixed[node->id] = std::all_of(node->inputs.begin(), node->inputs.end(),
                                    [&](const Value& input) { return fixed[input.node->id]; });
    }
  }
  return fixed;
}

const Users& Analysis::users() const {
  if (!users_) users_.emplace(unit_);
  return *users_;
}

bool Analysis::is_fixed(const Node& node) const {
  if (!fixed_) fixed_ = fixed_nodes(unit_);
  return (*fixed_)[node.id];
}

RuleSet::RuleSet(std::initializer_list<std::span<const Rule>> rules) {
  for (const std::span<const Rule> some : rules)
    for (const Rule& rule : some) by_root_[rule.root].push_back(&rule);
}

std::span<const Rule* const> RuleSet::of(const Op& op) const {
  const auto place = by_root_.find(&op);
  return place == by_root_.end() ? std::span<const Rule* const>() : place->second;
}

std::optional<Values> apply_first(const RuleSet& rules, const Match& match) {
  for (const Rule* rule : rules.of(*match.node.op))
    if (std::optional<Values> values = rule->replace(match)) return values;
  return std::nullopt;
}

Unit apply_rules(Unit unit, const RuleSet& rules, const kernels::KernelTable& kernels) {
  const auto nodes = unit.graph->nodes();
  if (std::none_of(nodes.begin(), nodes.end(),
                   [&](const auto& node) { return !rules.of(*node->op).empty(); }))
    return unit;
  const Analysis analysis(unit);
  return rewrite(*unit.graph, unit.outputs,
                 [&](Rewriting& rewriting, const Node& node, const Values& inputs) {
                   return apply_first(rules, {node, inputs, rewriting, analysis, kernels});
                 });
}

}  // namespace ravine
