// Recurrent layers: rnn_tanh, rnn_relu, gru, lstm, each one direction of one layer over a whole sequence.
// What the inputs contribute to the gates is a product of its own before, and the weights' gradients are
// products over all steps behind the kernel.
#include <array>
#include <utility>

#include "graph/autodiff.h"
#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"
#include "ops/recurrence.h"

namespace ravine {
namespace {

using kernels::RecurrentCell;
using Layer = RecurrentLayer;
using GradInputs = RecurrentGradInputs;

RecurrentCell cell_of(const Op* op) {
  if (op == &rnn_tanh_op || op == &rnn_tanh_grad_op) return RecurrentCell::tanh;
  if (op == &rnn_relu_op || op == &rnn_relu_grad_op) return RecurrentCell::relu;
  return op == &gru_op || op == &gru_grad_op ? RecurrentCell::gru : RecurrentCell::lstm;
}

// Takes a node's inputs one after the other.
class InputReader {
 public:
  explicit InputReader(const Node& node, int first = 0) : node_(node), next_(first) {}

  Value next() {
    check<TypeError>(next_ < node_.n_inputs(), node_.op->name, ": a tensor is missing; there are ",
                     node_.n_inputs(), ": ", describe_inputs(node_));
    return node_.inputs[static_cast<std::size_t>(next_++)];
  }
  Value next_if(bool present) { return present ? next() : Value{}; }
  Value next_if(const char* flag) { return next_if(node_.attrs.flag(flag, false)); }
  int count() const { return next_; }

