// BatchNorm: its statistics are kernels of their own and applying them is elementwise, so that activations
// and residual additions fuse with it.
#include "ops/batch_norm.h"

#include "graph/autodiff.h"
#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

// ---- columns: everything but the channels is a row

Axes row_axes(const Shape& shape) {
  Axes axes{0};
  for (int axis = 2; axis < shape.rank(); ++axis) axes.push_back(axis);
  return axes;
}

std::int64_t row_count(const Shape& shape) {
  std::int64_t rows = 1;
  for (const std::int64_t axis : row_axes(shape)) rows *= shape[static_cast<int>(axis)];
  return rows;
}

Shape column_shape(const Shape& shape) {
  Shape columns = Dims::filled(shape.rank(), 1);
  columns[1] = shape[1];
  return columns;
}

// [C] beside [N, C, ...]
Value beside(Value columns, const Shape& shape) { return ops::reshape(columns, column_shape(shape)); }

Value multiply_add(Value a, Value b, Value c) { return a.graph().apply1("multiply_add", {a, b, c}); }

// What reaches x scale + shift of the gradient dy of its ReLU; scale and shift [C].
Value rectified_gradient(Value x, Value dy, Value scale, Value shift) {
  const Value sum = multiply_add(x, beside(scale, x.shape()), beside(shift, x.shape()));
  return x.graph().apply1("scale_by_positive", {sum, dy}, {{"slope", 0.0}});
}

void expect_columns(const Node& node) {
  const Shape& shape = node.input_shape(0);
  check<ValueError>(shape.rank() >= 2 && shape.rank() <= 5, node.op->name,
                    ": expected [N, C] or [N, C, ...] of 2 to 5 dimensions, got shape ", shape);
}

void infer_column_moments(Node& node) {
  expect_inputs(node, 1);
  expect_floating(node, 0);
  expect_columns(node);
  const TensorType columns{node.input_dtype(0), {node.input_shape(0)[1]}};
  node.outputs = {columns, columns};
}

Values decompose_column_moments(const Node& node) {
  const Value x = node.inputs[0];
  const Axes rows = row_axes(x.shape());
  const Value mean = ops::mean(x, rows, /*keepdims=*/true);
  const Shape columns{x.shape()[1]};
  return {ops::reshape(mean, columns), ops::mean(ops::square(x - mean), rows)};
}

void lower_column_moments(Lowering& lowering, const Node& node) {
  const View x = lowering.dense(node.inputs[0], Layout::channels_last);
  const View mean = lowering.create(node.out(0)), variance = lowering.create(node.out(1));
  const auto& kernels = lowering.floats(node);
  auto call = lowering.call("column_moments", kernels.column_moments);
  auto& args = call.args;
  args.rows = row_count(x.shape);
  args.columns = x.shape[1];
  call.read(args.input, x);
  call.write(args.mean, mean);
  call.write(args.variance, variance);
  call.workspace(args.workspace, kernels.column_moments_workspace(args));
  call.describe(str(x.shape, " -> mean and variance ", mean.shape));
  const double numbers = static_cast<double>(numel(x.shape));
  call.cost(4 * numbers, numbers * static_cast<double>(size_of(x.dtype)));
}

void infer_combine_moments(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known(node.op->name, {"pieces", "dtype"});
  const std::int64_t pieces = node.attrs.integer("pieces"), size = numel(node.input_shape(0));
  const std::int64_t columns = (size - pieces) / (2 * pieces);
  check<ValueError>(size == kernels::partials_of(pieces, columns), node.op->name, ": ", size,
                    " numbers are not the moments of ", pieces, " pieces");
  const TensorType moments{node.attrs.dtype("dtype"), Shape{columns}};
  node.outputs = {moments, moments};
}

