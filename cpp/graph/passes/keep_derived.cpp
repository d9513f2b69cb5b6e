// For programs that leave states as they are: what depends on states alone becomes a value that is kept from
// run to run.
#include <vector>

#include "graph/derived.h"
#include "graph/passes/rule.h"

namespace ravine {
namespace {

bool is_computed(const Node& node) {
  return node.op->kind == OpKind::compute || node.op->kind == OpKind::tile;
}

}  // namespace

Unit keep_derived(const Unit& unit, const kernels::KernelTable& kernels,
                  std::vector<std::shared_ptr<Derived>>& kept) {
  const std::vector<bool> fixed = fixed_nodes(unit);
  std::vector<bool> read(fixed.size(), false);  // by a node that changes from run to run, perhaps in a view
  std::vector<const Node*> live = live_nodes(*unit.graph, unit.outputs);
  for (auto place = live.rbegin(); place != live.rend(); ++place) {
    const Node& node = **place;
    const bool looked_through = node.op->kind == OpKind::view && read[node.id];
    if (fixed[node.id] && !looked_through) continue;
    for (const Value& input : node.inputs) read[input.node->id] = true;
  }
  return rewrite(*unit.graph, unit.outputs,
                 [&](Rewriting& rewriting, const Node& node, const Values&) -> std::optional<Values> {
                   if (!fixed[node.id] || !read[node.id] || !is_computed(node)) return std::nullopt;
                   Values values;
                   for (const Value& output : outputs_of(node)) {
                     kept.push_back(Derived::of(output, kernels));
                     values.push_back(rewriting.to().state(kept.back()->value(), kept.back()->description()));
                   }
                   return values;
                 });
}

}  // namespace ravine
