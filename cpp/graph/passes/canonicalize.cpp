// What depends on constants only is computed now, equal nodes become one, and rules are applied on the way,
// so that what they make is merged as well.
#include <optional>
#include <vector>

#include "graph/eager.h"
#include "graph/passes/known_nodes.h"
#include "graph/passes/rule.h"

namespace ravine {
namespace {

// Folded constants are kept with the program: only small ones.
constexpr std::int64_t max_folded_elements = 4096;

std::optional<Values> fold_constants(Graph& to, const Node& node, const Values& inputs) {
  const bool computes = node.op->kind == OpKind::compute || node.op->kind == OpKind::tile;
  if (!computes || node.op->random || inputs.empty()) return std::nullopt;
  for (const TensorType& type : node.outputs)
    if (numel(type.shape) > max_folded_elements) return std::nullopt;
  std::vector<Array> arrays;
  for (const Value& input : inputs) {
    const std::optional<Array> array = constant_array(input);
    if (!array) return std::nullopt;
    arrays.push_back(*array);
  }
  Values values;
  for (const Array& result : evaluate(node, arrays)) values.push_back(to.constant(result));
  return values;
}

}  // namespace

Unit canonicalize(const Unit& unit, const RuleSet& rules, const kernels::KernelTable& kernels) {
  const Analysis analysis(unit);
  KnownNodes known;
  return rewrite(
      *unit.graph, unit.outputs,
      [&](Rewriting& rewriting, const Node& node, const Values& inputs) -> std::optional<Values> {
        Graph& to = rewriting.to();
        const std::size_t first_new = to.nodes().size();
        std::optional<Values> values = apply_first(rules, {node, inputs, rewriting, analysis, kernels});
        if (!values) values = fold_constants(to, node, inputs);
        if (values) return known.merged(to, first_new, std::move(*values));
        return known.copy_of(to, node, inputs);
      });
}

}  // namespace ravine