 private:
  const Node& node_;
  int next_;
};

void expect_type(const Node& node, Value value, const TensorType& expected, const char* what) {
  if (!value) return;
  check<TypeError>(value.dtype() == expected.dtype, node.op->name, ": ", what, " must be ",
                   name_of(expected.dtype), ", got ", to_string(value.type()));
  check<ValueError>(value.shape() == expected.shape, node.op->name, ": ", what, " has shape ", value.shape(),
                    ", expected ", expected.shape, " for gates of shape ", node.input_shape(0));
}

Layer check_layer(const Node& node) {
  const Layer layer(node);
  expect_floating(node, 0);
  check<TypeError>(!layer.bias || layer.cell == RecurrentCell::gru, node.op->name,
                   ": takes no bias; add it to the gates");
  check<TypeError>(!layer.projection || layer.has_cell_state(), node.op->name, ": takes no projection");
  const std::int64_t columns = layer.gates.shape()[2];
  check<ValueError>(columns % layer.n_gates() == 0, node.op->name, ": ", columns, " columns of gates (shape ",
                    layer.gates.shape(), ") are not ", layer.n_gates(), " equal parts");
  check<ValueError>(!layer.projection || (layer.projection.rank() == 2 && layer.size > 0), node.op->name,
                    ": the projection must be [projected, hidden], got shape ",
                    layer.projection ? layer.projection.shape() : Shape{});
  expect_type(node, layer.weight, layer.floats({columns, layer.size}), "the weight");
  expect_type(node, layer.bias, layer.floats({columns}), "the bias");
  expect_type(node, layer.projection, layer.floats({layer.size, layer.hidden}), "the projection");
  expect_type(node, layer.initial, layer.states(), "the initial state");
  expect_type(node, layer.initial_cell, layer.cell_states(), "the initial cell state");
  expect_type(node, layer.lengths, {DType::int64, {layer.batch}}, "the lengths");
  return layer;
}

bool keeps_history(const Node& node) { return node.attrs.flag("history", true); }

void infer_recurrence(Node& node) {
  node.attrs.check_known(node.op->name, {"reverse", "bias", "projection", "initial", "lengths", "history"});
  const Layer layer = check_layer(node);
  expect_inputs(node, layer.n_inputs);
  node.attrs.set("history", keeps_history(node));
  node.outputs = {layer.over_steps(layer.size), layer.states()};
  if (layer.has_cell_state()) node.outputs.push_back(layer.cell_states());
  if (!keeps_history(node)) return;
  if (layer.n_gates() > 1) node.outputs.push_back(layer.over_steps(4 * layer.hidden));
  if (layer.has_cell_state()) node.outputs.push_back(layer.over_steps(layer.hidden));
  if (layer.projection) node.outputs.push_back(layer.over_steps(layer.hidden));
}

// ---- the gradient

// [T, N, columns] as one matrix of all rows.
Value all_rows(Value x) { return ops::reshape(x, {x.shape()[0] * x.shape()[1], x.shape()[2]}); }
Value sum_of_products(Value left, Value right) {
  return ops::matmul(ops::swap_last_axes(all_rows(left)), all_rows(right));
}

// The recurrent weight's: every step but a row's first meets the output of the step before.
Value grad_weight(const Layer& layer, Value output, Value grad_recurrent, Value grad_first) {
  Value sum;
  const std::int64_t steps = layer.steps;
  if (steps > 1) {
    const std::int64_t before = layer.reverse ? 1 : 0, after = 1 - before;
    sum = sum_of_products(ops::slice_axis(grad_recurrent, 0, after, after + steps - 1),
                          ops::slice_axis(output, 0, before, before + steps - 1));
  }
  if (layer.initial) {
    const Value of_first = ops::matmul(ops::swap_last_axes(grad_first), layer.initial);
    sum = sum ? sum + of_first : of_first;
  }
  return sum ? sum : ops::filled_like(layer.weight, 0);
}

Values gradient_recurrence(const Node& node, std::span<const Value> cotangents) {
  const Layer layer(node);
  const int results = layer.n_results();
  bool of_history = !keeps_history(node);
  for (std::size_t i = static_cast<std::size_t>(results); i < cotangents.size(); ++i)
    of_history = of_history || cotangents[i];
  if (of_history) return cotangents_by_decomposition(node, cotangents);

  Values inputs = node.inputs;
  inputs.push_back(node.out(Layer::output_index));
  if (layer.n_gates() > 1) inputs.push_back(node.out(layer.activations_index()));
  if (layer.has_cell_state()) inputs.push_back(node.out(layer.cells_index()));
  Attrs attrs;
  for (const auto& [name, value] : node.attrs.entries())
    if (name != "history") attrs.set(name, value);
  constexpr std::array names{"grad_output", "grad_last", "grad_last_cell"};
  for (int i = 0; i < results; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (cotangents[at]) inputs.push_back(ops::broadcast_to(cotangents[at], node.outputs[at].shape));
    attrs.set(names[at], static_cast<bool>(cotangents[at]));
  }
  const Values grads = layer.graph().apply(str(node.op->name, "_grad"), std::move(inputs), std::move(attrs));

  std::size_t next = 1;
  const Value grad_recurrent = layer.cell == RecurrentCell::gru ? grads[next++] : grads[0];
  const Value grad_projected = layer.projection ? grads[next++] : Value{};
  const Value grad_initial = layer.initial ? grads[next++] : Value{};
  const Value grad_initial_cell = layer.initial_cell ? grads[next++] : Value{};
  const Value grad_first = layer.initial ? grads[next++] : Value{};
  Values of_inputs{grads[0], grad_weight(layer, node.out(Layer::output_index), grad_recurrent, grad_first)};
  if (layer.bias) of_inputs.push_back(ops::sum(grad_recurrent, {0, 1}));
  if (layer.projection)
    of_inputs.push_back(sum_of_products(grad_projected, node.out(layer.unprojected_index())));
  if (layer.initial) of_inputs.push_back(grad_initial);
  if (layer.initial_cell) of_inputs.push_back(grad_initial_cell);
  if (layer.lengths) of_inputs.push_back({});
  return of_inputs;
}

void infer_recurrence_grad(Node& node) {
  node.attrs.check_known(node.op->name, {"reverse", "bias", "projection", "initial", "lengths", "grad_output",
                                         "grad_last", "grad_last_cell"});
  const Layer layer = check_layer(node);
  const GradInputs inputs(node, layer);
  const std::int64_t columns = layer.gates.shape()[2];
  expect_type(node, inputs.output, layer.over_steps(layer.size), "the output");
  expect_type(node, inputs.activations, layer.over_steps(4 * layer.hidden), "the activations");
  expect_type(node, inputs.cells, layer.over_steps(layer.hidden), "the cell states");
  expect_type(node, inputs.grad_output, layer.over_steps(layer.size), "the output's gradient");
  expect_type(node, inputs.grad_last, layer.states(), "the last state's gradient");
  expect_type(node, inputs.grad_last_cell, layer.cell_states(), "the last cell state's gradient");
  node.outputs = {layer.over_steps(columns)};
  if (layer.cell == RecurrentCell::gru) node.outputs.push_back(layer.over_steps(columns));
  if (layer.projection) node.outputs.push_back(layer.over_steps(layer.size));
  if (layer.initial) node.outputs.push_back(layer.states());
  if (layer.initial_cell) node.outputs.push_back(layer.cell_states());
  if (layer.initial) node.outputs.push_back(layer.floats({layer.batch, columns}));
}

// ---- kernels

// The dense tensors that both kernels read.
struct LayerViews {
  View weight, bias, projection, initial, initial_cell, lengths;

