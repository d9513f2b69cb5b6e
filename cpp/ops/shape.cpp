// Other arrangements of the same elements: views where strides allow, copies elsewhere.
#include <algorithm>

#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

// ---- reshape

void infer_reshape(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known("reshape", {"shape"});
  const Shape& from = node.input_shape(0);
  const Shape wanted = node.attrs.dims("shape");
  Shape shape = wanted;
  int unknown = -1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    check<ValueError>(shape[axis] >= -1, "reshape: negative extent in ", wanted);
    if (shape[axis] == -1) {
      check<ValueError>(unknown < 0, "reshape: only one extent may be -1, got ", wanted);
      unknown = axis;
      shape[axis] = 1;
    }
  }
  const std::int64_t size = numel(from), known = numel(shape);
  if (unknown >= 0) {
    check<ValueError>(known > 0 && size % known == 0, "reshape: cannot reshape ", from, " (", size,
                      " elements) to ", wanted);
    shape[unknown] = size / known;
  }
  check<ValueError>(numel(shape) == size, "reshape: cannot reshape ", from, " (", size, " elements) to ",
                    wanted, " (", numel(shape), " elements)");
  node.attrs.set("shape", shape);
  node.outputs = {{node.input_dtype(0), shape}};
}

Values reshape_gradient(const Node& node, std::span<const Value> cotangents) {
  return {ops::reshape(cotangents[0], node.input_shape(0))};
}

// Runs of input axes that one stride walks through may be cut again; a run's elements stay a run.
bool view_reshape(const Node& node, const StridedView& input, StridedView& result) {
  const Shape& shape = node.outputs[0].shape;
  result.shape = shape;
  result.offset = input.offset;
  result.strides = row_major_strides(shape);
  if (numel(shape) == 0) return true;
  int axis = shape.rank() - 1;
  int from = input.shape.rank() - 1;
  while (from >= 0) {
    const std::int64_t run_stride = input.strides[from];
    std::int64_t run = input.shape[from];
    --from;
    if (run == 1) continue;
    while (from >= 0 && (input.shape[from] == 1 || input.strides[from] == run * run_stride)) {
      run *= input.shape[from];
      --from;
    }
    std::int64_t covered = 1;
    while (axis >= 0 && covered < run) {
      result.strides[axis] = covered * run_stride;
      covered *= shape[axis];
      --axis;
    }
    if (covered != run) return false;
  }
  return true;
}

// ---- transpose, broadcast_to

void infer_transpose(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known("transpose", {"axes"});
  const Shape& from = node.input_shape(0);
  const Axes wanted = node.attrs.dims("axes");
  check<ValueError>(wanted.rank() == from.rank(), "transpose: axes ", wanted, " do not order the ",
                    from.rank(), " axes of shape ", from);
  Axes axes;
  Shape shape;
  for (const std::int64_t given : wanted) {
    const int axis = normalize_axis(given, from.rank(), "transpose");
    check<ValueError>(!axes.contains(axis), "transpose: axes ", wanted, " name an axis twice");
    axes.push_back(axis);
    shape.push_back(from[axis]);
  }
  node.attrs.set("axes", axes);
  node.outputs = {{node.input_dtype(0), shape}};
}

Values transpose_gradient(const Node& node, std::span<const Value> cotangents) {
  const Axes axes = node.attrs.dims("axes");
  Axes inverse = axes;
  for (int axis = 0; axis < axes.rank(); ++axis) inverse[static_cast<int>(axes[axis])] = axis;
  return {ops::transpose(cotangents[0], inverse)};
}

bool view_transpose(const Node& node, const StridedView& input, StridedView& result) {
  result.shape = node.outputs[0].shape;
  result.offset = input.offset;
  result.strides = {};
  for (const std::int64_t axis : node.attrs.dims("axes"))
    result.strides.push_back(input.strides[static_cast<int>(axis)]);
  return true;
}

void infer_broadcast_to(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known("broadcast_to", {"shape"});
  const Shape& from = node.input_shape(0);
  const Shape shape = node.attrs.dims("shape");
  bool fits = from.rank() <= shape.rank();
  for (const std::int64_t extent : shape) fits = fits && extent >= 0;
  for (int back = 1; fits && back <= from.rank(); ++back) {
    const std::int64_t extent = from[from.rank() - back];
    fits = extent == 1 || extent == shape[shape.rank() - back];
  }
  check<ValueError>(fits, "broadcast_to: shape ", from, " does not broadcast to ", shape);
  node.outputs = {{node.input_dtype(0), shape}};
}

// Autodiff sums what has the broadcast shape.
Values broadcast_to_gradient(const Node&, std::span<const Value> cotangents) { return {cotangents[0]}; }

bool view_broadcast_to(const Node& node, const StridedView& input, StridedView& result) {
  result.shape = node.outputs[0].shape;
  result.offset = input.offset;
  result.strides = broadcast_strides(input.shape, input.strides, result.shape);
  return true;
}

