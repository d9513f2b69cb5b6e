// Sums, means, products and extremes over axes.
#include <algorithm>
#include <limits>

#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

using kernels::Reduction;

// ---- shapes

Shape reduced_shape(const Shape& shape, const Axes& axes, bool keepdims) {
  Shape result;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!axes.contains(axis)) {
      result.push_back(shape[axis]);
    } else if (keepdims) {
      result.push_back(1);
    }
  }
  return result;
}

std::int64_t count_reduced(const Shape& shape, const Axes& axes) {
  std::int64_t count = 1;
  for (const std::int64_t axis : axes) count *= shape[static_cast<int>(axis)];
  return count;
}

void infer_axes(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known(node.op->name, {"axes", "keepdims"});
  const Shape& shape = node.input_shape(0);
  const Axes axes = normalize_axes(node.attrs.dims("axes", {}), shape.rank(), node.op->name);
  const bool keepdims = node.attrs.flag("keepdims", false);
  node.attrs.set("axes", axes);
  node.attrs.set("keepdims", keepdims);
  node.outputs = {{node.input_dtype(0), reduced_shape(shape, axes, keepdims)}};
}

// Integers and bools are counted in int64, so that a sum of many small ones does not overflow.
DType total_dtype(DType dtype) { return is_floating(dtype) ? dtype : DType::int64; }

void infer_sum(Node& node) {
  infer_axes(node);
  node.outputs[0].dtype = total_dtype(node.input_dtype(0));
}

void infer_floating(Node& node) {
  infer_axes(node);
  expect_floating(node, 0);
}

void check_extreme(const Node& node, const Axes& axes) {
  check<TypeError>(node.input_dtype(0) != DType::boolean, node.op->name, ": expected numbers, got ",
                   to_string(node.input_type(0)));
  check<ValueError>(count_reduced(node.input_shape(0), axes) > 0 || numel(node.outputs[0].shape) == 0,
                    node.op->name, ": no elements to choose from: shape ", node.input_shape(0), ", axes ",
                    axes);
}

void infer_extreme(Node& node) {
  infer_axes(node);
  check_extreme(node, node.attrs.dims("axes"));
}

void infer_arg(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known(node.op->name, {"axis", "keepdims"});
  const Shape& shape = node.input_shape(0);
  const std::int64_t axis = normalize_axis(node.attrs.integer("axis"), shape.rank(), node.op->name);
  const bool keepdims = node.attrs.flag("keepdims", false);
  node.attrs.set("axis", axis);
  node.attrs.set("keepdims", keepdims);
  node.outputs = {{DType::int64, reduced_shape(shape, Axes{axis}, keepdims)}};
  check_extreme(node, Axes{axis});
  // Where columns are searched side by side, lanes of 4 bytes number the rows in int32.
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  check<ValueError>(
      shape.empty() || shape[static_cast<int>(axis)] <= most || numel(node.outputs[0].shape) <= 1,
      node.op->name, ": axis ", axis, " of shape ", shape, " is longer than the ", most,
      " that are supported where there is more than one result");
}

Axes axes_of(const Node& node) {
  return node.attrs.has("axis") ? Axes{node.attrs.integer("axis")} : node.attrs.dims("axes");
}

// ---- gradients

// A tensor of the output's type, with the reduced axes as extents of 1.
Value with_axes(const Node& node, Value reduced) {
  return ops::expand_axes(reduced, node.input_shape(0), axes_of(node));
}

Values sum_gradient(const Node& node, std::span<const Value> cotangents) {
  return {ops::broadcast_to(with_axes(node, cotangents[0]), node.input_shape(0))};
}

Values mean_gradient(const Node& node, std::span<const Value> cotangents) {
  const std::int64_t count = std::max<std::int64_t>(count_reduced(node.input_shape(0), axes_of(node)), 1);
  return {ops::broadcast_to(with_axes(node, cotangents[0]) * (1.0 / static_cast<double>(count)),
                            node.input_shape(0))};
}

// Equal extremes share the cotangent equally (as torch.amax).
Values extreme_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value x = node.inputs[0];
  const Value chosen = ops::equal(x, with_axes(node, node.out()));
  const Value count = ops::sum(ops::cast(chosen, x.dtype()), axes_of(node), true);
  return {ops::where(chosen, with_axes(node, cotangents[0]) / count, ops::scalar_like(x, 0))};
}