void lower_combine_moments(Lowering& lowering, const Node& node) {
  const View partials = lowering.dense(node.inputs[0]);
  const View mean = lowering.create(node.out(0)), variance = lowering.create(node.out(1));
  auto call = lowering.call("combine_moments", lowering.kernels().of(mean.dtype).combine_moments);
  call.args.columns = mean.shape[0];
  call.args.pieces = node.attrs.integer("pieces");
  call.read(call.args.partials, partials);
  call.write(call.args.mean, mean);
  call.write(call.args.variance, variance);
  call.describe(str(call.args.pieces, " pieces -> mean and variance ", mean.shape));
  call.cost(8.0 * static_cast<double>(numel(partials.shape)) / 2, 0);
}

// (x, dy, mean, rstd[, scale, shift]) -> sum of dy, sum of dy (x - mean) rstd; with scale and shift dy is the
// gradient of relu(x scale + shift), and counts where that is positive.
void infer_column_grad_sums(Node& node) {
  expect_inputs(node, 4, 6);
  check<TypeError>(node.n_inputs() != 5, "column_grad_sums: takes scale and shift or neither, got one");
  expect_floating(node, 0);
  expect_one_dtype(node);
  expect_columns(node);
  const Shape columns{node.input_shape(0)[1]};
  expect_shape(node, 1, node.input_shape(0), "the output's gradient");
  expect_shape(node, 2, columns, "the mean");
  expect_shape(node, 3, columns, "rstd");
  if (node.n_inputs() == 6) {
    expect_shape(node, 4, columns, "the scale");
    expect_shape(node, 5, columns, "the shift");
  }
  node.outputs = {{node.input_dtype(0), columns}, {node.input_dtype(0), columns}};
}

Values decompose_column_grad_sums(const Node& node) {
  const Value x = node.inputs[0], mean = node.inputs[2], rstd = node.inputs[3];
  const Value dy = node.n_inputs() == 6
                       ? rectified_gradient(x, node.inputs[1], node.inputs[4], node.inputs[5])
                       : node.inputs[1];
  const Axes rows = row_axes(x.shape());
  const Value normalized = (x - beside(mean, x.shape())) * beside(rstd, x.shape());
  return {ops::sum(dy, rows), ops::sum(dy * normalized, rows)};
}

void lower_column_grad_sums(Lowering& lowering, const Node& node) {
  const View x = lowering.dense(node.inputs[0], Layout::channels_last);
  const View dy = lowering.dense(node.inputs[1], Layout::channels_last);
  const View mean = lowering.dense(node.inputs[2]), rstd = lowering.dense(node.inputs[3]);
  const bool rectified = node.n_inputs() == 6;
  View scale, shift;
  if (rectified) {
    scale = lowering.dense(node.inputs[4]);
    shift = lowering.dense(node.inputs[5]);
  }
  const View sum_grad = lowering.create(node.out(0)), sum_grad_xhat = lowering.create(node.out(1));
  const auto& kernels = lowering.floats(node);
  auto call = lowering.call("column_grad_sums", kernels.column_grad_sums);
  auto& args = call.args;
  args.rows = row_count(x.shape);
  args.columns = x.shape[1];
  call.read(args.input, x);
  call.read(args.grad_output, dy);
  call.read(args.mean, mean);
  call.read(args.rstd, rstd);
  if (rectified) {
    call.read(args.scale, scale);
    call.read(args.shift, shift);
  }
  call.write(args.sum_grad, sum_grad);
  call.write(args.sum_grad_xhat, sum_grad_xhat);
  call.workspace(args.workspace, kernels.column_grad_sums_workspace(args));
  call.describe(str(x.shape, " -> ", sum_grad.shape, rectified ? ", rectified" : ""));
  const double numbers = static_cast<double>(numel(x.shape));
  call.cost(4 * numbers, 2 * numbers * static_cast<double>(size_of(x.dtype)));
}

// ---- batch_norm(x[, gamma, beta]) -> y, mean, biased variance

