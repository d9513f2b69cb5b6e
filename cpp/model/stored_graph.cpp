#include "model/stored_graph.h"

#include <optional>
#include <type_traits>

#include "core/error.h"
#include "rules/op_table.h"

namespace ravine {
namespace {

// Random operations name their stream by this attribute: a number that is unique in a graph.
constexpr const char* stream_attribute = "stream";

Dims dims_at(const BatchNumbers& numbers, std::int64_t batch) {
  Dims dims;
  for (const BatchNumber& number : numbers) dims.push_back(number.at(batch));
  return dims;
}

Attrs attrs_at(const StoredNode& node, std::int64_t batch, std::uint32_t first_stream) {
  Attrs attrs;
  for (const auto& [name, value] : node.attrs)
    std::visit(
        [&]<class T>(const T& held) {
          if constexpr (std::is_same_v<T, BatchNumber>) {
            attrs.set(name, held.at(batch) + (name == stream_attribute ? first_stream : 0));
          } else if constexpr (std::is_same_v<T, BatchNumbers>) {
            attrs.set(name, dims_at(held, batch));
          } else {
            attrs.set(name, held);
          }
        },
        value);
  return attrs;
}

std::string place_of(const StoredGraph& graph, std::size_t index) {
  const StoredNode& node = graph.nodes[index];
  const std::string& scope = graph.scopes[node.scope];
  return str("node ", index, " (", node.op->name, scope.empty() ? "" : " in " + scope, ")");
}

}  // namespace

std::int64_t BatchNumber::at(std::int64_t batch) const {
  std::int64_t result = 0;
  check<ValueError>(!__builtin_mul_overflow(per_batch, batch, &result) &&
                        !__builtin_add_overflow(result, constant, &result),
                    "the number ", constant, " + ", per_batch, " * ", batch, " is too large");
  return result;
}

double Quotient::at(std::int64_t batch) const {
  const auto whole = static_cast<double>(numerator.at(batch));
  return is_whole() ? whole : scale * (whole / static_cast<double>(denominator.at(batch)));
}

std::string to_string(const BatchNumbers& numbers) {
  std::string text;
  for (const BatchNumber& number : numbers) {
    text += text.empty() ? "(" : ", ";
    if (number.per_batch == 0) {
      text += str(number.constant);
      continue;
    }
    if (number.per_batch != 1) text += str(number.per_batch, " ");
    text += "B";
    if (number.constant != 0) text += str(" + ", number.constant);
  }
  return text.empty() ? "()" : text + (numbers.size() == 1 ? ",)" : ")");
}

TensorType StoredType::at(std::int64_t batch) const { return {dtype, dims_at(shape, batch)}; }

std::string to_string(const StoredType& type) { return str(name_of(type.dtype), " ", to_string(type.shape)); }

std::vector<const StoredNode*> StoredGraph::inputs() const {
  std::vector<const StoredNode*> found;
  for (const StoredNode& node : nodes)
    if (node.op == &input_op) found.push_back(&node);
  return found;
}

std::int64_t StoredGraph::batch_of(const char* what, std::span<const TensorType> types,
                                   const Batches& batches) const {
  const std::vector<const StoredNode*> wanted = inputs();
  check<ValueError>(types.size() == wanted.size(), what, ": got ", types.size(), " arrays, expected ",
                    wanted.size());
  const auto refuse = [&](std::size_t i) {
    fail<ValueError>(what, ": ", wanted[i]->name, " has shape ", types[i].shape, ", expected ",
                     to_string(wanted[i]->type.shape));
  };
  std::optional<std::int64_t> batch;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto& [dtype, shape] = wanted[i]->type;
    check<TypeError>(types[i].dtype == dtype, what, ": ", wanted[i]->name, " has dtype ",
                     name_of(types[i].dtype), ", expected ", name_of(dtype));
    if (types[i].shape.rank() != static_cast<int>(shape.size())) refuse(i);
    for (int axis = 0; axis < types[i].shape.rank(); ++axis) {
      const std::int64_t extent = types[i].shape[axis];
      const BatchNumber& number = shape[static_cast<std::size_t>(axis)];
      if (number.per_batch == 0) {
        if (extent != number.constant) refuse(i);
      } else if (!batch) {
        batch = extent;
      } else {
        check<ValueError>(extent == *batch, what, ": ", wanted[i]->name, " has shape ", types[i].shape,
                          ", and the arrays before it are a batch of ", *batch);
      }
    }
  }
  if (!batch) return batches.least;
  check<ValueError>(*batch >= batches.least, what, ": a batch of ", *batch,
                    "; the graph was exported for batches of ", batches.least, " or more");
  return *batch;
}

