// Softmax and its logarithm along one axis.
#include <algorithm>

#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

int axis_of(const Node& node) { return static_cast<int>(node.attrs.integer("axis")); }

void normalize_axis_attr(Node& node) {
  const std::int64_t axis = node.attrs.integer("axis", -1);
  node.attrs.set("axis", std::int64_t{normalize_axis(axis, node.input_shape(0).rank(), node.op->name)});
}

void infer_softmax(Node& node) {
  expect_inputs(node, 1);
  expect_floating(node, 0);
  node.attrs.check_known(node.op->name, {"axis"});
  normalize_axis_attr(node);
  node.outputs = {node.input_type(0)};
}

// (y, dy) -> dx
void infer_softmax_grad(Node& node) {
  expect_inputs(node, 2);
  expect_floating(node, 0);
  expect_one_dtype(node);
  node.attrs.check_known(node.op->name, {"axis"});
  normalize_axis_attr(node);
  check<ValueError>(node.input_shape(0) == node.input_shape(1), node.op->name, ": the output has shape ",
                    node.input_shape(0), ", its gradient ", node.input_shape(1));
  node.outputs = {node.input_type(0)};
}

Values gradient_softmax(const Node& node, std::span<const Value> cotangents) {
  return node.graph->apply("softmax_grad", {node.out(), cotangents[0]}, node.attrs);
}
Values gradient_log_softmax(const Node& node, std::span<const Value> cotangents) {
  return node.graph->apply("log_softmax_grad", {node.out(), cotangents[0]}, node.attrs);
}

Values decompose_softmax_grad(const Node& node) {
  const Value y = node.inputs[0], dy = node.inputs[1];
  return {y * (dy - ops::sum(dy * y, {axis_of(node)}, /*keepdims=*/true))};
}
Values decompose_log_softmax_grad(const Node& node) {
  const Value y = node.inputs[0], dy = node.inputs[1];
  return {dy - ops::exp(y) * ops::sum(dy, {axis_of(node)}, /*keepdims=*/true)};
}

// ---- lowering: the axis becomes the last one in memory

Axes axis_last(const Node& node) {
  Axes order;
  for (int axis = 0; axis < node.input_shape(0).rank(); ++axis)
    if (axis != axis_of(node)) order.push_back(axis);
  order.push_back(axis_of(node));
  return order;
}

View permuted(const View& view, const Axes& order) {
  View result = view;
  for (int axis = 0; axis < order.rank(); ++axis) {
    result.shape[axis] = view.shape[static_cast<int>(order[axis])];
    result.strides[axis] = view.strides[static_cast<int>(order[axis])];
  }
  return result;
}

View permuted_back(const View& view, const Axes& order) {
  View result = view;
  for (int axis = 0; axis < order.rank(); ++axis) {
    result.shape[static_cast<int>(order[axis])] = view.shape[axis];
    result.strides[static_cast<int>(order[axis])] = view.strides[axis];
  }
  return result;
}

// The value as dense rows along the axis.
View rows_along(Lowering& lowering, Value value, const Axes& order) {
  const View view = permuted(lowering.view(value), order);
  if (is_row_major(view.shape, view.strides)) return view;
  const View copied = lowering.temporary(view.dtype, view.shape);
  lowering.copy(view, copied);
  return copied;
}

// Memory for the output in that order.
View create_rows(Lowering& lowering, const Node& node, const Axes& order) {
  Shape shape;
  for (const std::int64_t axis : order) shape.push_back(node.outputs[0].shape[static_cast<int>(axis)]);
  const View created = lowering.temporary(node.outputs[0].dtype, shape);
  lowering.alias(node.out(), permuted_back(created, order));
  return created;
}

template <class Args>
void set_rows(Call<Args>& call, const View& rows, bool log, double flops, int tensors) {
  call.args.columns = rows.shape.back();
  call.args.rows = call.args.columns == 0 ? 0 : numel(rows.shape) / call.args.columns;
  call.args.log = log;
  call.describe(str("rows of ", rows.shape));
  const double numbers = static_cast<double>(numel(rows.shape));
  call.cost(flops * numbers, tensors * numbers * static_cast<double>(size_of(rows.dtype)));
}

template <bool log>
void lower_softmax(Lowering& lowering, const Node& node) {
  const Axes order = axis_last(node);
  const View x = rows_along(lowering, node.inputs[0], order);
  const View y = create_rows(lowering, node, order);
  auto call = lowering.call(node.op->name, lowering.floats(node).softmax);
  call.read(call.args.input, x);
  call.write(call.args.output, y);
  set_rows(call, x, log, 20, 2);
}

template <bool log>
void lower_softmax_grad(Lowering& lowering, const Node& node) {
  const Axes order = axis_last(node);
  const View y = rows_along(lowering, node.inputs[0], order),
             dy = rows_along(lowering, node.inputs[1], order);
  const View dx = create_rows(lowering, node, order);
  auto call = lowering.call(node.op->name, lowering.floats(node).softmax_grad);
  call.read(call.args.output, y);
  call.read(call.args.grad_output, dy);
  call.write(call.args.grad_input, dx);
  set_rows(call, y, log, log ? 20 : 5, 3);
}

}  // namespace

const Op softmax_op{
    .name = "softmax", .infer = infer_softmax, .gradient = gradient_softmax, .lower = lower_softmax<false>};
const Op log_softmax_op{.name = "log_softmax",
                        .infer = infer_softmax,
                        .gradient = gradient_log_softmax,
                        .lower = lower_softmax<true>};
const Op softmax_grad_op{.name = "softmax_grad",
                         .infer = infer_softmax_grad,
                         .decompose = decompose_softmax_grad,
                         .lower = lower_softmax_grad<false>};
const Op log_softmax_grad_op{.name = "log_softmax_grad",
                             .infer = infer_softmax_grad,
                             .decompose = decompose_log_softmax_grad,
                             .lower = lower_softmax_grad<true>};

}  // namespace ravine
