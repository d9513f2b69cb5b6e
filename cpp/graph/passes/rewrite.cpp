#include "graph/passes/rewrite.h"

#include <algorithm>

#include "core/error.h"

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
    for (const Value& operand : node->operands) mark(operand);
  }
  std::reverse(nodes.begin(), nodes.end());
  return nodes;
}

Users::Users(const Unit& unit)
    : first_(unit.graph->nodes().size() + 1, 0), wanted_(unit.graph->nodes().size(), false) {
  const std::vector<const Node*> nodes = live_nodes(*unit.graph, unit.outputs);
  for (const Node* node : nodes) {
    for (const Value& input : node->inputs) ++first_[input.node->id + 1];
    for (const Value& operand : node->operands) ++first_[operand.node->id + 1];
  }
  for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
  users_.resize(first_.back());
  std::vector<std::size_t> next(first_.begin(), first_.end() - 1);
  for (const Node* node : nodes) {
    for (const Value& input : node->inputs) users_[next[input.node->id]++] = node;
    for (const Value& operand : node->operands) users_[next[operand.node->id]++] = node;
  }
  for (const Value& output : unit.outputs) wanted_[output.node->id] = true;
}

Rewriting::Rewriting(const Graph& from)
    : graph_(std::make_unique<Graph>(from.ops())), replaced_(from.nodes().size(), false) {
  graph_->next_stream = from.next_stream;
  graph_->share_scopes(from);
  first_.reserve(from.nodes().size());
  std::size_t outputs = 0;
  for (const auto& node : from.nodes()) {
    first_.push_back(outputs);
    outputs += node->outputs.size();
  }
  values_.resize(outputs);
}

void Rewriting::replace(const Node& old, const Values& values) {
  std::copy(values.begin(), values.end(), values_.begin() + static_cast<std::ptrdiff_t>(first_[old.id]));
  replaced_[old.id] = true;
}

Node& Rewriting::copy(const Node& old, Values inputs) {
  Node& copied = graph_->copy(old, std::move(inputs));
  for (Value& operand : copied.operands) operand = now(operand);
  for (int i = 0; i < static_cast<int>(old.outputs.size()); ++i)
    values_[first_[old.id] + static_cast<std::size_t>(i)] = copied.out(i);
  return copied;
}

Unit rewrite(const Graph& graph, std::span<const Value> outputs, const RewriteRule& rule) {
  Rewriting rewriting(graph);
  for (const Node* input : graph.inputs()) rewriting.copy(*input, {});
  for (const Node* node : live_nodes(graph, outputs)) {
    if (node->op->kind == OpKind::input || rewriting.is_replaced(*node)) continue;
    Values inputs;
    inputs.reserve(node->inputs.size());
    for (const Value& input : node->inputs) inputs.push_back(rewriting.now(input));
    rewriting.to().origin = node->origin;
    if (const std::optional<Values> values = rule(rewriting, *node, inputs))
      rewriting.replace(*node, *values);
    else if (!rewriting.is_replaced(*node)) rewriting.copy(*node, std::move(inputs));
  }
  Unit result;
  for (const Value& output : outputs) result.outputs.push_back(rewriting.now(output));
  result.graph = rewriting.take();
  return result;
}

Unit copy_live(const Graph& graph, std::span<const Value> outputs) {
  return rewrite(graph, outputs, [](Rewriting&, const Node&, const Values&) -> std::optional<Values> {
    return std::nullopt;
  });
}

std::string to_string(const Unit& unit) {
  std::string text;
  const auto name_of_value = [](const Value& value) {
    return value.index == 0 ? str("%", value.node->id) : str("%", value.node->id, ".", value.index);
  };
  for (const Node* node : live_nodes(*unit.graph, unit.outputs)) {
    text += str("%", node->id, " = ", node->op->name, "(");
    for (std::size_t i = 0; i < node->inputs.size(); ++i)
      text += str(i == 0 ? "" : ", ", name_of_value(node->inputs[i]));
    for (std::size_t i = 0; i < node->operands.size(); ++i)
      text += str(i == 0 ? "; " : ", ", name_of_value(node->operands[i]));
    text += ")";
    if (!node->name.empty()) text += str(" '", node->name, "'");
    if (!node->attrs.entries().empty()) text += str(" {", node->attrs.to_string(), "}");
    if (node->expression) text += str(" [", node->expression->to_string(), "]");
    for (std::size_t i = 0; i < node->outputs.size(); ++i)
      text += str(i == 0 ? " : " : ", ", to_string(node->outputs[i]));
    text += "\n";
  }
  text += "return";
  for (const Value& output : unit.outputs) text += str(" ", name_of_value(output));
  return text + "\n";
}

}  // namespace ravine
