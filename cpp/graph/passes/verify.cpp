#include "graph/passes/verify.h"

#include <cstdlib>
#include <exception>
#include <string_view>
#include <utility>

#include "core/error.h"

namespace ravine {
namespace {

class Verifier {
 public:
  Verifier(const Unit& unit, const char* pass) : unit_(unit), pass_(pass) {}

  void run() {
    for (const Value& output : unit_.outputs) expect_known(output, "an output of the unit", nullptr);
    for (std::size_t i = 0; i < unit_.graph->nodes().size(); ++i) {
      const Node& node = *unit_.graph->nodes()[i];
      if (node.id != i || node.graph != unit_.graph.get()) broken(node, "stands in the wrong graph or place");
      for (const Value& input : node.inputs) expect_known(input, "an input", &node);
      for (const Value& operand : node.operands) expect_known(operand, "an operand", &node);
      expect_types(node);
    }
  }

 private:
  template <class... Parts>
  [[noreturn]] void broken(const Node& node, const Parts&... parts) const {
    fail<RuntimeError>("after the pass '", pass_, "': node ", node.id, " (", node.op->name, ") ", parts...);
  }

  void expect_known(const Value& value, const char* what, const Node* user) const {
    const auto nodes = unit_.graph->nodes();
    const bool known = value && value.node->graph == unit_.graph.get() && value.node->id < nodes.size() &&
                       nodes[value.node->id].get() == value.node && value.index >= 0 &&
                       static_cast<std::size_t>(value.index) < value.node->outputs.size();
    if (!known && user != nullptr) broken(*user, "has ", what, " that is no value of the graph");
    check<RuntimeError>(known, "after the pass '", pass_, "': ", what, " is no value of the graph");
    if (user != nullptr && value.node->id >= user->id)
      broken(*user, "reads node ", value.node->id, ", which comes after it");
  }

  void expect_types(const Node& node) const {
    if (node.op == &fused_op) {
      std::vector<TensorType> operands;
      for (const Value& input : node.inputs) operands.push_back(input.type());
      return expect_fused(node, std::move(operands), {});
    }
    Node own = node;
    if (!node.expression) {
      infer_again(own);
      return expect_outputs(node, own.outputs);
    }
    own.expression = nullptr;
    infer_again(own);
    std::vector<TensorType> operands{own.outputs[0]};
    for (const Value& operand : node.operands) operands.push_back(operand.type());
    expect_fused(node, std::move(operands), {own.outputs.begin() + 1, own.outputs.end()});
  }

  void infer_again(Node& node) const {
    if (node.op->kind == OpKind::input) return;
    if (node.op->kind == OpKind::state || node.op->kind == OpKind::constant) {
      node.outputs = {{node.array.dtype(), node.array.shape()}};
      return;
    }
    node.outputs.clear();
    try {
      node.op->infer(node);
    } catch (const std::exception& error) {
      broken(node, "does not accept its inputs: ", error.what());
    }
  }

  void expect_outputs(const Node& node, const std::vector<TensorType>& inferred) const {
    if (node.outputs.size() != inferred.size())
      broken(node, "has ", node.outputs.size(), " outputs, its operation gives ", inferred.size());
    for (std::size_t i = 0; i < inferred.size(); ++i)
      if (node.outputs[i] != inferred[i])
        broken(node, "states ", to_string(node.outputs[i]), " as output ", i, ", its operation gives ",
               to_string(inferred[i]));
  }

  // The steps are recorded in a graph of their own, which checks and types them.
  void expect_fused(const Node& node, std::vector<TensorType> operands,
                    const std::vector<TensorType>& further_outputs) const {
    if (!node.expression) broken(node, "has no expression");
    const TileExpression& expression = *node.expression;
    if (static_cast<std::size_t>(expression.n_inputs) != operands.size())
      broken(node, "has ", operands.size(), " operands, its expression reads ", expression.n_inputs);
    Graph steps(unit_.graph->ops());
    Values values;
    for (TensorType& type : operands) values.push_back(steps.input(std::move(type)));
    const auto at = [&](int number) {
      if (number < 0 || static_cast<std::size_t>(number) >= values.size())
        broken(node, "has a step that reads operand ", number, " before it is computed");
      return values[static_cast<std::size_t>(number)];
    };
    for (const TileExpression::Step& step : expression.steps) {
      Values inputs;
      for (const int operand : step.operands) inputs.push_back(at(operand));
      try {
        values.push_back(steps.apply(*step.op, std::move(inputs), step.attrs)[0]);
      } catch (const std::exception& error) {
        broken(node, "has a step that does not accept its operands: ", error.what());
      }
      if (values.back().dtype() != step.dtype)
        broken(node, "states ", name_of(step.dtype), " for its step '", step.op->name, "', which gives ",
               name_of(values.back().dtype()));
    }
    std::vector<TensorType> inferred;
    for (const int number : expression.outputs) inferred.push_back(at(number).type());
    inferred.insert(inferred.end(), further_outputs.begin(), further_outputs.end());
    expect_outputs(node, inferred);
  }

  const Unit& unit_;
  const char* pass_;
};

}  // namespace

void verify(const Unit& unit, const char* pass) { Verifier(unit, pass).run(); }

bool verifies() {
  const char* text = std::getenv("RAVINE_VERIFY");
  return text != nullptr && *text != '\0' && std::string_view(text) != "0";
}

}  // namespace ravine