// A tree of products of halves: right where elements are zero, and differentiable any number of times.
Values decompose_prod(const Node& node) {
  const Shape& shape = node.input_shape(0);
  const Axes axes = axes_of(node);
  Axes order;
  Shape matrix;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (axes.contains(axis)) continue;
    order.push_back(axis);
    matrix.push_back(shape[axis]);
  }
  for (const std::int64_t axis : axes) order.push_back(axis);
  const int last = matrix.rank();
  if (last == max_rank) return {ops::identity(node.inputs[0])};  // nothing is reduced
  matrix.push_back(count_reduced(shape, axes));
  Value x = ops::reshape(ops::transpose(node.inputs[0], order), matrix);
  if (x.shape()[last] == 0) return {node.graph->filled(1, node.outputs[0])};
  while (x.shape()[last] > 1) {
    const std::int64_t count = x.shape()[last], half = count / 2;
    Value product = ops::slice_axis(x, last, 0, half) * ops::slice_axis(x, last, half, 2 * half);
    if (count % 2 == 1) {
      const Value parts[] = {product, ops::slice_axis(x, last, count - 1, count)};
      product = ops::concat(parts, last);
    }
    x = product;
  }
  return {ops::reshape(x, node.outputs[0].shape)};
}

// ---- logsumexp

// exp(x - maximum) of finite maxima, exp(x) where the maximum is infinite.
struct Exponentials {
  Value maximum, infinite, terms;

  explicit Exponentials(const Node& node) {
    const Value x = node.inputs[0];
    maximum = ops::max(x, axes_of(node), /*keepdims=*/true);
    infinite = ops::equal(ops::abs(maximum), ops::scalar_like(x, std::numeric_limits<double>::infinity()));
    const Value shift = ops::where(infinite, ops::scalar_like(x, 0), maximum);
    terms = ops::exp(x - ops::stop_gradient(shift));
  }
};

bool is_empty(const Node& node) { return count_reduced(node.input_shape(0), axes_of(node)) == 0; }

// maximum + log1p(the other terms): the maximum's own term is 1, which would round them away where it
// dominates.
Values expand_logsumexp(const Node& node) {
  if (is_empty(node)) return {node.graph->filled(-std::numeric_limits<double>::infinity(), node.outputs[0])};
  const Exponentials e(node);
  const Axes axes = axes_of(node);
  const Value is_one = ops::equal(e.terms, ops::scalar_like(e.terms, 1));
  const Value ones = ops::sum(ops::cast(is_one, e.terms.dtype()), axes, /*keepdims=*/true);
  const Value others =
      ops::sum(ops::where(is_one, ops::scalar_like(e.terms, 0), e.terms), axes, /*keepdims=*/true);
  const Value y = ops::where(e.infinite, e.maximum, e.maximum + ops::log1p(others + (ones - 1.0)));
  return {ops::reshape(y, node.outputs[0].shape)};
}

// dy softmax(x); 0 where all of x is -infinity.
Values logsumexp_gradient(const Node& node, std::span<const Value> cotangents) {
  if (is_empty(node)) return {ops::filled_like(node.inputs[0], 0)};
  const Exponentials e(node);
  const Value total = ops::sum(e.terms, axes_of(node), /*keepdims=*/true);
  const Value none = ops::equal(total, ops::scalar_like(total, 0));
  return {with_axes(node, cotangents[0]) * (e.terms / ops::where(none, ops::scalar_like(total, 1), total))};
}

// ---- lowering

struct Axis {
  std::int64_t extent = 1, stride = 0;
  int output_axis = -1;  // -1: reduced
};
using AxisList = std::vector<Axis>;

void sort_by_stride(AxisList& axes) {
  std::stable_sort(axes.begin(), axes.end(),
                   [](const Axis& a, const Axis& b) { return a.stride > b.stride; });
}

// Neighbours that one stride walks through are one axis.
AxisList merged(const AxisList& axes) {
  AxisList result;
  for (const Axis& axis : axes) {
    if (!result.empty() && result.back().stride == axis.extent * axis.stride) {
      result.back().extent *= axis.extent;
      result.back().stride = axis.stride;
    } else {
      result.push_back(axis);
    }
  }
  return result;
}

// Gives the axes the strides of a dense tensor in which they follow each other in this order.
void make_dense(AxisList& axes) {
  std::int64_t stride = 1;
  for (std::size_t i = axes.size(); i-- > 0;) {
    axes[i].stride = stride;
    stride *= axes[i].extent;
  }
}

