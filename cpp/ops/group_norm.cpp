// GroupNorm: the moments of each sample's groups of channels. One kernel per direction, each with an
// epilogue, so that activations and residual additions fuse with it.
#include "graph/autodiff.h"
#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

// [samples, groups, members, positions...]
Shape grouped_shape(const Shape& shape, std::int64_t groups) {
  Shape grouped{shape[0], groups, shape[1] / groups};
  for (int axis = 2; axis < shape.rank(); ++axis) grouped.push_back(shape[axis]);
  return grouped;
}

std::int64_t groups_of(const Node& node) { return node.attrs.integer("groups"); }

Shape statistics_shape(const Node& node) { return {node.input_shape(0)[0], groups_of(node)}; }

void infer_groups(Node& node) {
  expect_floating(node, 0);
  expect_one_dtype(node);
  node.attrs.check_known(node.op->name, {"groups", "eps"});
  normalize_eps(node);
  const Shape& shape = node.input_shape(0);
  check<ValueError>(shape.rank() >= 3 && shape.rank() < max_rank, node.op->name,
                    ": expected [N, C, positions...] of 3 to ", max_rank - 1, " dimensions, got shape ",
                    shape);
  const std::int64_t groups = groups_of(node);
  check<ValueError>(groups >= 1 && shape[1] % groups == 0, node.op->name, ": ", shape[1],
                    " channels cannot be split into ", groups, " groups (shape ", shape, ")");
  for (int axis = 1; axis < shape.rank(); ++axis)
    check<ValueError>(shape[axis] > 0, node.op->name, ": the normalised axes are empty (shape ", shape, ")");
}

// ---- group_norm(x[, gamma, beta]){groups, eps} -> y, mean, biased variance

void infer_group_norm(Node& node) {
  expect_inputs(node, 1, 3);
  check<TypeError>(node.n_inputs() != 2, "group_norm: takes x alone or x, gamma and beta, got 2 tensors");
  infer_groups(node);
  const Shape channels{node.input_shape(0)[1]};
  if (node.n_inputs() == 3) {
    expect_shape(node, 1, channels, "gamma");
    expect_shape(node, 2, channels, "beta");
  }
  const TensorType statistics{node.input_dtype(0), statistics_shape(node)};
  node.outputs = {node.input_type(0), statistics, statistics};
}

// What the primitive forms share: x as [samples, groups, members, positions...].
struct Groups {
  explicit Groups(const Node& node)
      : shape(node.input_shape(0)), grouped(grouped_shape(shape, groups_of(node))) {
    for (int axis = 2; axis < grouped.rank(); ++axis) axes.push_back(axis);
  }
  Value split(Value x) const { return ops::reshape(x, grouped); }
  Value join(Value x) const { return ops::reshape(x, shape); }
  Value mean_of(Value x) const { return ops::mean(x, axes, /*keepdims=*/true); }
  // [C] beside x
  Value beside(Value channels) const {
    Shape columns = Dims::filled(shape.rank(), 1);
    columns[1] = shape[1];
    return ops::reshape(channels, columns);
  }
  Shape shape, grouped;
  Axes axes;
};

Values decompose_group_norm(const Node& node) {
  const Groups groups(node);
  const Value x = groups.split(node.inputs[0]);
  const Value mean = groups.mean_of(x);
  const Value centred = x - mean;
  const Value variance = groups.mean_of(ops::square(centred));
  Value y = groups.join(centred * ops::rsqrt(variance + eps_of(node)));
  if (node.n_inputs() == 3) y = y * groups.beside(node.inputs[1]) + groups.beside(node.inputs[2]);
  const Shape statistics = statistics_shape(node);
  return {y, ops::reshape(mean, statistics), ops::reshape(variance, statistics)};
}

Values gradient_group_norm(const Node& node, std::span<const Value> cotangents) {
  if (!cotangents[0] || cotangents[1] || cotangents[2]) return cotangents_by_decomposition(node, cotangents);
  Values inputs{node.inputs[0], cotangents[0], node.out(1), node.out(2)};
  if (node.n_inputs() == 3) inputs.push_back(node.inputs[1]);
  return node.graph->apply("group_norm_grad", std::move(inputs), node.attrs);
}

template <class Args>
void set_extents(Args& args, const Node& node) {
  const Shape& shape = node.input_shape(0);
  args.samples = shape[0];
  args.channels = shape[1];
  args.positions = 1;
  for (int axis = 2; axis < shape.rank(); ++axis) args.positions *= shape[axis];
  args.groups = groups_of(node);
  args.eps = eps_of(node);
}