void infer_batch_norm(Node& node) {
  expect_inputs(node, 1, 3);
  check<TypeError>(node.n_inputs() != 2, "batch_norm: takes x alone or x, gamma and beta, got 2 tensors");
  expect_floating(node, 0);
  expect_one_dtype(node);
  node.attrs.check_known("batch_norm", {"eps"});
  expect_columns(node);
  normalize_eps(node);
  const Shape& shape = node.input_shape(0);
  const Shape columns{shape[1]};
  if (node.n_inputs() == 3) {
    expect_shape(node, 1, columns, "gamma");
    expect_shape(node, 2, columns, "beta");
  }
  check<ValueError>(row_count(shape) != 1,
                    "batch_norm: needs more than 1 value per channel for batch statistics, got shape ",
                    shape);
  const TensorType statistics{node.input_dtype(0), columns};
  node.outputs = {node.input_type(0), statistics, statistics};
}

Values decompose_batch_norm(const Node& node) {
  const Value x = node.inputs[0];
  const Shape& shape = x.shape();
  const Axes rows = row_axes(shape);
  const Value mean = ops::mean(x, rows, /*keepdims=*/true);
  const Value centred = x - mean;
  const Value variance = ops::mean(ops::square(centred), rows, /*keepdims=*/true);
  Value y = centred * ops::rsqrt(variance + eps_of(node));
  if (node.n_inputs() == 3) y = y * beside(node.inputs[1], shape) + beside(node.inputs[2], shape);
  const Shape columns{shape[1]};
  return {y, ops::reshape(mean, columns), ops::reshape(variance, columns)};
}

// BatchNorm as numbers of the columns: x scale + shift; gamma and beta both or none.
struct Affine {
  Value scale, shift;
  Affine(Value mean, Value variance, Value gamma, Value beta, double eps) {
    scale = ops::rsqrt(variance + eps);
    if (gamma) {
      scale = scale * gamma;
      shift = multiply_add(-mean, scale, beta);
    } else {
      shift = -mean * scale;
    }
  }
};

Values expand_batch_norm(const Node& node) {
  const Value x = node.inputs[0];
  const Shape& shape = x.shape();
  const Values moments = node.graph->apply("column_moments", {x});
  const bool affine = node.n_inputs() == 3;
  const Affine norm(moments[0], moments[1], affine ? node.inputs[1] : Value{},
                    affine ? node.inputs[2] : Value{}, eps_of(node));
  return {multiply_add(x, beside(norm.scale, shape), beside(norm.shift, shape)), moments[0], moments[1]};
}

Values gradient_batch_norm(const Node& node, std::span<const Value> cotangents) {
  if (!cotangents[0] || cotangents[1] || cotangents[2]) return cotangents_by_decomposition(node, cotangents);
  Values inputs{node.inputs[0], cotangents[0], node.out(1), node.out(2)};
  if (node.n_inputs() == 3) inputs.push_back(node.inputs[1]);
  return node.graph->apply("batch_norm_grad", std::move(inputs), {{"eps", eps_of(node)}});
}

// ---- batch_norm_grad(x, dy, mean, variance[, gamma]) -> dx[, dgamma, dbeta]
// batch_norm_relu_grad(x, dy, mean, variance[, gamma, beta]): the same of relu(batch_norm(x))

void infer_batch_norm_grad(Node& node) {
  const bool rectified = node.op == &batch_norm_relu_grad_op;
  expect_inputs(node, 4, rectified ? 6 : 5);
  expect_floating(node, 0);
  expect_one_dtype(node);
  node.attrs.check_known("batch_norm_grad", {"eps"});
  expect_columns(node);
  normalize_eps(node);
  const Shape columns{node.input_shape(0)[1]};
  expect_shape(node, 1, node.input_shape(0), "the output's gradient");
  expect_shape(node, 2, columns, "the mean");
  expect_shape(node, 3, columns, "the variance");
  node.outputs = {node.input_type(0)};
  if (node.n_inputs() == 4) return;
  expect_shape(node, 4, columns, "gamma");
  check<TypeError>(node.n_inputs() == (rectified ? 6 : 5), node.op->name,
                   ": takes gamma and beta or neither");
  if (rectified) expect_shape(node, 5, columns, "beta");
  node.outputs.insert(node.outputs.end(), 2, {node.input_dtype(0), columns});
}

