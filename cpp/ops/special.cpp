// Further mathematical functions, element by element: inverse and hyperbolic ones, other bases, remainders,
// the error and gamma functions' families. They run on the host's functions, and do not fuse.
#include <algorithm>
#include <numbers>

#include "graph/lowering.h"
#include "host/special.h"
#include "ops/tile_ops.h"

namespace ravine {
namespace {

// Derivative 0 wherever it exists.
constexpr GradientRule flat = nullptr;

template <host::Special function>
void run(const host::SpecialArgs& args, const Team& team) {
  constexpr std::int64_t piece = 512;
  const Pieces mine = pieces_of((args.count + piece - 1) / piece, team);
  host::special(args, std::min(mine.begin * piece, args.count), std::min(mine.end * piece, args.count));
}

// An operand in the shape of the result, without gaps.
View operand(Lowering& lowering, Value value, const Shape& shape) {
  if (value.shape() == shape) return lowering.dense(value);
  View wide = lowering.view(value);
  wide.strides = broadcast_strides(wide.shape, wide.strides, shape);
  wide.shape = shape;
  const View copy = lowering.temporary(value.dtype(), shape);
  if (numel(shape) > 0) lowering.copy(wide, copy);
  return copy;
}

template <host::Special function>
void lower(Lowering& lowering, const Node& node) {
  const Shape& shape = node.outputs[0].shape;
  const bool two = node.n_inputs() > 1;
  const View a = operand(lowering, node.inputs[0], shape);
  const View b = two ? operand(lowering, node.inputs[1], shape) : View{};
  const View y = lowering.create(node.out());
  if (numel(shape) == 0) return;
  auto call = lowering.call<host::SpecialArgs>(node.op->name, run<function>);
  call.args.function = function;
  call.args.dtype = a.dtype;
  call.args.count = numel(shape);
  call.read(call.args.a, a);
  if (two) call.read(call.args.b, b);
  call.write(call.args.output, y);
  const auto elements = static_cast<double>(numel(shape));
  call.cost(20 * elements, elements * static_cast<double>(size_of(a.dtype)) * (two ? 3 : 2));
  call.describe(str(shape));
}

constexpr Op special_unary(const char* name, void (*lower)(Lowering&, const Node&), GradientRule gradient) {
  return Op{
      .name = name, .infer = infer_unary_plain<TileTypes::floating>, .gradient = gradient, .lower = lower};
}
constexpr Op special_binary(const char* name, void (*lower)(Lowering&, const Node&), GradientRule gradient) {
  return Op{
      .name = name, .infer = infer_binary_plain<TileTypes::floating>, .gradient = gradient, .lower = lower};
}

// What a division leaves falls with the divisor as often as the divisor was taken off: (a - y) / b times, a
// whole number but for rounding. (a / b itself may round up to the next one: 1 / 0.1 is 10, and leaves 0.1
// after 9.)
Values rest_gradient(Value a, Value b, Value y, Value dy) {
  return Values{dy, -(dy * ops::round((a - y) / b))};
}

// (1 - x^2)^(-1/2), whose difference keeps its digits near 1.
Value inverse_root(Value x) { return ops::rsqrt((1.0 - x) * (x + 1.0)); }

// dy log(y) for x log(y), 0 where x is 0 and the logarithm no number; `log` is of y or of 1 + y.
Value by_factor(Value x, Value logarithm, Value argument, Value dy) {
  const Value zero = ops::scalar_like(x, 0);
  const Value void_ = ops::logical_and(ops::equal(x, zero), ops::less_equal(argument, zero));
  return ops::where(void_, zero, dy * logarithm);
}

// A function of this file by its name.
Value of(const char* name, Value x) { return x.graph().apply1(name, {x}); }

// x, and 1 where it is 0: a divisor of what is 0 as well.
Value not_zero(Value x) {
  return ops::where(ops::equal(x, ops::scalar_like(x, 0)), ops::scalar_like(x, 1), x);
}

// y / x, and its limit where x is 0.
Value over(Value y, Value x, double limit) {
  const Value pole = ops::equal(x, ops::scalar_like(x, 0));
  return ops::where(pole, ops::scalar_like(x, limit), y / not_zero(x));
}

// x^(a - 1) exp(-x) / Gamma(a)
Value gamma_density(Value a, Value x) { return ops::exp((a - 1.0) * ops::log(x) - x - of("lgamma", a)); }

Values no_gradient(const Node& node, std::span<const Value>) {
  throw ValueError(str(node.op->name, ": has no gradient, as in PyTorch"));
}

}  // namespace

constinit const Op log2_op =
    special_unary("log2", lower<host::Special::log2>,
                  unary_gradient<[](Value x, Value, Value dy) { return dy / (x * std::numbers::ln2); }>);
constinit const Op log10_op =
    special_unary("log10", lower<host::Special::log10>,
                  unary_gradient<[](Value x, Value, Value dy) { return dy / (x * std::numbers::ln10); }>);
constinit const Op exp2_op =
    special_unary("exp2", lower<host::Special::exp2>,
                  unary_gradient<[](Value, Value y, Value dy) { return dy * (y * std::numbers::ln2); }>);
constinit const Op tan_op =
    special_unary("tan", lower<host::Special::tan>,
                  unary_gradient<[](Value, Value y, Value dy) { return dy * (ops::square(y) + 1.0); }>);
constinit const Op asin_op =
    special_unary("asin", lower<host::Special::asin>,
                  unary_gradient<[](Value x, Value, Value dy) { return dy * inverse_root(x); }>);
constinit const Op acos_op =
    special_unary("acos", lower<host::Special::acos>,
                  unary_gradient<[](Value x, Value, Value dy) { return -(dy * inverse_root(x)); }>);
constinit const Op sinh_op =
    special_unary("sinh", lower<host::Special::sinh>,
                  unary_gradient<[](Value x, Value, Value dy) { return dy * ops::cosh(x); }>);
constinit const Op cosh_op =
    special_unary("cosh", lower<host::Special::cosh>,
                  unary_gradient<[](Value x, Value, Value dy) { return dy * ops::sinh(x); }>);
// Not by the square, which overflows.
constinit const Op asinh_op =
    special_unary("asinh", lower<host::Special::asinh>, unary_gradient<[](Value x, Value, Value dy) {
                    return dy / x.graph().apply1("hypot", {x, ops::scalar_like(x, 1)});
                  }>);
constinit const Op acosh_op = special_unary(
    "acosh", lower<host::Special::acosh>,
    unary_gradient<[](Value x, Value, Value dy) { return dy * ops::rsqrt((x - 1.0) * (x + 1.0)); }>);
constinit const Op atanh_op =
    special_unary("atanh", lower<host::Special::atanh>,
                  unary_gradient<[](Value x, Value, Value dy) { return dy / ((1.0 - x) * (x + 1.0)); }>);
constinit const Op erfc_op =
    special_unary("erfc", lower<host::Special::erfc>, unary_gradient<[](Value x, Value, Value dy) {
                    return dy * (ops::exp(-ops::square(x)) * (-2 * std::numbers::inv_sqrtpi));
                  }>);
constinit const Op erfinv_op =
    special_unary("erfinv", lower<host::Special::erfinv>, unary_gradient<[](Value, Value y, Value dy) {
                    return dy * (ops::exp(ops::square(y)) * (0.5 / std::numbers::inv_sqrtpi));
                  }>);
constinit const Op lgamma_op =
    special_unary("lgamma", lower<host::Special::lgamma>,
                  unary_gradient<[](Value x, Value, Value dy) { return dy * ops::digamma(x); }>);
constinit const Op digamma_op = special_unary(
    "digamma", lower<host::Special::digamma>,
    unary_gradient<[](Value x, Value, Value dy) { return dy * ops::zeta(ops::scalar_like(x, 2), x); }>);

// At the origin the slopes of these two are 0. Squares of small numbers would vanish.
constinit const Op atan2_op = special_binary(
    "atan2", lower<host::Special::atan2>, binary_gradient<[](Value y, Value x, Value, Value dy) {
      const Value radius = not_zero(y.graph().apply1("hypot", {y, x}));
      const Value scaled = dy / radius;
      return Values{scaled * (x / radius), -(scaled * (y / radius))};
    }>);
constinit const Op hypot_op = special_binary("hypot", lower<host::Special::hypot>,
                                             binary_gradient<[](Value a, Value b, Value y, Value dy) {
                                               const Value radius = not_zero(y);
                                               return Values{dy * (a / radius), dy * (b / radius)};
                                             }>);
constinit const Op logaddexp_op = special_binary(
    "logaddexp", lower<host::Special::logaddexp>, binary_gradient<[](Value a, Value b, Value, Value dy) {
      return Values{dy * ops::sigmoid(a - b), dy * ops::sigmoid(b - a)};
    }>);
constinit const Op copysign_op = special_binary("copysign", lower<host::Special::copysign>,
                                                binary_gradient<[](Value a, Value, Value y, Value dy) {
                                                  return Values{dy * (ops::sign(a) * ops::sign(y)), Value{}};
                                                }>);
constinit const Op nextafter_op = special_binary("nextafter", lower<host::Special::nextafter>, flat);
constinit const Op fmod_op =
    special_binary("fmod", lower<host::Special::fmod>, binary_gradient<rest_gradient>);
constinit const Op remainder_op =
    special_binary("remainder", lower<host::Special::remainder>, binary_gradient<rest_gradient>);
constinit const Op xlogy_op = special_binary("xlogy", lower<host::Special::xlogy>,
                                             binary_gradient<[](Value x, Value y, Value, Value dy) {
                                               return Values{by_factor(x, ops::log(y), y, dy), dy * x / y};
                                             }>);
constinit const Op xlog1py_op = special_binary(
    "xlog1py", lower<host::Special::xlog1py>, binary_gradient<[](Value x, Value y, Value, Value dy) {
      return Values{by_factor(x, ops::log1p(y), y + 1.0, dy), dy * x / (y + 1.0)};
    }>);
// By q alone.
constinit const Op zeta_op =
    special_binary("zeta", lower<host::Special::zeta>, binary_gradient<[](Value s, Value q, Value, Value dy) {
                     return Values{Value{}, -(dy * s * ops::zeta(s + 1.0, q))};
                   }>);

// ---- Bessel functions

constinit const Op bessel_j0_op =
    special_unary("bessel_j0", lower<host::Special::bessel_j0>,
                  unary_gradient<[](Value x, Value, Value dy) { return -(dy * of("bessel_j1", x)); }>);
constinit const Op bessel_j1_op = special_unary(
    "bessel_j1", lower<host::Special::bessel_j1>,
    unary_gradient<[](Value x, Value y, Value dy) { return dy * (of("bessel_j0", x) - over(y, x, 0.5)); }>);
constinit const Op bessel_y0_op =
    special_unary("bessel_y0", lower<host::Special::bessel_y0>,
                  unary_gradient<[](Value x, Value, Value dy) { return -(dy * of("bessel_y1", x)); }>);
constinit const Op bessel_y1_op = special_unary(
    "bessel_y1", lower<host::Special::bessel_y1>,
    unary_gradient<[](Value x, Value y, Value dy) { return dy * (of("bessel_y0", x) - y / x); }>);
constinit const Op modified_bessel_i0_op =
    special_unary("modified_bessel_i0", lower<host::Special::modified_bessel_i0>,
                  unary_gradient<[](Value x, Value, Value dy) { return dy * of("modified_bessel_i1", x); }>);
constinit const Op modified_bessel_i1_op =
    special_unary("modified_bessel_i1", lower<host::Special::modified_bessel_i1>,
                  unary_gradient<[](Value x, Value y, Value dy) {
                    return dy * (of("modified_bessel_i0", x) - over(y, x, 0.5));
                  }>);
constinit const Op modified_bessel_k0_op = special_unary(
    "modified_bessel_k0", lower<host::Special::modified_bessel_k0>,
    unary_gradient<[](Value x, Value, Value dy) { return -(dy * of("modified_bessel_k1", x)); }>);
constinit const Op modified_bessel_k1_op = special_unary(
    "modified_bessel_k1", lower<host::Special::modified_bessel_k1>,
    unary_gradient<[](Value x, Value y, Value dy) { return -(dy * (of("modified_bessel_k0", x) + y / x)); }>);
constinit const Op i0e_op = special_unary(
    "i0e", lower<host::Special::i0e>,
    unary_gradient<[](Value x, Value y, Value dy) { return dy * (of("i1e", x) - ops::sign(x) * y); }>);
constinit const Op i1e_op =
    special_unary("i1e", lower<host::Special::i1e>, unary_gradient<[](Value x, Value y, Value dy) {
                    return dy * (of("i0e", x) - ops::sign(x) * y - over(y, x, 0.5));
                  }>);
constinit const Op scaled_modified_bessel_k0_op = special_unary(
    "scaled_modified_bessel_k0", lower<host::Special::scaled_modified_bessel_k0>,
    unary_gradient<[](Value x, Value y, Value dy) { return dy * (y - of("scaled_modified_bessel_k1", x)); }>);
constinit const Op scaled_modified_bessel_k1_op =
    special_unary("scaled_modified_bessel_k1", lower<host::Special::scaled_modified_bessel_k1>,
                  unary_gradient<[](Value x, Value y, Value dy) {
                    return dy * (y - of("scaled_modified_bessel_k0", x) - y / x);
                  }>);
constinit const Op spherical_bessel_j0_op = special_unary(
    "spherical_bessel_j0", lower<host::Special::spherical_bessel_j0>,
    unary_gradient<[](Value x, Value y, Value dy) { return dy * over(ops::cos(x) - y, x, 0); }>);
constinit const Op airy_ai_op = special_unary("airy_ai", lower<host::Special::airy_ai>, no_gradient);

// ---- the normal and the gamma distribution

constinit const Op erfcx_op =
    special_unary("erfcx", lower<host::Special::erfcx>, unary_gradient<[](Value x, Value y, Value dy) {
                    return dy * (x * y * 2.0 - 2 * std::numbers::inv_sqrtpi);
                  }>);
constinit const Op ndtr_op =
    special_unary("ndtr", lower<host::Special::ndtr>, unary_gradient<[](Value x, Value, Value dy) {
                    const double height = std::numbers::inv_sqrtpi * std::numbers::sqrt2 / 2;
                    return dy * (ops::exp(ops::square(x) * -0.5) * height);
                  }>);
constinit const Op log_ndtr_op =
    special_unary("log_ndtr", lower<host::Special::log_ndtr>, unary_gradient<[](Value x, Value, Value dy) {
                    const double scale = std::numbers::inv_sqrtpi * std::numbers::sqrt2;
                    return dy * (ops::reciprocal(of("erfcx", x * (-std::numbers::sqrt2 / 2))) * scale);
                  }>);
constinit const Op ndtri_op =
    special_unary("ndtri", lower<host::Special::ndtri>, unary_gradient<[](Value, Value y, Value dy) {
                    const double scale = std::numbers::sqrt2 / std::numbers::inv_sqrtpi;
                    return dy * (ops::exp(ops::square(y) * 0.5) * scale);
                  }>);
// By x alone.
constinit const Op igamma_op = special_binary("igamma", lower<host::Special::igamma>,
                                              binary_gradient<[](Value a, Value x, Value, Value dy) {
                                                return Values{Value{}, dy * gamma_density(a, x)};
                                              }>);
constinit const Op igammac_op = special_binary("igammac", lower<host::Special::igammac>,
                                               binary_gradient<[](Value a, Value x, Value, Value dy) {
                                                 return Values{Value{}, -(dy * gamma_density(a, x))};
                                               }>);

// ---- polynomials

#define RAVINE_POLYNOMIAL(name) \
  constinit const Op name##_op = special_binary(#name, lower<host::Special::name>, no_gradient);
RAVINE_POLYNOMIAL(chebyshev_polynomial_t)
RAVINE_POLYNOMIAL(chebyshev_polynomial_u)
RAVINE_POLYNOMIAL(chebyshev_polynomial_v)
RAVINE_POLYNOMIAL(chebyshev_polynomial_w)
RAVINE_POLYNOMIAL(shifted_chebyshev_polynomial_t)
RAVINE_POLYNOMIAL(shifted_chebyshev_polynomial_u)
RAVINE_POLYNOMIAL(shifted_chebyshev_polynomial_v)
RAVINE_POLYNOMIAL(shifted_chebyshev_polynomial_w)
RAVINE_POLYNOMIAL(hermite_polynomial_h)
RAVINE_POLYNOMIAL(hermite_polynomial_he)
RAVINE_POLYNOMIAL(laguerre_polynomial_l)
RAVINE_POLYNOMIAL(legendre_polynomial_p)
#undef RAVINE_POLYNOMIAL

}  // namespace ravine