void lower_group_norm(Lowering& lowering, const Node& node) {
  const bool affine = node.n_inputs() == 3;
  const View x = lowering.dense(node.inputs[0], Layout::channels_last);
  View gamma, beta;
  if (affine) {
    gamma = lowering.dense(node.inputs[1]);
    beta = lowering.dense(node.inputs[2]);
  }
  const View mean = lowering.create(node.own_out(1)), variance = lowering.create(node.own_out(2));
  const auto& kernels = lowering.floats(node);
  auto call = lowering.call("group_norm", kernels.group_norm);
  auto& args = call.args;
  set_extents(args, node);
  call.read(args.input, x);
  if (affine) {
    call.read(args.gamma, gamma);
    call.read(args.beta, beta);
  }
  const View y =
      call.output(args.epilogue, node, args.samples * args.positions, args.channels, Layout::channels_last);
  if (!node.expression) lowering.reuse(y, x);  // an epilogue may read x
  call.write(args.output, y);
  call.write(args.mean, mean);
  call.write(args.variance, variance);
  call.workspace(args.workspace, kernels.group_norm_workspace(args));
  call.describe(str(x.shape, " in ", args.groups, args.groups == 1 ? " group" : " groups"));
  const double numbers = static_cast<double>(numel(x.shape));
  call.cost(8 * numbers, 2 * numbers * static_cast<double>(size_of(x.dtype)));
}

// ---- group_norm_grad(x, dy, mean, variance[, gamma]){groups, eps} -> dx[, dgamma, dbeta]

void infer_group_norm_grad(Node& node) {
  expect_inputs(node, 4, 5);
  infer_groups(node);
  const Shape channels{node.input_shape(0)[1]};
  expect_shape(node, 1, node.input_shape(0), "the output's gradient");
  expect_shape(node, 2, statistics_shape(node), "the mean");
  expect_shape(node, 3, statistics_shape(node), "the variance");
  node.outputs = {node.input_type(0)};
  if (node.n_inputs() == 5) {
    expect_shape(node, 4, channels, "gamma");
    node.outputs.push_back({node.input_dtype(0), channels});
    node.outputs.push_back({node.input_dtype(0), channels});
  }
}

// The statistics are functions of x here, so that a derivative goes through them.
Values decompose_group_norm_grad(const Node& node) {
  const Groups groups(node);
  const bool affine = node.n_inputs() == 5;
  const Value x = groups.split(node.inputs[0]), dy = node.inputs[1];
  const Value centred = x - groups.mean_of(x);
  const Value rstd = ops::rsqrt(groups.mean_of(ops::square(centred)) + eps_of(node));
  const Value normalized = centred * rstd;
  const Value g = groups.split(affine ? dy * groups.beside(node.inputs[4]) : dy);
  Values results{groups.join((g - groups.mean_of(g) - normalized * groups.mean_of(g * normalized)) * rstd)};
  if (affine) {
    Axes rows{0};
    for (int axis = 2; axis < groups.shape.rank(); ++axis) rows.push_back(axis);
    results.push_back(ops::sum(dy * groups.join(normalized), rows));
    results.push_back(ops::sum(dy, rows));
  }
  return results;
}

void lower_group_norm_grad(Lowering& lowering, const Node& node) {
  const bool affine = node.n_inputs() == 5;
  const View x = lowering.dense(node.inputs[0], Layout::channels_last);
  const View dy = lowering.dense(node.inputs[1], Layout::channels_last);
  const View mean = lowering.dense(node.inputs[2]), variance = lowering.dense(node.inputs[3]);
  View gamma, grad_gamma, grad_beta;
  if (affine) {
    gamma = lowering.dense(node.inputs[4]);
    grad_gamma = lowering.create(node.own_out(1));
    grad_beta = lowering.create(node.own_out(2));
  }
  const auto& kernels = lowering.floats(node);
  auto call = lowering.call("group_norm_grad", kernels.group_norm_grad);
  auto& args = call.args;
  set_extents(args, node);
  call.read(args.input, x);
  call.read(args.grad_output, dy);
  call.read(args.mean, mean);
  call.read(args.variance, variance);
  const View dx =
      call.output(args.epilogue, node, args.samples * args.positions, args.channels, Layout::channels_last);
  if (!node.expression) lowering.reuse(dx, dy);  // an epilogue may read dy
  call.write(args.grad_input, dx);
  if (affine) {
    call.read(args.gamma, gamma);
    call.write(args.grad_gamma, grad_gamma);
    call.write(args.grad_beta, grad_beta);
  }
  call.workspace(args.workspace, kernels.group_norm_grad_workspace(args));
  call.describe(str(x.shape, " in ", args.groups, args.groups == 1 ? " group" : " groups"));
  const double numbers = static_cast<double>(numel(x.shape));
  call.cost(12 * numbers, 3 * numbers * static_cast<double>(size_of(x.dtype)));
}

int channel_axis(const Node&) { return 1; }

}  // namespace

const Op group_norm_op{.name = "group_norm",
                       .infer = infer_group_norm,
                       .gradient = gradient_group_norm,
                       .decompose = decompose_group_norm,
                       .lower = lower_group_norm,
                       .epilogue_axis = channel_axis};
const Op group_norm_grad_op{.name = "group_norm_grad",
                            .infer = infer_group_norm_grad,
                            .decompose = decompose_group_norm_grad,
                            .lower = lower_group_norm_grad,
                            .epilogue_axis = channel_axis};

}  // namespace ravine
