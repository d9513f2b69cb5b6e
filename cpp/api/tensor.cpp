#include <cmath>

#include "api/access.h"

namespace ravine::v1 {
namespace {

Attr engine(const ops::Attribute& attribute) {
  return std::visit(
      [](const auto& value) -> Attr {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, Shape> || std::is_same_v<T, DType>) return v1::engine(value);
        else return value;
      },
      attribute);
}

Tensor apply1(const char* name, std::initializer_list<Tensor> inputs, Attrs attrs = {}) {
  const Values values = Access::unwrap(std::span(inputs.begin(), inputs.size()));
  return Access::wrap(apply_promoted(values[0].graph(), name, values, std::move(attrs))[0]);
}

Tensor reduce(const char* name, Tensor x, const Shape& axes, bool keepdims) {
  return apply1(name, {x}, {{"axes", v1::engine(axes)}, {"keepdims", keepdims}});
}

// A number beside a tensor: of its dtype; beside integers a fraction is a float32.
Tensor beside(Tensor x, double number) {
  const Value value = Access::unwrap(x);
  const bool fits = is_floating(value.dtype()) || (is_integer(value.dtype()) && number == std::floor(number));
  return Access::wrap(value.graph().scalar(number, fits ? value.dtype() : ravine::DType::float32));
}

}  // namespace

Tensor Access::wrap(const Value& value) {
  Tensor tensor;
  tensor.node_ = value.node;
  tensor.index_ = value.index;
  return tensor;
}

Value Access::unwrap(Tensor tensor) {
  check<ValueError>(tensor.node_ != nullptr, "an operation got a tensor that was made by none");
  return {static_cast<Node*>(tensor.node_), tensor.index_};
}

Values Access::unwrap(std::span<const Tensor> tensors) {
  Values values;
  for (const Tensor tensor : tensors) {
    values.push_back(unwrap(tensor));
    check<ValueError>(
        &values.back().graph() == &values.front().graph(),
        "an operation got tensors of several recordings; a model's function must use those that "
        "it was given");
  }
  return values;
}

DType Tensor::dtype() const { return shown(Access::unwrap(*this).dtype()); }
Shape Tensor::shape() const { return shown(Access::unwrap(*this).shape()); }
std::int64_t Tensor::size(int axis) const {
  const Value value = Access::unwrap(*this);
  return value.shape()[normalize_axis(axis, value.rank(), "size")];
}

Tensor operator+(Tensor a, Tensor b) { return apply1("add", {a, b}); }
Tensor operator-(Tensor a, Tensor b) { return apply1("sub", {a, b}); }
Tensor operator*(Tensor a, Tensor b) { return apply1("mul", {a, b}); }
Tensor operator/(Tensor a, Tensor b) { return apply1("div", {a, b}); }
Tensor operator-(Tensor x) { return apply1("neg", {x}); }
Tensor operator+(Tensor x, double number) { return x + beside(x, number); }
Tensor operator-(Tensor x, double number) { return x - beside(x, number); }
Tensor operator*(Tensor x, double number) { return x * beside(x, number); }
Tensor operator/(Tensor x, double number) { return x / beside(x, number); }
Tensor operator+(double number, Tensor x) { return beside(x, number) + x; }
Tensor operator-(double number, Tensor x) { return beside(x, number) - x; }
Tensor operator*(double number, Tensor x) { return beside(x, number) * x; }
Tensor operator/(double number, Tensor x) { return beside(x, number) / x; }

