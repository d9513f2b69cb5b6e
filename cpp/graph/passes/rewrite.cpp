#include "graph/passes/rewrite.h"

#include <algorithm>
#include <unordered_map>

namespace ravine {

std::vector<const Node*> live_nodes(const Graph& graph, std::span<const Value> outputs) {
  std::vector<bool> live(graph.nodes().size(), false);
  const auto mark = [&](const Value& value) { live[value.node->id] = true; };
  for (const Value& output : outputs) mark(output);
  for (const Node* effect : graph.effects()) live[effect->id] = true;
  std::vector<const Node*> nodes;
  for (std::size_t i = graph.nodes().size(); i-- > 0;) {  // inputs always come before their users
    if (!live[i]) continue;
    const Node* node = graph.nodes()[i].get();
    nodes.push_back(node);
    for (const Value& input : node->inputs) mark(input);
  }
  std::reverse(nodes.begin(), nodes.end());
  return nodes;
}

Unit rewrite(const Graph& graph, std::span<const Value> outputs, const RewriteRule& rule) {
  Unit result{std::make_unique<Graph>(graph.ops()), {}};
  result.graph->next_stream = graph.next_stream;
  std::unordered_map<const Node*, Values> replaced;
  const auto outputs_of = [](const Node& node) {
    Values values;
    for (int i = 0; i < static_cast<int>(node.outputs.size()); ++i) values.push_back(node.out(i));
    return values;
  };
  for (const Node* input : graph.inputs()) replaced[input] = outputs_of(result.graph->copy(*input, {}));
  const auto map = [&](const Value& value) {
    return replaced.at(value.node)[static_cast<std::size_t>(value.index)];
  };
  for (const Node* node : live_nodes(graph, outputs)) {
    if (node->op->kind == OpKind::input) continue;
    Values inputs;
    for (const Value& input : node->inputs) inputs.push_back(map(input));
    Values values = rule(*result.graph, *node, inputs);
    if (values.empty()) values = outputs_of(result.graph->copy(*node, std::move(inputs)));
    replaced[node] = std::move(values);
  }
  for (const Value& output : outputs) result.outputs.push_back(map(output));
  return result;
}

}  // namespace ravine