// ---- slice and pad, each the other's gradient

void expect_rank(const Node& node, const char* name, const Dims& given) {
  check<ValueError>(given.rank() == node.input_shape(0).rank(), node.op->name, ": ", name, "=", given,
                    " needs one number per axis of shape ", node.input_shape(0));
}

void infer_slice(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known("slice", {"start", "stop", "step"});
  const Shape& from = node.input_shape(0);
  const Dims start = node.attrs.dims("start"), stop = node.attrs.dims("stop"),
             given_step = node.attrs.dims("step", Dims::filled(from.rank(), 1));
  Dims step = given_step;
  expect_rank(node, "start", start);
  expect_rank(node, "stop", stop);
  expect_rank(node, "step", step);
  Shape shape;
  for (int axis = 0; axis < from.rank(); ++axis) {
    check<ValueError>(step[axis] >= 1, "slice: steps must be at least 1, got ", given_step);
    check<ValueError>(0 <= start[axis] && start[axis] <= stop[axis] && stop[axis] <= from[axis],
                      "slice: start ", start, ", stop ", stop, " do not fit shape ", from);
    const std::int64_t length = stop[axis] - start[axis];
    shape.push_back(length == 0 ? 0 : (length - 1) / step[axis] + 1);
    if (shape.back() <= 1) step[axis] = 1;  // a step that leads nowhere may be of any size
  }
  node.attrs.set("start", start);
  node.attrs.set("stop", stop);
  node.attrs.set("step", step);
  node.outputs = {{node.input_dtype(0), shape}};
}

bool view_slice(const Node& node, const StridedView& input, StridedView& result) {
  const Dims start = node.attrs.dims("start"), step = node.attrs.dims("step");
  result.shape = node.outputs[0].shape;
  result.strides = input.strides;
  result.offset = input.offset;
  if (numel(result.shape) == 0) return true;
  for (int axis = 0; axis < result.shape.rank(); ++axis) {
    result.offset += start[axis] * input.strides[axis];
    result.strides[axis] = step[axis] * input.strides[axis];
  }
  return true;
}

// Elements that `count` of them span with step - 1 between neighbours.
std::int64_t spread(std::int64_t count, std::int64_t step) { return count == 0 ? 0 : (count - 1) * step + 1; }

Values slice_gradient(const Node& node, std::span<const Value> cotangents) {
  const Shape& from = node.input_shape(0);
  const Shape& shape = node.outputs[0].shape;
  const Dims before = node.attrs.dims("start"), step = node.attrs.dims("step");
  Dims after = from;
  for (int axis = 0; axis < from.rank(); ++axis)
    after[axis] = from[axis] - before[axis] - spread(shape[axis], step[axis]);
  return {ops::pad(cotangents[0], before, after, 0, step)};
}

void infer_pad(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known("pad", {"before", "after", "value", "step"});
  const Shape& from = node.input_shape(0);
  const Dims before = node.attrs.dims("before"), after = node.attrs.dims("after"),
             step = node.attrs.dims("step", Dims::filled(from.rank(), 1));
  expect_rank(node, "before", before);
  expect_rank(node, "after", after);
  expect_rank(node, "step", step);
  constexpr std::int64_t most = std::int64_t{1} << 48;
  Shape shape;
  for (int axis = 0; axis < from.rank(); ++axis) {
    check<ValueError>(before[axis] <= most && after[axis] <= most, "pad: before ", before, ", after ", after,
                      " is too large");
    check<ValueError>(before[axis] >= 0 && after[axis] >= 0, "pad: negative padding: before ", before,
                      ", after ", after, " of shape ", from);
    check<ValueError>(step[axis] >= 1, "pad: steps must be at least 1, got ", step);
    shape.push_back(before[axis] + spread(from[axis], step[axis]) + after[axis]);
  }
  node.attrs.set("before", before);
  node.attrs.set("after", after);
  node.attrs.set("step", step);
  node.attrs.set("value", node.attrs.real("value", 0));
  node.outputs = {{node.input_dtype(0), shape}};
}

Values pad_gradient(const Node& node, std::span<const Value> cotangents) {
  const Shape& from = node.input_shape(0);
  const Dims before = node.attrs.dims("before"), step = node.attrs.dims("step");
  Dims stop = before;
  for (int axis = 0; axis < from.rank(); ++axis) stop[axis] += spread(from[axis], step[axis]);
  return {ops::slice(cotangents[0], before, stop, step)};
}

// Outputs of copies keep the input's order of axes in memory, so that images stay NHWC.
Layout layout_of(const View& view) {
  return !is_row_major(view.shape, view.strides) && is_channels_last(view.shape, view.strides)
             ? Layout::channels_last
             : Layout::row_major;
}

