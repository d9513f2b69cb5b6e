// Recurrent layers as primitives, step by step: for derivatives of derivatives, whose programs grow with the
// length.
#include <array>

#include "graph/autodiff.h"
#include "ops/builders.h"
#include "ops/recurrence.h"

namespace ravine {
namespace {

using kernels::RecurrentCell;

Value stacked(Graph& graph, const Values& parts, const TensorType& type) {
  if (parts.empty()) return graph.filled(0, type);
  Values slices;
  for (const Value& part : parts) {
    Shape shape{1};
    for (const std::int64_t extent : part.shape()) shape.push_back(extent);
    slices.push_back(ops::reshape(part, shape));
  }
  return ops::concat(slices, 0);
}

Value at_step(Value x, std::int64_t t) {
  return ops::reshape(ops::slice_axis(x, 0, t, t + 1), {x.shape()[1], x.shape()[2]});
}

// The outputs of the layer's node, with its history.
Values unroll(const RecurrentLayer& layer) {
  Graph& graph = layer.graph();
  const Value transposed = ops::swap_last_axes(layer.weight);
  Value h = layer.initial ? layer.initial : graph.filled(0, layer.states());
  Value c = layer.initial_cell ? layer.initial_cell : graph.filled(0, layer.cell_states());
  const auto steps = static_cast<std::size_t>(layer.steps);
  Values outputs(steps), activations(steps), cells(steps), unprojected(steps);
  for (std::int64_t turn = 0; turn < layer.steps; ++turn) {
    const std::int64_t t = layer.reverse ? layer.steps - 1 - turn : turn;
    const auto at = static_cast<std::size_t>(t);
    Value active;
    if (layer.lengths)
      active = ops::reshape(ops::less(ops::scalar_like(layer.lengths, static_cast<double>(t)), layer.lengths),
                            {layer.batch, 1});
    const auto where_active = [&](Value value, Value otherwise) {
      return active ? ops::where(active, value, otherwise) : value;
    };
    const auto or_zero = [&](Value value) { return where_active(value, ops::scalar_like(value, 0)); };
    Value recurrent = ops::matmul(h, transposed);
    if (layer.bias) recurrent = recurrent + layer.bias;
    const Value x = at_step(layer.gates, t);
    const auto part = [&](Value of, int gate) {
      return ops::slice_axis(of, 1, gate * layer.hidden, (gate + 1) * layer.hidden);
    };
    const auto sum = [&](int gate) { return part(x, gate) + part(recurrent, gate); };
    Value next;
    if (layer.cell == RecurrentCell::gru) {
      const Value r = ops::sigmoid(sum(0)), z = ops::sigmoid(sum(1)), of_state = part(recurrent, 2);
      const Value fresh = ops::tanh(part(x, 2) + r * of_state);
      next = fresh + z * (h - fresh);
      activations[at] = or_zero(ops::concat(std::array{r, z, fresh, of_state}, 1));
    } else if (layer.cell == RecurrentCell::lstm) {
      const Value i = ops::sigmoid(sum(0)), f = ops::sigmoid(sum(1)), g = ops::tanh(sum(2)),
                  o = ops::sigmoid(sum(3));
      const Value new_cell = f * c + i * g;
      next = o * ops::tanh(new_cell);
      activations[at] = or_zero(ops::concat(std::array{i, f, g, o}, 1));
      cells[at] = or_zero(new_cell);
      unprojected[at] = or_zero(next);
      c = where_active(new_cell, c);
      if (layer.projection) next = ops::matmul(next, ops::swap_last_axes(layer.projection));
    } else {
      next = layer.cell == RecurrentCell::tanh ? ops::tanh(x + recurrent) : ops::relu(x + recurrent);
    }
    outputs[at] = or_zero(next);
    h = where_active(next, h);
  }
  Values results{stacked(graph, outputs, layer.over_steps(layer.size)), h};
  if (layer.has_cell_state()) results.push_back(c);
  if (layer.n_gates() > 1) results.push_back(stacked(graph, activations, layer.over_steps(4 * layer.hidden)));
  if (layer.has_cell_state()) results.push_back(stacked(graph, cells, layer.over_steps(layer.hidden)));
  if (layer.projection) results.push_back(stacked(graph, unprojected, layer.over_steps(layer.hidden)));
  return results;
}

// [T, N, 1]: how the number of a step, or that of steps with it, compares with the rows' lengths.
Value steps_compared(const RecurrentLayer& layer, Value (*compare)(Value, Value), double with_it = 0) {
  const Value steps = ops::reshape(ops::arange(layer.graph(), layer.steps), {layer.steps, 1, 1}) + with_it;
  return compare(steps, ops::reshape(layer.lengths, {1, layer.batch, 1}));
}
Value where_or_zero(Value condition, Value x) { return ops::where(condition, x, ops::scalar_like(x, 0)); }

// The gradients by W h + b at every step from those by the gates: the same, except GRU's n.
Value grad_of_states(const RecurrentLayer& layer, Value grad_gates, Value activations) {
  if (layer.cell != RecurrentCell::gru) return grad_gates;
  const std::int64_t hidden = layer.hidden;
  const Value of_new = ops::slice_axis(grad_gates, 2, 2 * hidden, 3 * hidden);
  return ops::concat(std::array{ops::slice_axis(grad_gates, 2, 0, 2 * hidden),
                                of_new * ops::slice_axis(activations, 2, 0, hidden)},
                     2);
}

// The gradients by h at every step: from the step behind, the output, and the last state.
Value grad_of_outputs(const RecurrentLayer& layer, const RecurrentGradInputs& inputs, Value grad_recurrent) {
  const std::int64_t steps = layer.steps;
  if (steps == 0) return ops::filled_like(inputs.output, 0);
  const std::int64_t first = layer.reverse ? 0 : 1;
  const Dims none{0, 0, 0}, behind{1, 0, 0};
  const Value later = ops::pad(ops::slice_axis(grad_recurrent, 0, first, first + steps - 1),
                               layer.reverse ? behind : none, layer.reverse ? none : behind);
  Value sum = ops::matmul(later, layer.weight);
  const auto inside = [&](Value x) {
    return layer.lengths ? where_or_zero(steps_compared(layer, ops::less), x) : x;
  };
  if (inputs.grad_output) sum = sum + inside(inputs.grad_output);
  if (!inputs.grad_last) return sum;
  const Value last = ops::reshape(inputs.grad_last, {1, layer.batch, layer.size});
  if (layer.lengths && !layer.reverse) return sum + where_or_zero(steps_compared(layer, ops::equal, 1), last);
  const Dims others{steps - 1, 0, 0};
  return sum + inside(ops::pad(last, layer.reverse ? none : others, layer.reverse ? others : none));
}

// Those by W h of every row's first step.
Value grad_of_first_step(const RecurrentLayer& layer, Value grad_recurrent) {
  if (layer.steps == 0)
    return layer.graph().filled(0, layer.floats({layer.batch, grad_recurrent.shape()[2]}));
  if (layer.reverse && layer.lengths)
    return ops::sum(where_or_zero(steps_compared(layer, ops::equal, 1), grad_recurrent), {0});
  return at_step(grad_recurrent, layer.reverse ? layer.steps - 1 : 0);
}

}  // namespace

Values decompose_recurrence(const Node& node) {
  Values outputs = unroll(RecurrentLayer(node));
  outputs.resize(node.outputs.size());
  return outputs;
}
// The layer itself is a function of the gates here, so that a derivative goes through it.
Values decompose_recurrence_grad(const Node& node) {
  const RecurrentLayer layer(node);
  const RecurrentGradInputs inputs(node, layer);
  const Values results = unroll(layer);
  Values outputs, cotangents;
  const std::array given{inputs.grad_output, inputs.grad_last, inputs.grad_last_cell};
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!given[i]) continue;
    outputs.push_back(results[i]);
    cotangents.push_back(given[i]);
  }
  Values wrt{layer.gates};
  if (layer.initial) wrt.push_back(layer.initial);
  if (layer.initial_cell) wrt.push_back(layer.initial_cell);
  const Values found = vector_jacobian_product(outputs, cotangents, wrt);
  const auto grad = [&](std::size_t i) { return found[i] ? found[i] : ops::filled_like(wrt[i], 0); };
  const Value activations =
      results[static_cast<std::size_t>(layer.n_gates() > 1 ? layer.activations_index() : 0)];
  const Value grad_recurrent = grad_of_states(layer, grad(0), activations);
  Values grads{grad(0)};
  if (layer.cell == RecurrentCell::gru) grads.push_back(grad_recurrent);
  if (layer.projection) grads.push_back(grad_of_outputs(layer, inputs, grad_recurrent));
  for (std::size_t i = 1; i < wrt.size(); ++i) grads.push_back(grad(i));
  if (layer.initial) grads.push_back(grad_of_first_step(layer, grad_recurrent));
  return grads;
}

}  // namespace ravine
