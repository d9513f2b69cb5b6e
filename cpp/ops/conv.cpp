// 2-D convolution. The product of images, filters and outputs is linear in each, so three operations are
// closed under differentiation: the output, the gradient of the images and the gradient of the filters, each
// a sum over the taps.
#include "ops/conv.h"

#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/conv_choice.h"
#include "ops/list.h"
#include "ops/windows.h"

namespace ravine {
namespace {

// ---- shapes

// Checks that images and filters fit and returns the output's shape.
Shape infer_windows(Node& node, const Shape& images, const Shape& filters) {
  const std::int64_t groups = node.attrs.integer("groups", 1);
  node.attrs.set("groups", groups);
  check<ValueError>(groups >= 1, node.op->name, ": groups must be at least 1, got ", groups);
  check<ValueError>(images[1] % groups == 0 && filters[0] % groups == 0, node.op->name, ": ", images[1],
                    " input channels (shape ", images, ") and ", filters[0], " output channels (shape ",
                    filters, ") do not both divide into groups=", groups);
  check<ValueError>(images[1] == filters[1] * groups, node.op->name, ": the input has ", images[1],
                    " channels (shape ", images, "), the weight expects ", filters[1] * groups, " (shape ",
                    filters, ", groups=", groups, ")");
  check<ValueError>(filters[2] >= 1 && filters[3] >= 1, node.op->name,
                    ": the weight's kernel is empty (shape ", filters, ")");
  const Windows windows = normalize_windows(node, {filters[2], filters[3]}, {1, 1}, /*with_dilation=*/true);
  return window_outputs(node, windows, images, filters[0]);
}

void expect_operands(const Node& node) {
  expect_inputs(node, 2);
  expect_floating(node, 0);
  expect_one_dtype(node);
}

void expect_filters(const Node& node, int input) {
  check<ValueError>(
      node.input_shape(input).rank() == 4, node.op->name,
      ": expected a weight [out_channels, in_channels / groups, kernel_h, kernel_w], got shape ",
      node.input_shape(input));
}

Shape shape_attr(const Node& node, const char* name) {
  const Shape shape = node.attrs.dims(name);
  check<ValueError>(shape.rank() == 4, node.op->name, ": ", name, " must have 4 extents, got ", shape);
  for (const std::int64_t extent : shape)
    check<ValueError>(extent >= 0, node.op->name, ": ", name, " must not be negative, got ", shape);
  return shape;
}

void expect_outputs(const Node& node, int input, const Shape& expected) {
  check<ValueError>(node.input_shape(input) == expected, node.op->name, ": the output's gradient has shape ",
                    node.input_shape(input), ", expected ", expected);
}

void infer_conv2d(Node& node) {
  expect_operands(node);
  node.attrs.check_known(node.op->name, {"stride", "padding", "dilation", "groups"});
  expect_images(node, 0);
  expect_filters(node, 1);
  node.outputs = {{node.input_dtype(0), infer_windows(node, node.input_shape(0), node.input_shape(1))}};
}

// (output gradient, filters){input_shape} -> images
void infer_grad_input(Node& node) {
  expect_operands(node);
  node.attrs.check_known(node.op->name, {"stride", "padding", "dilation", "groups", "input_shape"});
  expect_images(node, 0);
  expect_filters(node, 1);
  const Shape images = shape_attr(node, "input_shape");
  expect_outputs(node, 0, infer_windows(node, images, node.input_shape(1)));
  node.outputs = {{node.input_dtype(0), images}};
}

// (images, output gradient){filter_shape} -> filters
void infer_grad_filter(Node& node) {
  expect_operands(node);
  node.attrs.check_known(node.op->name, {"stride", "padding", "dilation", "groups", "filter_shape"});
  expect_images(node, 0);
  expect_images(node, 1);
  const Shape filters = shape_attr(node, "filter_shape");
  expect_outputs(node, 1, infer_windows(node, node.input_shape(0), filters));
  node.outputs = {{node.input_dtype(0), filters}};
}

// ---- gradients

Attrs window_attrs(const Node& node) {
  return {{"stride", node.attrs.dims("stride")},
          {"padding", node.attrs.dims("padding")},
          {"dilation", node.attrs.dims("dilation")},
          {"groups", node.attrs.integer("groups")}};
}

Value forward(const Node& like, Value images, Value filters) {
  return images.graph().apply1("conv2d", {images, filters}, window_attrs(like));
}
Value grad_input(const Node& like, Value dy, Value filters, const Shape& images) {
  Attrs attrs = window_attrs(like);
  attrs.set("input_shape", images);
  return dy.graph().apply1("conv2d_grad_input", {dy, filters}, std::move(attrs));
}
Value grad_filter(const Node& like, Value images, Value dy, const Shape& filters) {
  Attrs attrs = window_attrs(like);
  attrs.set("filter_shape", filters);
  return dy.graph().apply1("conv2d_grad_filter", {images, dy}, std::move(attrs));
}

Values gradient_conv2d(const Node& node, std::span<const Value> cotangents) {
  const Value images = node.inputs[0], filters = node.inputs[1], dy = cotangents[0];
  return {grad_input(node, dy, filters, images.shape()), grad_filter(node, images, dy, filters.shape())};
}

Values gradient_grad_input(const Node& node, std::span<const Value> cotangents) {
  const Value dy = node.inputs[0], filters = node.inputs[1], images = cotangents[0];
  return {forward(node, images, filters), grad_filter(node, images, dy, filters.shape())};
}

Values gradient_grad_filter(const Node& node, std::span<const Value> cotangents) {
  const Value images = node.inputs[0], dy = node.inputs[1], filters = cotangents[0];
  return {grad_input(node, dy, filters, images.shape()), forward(node, images, filters)};
}

// ---- lowering

kernels::ConvShape conv_shape(const Node& node, const Shape& images, const Shape& filters,
                              const Shape& outputs) {
  const Windows windows = windows_of(node, {filters[2], filters[3]});
  return {.batch = images[0],
          .height = images[2],
          .width = images[3],
          .channels = images[1],
          .out_height = outputs[2],
          .out_width = outputs[3],
          .out_channels = outputs[1],
          .kernel_h = filters[2],
          .kernel_w = filters[3],
          .stride_h = windows.h.stride,
          .stride_w = windows.w.stride,
          .pad_h = windows.h.padding,
          .pad_w = windows.w.padding,
          .dilation_h = windows.h.dilation,
          .dilation_w = windows.w.dilation,
          .groups = node.attrs.integer("groups")};
}

// costs: the estimates by which the algorithm was chosen.
template <class Args>
void describe(Call<Args>& call, const Shape& images, const Shape& filters, const Shape& outputs, DType dtype,
              const std::string& costs = "") {
  const Args& args = call.args;
  std::string text = str(images, " * ", filters, " -> ", outputs);
  const auto add = [&](const char* name, std::int64_t h, std::int64_t w, std::int64_t ordinary) {
    if (h != ordinary || w != ordinary) text += str(", ", name, " ", Dims{h, w});
  };
  add("stride", args.shape.stride_h, args.shape.stride_w, 1);
  add("padding", args.shape.pad_h, args.shape.pad_w, 0);
  add("dilation", args.shape.dilation_h, args.shape.dilation_w, 1);
  if (args.shape.groups != 1) text += str(", groups ", args.shape.groups);
  if (args.algorithm != kernels::ConvAlgorithm::direct) text += str(", ", name_of(args.algorithm));
  if constexpr (requires { args.pool; })
    if (args.pool != 1) text += str(", pooled by ", Dims{args.pool, args.pool});
  if (!costs.empty()) text += str("; ", costs);
  call.describe(text);
  const double taps = static_cast<double>(filters[1] * filters[2] * filters[3]);
  const double numbers = static_cast<double>(numel(images) + numel(filters) + numel(outputs));
  call.cost(2 * taps * static_cast<double>(numel(outputs)), numbers * static_cast<double>(size_of(dtype)));
}

void lower_conv2d(Lowering& lowering, const Node& node) {
  const View images = lowering.dense(node.inputs[0], Layout::channels_last);
  const View filters = lowering.dense(node.inputs[1], Layout::channels_last);
  const Shape& outputs = node.outputs[0].shape;
  const auto& kernels = lowering.floats(node);
  auto call = lowering.call("conv2d", kernels.conv_forward);
  auto& args = call.args;
  args.shape = conv_shape(node, images.shape, filters.shape, outputs);
  args.algorithm =
      choose_conv(ConvPass::forward, args.shape, node.input_dtype(0), lowering.kernels().vector_bytes);
  call.read(args.input, images);
  call.read(args.filter, filters);
  const View y = call.output(args.epilogue, node, outputs[0] * outputs[2] * outputs[3], outputs[1],
                             Layout::channels_last);
  call.write(args.output, y);
  call.workspace(args.workspace, kernels.conv_forward_workspace(args));
  if (const int index = output_with_moments(node); index >= 0) {
    auto& statistics = lowering.own<kernels::ColumnStatistics>();
    statistics.columns = outputs[1];
    statistics.pieces = node.attrs.integer("pieces");
    args.statistics = &statistics;
    call.read(statistics.values, lowering.view(node.out(index)));
    call.write(statistics.partials, lowering.create(node.own_out(1)));
    call.fuse("moments");
  }
  describe(
      call, images.shape, filters.shape, outputs, images.dtype,
      describe_choice(ConvPass::forward, args.shape, node.input_dtype(0), lowering.kernels().vector_bytes));
}

// conv2d with moments of output `moments_of`, in so many pieces
void infer_conv2d_moments(Node& node) {
  expect_operands(node);
  node.outputs = {{node.input_dtype(0), infer_windows(node, node.input_shape(0), node.input_shape(1))}};
  const std::int64_t numbers = kernels::partials_of(node.attrs.integer("pieces"), node.outputs[0].shape[1]);
  node.outputs.push_back({DType::float64, Shape{numbers}});
}

void lower_grad_input(Lowering& lowering, const Node& node) {
  const View dy = lowering.dense(node.inputs[0], Layout::channels_last);
  const View filters = lowering.dense(node.inputs[1], Layout::channels_last);
  const Shape& images = node.outputs[0].shape;
  const auto& kernels = lowering.floats(node);
  auto call = lowering.call("conv2d_grad_input", kernels.conv_grad_input);
  auto& args = call.args;
  args.shape = conv_shape(node, images, filters.shape, dy.shape);
  args.algorithm =
      choose_conv(ConvPass::grad_input, args.shape, node.input_dtype(0), lowering.kernels().vector_bytes);
  call.read(args.grad_output, dy);
  call.read(args.filter, filters);
  const View dx =
      call.output(args.epilogue, node, images[0] * images[2] * images[3], images[1], Layout::channels_last);
  call.write(args.grad_input, dx);
  call.workspace(args.workspace, kernels.conv_grad_input_workspace(args));
  describe(call, images, filters.shape, dy.shape, dy.dtype,
           describe_choice(ConvPass::grad_input, args.shape, node.input_dtype(0),
                           lowering.kernels().vector_bytes));
}

void lower_grad_filter(Lowering& lowering, const Node& node) {
  const View images = lowering.dense(node.inputs[0], Layout::channels_last);
  const View dy = lowering.dense(node.inputs[1], Layout::channels_last);
  const View filters = lowering.create(node.out(), Layout::channels_last);
  const auto& kernels = lowering.floats(node);
  auto call = lowering.call("conv2d_grad_filter", kernels.conv_grad_filter);
  auto& args = call.args;
  args.shape = conv_shape(node, images.shape, filters.shape, dy.shape);
  args.algorithm =
      choose_conv(ConvPass::grad_filter, args.shape, node.input_dtype(0), lowering.kernels().vector_bytes);
  call.read(args.input, images);
  call.read(args.grad_output, dy);
  call.write(args.grad_filter, filters);
  call.workspace(args.workspace, kernels.conv_grad_filter_workspace(args));
  describe(call, images.shape, filters.shape, dy.shape, dy.dtype,
           describe_choice(ConvPass::grad_filter, args.shape, node.input_dtype(0),
                           lowering.kernels().vector_bytes));
}

int channel_axis(const Node&) { return 1; }

// ---- filters that seldom change: transformed once

kernels::ConvAlgorithm algorithm_attr(const Node& node) {
  return static_cast<kernels::ConvAlgorithm>(node.attrs.integer("algorithm"));
}

// (filter[, scale]){algorithm, stride, groups, elements} -> what conv2d_winograd reads
void infer_winograd_filter(Node& node) {
  expect_inputs(node, 1, 2);
  node.outputs = {{node.input_dtype(0), Shape{node.attrs.integer("elements")}}};
}

void lower_winograd_filter(Lowering& lowering, const Node& node) {
  const View filters = lowering.dense(node.inputs[0], Layout::channels_last);
  View scale;
  if (node.n_inputs() == 2) scale = lowering.dense(node.inputs[1]);
  const View transformed = lowering.create(node.out());
  auto call = lowering.call("winograd_filter", lowering.kernels().winograd_filter);
  auto& args = call.args;
  args.out_channels = filters.shape[0];
  args.channels = filters.shape[1];
  args.algorithm = algorithm_attr(node);
  args.kernel = filters.shape[2];
  args.stride = node.attrs.integer("stride");
  args.groups = node.attrs.integer("groups");
  call.read(args.filter, filters);
  if (node.n_inputs() == 2) call.read(args.scale, scale);
  call.write(args.output, transformed);
  call.describe(str(filters.shape, ", ", name_of(args.algorithm)));
  const double numbers = static_cast<double>(numel(transformed.shape));
  call.cost(4 * numbers, numbers * static_cast<double>(size_of(filters.dtype)));
}

const Op winograd_filter_op{
    .name = "winograd_filter", .infer = infer_winograd_filter, .lower = lower_winograd_filter};

// (images, filter as the algorithm reads it){the convolution's, filter_shape, algorithm, pool} -> outputs, of
// which windows of pool x pool pixels, side by side, are pooled
void infer_conv2d_prepacked(Node& node) {
  expect_operands(node);
  Shape outputs = infer_windows(node, node.input_shape(0), shape_attr(node, "filter_shape"));
  outputs[2] /= node.attrs.integer("pool");
  outputs[3] /= node.attrs.integer("pool");
  node.outputs = {{node.input_dtype(0), outputs}};
}

// Of a conv2d_prepacked.
kernels::ConvForwardArgs prepacked_args(const Node& node) {
  const Shape filters = shape_attr(node, "filter_shape");
  kernels::ConvForwardArgs args;
  const Shape& images = node.input_shape(0);
  args.shape =
      conv_shape(node, images, filters,
                 window_outputs(node, windows_of(node, {filters[2], filters[3]}), images, filters[0]));
  args.algorithm = algorithm_attr(node);
  args.filter_is_transformed = args.algorithm != kernels::ConvAlgorithm::direct;
  args.pool = node.attrs.integer("pool");
  return args;
}

void lower_conv2d_prepacked(Lowering& lowering, const Node& node) {
  const View images = lowering.dense(node.inputs[0], Layout::channels_last);
  const bool transformed = algorithm_attr(node) != kernels::ConvAlgorithm::direct;
  const View filter = lowering.dense(node.inputs[1], transformed ? Layout::row_major : Layout::channels_last);
  const Shape& outputs = node.outputs[0].shape;
  const auto& kernels = lowering.floats(node);
  auto call = lowering.call("conv2d", kernels.conv_forward);
  auto& args = call.args;
  args = prepacked_args(node);
  args.backwards = args.filter_is_transformed && lowering.backwards();
  call.read(args.input, images);
  call.read(args.filter, filter);
  const View y = call.output(args.epilogue, node, outputs[0] * outputs[2] * outputs[3], outputs[1],
                             Layout::channels_last);
  call.write(args.output, y);
  call.workspace(args.workspace, kernels.conv_forward_workspace(args));
  describe(call, images.shape, shape_attr(node, "filter_shape"), outputs, images.dtype);
}

Value conv2d_prepacked(const Node& like, Value images, Value filter, const Shape& filter_shape,
                       kernels::ConvAlgorithm algorithm) {
  Attrs attrs = window_attrs(like);
  attrs.set("filter_shape", filter_shape);
  attrs.set("algorithm", static_cast<std::int64_t>(algorithm));
  attrs.set("pool", 1);
  return images.graph().apply(conv2d_prepacked_op, {images, filter}, std::move(attrs))[0];
}

const Op conv2d_moments_op{.name = "conv2d_moments",
                           .infer = infer_conv2d_moments,
                           .lower = lower_conv2d,
                           .epilogue_axis = channel_axis};

}  // namespace

const Op conv2d_op{.name = "conv2d",
                   .infer = infer_conv2d,
                   .gradient = gradient_conv2d,
                   .lower = lower_conv2d,
                   .epilogue_axis = channel_axis};
const Op conv2d_prepacked_op{.name = "conv2d_prepacked",
                             .infer = infer_conv2d_prepacked,
                             .lower = lower_conv2d_prepacked,
                             .epilogue_axis = channel_axis};
const Op conv2d_grad_input_op{.name = "conv2d_grad_input",
                              .infer = infer_grad_input,
                              .gradient = gradient_grad_input,
                              .lower = lower_grad_input,
                              .epilogue_axis = channel_axis};
const Op conv2d_grad_filter_op{.name = "conv2d_grad_filter",
                               .infer = infer_grad_filter,
                               .gradient = gradient_grad_filter,
                               .lower = lower_grad_filter};

bool is_convolution(const Node& node) { return node.op == &conv2d_op || node.op == &conv2d_prepacked_op; }

std::optional<Value> prepacked_convolution(const Node& conv, const Values& inputs, Value scale,
                                           const kernels::KernelTable& kernels) {
  Graph& graph = inputs[0].graph();
  const Value images = inputs[0], filters = inputs[1];
  const kernels::ConvShape shape = conv_shape(conv, images.shape(), filters.shape(), conv.outputs[0].shape);
  const kernels::ConvAlgorithm algorithm =
      choose_conv_with_kept_filter(shape, images.dtype(), kernels.vector_bytes);
  if (algorithm == kernels::ConvAlgorithm::direct) {
    if (!scale) return std::nullopt;
    const Value factors = ops::reshape(scale, Shape{filters.shape()[0], 1, 1, 1});
    return graph.apply(conv2d_op, {images, filters * factors}, conv.attrs)[0];
  }
  const std::int64_t elements = kernels.winograd_filter_elements({.out_channels = shape.out_channels,
                                                                  .channels = shape.channels / shape.groups,
                                                                  .algorithm = algorithm,
                                                                  .kernel = shape.kernel_h,
                                                                  .stride = shape.stride_h,
                                                                  .groups = shape.groups});
  Values of{filters};
  if (scale) of.push_back(scale);
  const auto number = static_cast<std::int64_t>(algorithm);
  const Attrs filter_attrs = {
      {"algorithm", number}, {"stride", shape.stride_h}, {"groups", shape.groups}, {"elements", elements}};
  const Value transformed = graph.apply(winograd_filter_op, of, filter_attrs)[0];
  return conv2d_prepacked(conv, images, transformed, filters.shape(), algorithm);
}

std::optional<Value> pooled_convolution(const Node& conv, const Values& inputs, std::int64_t size,
                                        const kernels::KernelTable& kernels) {
  if (size != 2 || conv.input_dtype(0) != DType::float32) return std::nullopt;
  const Node* prepacked = &conv;
  if (conv.op == &conv2d_op) {  // a filter that is read as it is
    const Shape& filters = conv.input_shape(1);
    const kernels::ConvShape shape = conv_shape(conv, conv.input_shape(0), filters, conv.outputs[0].shape);
    const kernels::ConvAlgorithm algorithm =
        choose_conv(ConvPass::forward, shape, DType::float32, kernels.vector_bytes);
    if (algorithm != kernels::ConvAlgorithm::direct) return std::nullopt;
    prepacked = conv2d_prepacked(conv, inputs[0], inputs[1], filters, algorithm).node;
  }
  const bool whole = prepacked->attrs.integer("pool") == 1;
  if (!whole || !kernels.conv_can_pool(prepacked_args(*prepacked))) return std::nullopt;
  Attrs attrs = prepacked->attrs;
  attrs.set("pool", size);
  return inputs[0].graph().apply(conv2d_prepacked_op, prepacked->inputs, std::move(attrs))[0];
}

std::int64_t moment_pieces(const Node& conv, const kernels::KernelTable& kernels) {
  const DType dtype = conv.input_dtype(0);
  kernels::ConvForwardArgs args;
  args.shape = conv_shape(conv, conv.input_shape(0), conv.input_shape(1), conv.outputs[0].shape);
  args.algorithm = choose_conv(ConvPass::forward, args.shape, dtype, kernels.vector_bytes);
  return kernels.of(dtype).conv_forward_pieces(args);
}

void add_moments(Node& conv, int index, std::int64_t pieces) {
  conv.op = &conv2d_moments_op;
  conv.attrs.set("moments_of", static_cast<std::int64_t>(index));
  conv.attrs.set("pieces", pieces);
  conv.outputs.push_back({DType::float64, Shape{kernels::partials_of(pieces, conv.outputs[0].shape[1])}});
}

int output_with_moments(const Node& node) {
  return node.op == &conv2d_moments_op ? static_cast<int>(node.attrs.integer("moments_of")) : -1;
}

}  // namespace ravine
