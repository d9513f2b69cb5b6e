// LayerNorm: one kernel per direction.
#include "graph/autodiff.h"
#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

// ---- layer_norm(x[, gamma[, beta]]) -> y, mean, rstd

// The last normalized_dims axes are a row.
struct RowSplit {
  Shape leading, row;
  Axes row_axes;
  std::int64_t rows = 1, columns = 1;
};

RowSplit split_rows(const Node& node) {
  const Shape& shape = node.input_shape(0);
  const int cut = shape.rank() - static_cast<int>(node.attrs.integer("normalized_dims"));
  RowSplit split;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (axis < cut) {
      split.leading.push_back(shape[axis]);
      split.rows *= shape[axis];
    } else {
      split.row.push_back(shape[axis]);
      split.row_axes.push_back(axis);
      split.columns *= shape[axis];
    }
  }
  return split;
}

RowSplit infer_rows(Node& node) {
  expect_floating(node, 0);
  expect_one_dtype(node);
  node.attrs.check_known(node.op->name, {"normalized_dims", "eps"});
  normalize_eps(node);
  const Shape& shape = node.input_shape(0);
  const std::int64_t dims = node.attrs.integer("normalized_dims", 1);
  node.attrs.set("normalized_dims", dims);
  check<ValueError>(dims >= 1 && dims <= shape.rank(), node.op->name, ": cannot normalise the last ", dims,
                    " axes of an input of shape ", shape);
  const RowSplit split = split_rows(node);
  check<ValueError>(split.columns > 0, node.op->name, ": the normalised axes are empty (shape ", shape, ")");
  return split;
}

void infer_layer_norm(Node& node) {
  expect_inputs(node, 1, 3);
  const RowSplit split = infer_rows(node);
  if (node.n_inputs() > 1) expect_shape(node, 1, split.row, "gamma");
  if (node.n_inputs() > 2) expect_shape(node, 2, split.row, "beta");
  const TensorType statistics{node.input_dtype(0), split.leading};
  node.outputs = {node.input_type(0), statistics, statistics};
}

Values decompose_layer_norm(const Node& node) {
  const Value x = node.inputs[0];
  const RowSplit split = split_rows(node);
  const Value mean = ops::mean(x, split.row_axes, /*keepdims=*/true);
  const Value centred = x - mean;
  const Value rstd =
      ops::rsqrt(ops::mean(ops::square(centred), split.row_axes, /*keepdims=*/true) + eps_of(node));
  Value y = centred * rstd;
  if (node.n_inputs() > 1) y = y * node.inputs[1];
  if (node.n_inputs() > 2) y = y + node.inputs[2];
  return {y, ops::reshape(mean, split.leading), ops::reshape(rstd, split.leading)};
}

Values gradient_layer_norm(const Node& node, std::span<const Value> cotangents) {
  if (!cotangents[0] || cotangents[1] || cotangents[2]) return cotangents_by_decomposition(node, cotangents);
  Values inputs{node.inputs[0], cotangents[0], node.out(1), node.out(2)};
  if (node.n_inputs() > 1) inputs.push_back(node.inputs[1]);
  Values results = node.graph->apply("layer_norm_grad", std::move(inputs), node.attrs);
  results.resize(node.inputs.size());
  return results;
}

void lower_layer_norm(Lowering& lowering, const Node& node) {
  const RowSplit split = split_rows(node);
  const View x = lowering.dense(node.inputs[0]);
  const View y = lowering.create(node.out(0)), mean = lowering.create(node.out(1)),
             rstd = lowering.create(node.out(2));
  View gamma, beta;
  if (node.n_inputs() > 1) gamma = lowering.dense(node.inputs[1]);
  if (node.n_inputs() > 2) beta = lowering.dense(node.inputs[2]);
  auto call = lowering.call("layer_norm", lowering.floats(node).layer_norm);
  auto& args = call.args;
  args.rows = split.rows;
  args.columns = split.columns;
  args.eps = eps_of(node);
  call.read(args.input, x);
  if (node.n_inputs() > 1) call.read(args.gamma, gamma);
  if (node.n_inputs() > 2) call.read(args.beta, beta);
  call.write(args.output, y);
  call.write(args.mean, mean);
  call.write(args.rstd, rstd);
  call.describe(str("rows ", split.leading, " of ", split.row));
  const double numbers = static_cast<double>(split.rows * split.columns);
  call.cost(8 * numbers, 2 * numbers * static_cast<double>(size_of(x.dtype)));
}