namespace ops {

std::vector<Tensor> apply_all(std::string_view name, std::span<const Tensor> inputs,
                              const Attributes& attributes) {
  check<ValueError>(!inputs.empty(), "apply: ", name, " got no input");
  Attrs attrs;
  for (const auto& [key, value] : attributes) attrs.set(key, engine(value));
  const Values values = Access::unwrap(inputs);
  std::vector<Tensor> results;
  for (const Value& value : apply_promoted(values[0].graph(), name, values, std::move(attrs)))
    results.push_back(Access::wrap(value));
  return results;
}
Tensor apply(std::string_view name, std::initializer_list<Tensor> inputs, const Attributes& attributes) {
  const std::vector<Tensor> results = apply_all(name, std::span(inputs.begin(), inputs.size()), attributes);
  check<ValueError>(!results.empty(), "apply: ", name, " has no result");
  return results[0];
}

Tensor exp(Tensor x) { return apply1("exp", {x}); }
Tensor log(Tensor x) { return apply1("log", {x}); }
Tensor sqrt(Tensor x) { return apply1("sqrt", {x}); }
Tensor rsqrt(Tensor x) { return apply1("rsqrt", {x}); }
Tensor square(Tensor x) { return apply1("square", {x}); }
Tensor abs(Tensor x) { return apply1("abs", {x}); }
Tensor sign(Tensor x) { return apply1("sign", {x}); }
Tensor sin(Tensor x) { return apply1("sin", {x}); }
Tensor cos(Tensor x) { return apply1("cos", {x}); }
Tensor erf(Tensor x) { return apply1("erf", {x}); }
Tensor pow(Tensor a, Tensor b) { return apply1("pow", {a, b}); }
Tensor maximum(Tensor a, Tensor b) { return apply1("maximum", {a, b}); }
Tensor minimum(Tensor a, Tensor b) { return apply1("minimum", {a, b}); }
Tensor equal(Tensor a, Tensor b) { return apply1("equal", {a, b}); }
Tensor less(Tensor a, Tensor b) { return apply1("less", {a, b}); }
Tensor greater(Tensor a, Tensor b) { return apply1("greater", {a, b}); }
Tensor where(Tensor condition, Tensor a, Tensor b) { return apply1("where", {condition, a, b}); }
Tensor clip(Tensor x, double low, double high) { return apply1("clip", {x}, {{"low", low}, {"high", high}}); }
Tensor cast(Tensor x, DType dtype) {
  return x.dtype() == dtype ? x : apply1("cast", {x}, {{"dtype", v1::engine(dtype)}});
}
Tensor stop_gradient(Tensor x) { return apply1("stop_gradient", {x}); }
Tensor scalar_like(Tensor x, double number) {
  return Access::wrap(ravine::ops::scalar_like(Access::unwrap(x), number));
}

Tensor sum(Tensor x, const Shape& axes, bool keepdims) { return reduce("sum", x, axes, keepdims); }
Tensor mean(Tensor x, const Shape& axes, bool keepdims) { return reduce("mean", x, axes, keepdims); }
Tensor max(Tensor x, const Shape& axes, bool keepdims) { return reduce("max", x, axes, keepdims); }
Tensor min(Tensor x, const Shape& axes, bool keepdims) { return reduce("min", x, axes, keepdims); }
Tensor logsumexp(Tensor x, const Shape& axes, bool keepdims) {
  return reduce("logsumexp", x, axes, keepdims);
}
Tensor argmax(Tensor x, int axis, bool keepdims) {
  return apply1("argmax", {x}, {{"axis", std::int64_t{axis}}, {"keepdims", keepdims}});
}
Tensor softmax(Tensor x, int axis) { return apply1("softmax", {x}, {{"axis", std::int64_t{axis}}}); }
Tensor log_softmax(Tensor x, int axis) { return apply1("log_softmax", {x}, {{"axis", std::int64_t{axis}}}); }

Tensor reshape(Tensor x, const Shape& shape) {
  const std::int64_t size = x.shape().size();
  Shape full = shape;
  int open = -1;
  std::int64_t others = 1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] != -1) {
      others *= shape[axis];
      continue;
    }
    check<ValueError>(open < 0, "reshape: only one extent may be -1, got ", to_string(shape));
    open = axis;
  }
  if (open >= 0) {
    check<ValueError>(others > 0 && size % others == 0, "reshape: ", to_string(x.shape()), " does not fit ",
                      to_string(shape));
    full[open] = size / others;
  }
  return x.shape() == full ? x : apply1("reshape", {x}, {{"shape", v1::engine(full)}});
}

Tensor flatten(Tensor x, int start_axis, int end_axis) {
  const Shape shape = x.shape();
  const int start = normalize_axis(start_axis, shape.rank(), "flatten");
  const int end = normalize_axis(end_axis, shape.rank(), "flatten");
  check<ValueError>(start <= end, "flatten: axes ", start_axis, " to ", end_axis, " of shape ",
                    to_string(shape));
  Dims joined;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (axis <= start || axis > end) joined.push_back(shape[axis]);
    else joined[start] *= shape[axis];
  }
  return reshape(x, shown(joined));
}

Tensor permute(Tensor x, const Shape& axes) { return apply1("transpose", {x}, {{"axes", v1::engine(axes)}}); }
Tensor broadcast_to(Tensor x, const Shape& shape) {
  return x.shape() == shape ? x : apply1("broadcast_to", {x}, {{"shape", v1::engine(shape)}});
}
Tensor concat(std::span<const Tensor> parts, int axis) {
  return apply_all("concat", parts, {{"axis", std::int64_t{axis}}})[0];
}
Tensor slice(Tensor x, int axis, std::int64_t start, std::int64_t stop, std::int64_t step) {
  const Value value = Access::unwrap(x);
  return Access::wrap(
      ravine::ops::slice_axis(value, normalize_axis(axis, value.rank(), "slice"), start, stop, step));
}

Tensor matmul(Tensor a, Tensor b) { return apply1("matmul", {a, b}); }
Tensor take(Tensor table, Tensor indices, int axis) {
  return apply1("gather_rows", {table, indices}, {{"axis", std::int64_t{axis}}});
}

}  // namespace ops
}  // namespace ravine::v1