Values StoredGraph::inputs_in(Graph& graph, std::int64_t batch) const {
  Values values;
  for (const StoredNode* node : inputs()) values.push_back(graph.input(node->type.at(batch), node->name));
  return values;
}

void StoredGraph::expect_consistent(std::int64_t batch,
                                    const std::function<Value(Graph&, std::size_t)>& state_in) const {
  Graph graph(op_table());
  const Recorded recorded = record(graph, batch, inputs_in(graph, batch),
                                   [&](std::size_t number) { return state_in(graph, number); });
  for (const auto& [number, value] : recorded.assigned) {
    const Value state = state_in(graph, number);
    check<ValueError>(state.type() == value.type(), "a state of ", to_string(state.type()), " becomes ",
                      to_string(value.type()));
  }
}

StoredGraph::Recorded StoredGraph::record(Graph& graph, std::int64_t batch, std::span<const Value> inputs,
                                          const std::function<Value(std::size_t)>& state_at) const {
  const std::uint32_t first_stream = graph.next_stream;
  const Origin outer = graph.origin;
  std::vector<std::uint32_t> numbers;  // of the scopes, in the graph
  for (const std::string& scope : scopes) {
    graph.enter(scope);
    numbers.push_back(graph.origin.scope);
  }
  std::vector<Values> made;
  made.reserve(nodes.size());
  std::size_t next_input = 0;
  const auto value_of = [&](const StoredValue& value) {
    return made[value.node][static_cast<std::size_t>(value.output)];
  };
  for (const StoredNode& node : nodes) {
    graph.origin.scope = numbers[node.scope];
    if (node.op == &input_op) {
      made.push_back({inputs[next_input++]});
    } else if (node.op == &state_op) {
      made.push_back({state_at(node.state)});
    } else if (node.op == &constant_op) {
      made.push_back(
          {node.array ? graph.constant(node.array) : graph.scalar(node.number.at(batch), node.type.dtype)});
    } else {
      Values operands;
      for (const StoredValue& input : node.inputs) {
        check<ValueError>(static_cast<std::size_t>(input.output) < made[input.node].size(),
                          place_of(*this, made.size()), " reads output ", input.output, " of ",
                          place_of(*this, input.node), ", which has ", made[input.node].size());
        operands.push_back(value_of(input));
      }
      try {
        made.push_back(graph.apply(*node.op, std::move(operands), attrs_at(node, batch, first_stream)));
      } catch (const Error& error) {
        fail<ValueError>(place_of(*this, made.size()), ": ", error.what());
      }
    }
  }
  graph.next_stream = first_stream + streams;
  graph.origin = outer;
  Recorded recorded;
  const auto expect_output = [&](const StoredValue& value) {
    check<ValueError>(static_cast<std::size_t>(value.output) < made[value.node].size(),
                      "an output is output ", value.output, " of ", place_of(*this, value.node),
                      ", which has ", made[value.node].size());
    return value_of(value);
  };
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    recorded.outputs.push_back(expect_output(outputs[i]));
    const TensorType expected = output_types[i].at(batch);
    check<ValueError>(recorded.outputs.back().type() == expected, "output ", i, " is ",
                      to_string(recorded.outputs.back().type()), ", the file states ", to_string(expected));
  }
  for (const auto& [state, value] : assigned) recorded.assigned.emplace_back(state, expect_output(value));
  return recorded;
}

}  // namespace ravine
