// Pooling over images [N, C, H, W]. A pool and its gradient are linear and adjoint to each other: the
// gradient of the one is the other (max_pool2d, once its maxima are known, is a gather).
#include <limits>

#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"
#include "ops/windows.h"

namespace ravine {
namespace {

// ---- shapes

void check_images(const Node& node, const Shape& images) {
  check<ValueError>(images.rank() == 4, node.op->name, ": expected images [N, C, H, W], got shape ", images);
  for (const std::int64_t extent : images)
    check<ValueError>(extent >= 0, node.op->name, ": negative extent in shape ", images);
  check<ValueError>(images[2] > 0 && images[3] > 0, node.op->name, ": the images are empty (shape ", images,
                    ")");
  // Lanes of float32 number an image's pixels in int32.
  constexpr std::int64_t most_pixels = std::numeric_limits<std::int32_t>::max();
  check<ValueError>(images[2] <= most_pixels / images[3], node.op->name, ": images of ", images[2], " x ",
                    images[3], " pixels (shape ", images, ") have more than the ", most_pixels,
                    " that are supported");
}

Dims kernel_of(const Node& node) { return node.attrs.dims("kernel_size"); }

// Pooling by kernel_size, stride, padding, ceil_mode: normalises them and returns the output's shape.
Shape infer_windows(Node& node, const Shape& images, bool with_dilation) {
  check_images(node, images);
  check<TypeError>(node.attrs.has("kernel_size"), node.op->name, ": kernel_size is missing");
  const Dims kernel = pair_attr(node, "kernel_size", {}, 1);
  node.attrs.set("kernel_size", kernel);
  node.attrs.set("ceil_mode", node.attrs.flag("ceil_mode", false));
  const Windows windows = normalize_windows(node, kernel, kernel, with_dilation);
  for (const Window& window : {windows.h, windows.w})
    check<ValueError>(2 * window.padding <= window.reach(), node.op->name,
                      ": padding must be at most half of the kernel, got padding ",
                      node.attrs.dims("padding"), " with kernel_size ", kernel);
  const Shape outputs = window_outputs(node, windows, images, images[1]);
  const auto ends_whole = [](const Window& window, std::int64_t extent, std::int64_t count) {
    return (count - 1) * window.stride + window.reach() <= extent + 2 * window.padding;
  };
  if (ends_whole(windows.h, images[2], outputs[2]) && ends_whole(windows.w, images[3], outputs[3]))
    node.attrs.set("ceil_mode", false);  // it changes nothing
  return outputs;
}

// Dilated taps can all lie in the padding of a small image; such a window has no maximum.
void check_windows_meet_image(const Node& node, const Window& window, std::int64_t extent) {
  if (window.dilation == 1) return;
  for (std::int64_t out = 0; out < window.outputs(extent); ++out) {
    const std::int64_t start = out * window.stride - window.padding;
    const std::int64_t skipped = start < 0 ? (-start + window.dilation - 1) / window.dilation : 0;
    check<ValueError>(skipped < window.kernel && start + skipped * window.dilation < extent, node.op->name,
                      ": the window of output ", out, " along an axis of extent ", extent,
                      " lies in the padding only (", node.attrs.to_string(), ")");
  }
}

// Whether maxima are told by their offsets in the windows.
bool by_offsets(const Node& node) {
  const bool offsets = node.attrs.flag("offsets", false);
  const Dims kernel = kernel_of(node);
  check<ValueError>(!offsets || kernel[0] * kernel[1] <= kernels::max_window_offsets, node.op->name,
                    ": offsets of a window of ", kernel, " do not fit a byte");
  return offsets;
}

void infer_maxima(Node& node) {
  expect_floating(node, 0);
  node.attrs.check_known(node.op->name,
                         {"kernel_size", "stride", "padding", "dilation", "ceil_mode", "offsets"});
  const Shape& images = node.input_shape(0);
  const Shape outputs = infer_windows(node, images, /*with_dilation=*/true);
  const Windows windows = windows_of(node, kernel_of(node));
  check_windows_meet_image(node, windows.h, images[2]);
  check_windows_meet_image(node, windows.w, images[3]);
  node.outputs = {{node.input_dtype(0), outputs}, {by_offsets(node) ? DType::uint8 : DType::int64, outputs}};
}

// images -> maxima, and where they were: their indices in the image, int64; or offsets in the window, uint8.
void infer_max_pool(Node& node) {
  expect_inputs(node, 1);
  infer_maxima(node);
}

// (images, scale [1, C, 1, 1], shift [1, C, 1, 1]) -> those of relu(images scale + shift)
void infer_normalized_max_pool(Node& node) {
  expect_inputs(node, 3);
  expect_one_dtype(node);
  infer_maxima(node);
  const Shape columns{1, node.input_shape(0)[1], 1, 1};
  for (const int i : {1, 2})
    check<ValueError>(node.input_shape(i) == columns, node.op->name, ": scale and shift have shapes ",
                      node.input_shape(1), " and ", node.input_shape(2), ", expected ", columns);
}

void expect_gradient(const Node& node, const Shape& expected) {
  check<ValueError>(node.input_shape(0) == expected, node.op->name, ": the output's gradient has shape ",
                    node.input_shape(0), ", expected ", expected);
}

// (output gradient, indices or offsets, as the pooling gives them){input_shape} -> images
void infer_max_pool_grad(Node& node) {
  expect_inputs(node, 2);
  expect_floating(node, 0);
  node.attrs.check_known(
      node.op->name, {"kernel_size", "stride", "padding", "dilation", "ceil_mode", "offsets", "input_shape"});
  const Shape images = node.attrs.dims("input_shape");
  const Shape outputs = infer_windows(node, images, /*with_dilation=*/true);
  expect_gradient(node, outputs);
  const bool offsets = by_offsets(node);
  const TensorType places{offsets ? DType::uint8 : DType::int64, outputs};
  check<ValueError>(node.input_type(1) == places, node.op->name, ": the ", offsets ? "offsets" : "indices",
                    " are ", to_string(node.input_type(1)), ", expected ", to_string(places));
  node.outputs = {{node.input_dtype(0), images}};
}

void infer_avg_pool(Node& node) {
  expect_inputs(node, 1);
  expect_floating(node, 0);
  node.attrs.check_known(node.op->name,
                         {"kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"});
  node.attrs.set("count_include_pad", node.attrs.flag("count_include_pad", true));
  node.outputs = {{node.input_dtype(0), infer_windows(node, node.input_shape(0), /*with_dilation=*/false)}};
}

// (output gradient){input_shape} -> images
void infer_avg_pool_grad(Node& node) {
  expect_inputs(node, 1);
  expect_floating(node, 0);
  node.attrs.check_known(
      node.op->name, {"kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "input_shape"});
  node.attrs.set("count_include_pad", node.attrs.flag("count_include_pad", true));
  const Shape images = node.attrs.dims("input_shape");
  expect_gradient(node, infer_windows(node, images, /*with_dilation=*/false));
  node.outputs = {{node.input_dtype(0), images}};
}

void infer_adaptive(Node& node) {
  expect_inputs(node, 1);
  expect_floating(node, 0);
  node.attrs.check_known(node.op->name, {"output_size"});
  const Shape& images = node.input_shape(0);
  check_images(node, images);
  check<TypeError>(node.attrs.has("output_size"), node.op->name, ": output_size is missing");
  const Dims size = pair_attr(node, "output_size", {}, 1);
  node.attrs.set("output_size", size);
  node.outputs = {{node.input_dtype(0), {images[0], images[1], size[0], size[1]}}};
}

// (output gradient){input_shape} -> images
void infer_adaptive_grad(Node& node) {
  expect_inputs(node, 1);
  expect_floating(node, 0);
  node.attrs.check_known(node.op->name, {"input_shape"});
  const Shape images = node.attrs.dims("input_shape");
  check_images(node, images);
  expect_images(node, 0);
  const Shape& outputs = node.input_shape(0);
  check<ValueError>(outputs[0] == images[0] && outputs[1] == images[1] && outputs[2] > 0 && outputs[3] > 0,
                    node.op->name, ": an output's gradient of shape ", outputs,
                    " does not belong to images of shape ", images);
  node.outputs = {{node.input_dtype(0), images}};
}

// ---- gradients

Attrs with_input_shape(const Node& node) {
  Attrs attrs = node.attrs;
  attrs.set("input_shape", node.input_shape(0));
  return attrs;
}

Attrs window_attrs(const Node& node) {
  return {{"kernel_size", kernel_of(node)},
          {"stride", node.attrs.dims("stride")},
          {"padding", node.attrs.dims("padding")},
          {"ceil_mode", node.attrs.flag("ceil_mode", false)},
          {"count_include_pad", node.attrs.flag("count_include_pad", true)}};
}

Values gradient_max_pool(const Node& node, std::span<const Value> cotangents) {
  if (!cotangents[0]) return {Value{}};
  return node.graph->apply("max_pool2d_grad", {cotangents[0], node.out(1)}, with_input_shape(node));
}

Values decompose_normalized_max_pool(const Node& node) {
  const Value normalized = node.graph->apply1("multiply_add", node.inputs);
  return node.graph->apply("max_pool2d", {ops::relu(normalized)}, node.attrs);
}

// Linear in the output's gradient, and the transpose of it: takes from the images where the maxima were.
Values gradient_max_pool_grad(const Node& node, std::span<const Value> cotangents) {
  check<ValueError>(!by_offsets(node), node.op->name, ": a derivative needs indices, not offsets");
  const Shape& images = node.outputs[0].shape;
  const Shape& outputs = node.input_shape(0);
  const Value pixels = ops::reshape(cotangents[0], {images[0], images[1], images[2] * images[3]});
  const Value places = ops::reshape(node.inputs[1], {outputs[0], outputs[1], outputs[2] * outputs[3]});
  return {ops::reshape(ops::gather(pixels, places, 2), outputs), Value{}};
}

Values gradient_avg_pool(const Node& node, std::span<const Value> cotangents) {
  return node.graph->apply("avg_pool2d_grad", {cotangents[0]}, with_input_shape(node));
}
Values gradient_avg_pool_grad(const Node& node, std::span<const Value> cotangents) {
  return node.graph->apply("avg_pool2d", {cotangents[0]}, window_attrs(node));
}

Values gradient_adaptive(const Node& node, std::span<const Value> cotangents) {
  return node.graph->apply("adaptive_avg_pool2d_grad", {cotangents[0]},
                           {{"input_shape", node.input_shape(0)}});
}
Values gradient_adaptive_grad(const Node& node, std::span<const Value> cotangents) {
  const Shape& outputs = node.input_shape(0);
  return node.graph->apply("adaptive_avg_pool2d", {cotangents[0]},
                           {{"output_size", Dims{outputs[2], outputs[3]}}});
}

// ---- lowering

kernels::PoolShape pool_shape(const Node& node, const Shape& images, const Shape& outputs) {
  kernels::PoolShape shape{.batch = images[0],
                           .height = images[2],
                           .width = images[3],
                           .channels = images[1],
                           .out_height = outputs[2],
                           .out_width = outputs[3]};
  if (!node.attrs.has("kernel_size")) {
    shape.adaptive = true;
    return shape;
  }
  const Windows windows = windows_of(node, kernel_of(node));
  shape.kernel_h = windows.h.kernel;
  shape.kernel_w = windows.w.kernel;
  shape.stride_h = windows.h.stride;
  shape.stride_w = windows.w.stride;
  shape.pad_h = windows.h.padding;
  shape.pad_w = windows.w.padding;
  shape.dilation_h = windows.h.dilation;
  shape.dilation_w = windows.w.dilation;
  shape.count_include_pad = node.attrs.flag("count_include_pad", true);
  return shape;
}

template <class Args>
void describe(Call<Args>& call, const Shape& images, const Shape& outputs, DType dtype,
              const char* more = "") {
  const kernels::PoolShape& shape = call.args.shape;
  std::string text = str(images, " -> ", outputs);
  if (!shape.adaptive)
    text += str(", kernel ", Dims{shape.kernel_h, shape.kernel_w}, ", stride ",
                Dims{shape.stride_h, shape.stride_w});
  call.describe(text + more);
  const double taps = shape.adaptive ? static_cast<double>(numel(images))
                                     : static_cast<double>(numel(outputs) * shape.kernel_h * shape.kernel_w);
  call.cost(taps, static_cast<double>(numel(images) + numel(outputs)) * static_cast<double>(size_of(dtype)));
}

void lower_max_pool(Lowering& lowering, const Node& node) {
  const View images = lowering.dense(node.inputs[0], Layout::channels_last);
  const View outputs = lowering.create(node.out(0), Layout::channels_last);
  const View indices = lowering.create(node.out(1), Layout::channels_last);
  View scale, shift;
  if (node.n_inputs() == 3) {
    scale = lowering.dense(node.inputs[1]);
    shift = lowering.dense(node.inputs[2]);
  }
  auto call = lowering.call(node.op->name, lowering.floats(node).max_pool);
  call.args.shape = pool_shape(node, images.shape, outputs.shape);
  call.read(call.args.input, images);
  if (node.n_inputs() == 3) {
    call.read(call.args.scale, scale);
    call.read(call.args.shift, shift);
  }
  call.write(call.args.output, outputs);
  if (indices.dtype == DType::uint8) call.write(call.args.offsets, indices);
  else call.write(call.args.indices, indices);
  describe(call, images.shape, outputs.shape, images.dtype,
           indices.dtype == DType::uint8 ? ", index 1 B" : "");
}

void lower_max_pool_grad(Lowering& lowering, const Node& node) {
  const View dy = lowering.dense(node.inputs[0], Layout::channels_last);
  const View indices = lowering.dense(node.inputs[1], Layout::channels_last);
  const View images = lowering.create(node.out(), Layout::channels_last);
  auto call = lowering.call("max_pool2d_grad", lowering.floats(node).max_pool_grad);
  call.args.shape = pool_shape(node, images.shape, dy.shape);
  call.read(call.args.grad_output, dy);
  if (indices.dtype == DType::uint8) call.read(call.args.offsets, indices);
  else call.read(call.args.indices, indices);
  call.write(call.args.grad_input, images);
  describe(call, images.shape, dy.shape, dy.dtype);
}

void lower_avg_pool(Lowering& lowering, const Node& node) {
  const View images = lowering.dense(node.inputs[0], Layout::channels_last);
  const View outputs = lowering.create(node.out(), Layout::channels_last);
  auto call = lowering.call(node.op->name, lowering.floats(node).avg_pool);
  call.args.shape = pool_shape(node, images.shape, outputs.shape);
  call.read(call.args.input, images);
  call.write(call.args.output, outputs);
  describe(call, images.shape, outputs.shape, images.dtype);
}

void lower_avg_pool_grad(Lowering& lowering, const Node& node) {
  const View dy = lowering.dense(node.inputs[0], Layout::channels_last);
  const View images = lowering.create(node.out(), Layout::channels_last);
  auto call = lowering.call(node.op->name, lowering.floats(node).avg_pool_grad);
  call.args.shape = pool_shape(node, images.shape, dy.shape);
  call.read(call.args.grad_output, dy);
  call.write(call.args.grad_input, images);
  describe(call, images.shape, dy.shape, dy.dtype);
}

}  // namespace

const Op max_pool2d_op{
    .name = "max_pool2d", .infer = infer_max_pool, .gradient = gradient_max_pool, .lower = lower_max_pool};
const Op normalized_max_pool2d_op{.name = "normalized_max_pool2d",
                                  .infer = infer_normalized_max_pool,
                                  .decompose = decompose_normalized_max_pool,
                                  .lower = lower_max_pool};
const Op max_pool2d_grad_op{.name = "max_pool2d_grad",
                            .infer = infer_max_pool_grad,
                            .gradient = gradient_max_pool_grad,
                            .lower = lower_max_pool_grad};
const Op avg_pool2d_op{
    .name = "avg_pool2d", .infer = infer_avg_pool, .gradient = gradient_avg_pool, .lower = lower_avg_pool};
const Op avg_pool2d_grad_op{.name = "avg_pool2d_grad",
                            .infer = infer_avg_pool_grad,
                            .gradient = gradient_avg_pool_grad,
                            .lower = lower_avg_pool_grad};
const Op adaptive_avg_pool2d_op{.name = "adaptive_avg_pool2d",
                                .infer = infer_adaptive,
                                .gradient = gradient_adaptive,
                                .lower = lower_avg_pool};
const Op adaptive_avg_pool2d_grad_op{.name = "adaptive_avg_pool2d_grad",
                                     .infer = infer_adaptive_grad,
                                     .gradient = gradient_adaptive_grad,
                                     .lower = lower_avg_pool_grad};

}  // namespace ravine
