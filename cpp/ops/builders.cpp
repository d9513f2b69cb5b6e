#include "ops/builders.h"

#include <algorithm>
#include <utility>

namespace ravine {

Value operator+(Value a, Value b) { return ops::add(a, b); }
Value operator-(Value a, Value b) { return ops::sub(a, b); }
Value operator*(Value a, Value b) { return ops::mul(a, b); }
Value operator/(Value a, Value b) { return ops::div(a, b); }
Value operator-(Value x) { return ops::neg(x); }
Value operator+(Value x, double number) { return x + ops::scalar_like(x, number); }
Value operator-(Value x, double number) { return x - ops::scalar_like(x, number); }
Value operator*(Value x, double number) { return x * ops::scalar_like(x, number); }
Value operator/(Value x, double number) { return x / ops::scalar_like(x, number); }
Value operator+(double number, Value x) { return ops::scalar_like(x, number) + x; }
Value operator-(double number, Value x) { return ops::scalar_like(x, number) - x; }
Value operator*(double number, Value x) { return ops::scalar_like(x, number) * x; }
Value operator/(double number, Value x) { return ops::scalar_like(x, number) / x; }

namespace ops {
namespace {

Value apply(const char* name, Values inputs, Attrs attrs = {}) {
  Graph& graph = inputs[0].graph();
  return graph.apply1(name, std::move(inputs), std::move(attrs));
}

Value reduce(const char* name, Value x, const Axes& axes, bool keepdims) {
  return apply(name, {x}, {{"axes", axes}, {"keepdims", keepdims}});
}

}  // namespace

Value scalar_like(Value x, double number) { return x.graph().scalar(number, x.dtype()); }
Value filled_like(Value x, double number) { return x.graph().filled(number, x.type()); }

Value arange(Graph& graph, std::int64_t count) {
  const Array array(DType::int64, Shape{count});
  for (std::int64_t i = 0; i < count; ++i) array.as<std::int64_t>()[i] = i;
  return graph.constant(array);
}

#define RAVINE_DEFINE_UNARY(name) \
  Value name(Value x) { return apply(#name, {x}); }
#define RAVINE_DEFINE_BINARY(name) \
  Value name(Value a, Value b) { return apply(#name, {a, b}); }
RAVINE_UNARY_BUILDERS(RAVINE_DEFINE_UNARY)
RAVINE_BINARY_BUILDERS(RAVINE_DEFINE_BINARY)
#undef RAVINE_DEFINE_UNARY
#undef RAVINE_DEFINE_BINARY

Value leaky_relu(Value x, double slope) { return apply("leaky_relu", {x}, {{"slope", slope}}); }
Value elu(Value x, double alpha) { return apply("elu", {x}, {{"alpha", alpha}}); }
Value clip(Value x, double low, double high) { return apply("clip", {x}, {{"low", low}, {"high", high}}); }
Value cast(Value x, DType dtype) { return x.dtype() == dtype ? x : apply("cast", {x}, {{"dtype", dtype}}); }
Value where(Value condition, Value a, Value b) { return apply("where", {condition, a, b}); }
Value uniform(Graph& graph, const Shape& shape, DType dtype) {
  return graph.apply1("uniform", {}, {{"shape", shape}, {"dtype", dtype}});
}

Value sum(Value x, const Axes& axes, bool keepdims) { return reduce("sum", x, axes, keepdims); }
Value mean(Value x, const Axes& axes, bool keepdims) { return reduce("mean", x, axes, keepdims); }
Value max(Value x, const Axes& axes, bool keepdims) { return reduce("max", x, axes, keepdims); }
Value min(Value x, const Axes& axes, bool keepdims) { return reduce("min", x, axes, keepdims); }
Value prod(Value x, const Axes& axes, bool keepdims) { return reduce("prod", x, axes, keepdims); }
Value argmax(Value x, int axis, bool keepdims) {
  return apply("argmax", {x}, {{"axis", std::int64_t{axis}}, {"keepdims", keepdims}});
}
Value argmin(Value x, int axis, bool keepdims) {
  return apply("argmin", {x}, {{"axis", std::int64_t{axis}}, {"keepdims", keepdims}});
}

Value reshape(Value x, const Shape& shape) {
  return x.shape() == shape ? x : apply("reshape", {x}, {{"shape", shape}});
}
Value transpose(Value x, const Axes& permutation) { return apply("transpose", {x}, {{"axes", permutation}}); }
Value swap_last_axes(Value x) {
  const int rank = x.rank();
  check<ValueError>(rank >= 2, "transpose: expected at least 2 dimensions, got shape ", x.shape());
  Axes permutation;
  for (int axis = 0; axis < rank; ++axis) permutation.push_back(axis);
  std::swap(permutation[rank - 1], permutation[rank - 2]);
  return transpose(x, permutation);
}
Value broadcast_to(Value x, const Shape& shape) {
  return x.shape() == shape ? x : apply("broadcast_to", {x}, {{"shape", shape}});
}
Value slice(Value x, const Dims& start, const Dims& stop, const Dims& step) {
  return apply("slice", {x}, {{"start", start}, {"stop", stop}, {"step", step}});
}
Value slice_axis(Value x, int axis, std::int64_t start, std::int64_t stop, std::int64_t step) {
  Dims starts = Dims::filled(x.rank(), 0), stops = x.shape(), steps = Dims::filled(x.rank(), 1);
  starts[axis] = start;
  stops[axis] = stop;
  steps[axis] = step;
  return slice(x, starts, stops, steps);
}
Value flip(Value x, const Axes& axes) { return apply("flip", {x}, {{"axes", axes}}); }
Value pad(Value x, const Dims& before, const Dims& after, double value, const Dims& step) {
  Attrs attrs{{"before", before}, {"after", after}, {"value", value}};
  if (!step.empty()) attrs.set("step", step);
  return apply("pad", {x}, std::move(attrs));
}
Value concat(std::span<const Value> parts, int axis) {
  return apply("concat", Values(parts.begin(), parts.end()), {{"axis", std::int64_t{axis}}});
}
Value expand_axes(Value reduced, const Shape& input, const Axes& axes) {
  Shape shape = input;
  for (const std::int64_t axis : axes) shape[static_cast<int>(axis)] = 1;
  return reshape(reduced, shape);
}

Value gather_rows(Value table, Value indices, int axis, std::int64_t skip_index) {
  return apply("gather_rows", {table, indices}, {{"axis", std::int64_t{axis}}, {"skip_index", skip_index}});
}
Value gather(Value x, Value indices, int axis) {
  return apply("gather", {x, indices}, {{"axis", std::int64_t{axis}}});
}
Value scatter_add_rows(Value source, Value indices, int axis, std::int64_t extent, std::int64_t skip_index) {
  return apply("scatter_add_rows", {source, indices},
               {{"axis", std::int64_t{axis}}, {"extent", extent}, {"skip_index", skip_index}});
}
Value scatter_add(Value source, Value indices, int axis, std::int64_t extent) {
  return apply("scatter_add", {source, indices}, {{"axis", std::int64_t{axis}}, {"extent", extent}});
}
Value one_hot(Value indices, std::int64_t classes, DType dtype) {
  return apply("one_hot", {indices}, {{"classes", classes}, {"dtype", dtype}});
}

Value matmul(Value a, Value b) { return apply("matmul", {a, b}); }

Value conv2d(Value images, Value filters, const ConvOptions& options) {
  return apply("conv2d", {images, filters},
               {{"stride", options.stride},
                {"padding", options.padding},
                {"dilation", options.dilation},
                {"groups", options.groups}});
}

namespace {
Attrs pool_attrs(const Dims& kernel_size, const PoolOptions& options) {
  return {{"kernel_size", kernel_size},
          {"stride", options.stride.empty() ? kernel_size : options.stride},
          {"padding", options.padding},
          {"ceil_mode", options.ceil_mode}};
}
}  // namespace

Value max_pool2d(Value images, const Dims& kernel_size, const PoolOptions& options) {
  return apply("max_pool2d", {images}, pool_attrs(kernel_size, options));
}
Value avg_pool2d(Value images, const Dims& kernel_size, const PoolOptions& options) {
  return apply("avg_pool2d", {images}, pool_attrs(kernel_size, options));
}
Value adaptive_avg_pool2d(Value images, const Dims& output_size) {
  return apply("adaptive_avg_pool2d", {images}, {{"output_size", output_size}});
}

BatchNorm batch_norm(Value x, Value gamma, Value beta, double eps) {
  const Values results = x.graph().apply("batch_norm", {x, gamma, beta}, {{"eps", eps}});
  return {results[0], results[1], results[2]};
}
Value layer_norm(Value x, Value gamma, Value beta, double eps) {
  return apply("layer_norm", {x, gamma, beta},
               {{"normalized_dims", std::int64_t{gamma.rank()}}, {"eps", eps}});
}
Value softmax(Value x, int axis) { return apply("softmax", {x}, {{"axis", std::int64_t{axis}}}); }
Value log_softmax(Value x, int axis) { return apply("log_softmax", {x}, {{"axis", std::int64_t{axis}}}); }
Value logsumexp(Value x, const Axes& axes, bool keepdims) { return reduce("logsumexp", x, axes, keepdims); }
Value cross_entropy(Value logits, Value target, double label_smoothing) {
  const Values rows =
      logits.graph().apply("cross_entropy", {logits, target}, {{"label_smoothing", label_smoothing}});
  const Value weight = sum(rows[1]);
  const Value none = equal(weight, scalar_like(weight, 0));  // all labels are ignored: the loss is 0
  return sum(rows[0]) / where(none, scalar_like(weight, 1), weight);
}

}  // namespace ops
}  // namespace ravine