std::int64_t size_of_axes(const AxisList& axes) {
  std::int64_t size = 1;
  for (const Axis& axis : axes) size *= axis.extent;
  return size;
}

View view_of_axes(const View& memory, const AxisList& axes) {
  View view = memory;
  view.shape = {};
  view.strides = {};
  for (const Axis& axis : axes) {
    view.shape.push_back(axis.extent);
    view.strides.push_back(axis.stride);
  }
  return view;
}

// Brings a reduction of any axes of a tensor with any strides to kernel calls over [outer, reduced, inner].
class ReductionLowering {
 public:
  ReductionLowering(Lowering& lowering, const Node& node, Reduction reduction)
      : lowering_(lowering), node_(node), reduction_(reduction), memory_(lowering.view(node.inputs[0])) {
    const Axes axes = axes_of(node);
    const bool keepdims = node.attrs.flag("keepdims", false);
    // Repeats of a broadcast value: counted instead of read. Integers are not scaled.
    const bool counts_repeats = (reduction == Reduction::sum && is_floating(memory_.dtype)) ||
                                reduction == Reduction::max || reduction == Reduction::min;
    if (node.op == &mean_op) scale_ = 1.0 / static_cast<double>(count_reduced(memory_.shape, axes));
    int output_axis = 0;
    for (int axis = 0; axis < memory_.shape.rank(); ++axis) {
      const std::int64_t extent = memory_.shape[axis], stride = memory_.strides[axis];
      const bool is_reduced = axes.contains(axis);
      const int own_axis = is_reduced ? -1 : output_axis;
      if (!is_reduced || keepdims) ++output_axis;
      if (extent == 1) continue;
      if (!is_reduced) {
        if (stride != 0) kept_.push_back({extent, stride, own_axis});
      } else if (stride == 0 && counts_repeats) {
        if (reduction == Reduction::sum) scale_ *= static_cast<double>(extent);
      } else {
        reduced_.push_back({extent, stride, -1});
      }
    }
    sort_by_stride(kept_);
    sort_by_stride(reduced_);
  }

  void lower() {
    reduced_ = merged(reduced_);
    while (reduced_.size() > 1) reduce_one_axis();
    const Axis last = reduced_.empty() ? Axis{} : reduced_[0];
    const bool arg = reduction_ == Reduction::argmax || reduction_ == Reduction::argmin;
    bring_to_form(kept_, last);
    const View result =
        call(kept_, reduced_.empty() ? Axis{} : reduced_[0], scale_, arg ? DType::int64 : result_dtype());
    make_dense(kept_);
    publish(result);
  }

 private:
  // Where the kept axes are more than the kernel's two, the tensor is copied into memory without gaps first.
  void bring_to_form(const AxisList& kept, const Axis& reduced) {
    if (merged(kept).size() <= 2) return;
    AxisList all = kept_;
    all.insert(all.end(), reduced_.begin(), reduced_.end());
    sort_by_stride(all);
    // The axis of this call last: then all others are one outer axis, whatever their order.
    const auto own = std::find_if(all.begin(), all.end(), [&](const Axis& axis) {
      return axis.output_axis < 0 && axis.stride == reduced.stride && axis.extent == reduced.extent;
    });
    if (own != all.end()) std::rotate(own, own + 1, all.end());
    const View source = view_of_axes(memory_, all);
    const View copy = lowering_.temporary(memory_.dtype, source.shape);
    lowering_.copy(source, copy);
    make_dense(all);
    memory_ = copy;
    take(all);
  }

  // Axes that got new strides.
  void take(const AxisList& all) {
    kept_.clear();
    reduced_.clear();
    for (const Axis& axis : all) (axis.output_axis < 0 ? reduced_ : kept_).push_back(axis);
  }

  // Reduces the longest axis by a call of its own, into a temporary in which the others follow each other.
  void reduce_one_axis() {
    const auto longest_of = [](AxisList& axes) {
      return std::max_element(axes.begin(), axes.end(),
                              [](const Axis& a, const Axis& b) { return a.extent < b.extent; });
    };
    const auto others_of = [&] {
      AxisList others = kept_;
      const auto longest = longest_of(reduced_);
      for (auto axis = reduced_.begin(); axis != reduced_.end(); ++axis)
        if (axis != longest) others.push_back(*axis);
      sort_by_stride(others);
      return others;
    };
    bring_to_form(others_of(), *longest_of(reduced_));
    AxisList others = others_of();
    memory_ = call(others, *longest_of(reduced_), 1, result_dtype());
    make_dense(others);
    take(others);
    reduced_ = merged(reduced_);
  }

