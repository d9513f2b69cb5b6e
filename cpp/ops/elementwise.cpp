// Arithmetic and mathematical functions, element by element with NumPy's broadcasting.
#include <cmath>
#include <limits>
#include <numbers>

#include "ops/tile_ops.h"

namespace ravine {
namespace {

constexpr auto arithmetic = TileTypes::arithmetic;

// Derivative 0 wherever it exists.
constexpr GradientRule flat = nullptr;

// ---- clip

// The range in which bounds are kept, so that they convert to the tensor's dtype without overflow.
std::pair<double, double> range_of(DType dtype) {
  switch (dtype) {
    case DType::int32:
      return {std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()};
    // The largest double below 2^63.
    case DType::int64:
      return {-0x1p63, 0x1.fffffffffffffp62};
    case DType::uint8:
      return {0, 255};
    default:
      return {-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  }
}

void infer_clip(Node& node) {
  node.attrs.check_known(node.op->name, {"low", "high"});
  infer_unary(node, arithmetic);
  const auto [least, most] = range_of(node.input_dtype(0));
  double low = node.attrs.real("low", least), high = node.attrs.real("high", most);
  check<ValueError>(!std::isnan(low) && !std::isnan(high), node.op->name, ": a bound is NaN: low=", low,
                    ", high=", high);
  if (is_integer(node.input_dtype(0))) {
    low = std::ceil(low);
    high = std::floor(high);
  }
  node.attrs.set("low", std::clamp(low, least, most));
  node.attrs.set("high", std::clamp(high, least, most));
}

// 1 inside the bounds. At a bound the two differ as in torch: `clip` has 1, `hardtanh` 0.
template <Value (*above)(Value, Value), Value (*below)(Value, Value)>
Values clip_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value x = node.inputs[0], dy = cotangents[0];
  const Value inside = ops::logical_and(above(x, ops::scalar_like(x, node.attrs.real("low"))),
                                        below(x, ops::scalar_like(x, node.attrs.real("high"))));
  return {ops::where(inside, dy, ops::scalar_like(dy, 0))};
}

template <GradientRule gradient>
constexpr Op clip_op_of(const char* name) {
  return Op{
      .name = name, .kind = OpKind::tile, .infer = infer_clip, .gradient = gradient, .tile = TileOp::clip};
}

// ---- cast, stop_gradient

void infer_cast(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known("cast", {"dtype"});
  const DType dtype = node.attrs.dtype("dtype");
  node.attrs.set("dtype", dtype);
  node.outputs = {{dtype, node.input_shape(0)}};
}

Values cast_gradient(const Node& node, std::span<const Value> cotangents) {
  if (!is_floating(node.input_dtype(0)) || !is_floating(node.outputs[0].dtype)) return {Value{}};
  return {ops::cast(cotangents[0], node.input_dtype(0))};
}

void infer_stop_gradient(Node& node) {
  check_no_attributes(node);
  expect_inputs(node, 1);
  node.outputs = {node.input_type(0)};
}

bool view_stop_gradient(const Node&, const StridedView& input, StridedView& result) {
  result = input;
  return true;
}

// ---- two inputs

Values pow_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value a = node.inputs[0], b = node.inputs[1], y = node.out(), dy = cotangents[0];
  const Value zero = ops::scalar_like(a, 0), one = ops::scalar_like(a, 1);
  // d a: b a^(b-1), and 0 for b = 0 where the formula gives 0 * 0^-1 at a = 0.
  const Value no_power = ops::equal(b, zero);
  const Value da = ops::where(no_power, zero, dy * b * ops::pow(a, b - one));
  // d b: y log a, and 0 at a = 0, its limit for positive b.
  const Value at_zero = ops::equal(a, zero);
  const Value db = ops::where(at_zero, zero, dy * y * ops::log(ops::where(at_zero, one, a)));
  return {da, db};
}

// The cotangent goes to the chosen input, in halves where both are equal (as torch.maximum).
Values choose(Value chosen_first, Value tie, Value dy) {
  const Value zero = ops::scalar_like(dy, 0), half = dy * 0.5;
  return {ops::where(chosen_first, dy, ops::where(tie, half, zero)),
          ops::where(chosen_first, zero, ops::where(tie, half, dy))};
}

void infer_multiply_add(Node& node) {
  check_no_attributes(node);
  expect_inputs(node, 3);
  expect_one_dtype(node);
  for (int i = 0; i < 3; ++i)
    check<TypeError>(node.input_dtype(i) != DType::boolean, "multiply_add: expected numbers, got ",
                     describe_inputs(node));
  const Shape product = broadcast_shapes(node.input_shape(0), node.input_shape(1), "multiply_add");
  node.outputs = {{node.input_dtype(0), broadcast_shapes(product, node.input_shape(2), "multiply_add")}};
}

Values multiply_add_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value dy = cotangents[0];
  return {dy * node.inputs[1], dy * node.inputs[0], dy};
}

}  // namespace

// ---- one input

constinit const Op identity_op = unary_op<arithmetic>(
    "identity", TileOp::identity, unary_gradient<[](Value, Value, Value dy) { return dy; }>);
