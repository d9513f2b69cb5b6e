#include "graph/eager.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/floating.h"

namespace ravine {
namespace {

constexpr std::int64_t max_constant_view = 4096;

template <class T, class Predicate>
bool any_of(const Array& array, Predicate predicate) {
  const T* values = array.as<T>();
  return std::any_of(values, values + array.size(), predicate);
}

bool any_nan(const Array& array) {
  const auto nan = [](auto value) { return std::isnan(value); };
  return is_floating(array.dtype()) &&
         with_floating(array.dtype(), "any_nan", [&]<class T>() { return any_of<T>(array, nan); });
}

bool all_finite(const Array& array) {
  const auto not_finite = [](auto value) { return !std::isfinite(value); };
  return !is_floating(array.dtype()) ||
         with_floating(array.dtype(), "all_finite", [&]<class T>() { return !any_of<T>(array, not_finite); });
}

const Array& eager_value(const Value& value) {
  const auto& values = value.node->eager_values;
  check<RuntimeError>(static_cast<std::size_t>(value.index) < values.size(), "eager: a value of '",
                      value.node->op->name, "' has not been computed");
  return values[static_cast<std::size_t>(value.index)];
}

// States may be stored channels last; a run takes row-major inputs.
Array row_major(const Array& array, const OpTable& ops) {
  if (is_row_major(array.shape(), array.strides())) return array;
  Graph graph(ops);
  const Value output = graph.state(array);
  Array result(array.dtype(), array.shape());
  void* const target = result.data();
  compile(graph, std::span(&output, 1))->run({}, std::span(&target, 1));
  return result;
}

// Returns whether the effect, a guard, refuses those after it.
bool run_effect(const Node& node, const std::vector<Array>& inputs) {
  Graph graph(node.graph->ops());
  Values values;
  std::vector<const void*> pointers;
  for (const Array& input : inputs) {
    values.push_back(graph.input({input.dtype(), input.shape()}));
    pointers.push_back(input.data());
  }
  if (node.op == &assign_op) {
    graph.assign(node.array, values[0]);
  } else {
    graph.effect(*node.op, values, node.target, node.attrs);
  }
  const std::unique_ptr<Program> program = compile(graph, {});
  program->run(pointers, {});
  return program->refused();
}

}  // namespace

std::vector<Array> evaluate(const Node& node, std::span<const Array> inputs,
                            std::shared_ptr<RandomState> random) {
  Graph graph(node.graph->ops());
  Values values;
  std::vector<const void*> pointers;
  for (const Array& input : inputs) {
    values.push_back(graph.input({input.dtype(), input.shape()}));
    pointers.push_back(input.data());
  }
  const Values outputs = graph.apply(*node.op, values, node.attrs);
  std::vector<Array> results;
  std::vector<void*> targets;
  for (const Value& output : outputs) {
    results.emplace_back(output.dtype(), output.shape());
    targets.push_back(results.back().data());
  }
  CompileOptions options;
  options.random = std::move(random);
  compile(graph, outputs, options)->run(pointers, targets);
  return results;
}

std::optional<Array> constant_array(const Value& value) {
  const Node& node = *value.node;
  if (node.op == &constant_op) return node.array;
  if (node.op->kind != OpKind::view || node.inputs.size() != 1 || numel(value.shape()) > max_constant_view)
    return std::nullopt;
  const std::optional<Array> source = constant_array(node.inputs[0]);
  if (!source) return std::nullopt;
  return evaluate(node, std::span(&*source, 1))[0];
}

void make_eager(Graph& graph, bool check_nan, std::shared_ptr<RandomState> random) {
  graph.on_record = [check_nan, random = std::move(random)](Node& node) {
    if (node.op == &constant_op || node.op == &state_op) {
      node.eager_values = {row_major(node.array, node.graph->ops())};
      return;
    }
    std::vector<Array> inputs;
    for (const Value& input : node.inputs) inputs.push_back(eager_value(input));
    if (node.op->kind == OpKind::effect) {
      if (!node.graph->effects_refused) node.graph->effects_refused = run_effect(node, inputs);
      else if (node.target) node.target->after_refusal();
      return;
    }
    node.eager_values = evaluate(node, inputs, random);
    if (!check_nan) return;
    const std::vector<Array>& outputs = node.eager_values;
    if (node.graph->first_infinite == nullptr && std::all_of(inputs.begin(), inputs.end(), all_finite) &&
        !std::all_of(outputs.begin(), outputs.end(), all_finite))
      node.graph->first_infinite = &node;
    if (std::any_of(inputs.begin(), inputs.end(), any_nan)) return;
    for (std::size_t i = 0; i < outputs.size(); ++i)
      check<FloatingPointError>(!any_nan(outputs[i]), "'", node.op->name,
                                "' made a NaN from inputs that hold none; its result is ",
                                to_string(node.outputs[i]));
  };
}

}  // namespace ravine