// ---- layer_norm_grad(x, dy, mean, rstd[, gamma]) -> dx[, dgamma, dbeta]

void infer_layer_norm_grad(Node& node) {
  expect_inputs(node, 4, 5);
  const RowSplit split = infer_rows(node);
  expect_shape(node, 1, node.input_shape(0), "the output's gradient");
  expect_shape(node, 2, split.leading, "the mean");
  expect_shape(node, 3, split.leading, "rstd");
  node.outputs = {node.input_type(0)};
  if (node.n_inputs() == 5) {
    expect_shape(node, 4, split.row, "gamma");
    node.outputs.push_back({node.input_dtype(0), split.row});
    node.outputs.push_back({node.input_dtype(0), split.row});
  }
}

// The statistics are functions of x here, so that a derivative goes through them.
Values decompose_layer_norm_grad(const Node& node) {
  const Value x = node.inputs[0], dy = node.inputs[1];
  const bool affine = node.n_inputs() == 5;
  const RowSplit split = split_rows(node);
  const auto mean_of = [&](Value value) { return ops::mean(value, split.row_axes, /*keepdims=*/true); };
  const Value centred = x - mean_of(x);
  const Value rstd = ops::rsqrt(mean_of(ops::square(centred)) + eps_of(node));
  const Value normalized = centred * rstd;
  const Value g = affine ? dy * node.inputs[4] : dy;
  Values results{(g - mean_of(g) - normalized * mean_of(g * normalized)) * rstd};
  if (affine) {
    const auto sum_rows = [&](Value value) {
      Axes leading;
      for (int axis = 0; axis < split.leading.rank(); ++axis) leading.push_back(axis);
      return leading.empty() ? value : ops::sum(value, leading);
    };
    results.push_back(sum_rows(dy * normalized));
    results.push_back(sum_rows(dy));
  }
  return results;
}

void lower_layer_norm_grad(Lowering& lowering, const Node& node) {
  const RowSplit split = split_rows(node);
  const bool affine = node.n_inputs() == 5;
  const View x = lowering.dense(node.inputs[0]), dy = lowering.dense(node.inputs[1]);
  const View mean = lowering.dense(node.inputs[2]), rstd = lowering.dense(node.inputs[3]);
  const View dx = lowering.create(node.out(0));
  View gamma, grad_gamma, grad_beta;
  if (affine) {
    gamma = lowering.dense(node.inputs[4]);
    grad_gamma = lowering.create(node.out(1));
    grad_beta = lowering.create(node.out(2));
  }
  const auto& kernels = lowering.floats(node);
  auto call = lowering.call("layer_norm_grad", kernels.layer_norm_grad);
  auto& args = call.args;
  args.rows = split.rows;
  args.columns = split.columns;
  call.read(args.input, x);
  call.read(args.grad_output, dy);
  call.read(args.mean, mean);
  call.read(args.rstd, rstd);
  call.write(args.grad_input, dx);
  if (affine) {
    call.read(args.gamma, gamma);
    call.write(args.grad_gamma, grad_gamma);
    call.write(args.grad_beta, grad_beta);
  }
  call.workspace(args.workspace, kernels.layer_norm_grad_workspace(args));
  call.describe(str("rows ", split.leading, " of ", split.row));
  const double numbers = static_cast<double>(split.rows * split.columns);
  call.cost(12 * numbers, 3 * numbers * static_cast<double>(size_of(x.dtype)));
}

}  // namespace

const Op layer_norm_op{.name = "layer_norm",
                       .infer = infer_layer_norm,
                       .gradient = gradient_layer_norm,
                       .decompose = decompose_layer_norm,
                       .lower = lower_layer_norm};
const Op layer_norm_grad_op{.name = "layer_norm_grad",
                            .infer = infer_layer_norm_grad,
                            .decompose = decompose_layer_norm_grad,
                            .lower = lower_layer_norm_grad};

}  // namespace ravine