// The statistics are functions of x here, so that a derivative goes through them.
Values decompose_batch_norm_grad(const Node& node) {
  const Value x = node.inputs[0], dy = node.inputs[1];
  const bool affine = node.n_inputs() == 5;
  const Axes rows = row_axes(x.shape());
  const auto mean_of = [&](Value value) { return ops::mean(value, rows, /*keepdims=*/true); };
  const Value centred = x - mean_of(x);
  const Value rstd = ops::rsqrt(mean_of(ops::square(centred)) + eps_of(node));
  const Value normalized = centred * rstd;
  const Value g = affine ? dy * beside(node.inputs[4], x.shape()) : dy;
  Values results{(g - mean_of(g) - normalized * mean_of(g * normalized)) * rstd};
  if (affine) {
    results.push_back(ops::sum(dy * normalized, rows));
    results.push_back(ops::sum(dy, rows));
  }
  return results;
}

Values expand_batch_norm_grad(const Node& node) {
  const Value x = node.inputs[0], mean = node.inputs[2], variance = node.inputs[3];
  Value dy = node.inputs[1];
  const bool affine = node.n_inputs() > 4;
  const Shape& shape = x.shape();
  if (row_count(shape) == 0) {  // there are no statistics; empty sums are 0
    Values results{dy};
    const Value zero = node.graph->filled(0, mean.type());
    if (affine) results.insert(results.end(), {zero, zero});
    return results;
  }
  const double share = 1 / static_cast<double>(row_count(shape));
  const Value rstd = ops::rsqrt(variance + eps_of(node));
  Values of_sums{x, dy, mean, rstd};
  // Both passes see for themselves where the ReLU let the gradient through, as they read x.
  if (node.op == &batch_norm_relu_grad_op) {
    const Affine norm(mean, variance, affine ? node.inputs[4] : Value{}, affine ? node.inputs[5] : Value{},
                      eps_of(node));
    of_sums.insert(of_sums.end(), {norm.scale, norm.shift});
    dy = rectified_gradient(x, dy, norm.scale, norm.shift);
  }
  const Values sums = node.graph->apply("column_grad_sums", std::move(of_sums));
  const Value scale = affine ? rstd * node.inputs[4] : rstd;
  const Value mean_grad = sums[0] * share, slope = sums[1] * share * rstd;
  // (dy - mean_grad - (x - mean) slope) scale, in two steps
  const Value of_x = -slope * scale, constant = multiply_add(mean, slope, -mean_grad) * scale;
  const Value from_x = multiply_add(x, beside(of_x, shape), beside(constant, shape));
  Values results{multiply_add(dy, beside(scale, shape), from_x)};
  if (affine) {
    results.push_back(sums[1]);
    results.push_back(sums[0]);
  }
  return results;
}

}  // namespace

const Op column_moments_op{.name = "column_moments",
                           .infer = infer_column_moments,
                           .decompose = decompose_column_moments,
                           .lower = lower_column_moments};
const Op combine_moments_op{
    .name = "combine_moments", .infer = infer_combine_moments, .lower = lower_combine_moments};
const Op column_grad_sums_op{.name = "column_grad_sums",
                             .infer = infer_column_grad_sums,
                             .decompose = decompose_column_grad_sums,
                             .lower = lower_column_grad_sums};
const Op batch_norm_op{.name = "batch_norm",
                       .infer = infer_batch_norm,
                       .gradient = gradient_batch_norm,
                       .decompose = decompose_batch_norm,
                       .expand = expand_batch_norm};
const Op batch_norm_grad_op{.name = "batch_norm_grad",
                            .infer = infer_batch_norm_grad,
                            .decompose = decompose_batch_norm_grad,
                            .expand = expand_batch_norm_grad};
const Op batch_norm_relu_grad_op{
    .name = "batch_norm_relu_grad", .infer = infer_batch_norm_grad, .expand = expand_batch_norm_grad};

}  // namespace ravine
