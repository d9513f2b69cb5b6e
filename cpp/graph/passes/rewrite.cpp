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
  }
  std::reverse(nodes.begin(), nodes.end());
  return nodes;
}

namespace {

// What stands in the new graph for each output of the old graph's nodes: one flat list, so that a pass over a
// graph of any size allocates nothing a node.
class Replacements {
 public:
  explicit Replacements(const Graph& graph) {
    first_.reserve(graph.nodes().size());
    std::size_t outputs = 0;
    for (const auto& node : graph.nodes()) {
      first_.push_back(outputs);
      outputs += node->outputs.size();
    }
    values_.resize(outputs);
  }

  const Value& of(const Value& old) const {
    return values_[first_[old.node->id] + static_cast<std::size_t>(old.index)];
  }
  void set(const Node& old, const Values& values) { std::copy(values.begin(), values.end(), at(old)); }
  void set_copy(const Node& old, const Node& copy) {
    for (int i = 0; i < static_cast<int>(old.outputs.size()); ++i) at(old)[i] = copy.out(i);
  }

 private:
  Values::iterator at(const Node& old) {
    return values_.begin() + static_cast<std::ptrdiff_t>(first_[old.id]);
  }

  std::vector<std::size_t> first_;  // by node id
  Values values_;
};

}  // namespace

Unit rewrite(const Graph& graph, std::span<const Value> outputs, const RewriteRule& rule) {
  Unit result{std::make_unique<Graph>(graph.ops()), {}};
  result.graph->next_stream = graph.next_stream;
  Replacements replacements(graph);
  for (const Node* input : graph.inputs()) replacements.set_copy(*input, result.graph->copy(*input, {}));
  for (const Node* node : live_nodes(graph, outputs)) {
    if (node->op->kind == OpKind::input) continue;
    Values inputs;
    inputs.reserve(node->inputs.size());
    for (const Value& input : node->inputs) inputs.push_back(replacements.of(input));
    const Values values = rule(*result.graph, *node, inputs);
    if (values.empty()) replacements.set_copy(*node, result.graph->copy(*node, std::move(inputs)));
    else replacements.set(*node, values);
  }
  for (const Value& output : outputs) result.outputs.push_back(replacements.of(output));
  return result;
}

Unit copy_live(const Graph& graph, std::span<const Value> outputs) {
  return rewrite(graph, outputs, [](Graph&, const Node&, const Values&) { return Values{}; });
}

std::vector<int> count_uses(const Unit& unit) {
  std::vector<int> uses(unit.graph->nodes().size(), 0);
  for (const Node* node : live_nodes(*unit.graph, unit.outputs))
    for (const Value& input : node->inputs) ++uses[input.node->id];
  for (const Value& output : unit.outputs) ++uses[output.node->id];
  return uses;
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