  DType result_dtype() const {
    const bool total = reduction_ == Reduction::sum || reduction_ == Reduction::prod;
    return total ? total_dtype(memory_.dtype) : memory_.dtype;
  }

  View call(const AxisList& kept, const Axis& reduced, double scale, DType result_dtype) {
    const View result = lowering_.temporary(result_dtype, Shape{size_of_axes(kept)});
    auto call = lowering_.call(node_.op->name, lowering_.kernels().reduce(reduction_, memory_.dtype));
    kernels::ReduceArgs& args = call.args;
    const AxisList pair = merged(kept);
    args.reduced = reduced.extent;
    args.reduced_stride = reduced.stride;
    if (pair.size() == 2) {
      args.outer = pair[0].extent;
      args.outer_stride = pair[0].stride;
    }
    if (!pair.empty()) {
      const Axis& axis = pair.back();
      const bool is_outer = pair.size() == 1 && axis.stride > reduced.stride && reduced.extent > 1;
      (is_outer ? args.outer : args.inner) = axis.extent;
      (is_outer ? args.outer_stride : args.inner_stride) = axis.stride;
    }
    args.scale = scale;
    call.read(args.input, memory_);
    call.write(args.output, result);
    call.workspace(args.workspace, lowering_.kernels().reduce_workspace(reduction_, memory_.dtype, args));
    const double elements =
        static_cast<double>(args.outer) * static_cast<double>(args.reduced) * static_cast<double>(args.inner);
    call.cost(elements, elements * static_cast<double>(size_of(memory_.dtype)));
    call.describe(str("[", args.outer, ", ", args.reduced, ", ", args.inner, "] over the middle axis"));
    return result;
  }

  // Names the result: axes lie in the order of the input's memory, broadcast ones repeat.
  void publish(View result) {
    const Shape& shape = node_.outputs[0].shape;
    result.shape = shape;
    result.strides = row_major_strides(shape);
    for (int axis = 0; axis < shape.rank(); ++axis)
      if (shape[axis] > 1) result.strides[axis] = 0;
    for (const Axis& axis : kept_) result.strides[axis.output_axis] = axis.stride;
    lowering_.alias(node_.out(), result);
  }

  Lowering& lowering_;
  const Node& node_;
  Reduction reduction_;
  View memory_;
  AxisList kept_, reduced_;  // of the tensor that memory_ holds, largest stride first
  double scale_ = 1;
};

template <Reduction reduction>
void lower_reduction(Lowering& lowering, const Node& node) {
  if (numel(node.input_shape(0)) == 0) {
    const View result = lowering.create(node.out());
    const double empty = node.op == &mean_op            ? std::numeric_limits<double>::quiet_NaN()
                         : reduction == Reduction::prod ? 1.0
                                                        : 0.0;
    lowering.fill(result, empty);
    return;
  }
  ReductionLowering(lowering, node, reduction).lower();
}

}  // namespace

constinit const Op sum_op{
    .name = "sum", .infer = infer_sum, .gradient = sum_gradient, .lower = lower_reduction<Reduction::sum>};
constinit const Op mean_op{.name = "mean",
                           .infer = infer_floating,
                           .gradient = mean_gradient,
                           .lower = lower_reduction<Reduction::sum>};
constinit const Op max_op{.name = "max",
                          .infer = infer_extreme,
                          .gradient = extreme_gradient,
                          .lower = lower_reduction<Reduction::max>};
constinit const Op min_op{.name = "min",
                          .infer = infer_extreme,
                          .gradient = extreme_gradient,
                          .lower = lower_reduction<Reduction::min>};
constinit const Op prod_op{.name = "prod",
                           .infer = infer_sum,
                           .decompose = decompose_prod,
                           .lower = lower_reduction<Reduction::prod>};
constinit const Op logsumexp_op{
    .name = "logsumexp", .infer = infer_floating, .gradient = logsumexp_gradient, .expand = expand_logsumexp};
constinit const Op argmax_op{
    .name = "argmax", .infer = infer_arg, .lower = lower_reduction<Reduction::argmax>};
constinit const Op argmin_op{
    .name = "argmin", .infer = infer_arg, .lower = lower_reduction<Reduction::argmin>};

}  // namespace ravine