  LayerViews(Lowering& lowering, const Layer& layer)
      : weight(dense(lowering, layer.weight)),
        bias(dense(lowering, layer.bias)),
        projection(dense(lowering, layer.projection)),
        initial(dense(lowering, layer.initial)),
        initial_cell(dense(lowering, layer.initial_cell)),
        lengths(dense(lowering, layer.lengths)) {}

  static View dense(Lowering& lowering, Value value) { return value ? lowering.dense(value) : View{}; }
};

template <class Args, class Pointee>
void read_if(Call<Args>& call, Pointee*& field, const View& view) {
  if (view.storage >= 0) call.read(field, view);
}

template <class Args>
void set_layer(Call<Args>& call, const Layer& layer, const LayerViews& views) {
  Args& args = call.args;
  args.cell = layer.cell;
  args.reverse = layer.reverse;
  args.steps = layer.steps;
  args.batch = layer.batch;
  args.hidden = layer.hidden;
  args.projected = layer.projection ? layer.size : 0;
  read_if(call, args.weight, views.weight);
  read_if(call, args.projection, views.projection);
  read_if(call, args.initial, views.initial);
  read_if(call, args.initial_cell, views.initial_cell);
  read_if(call, args.lengths, views.lengths);
  call.describe(str(layer.steps, " steps of ", layer.batch, " rows, ", layer.hidden, " wide",
                    layer.projection ? str(", projected to ", layer.size) : "",
                    layer.reverse ? ", reversed" : ""));
  const double rows = static_cast<double>(layer.steps * layer.batch),
               columns = static_cast<double>(layer.gates.shape()[2]);
  const double products = 2 * columns * static_cast<double>(layer.size) +
                          (layer.projection ? 2 * static_cast<double>(layer.hidden * layer.size) : 0);
  call.cost(rows * (products + 20 * columns),
            rows * 3 * columns * static_cast<double>(size_of(layer.gates.dtype())));
}

void lower_recurrence(Lowering& lowering, const Node& node) {
  const Layer layer(node);
  const View gates = lowering.dense(node.inputs[0]);
  const LayerViews views(lowering, layer);
  const auto& kernels = lowering.floats(node);
  auto call = lowering.call(node.op->name, kernels.recurrence);
  auto& args = call.args;
  set_layer(call, layer, views);
  call.read(args.gates, gates);
  read_if(call, args.bias, views.bias);
  call.write(args.output, lowering.create(node.out(Layer::output_index)));
  call.write(args.last, lowering.create(node.out(Layer::last_index)));
  if (layer.has_cell_state()) call.write(args.last_cell, lowering.create(node.out(Layer::last_cell_index)));
  args.keeps_history = keeps_history(node);
  if (args.keeps_history && layer.n_gates() > 1) {
    const View activations = lowering.create(node.out(layer.activations_index()));
    call.write(args.activations, activations);
    if (layer.has_cell_state()) {
      lowering.reuse(activations, gates);
      call.write(args.cells, lowering.create(node.out(layer.cells_index())));
    }
    if (layer.projection) call.write(args.unprojected, lowering.create(node.out(layer.unprojected_index())));
  }
  if (layer.lengths) {
    args.fault = lowering.fault();
    args.fault_code =
        lowering.fault_code(str(node.op->name, ": length "), str(" is outside [0, ", layer.steps, "]"));
  }
  call.workspace(args.workspace, kernels.recurrence_workspace(args));
}

void lower_recurrence_grad(Lowering& lowering, const Node& node) {
  const Layer layer(node);
  const GradInputs inputs(node, layer);
  const LayerViews views(lowering, layer);
  const auto dense = [&](Value value) { return LayerViews::dense(lowering, value); };
  const View output = dense(inputs.output), activations = dense(inputs.activations),
             cells = dense(inputs.cells), grad_output = dense(inputs.grad_output),
             grad_last = dense(inputs.grad_last), grad_last_cell = dense(inputs.grad_last_cell);
  const auto& kernels = lowering.floats(node);
  auto call = lowering.call(node.op->name, kernels.recurrence_grad);
  auto& args = call.args;
  set_layer(call, layer, views);
  read_if(call, args.output, output);
  read_if(call, args.activations, activations);
  read_if(call, args.cells, cells);
  read_if(call, args.grad_output, grad_output);
  read_if(call, args.grad_last, grad_last);
  read_if(call, args.grad_last_cell, grad_last_cell);
  int next = 0;
  const View grad_gates = lowering.create(node.out(next++));
  call.write(args.grad_gates, grad_gates);
  if (layer.has_cell_state()) lowering.reuse(grad_gates, activations);
  if (layer.cell == RecurrentCell::gru) call.write(args.grad_recurrent, lowering.create(node.out(next++)));
  if (layer.projection) call.write(args.grad_projected, lowering.create(node.out(next++)));
  args.has_initial = static_cast<bool>(layer.initial);
  if (layer.initial) call.write(args.grad_initial, lowering.create(node.out(next++)));
  if (layer.initial_cell) call.write(args.grad_initial_cell, lowering.create(node.out(next++)));
  if (layer.initial) call.write(args.grad_first, lowering.create(node.out(next++)));
  call.workspace(args.workspace, kernels.recurrence_grad_workspace(args));
}

}  // namespace

RecurrentLayer::RecurrentLayer(const Node& node)
    : cell(cell_of(node.op)), reverse(node.attrs.flag("reverse", false)) {
  InputReader reader(node);
  gates = reader.next();
  weight = reader.next();
  bias = reader.next_if("bias");
  projection = reader.next_if("projection");
  initial = reader.next_if("initial");
  initial_cell = reader.next_if(initial && has_cell_state());
  lengths = reader.next_if("lengths");
  n_inputs = reader.count();
  check<ValueError>(gates.rank() == 3, node.op->name, ": the gates must be [steps, batch, gates], got shape ",
                    gates.shape());
  steps = gates.shape()[0];
  batch = gates.shape()[1];
  hidden = gates.shape()[2] / n_gates();
  size = projection && projection.rank() == 2 ? projection.shape()[0] : hidden;
}

RecurrentGradInputs::RecurrentGradInputs(const Node& node, const RecurrentLayer& layer) {
  InputReader reader(node, layer.n_inputs);
  output = reader.next();
  activations = reader.next_if(layer.n_gates() > 1);
  cells = reader.next_if(layer.has_cell_state());
  grad_output = reader.next_if("grad_output");
  grad_last = reader.next_if("grad_last");
  grad_last_cell = reader.next_if("grad_last_cell");
  expect_inputs(node, reader.count());
}

// clang-format off
#define RAVINE_RECURRENCE(cell)                                       \
  const Op cell##_op{.name = #cell,                                   \
                     .infer = infer_recurrence,                       \
                     .gradient = gradient_recurrence,                 \
                     .decompose = decompose_recurrence,               \
                     .lower = lower_recurrence};                      \
  const Op cell##_grad_op{.name = #cell "_grad",                      \
                          .infer = infer_recurrence_grad,             \
                          .decompose = decompose_recurrence_grad,     \
                          .lower = lower_recurrence_grad};
// clang-format on
RAVINE_RECURRENCE(rnn_tanh)
RAVINE_RECURRENCE(rnn_relu)
RAVINE_RECURRENCE(gru)
RAVINE_RECURRENCE(lstm)
#undef RAVINE_RECURRENCE

}  // namespace ravine