void lower_pad(Lowering& lowering, const Node& node) {
  const View x = lowering.view(node.inputs[0]);
  const View y = lowering.create(node.out(), layout_of(x));
  if (numel(y.shape) > numel(x.shape)) lowering.fill(y, node.attrs.real("value"));
  if (numel(x.shape) == 0) return;
  const Dims before = node.attrs.dims("before"), step = node.attrs.dims("step");
  View inner = y;
  inner.shape = x.shape;
  for (int axis = 0; axis < x.shape.rank(); ++axis) {
    inner.offset += before[axis] * y.strides[axis];
    inner.strides[axis] = step[axis] * y.strides[axis];
  }
  lowering.copy(x, inner);
}

// ---- flip

void infer_flip(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known("flip", {"axes"});
  node.attrs.set("axes", normalize_axes(node.attrs.dims("axes"), node.input_shape(0).rank(), "flip"));
  node.outputs = {node.input_type(0)};
}

Values flip_gradient(const Node& node, std::span<const Value> cotangents) {
  return {ops::flip(cotangents[0], node.attrs.dims("axes"))};
}

void lower_flip(Lowering& lowering, const Node& node) {
  View x = lowering.view(node.inputs[0]);
  const View y = lowering.create(node.out(), layout_of(x));
  if (numel(x.shape) == 0) return;
  for (const std::int64_t flipped : node.attrs.dims("axes")) {
    const int axis = static_cast<int>(flipped);
    x.offset += (x.shape[axis] - 1) * x.strides[axis];
    x.strides[axis] = -x.strides[axis];
  }
  lowering.copy(x, y);
}

// ---- concat

std::string all_shapes(const Node& node) {
  std::string text;
  for (const Value& input : node.inputs) text += (text.empty() ? "" : ", ") + to_string(input.shape());
  return text;
}

void infer_concat(Node& node) {
  check<ValueError>(node.n_inputs() > 0, "concat: expected at least one tensor");
  node.attrs.check_known("concat", {"axis"});
  expect_one_dtype(node);
  Shape shape = node.input_shape(0);
  const int axis = normalize_axis(node.attrs.integer("axis", 0), shape.rank(), "concat");
  for (int i = 1; i < node.n_inputs(); ++i) {
    const Shape& other = node.input_shape(i);
    bool fits = other.rank() == shape.rank();
    for (int other_axis = 0; fits && other_axis < shape.rank(); ++other_axis)
      fits = other_axis == axis || other[other_axis] == shape[other_axis];
    check<ValueError>(fits, "concat: shapes ", all_shapes(node), " differ outside axis ", axis);
    shape[axis] += other[axis];
  }
  node.attrs.set("axis", std::int64_t{axis});
  node.outputs = {{node.input_dtype(0), shape}};
}

Values concat_gradient(const Node& node, std::span<const Value> cotangents) {
  const int axis = static_cast<int>(node.attrs.integer("axis"));
  Values result;
  std::int64_t start = 0;
  for (const Value& input : node.inputs) {
    const std::int64_t stop = start + input.shape()[axis];
    result.push_back(ops::slice_axis(cotangents[0], axis, start, stop));
    start = stop;
  }
  return result;
}

void lower_concat(Lowering& lowering, const Node& node) {
  const int axis = static_cast<int>(node.attrs.integer("axis"));
  const View y = lowering.create(node.out(), layout_of(lowering.view(node.inputs[0])));
  View part = y;
  for (const Value& input : node.inputs) {
    part.shape = input.shape();
    if (numel(part.shape) > 0) lowering.copy(lowering.view(input), part);
    part.offset += input.shape()[axis] * y.strides[axis];
  }
}

}  // namespace

constinit const Op reshape_op{.name = "reshape",
                              .kind = OpKind::view,
                              .infer = infer_reshape,
                              .gradient = reshape_gradient,
                              .view = view_reshape};
constinit const Op transpose_op{.name = "transpose",
                                .kind = OpKind::view,
                                .infer = infer_transpose,
                                .gradient = transpose_gradient,
                                .view = view_transpose};
constinit const Op broadcast_to_op{.name = "broadcast_to",
                                   .kind = OpKind::view,
                                   .infer = infer_broadcast_to,
                                   .gradient = broadcast_to_gradient,
                                   .view = view_broadcast_to};
constinit const Op slice_op{.name = "slice",
                            .kind = OpKind::view,
                            .infer = infer_slice,
                            .gradient = slice_gradient,
                            .view = view_slice};
constinit const Op pad_op{.name = "pad", .infer = infer_pad, .gradient = pad_gradient, .lower = lower_pad};
constinit const Op flip_op{
    .name = "flip", .infer = infer_flip, .gradient = flip_gradient, .lower = lower_flip};
constinit const Op concat_op{
    .name = "concat", .infer = infer_concat, .gradient = concat_gradient, .lower = lower_concat};

}  // namespace ravine