constinit const Op neg_op =
    unary_op<arithmetic>("neg", TileOp::neg, unary_gradient<[](Value, Value, Value dy) { return -dy; }>);
constinit const Op abs_op = unary_op<arithmetic>(
    "abs", TileOp::abs, unary_gradient<[](Value x, Value, Value dy) { return dy * ops::sign(x); }>);
constinit const Op sign_op = unary_op<arithmetic>("sign", TileOp::sign, flat);
constinit const Op square_op = unary_op<arithmetic>(
    "square", TileOp::square, unary_gradient<[](Value x, Value, Value dy) { return dy * (x * 2.0); }>);

constinit const Op exp_op =
    unary_op("exp", TileOp::exp, unary_gradient<[](Value, Value y, Value dy) { return dy * y; }>);
constinit const Op expm1_op =
    unary_op("expm1", TileOp::expm1, unary_gradient<[](Value, Value y, Value dy) { return dy * (y + 1.0); }>);
constinit const Op log_op =
    unary_op("log", TileOp::log, unary_gradient<[](Value x, Value, Value dy) { return dy / x; }>);
constinit const Op log1p_op =
    unary_op("log1p", TileOp::log1p, unary_gradient<[](Value x, Value, Value dy) { return dy / (x + 1.0); }>);
constinit const Op sqrt_op =
    unary_op("sqrt", TileOp::sqrt, unary_gradient<[](Value, Value y, Value dy) { return dy * 0.5 / y; }>);
constinit const Op rsqrt_op =
    unary_op("rsqrt", TileOp::rsqrt,
             unary_gradient<[](Value, Value y, Value dy) { return dy * -0.5 * (y * ops::square(y)); }>);
constinit const Op reciprocal_op =
    unary_op("reciprocal", TileOp::reciprocal,
             unary_gradient<[](Value, Value y, Value dy) { return -(dy * ops::square(y)); }>);
constinit const Op sin_op =
    unary_op("sin", TileOp::sin, unary_gradient<[](Value x, Value, Value dy) { return dy * ops::cos(x); }>);
constinit const Op cos_op = unary_op(
    "cos", TileOp::cos, unary_gradient<[](Value x, Value, Value dy) { return -(dy * ops::sin(x)); }>);
constinit const Op atan_op =
    unary_op("atan", TileOp::atan,
             unary_gradient<[](Value x, Value, Value dy) { return dy / (ops::square(x) + 1.0); }>);
constinit const Op erf_op =
    unary_op("erf", TileOp::erf, unary_gradient<[](Value x, Value, Value dy) {
               return dy * (ops::exp(-ops::square(x)) * (2 * std::numbers::inv_sqrtpi));
             }>);
constinit const Op floor_op = unary_op("floor", TileOp::floor, flat);
constinit const Op ceil_op = unary_op("ceil", TileOp::ceil, flat);
constinit const Op round_op = unary_op("round", TileOp::round, flat);

constinit const Op clip_op = clip_op_of<clip_gradient<ops::greater_equal, ops::less_equal>>("clip");
constinit const Op hardtanh_op = clip_op_of<clip_gradient<ops::greater, ops::less>>("hardtanh");
constinit const Op cast_op{.name = "cast",
                           .kind = OpKind::tile,
                           .infer = infer_cast,
                           .gradient = cast_gradient,
                           .tile = TileOp::cast};
constinit const Op stop_gradient_op{
    .name = "stop_gradient", .kind = OpKind::view, .infer = infer_stop_gradient, .view = view_stop_gradient};

// ---- two inputs and more

constinit const Op add_op =
    binary_op<arithmetic>("add", TileOp::add, binary_gradient<[](Value, Value, Value, Value dy) {
                            return Values{dy, dy};
                          }>);
constinit const Op sub_op =
    binary_op<arithmetic>("sub", TileOp::sub, binary_gradient<[](Value, Value, Value, Value dy) {
                            return Values{dy, -dy};
                          }>);
constinit const Op mul_op =
    binary_op<arithmetic>("mul", TileOp::mul, binary_gradient<[](Value a, Value b, Value, Value dy) {
                            return Values{dy * b, dy * a};
                          }>);
constinit const Op div_op =
    binary_op("div", TileOp::div, binary_gradient<[](Value, Value b, Value y, Value dy) {
                const Value da = dy / b;
                return Values{da, -(da * y)};
              }>);
constinit const Op pow_op = binary_op<arithmetic>("pow", TileOp::pow, pow_gradient);
constinit const Op maximum_op =
    binary_op<arithmetic>("maximum", TileOp::maximum, binary_gradient<[](Value a, Value b, Value, Value dy) {
                            return choose(ops::greater(a, b), ops::equal(a, b), dy);
                          }>);
constinit const Op minimum_op =
    binary_op<arithmetic>("minimum", TileOp::minimum, binary_gradient<[](Value a, Value b, Value, Value dy) {
                            return choose(ops::less(a, b), ops::equal(a, b), dy);
                          }>);
constinit const Op multiply_add_op{.name = "multiply_add",
                                   .kind = OpKind::tile,
                                   .infer = infer_multiply_add,
                                   .gradient = multiply_add_gradient,
                                   .tile = TileOp::multiply_add};

}  // namespace ravine
