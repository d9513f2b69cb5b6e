#include <algorithm>

#include "graph/passes/rewrite.h"

namespace ravine {

bool has_compounds(const Unit& unit) {
  const std::vector<const Node*> nodes = live_nodes(*unit.graph, unit.outputs);
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const Node* node) { return node->op->expand != nullptr; });
}

Unit expand(const Unit& unit) {
  return rewrite(*unit.graph, unit.outputs,
                 [](Rewriting& rewriting, const Node& node, const Values& inputs) -> std::optional<Values> {
                   if (node.op->expand == nullptr) return std::nullopt;
                   // It reads the node's inputs, so it needs them in the new graph; the copy itself stays
                   // without users.
                   return node.op->expand(rewriting.to().copy(node, inputs));
                 });
}

}  // namespace ravine
