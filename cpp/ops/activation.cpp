// Activation functions and the fused steps of their gradients. A gradient step takes whichever of input x and
// output y its formula needs and the cotangent, and has a gradient of its own, so that second derivatives
// exist.
#include <cmath>
#include <numbers>

#include "ops/tile_ops.h"

namespace ravine {
namespace {

// ---- piecewise linear

Value scale_by_positive(Value x, Value dy, double slope) {
  return dy.graph().apply1("scale_by_positive", {x, dy}, {{"slope", slope}});
}

Values relu_gradient(const Node& node, std::span<const Value> cotangents) {
  return {scale_by_positive(node.out(), cotangents[0], 0)};
}

double finite(const Node& node, const char* name, double otherwise) {
  const double value = node.attrs.real(name, otherwise);
  check<ValueError>(std::isfinite(value), node.op->name, ": ", name, " must be finite, got ", value);
  return value;
}

void infer_leaky_relu(Node& node) {
  node.attrs.check_known("leaky_relu", {"slope"});
  infer_unary(node, TileTypes::floating);
  node.attrs.set("slope", finite(node, "slope", 0.01));
}

Values leaky_relu_gradient(const Node& node, std::span<const Value> cotangents) {
  // With a slope that is not negative the output has the input's sign, so that the input need not be kept.
  const double slope = node.attrs.real("slope");
  return {scale_by_positive(slope >= 0 ? node.out() : node.inputs[0], cotangents[0], slope)};
}

void infer_scale_by_positive(Node& node) {
  node.attrs.check_known("scale_by_positive", {"slope"});
  infer_binary(node, TileTypes::arithmetic);
  node.attrs.set("slope", node.attrs.real("slope"));
}

Values scale_by_positive_gradient(const Node& node, std::span<const Value> cotangents) {
  return {Value{}, scale_by_positive(node.inputs[0], cotangents[0], node.attrs.real("slope"))};
}

// ---- elu

// alpha (e^(input_scale x) - 1) for x <= 0. The gradient reads x, as alpha + y would lose its digits where y
// is near -alpha.
void set_elu_attributes(Node& node) {
  node.attrs.check_known(node.op->name, {"alpha", "input_scale"});
  node.attrs.set("alpha", finite(node, "alpha", 1));
  node.attrs.set("input_scale", finite(node, "input_scale", 1));
}

void infer_elu(Node& node) {
  infer_unary(node, TileTypes::floating);
  set_elu_attributes(node);
}

void infer_elu_grad(Node& node) {
  infer_binary(node, TileTypes::floating);
  set_elu_attributes(node);
}

Values elu_gradient(const Node& node, std::span<const Value> cotangents) {
  return node.graph->apply("elu_grad", {node.inputs[0], cotangents[0]}, node.attrs);
}

// dy (x > 0 ? 1 : alpha input_scale e^(input_scale x))
Values elu_grad_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value x = node.inputs[0], dy = node.inputs[1], d = cotangents[0];
  const Value zero = ops::scalar_like(x, 0);
  const Value slope = node.graph->apply1("elu_grad", {x, d}, node.attrs);
  return {ops::where(ops::greater(x, zero), zero, dy * slope * node.attrs.real("input_scale")), slope};
}

// ---- smooth

// The step `name` on (x or y, dy).
Value step(const char* name, Value x, Value dy) { return dy.graph().apply1(name, {x, dy}); }

// Of an activation whose gradient step reads x.
template <const Op& grad>
Values gradient_from_input(const Node& node, std::span<const Value> cotangents) {
  return {step(grad.name, node.inputs[0], cotangents[0])};
}
// Of an activation whose gradient step reads y.
template <const Op& grad>
Values gradient_from_output(const Node& node, std::span<const Value> cotangents) {
  return {step(grad.name, node.out(), cotangents[0])};
}

// A gradient step is dy f'(x): linear in dy, and `second` is f'' (of x, or of y where the step reads y).
template <auto second>
Values step_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value x = node.inputs[0], dy = node.inputs[1], d = cotangents[0];
  return {d * dy * second(x), step(node.op->name, x, d)};
}

Value gelu_second(Value x) {
  const Value density = ops::exp(ops::square(x) * -0.5) * (std::numbers::inv_sqrtpi / std::numbers::sqrt2);
  return density * (2.0 - ops::square(x));
}

// f = x (1 + t) / 2, t = tanh(u), u = c (x + a x^3): f'' = (1 - t^2) (u' + x (u'' - 2 t u'^2) / 2)
Value gelu_tanh_second(Value x) {
  constexpr double c = std::numbers::sqrt2 * std::numbers::inv_sqrtpi, a = 0.044715;
  const Value squared = ops::square(x);
  const Value t = ops::tanh(x * (squared * (a * c) + c));
  const Value du = squared * (3 * a * c) + c;
  const Value ddu = x * (6 * a * c);
  return (1.0 - ops::square(t)) * (du + x * 0.5 * (ddu - t * 2.0 * ops::square(du)));
}

// f = x s with s = sigmoid(x), s' = s (1 - s): f'' = s' (2 + x (1 - 2 s))
Value silu_second(Value x) {
  const Value s = ops::sigmoid(x);
  return s * (1.0 - s) * (x * (1.0 - s * 2.0) + 2.0);
}

// f = x t with t = tanh(softplus(x)), t' = s u with s = sigmoid(x), u = 1 - t^2: f'' = s u (2 + x (1 - s - 2
// t s))
Value mish_second(Value x) {
  const Value s = ops::sigmoid(x), t = ops::tanh(ops::softplus(x));
  return s * (1.0 - ops::square(t)) * (x * (1.0 - s - t * s * 2.0) + 2.0);
}

// 1 / 3 between the kinks
Value hardswish_second(Value x) {
  const Value inside = ops::less(ops::abs(x), ops::scalar_like(x, 3));
  return ops::where(inside, ops::scalar_like(x, 1.0 / 3), ops::scalar_like(x, 0));
}

Value softplus_second(Value x) {
  const Value s = ops::sigmoid(x);
  return s * (1.0 - s);
}

}  // namespace

constinit const Op relu_op = unary_op<TileTypes::arithmetic>("relu", TileOp::relu, relu_gradient);
constinit const Op leaky_relu_op{.name = "leaky_relu",
                                 .kind = OpKind::tile,
                                 .infer = infer_leaky_relu,
                                 .gradient = leaky_relu_gradient,
                                 .tile = TileOp::leaky_relu};
constinit const Op scale_by_positive_op{.name = "scale_by_positive",
                                        .kind = OpKind::tile,
                                        .infer = infer_scale_by_positive,
                                        .gradient = scale_by_positive_gradient,
                                        .tile = TileOp::scale_by_positive};
constinit const Op elu_op{
    .name = "elu", .kind = OpKind::tile, .infer = infer_elu, .gradient = elu_gradient, .tile = TileOp::elu};
constinit const Op elu_grad_op{.name = "elu_grad",
                               .kind = OpKind::tile,
                               .infer = infer_elu_grad,
                               .gradient = elu_grad_gradient,
                               .tile = TileOp::elu_grad};

constinit const Op tanh_op = unary_op("tanh", TileOp::tanh, gradient_from_output<tanh_grad_op>);
constinit const Op sigmoid_op = unary_op("sigmoid", TileOp::sigmoid, gradient_from_output<sigmoid_grad_op>);
constinit const Op softplus_op =
    unary_op("softplus", TileOp::softplus, gradient_from_input<softplus_grad_op>);
constinit const Op gelu_op = unary_op("gelu", TileOp::gelu, gradient_from_input<gelu_grad_op>);
constinit const Op gelu_tanh_op =
    unary_op("gelu_tanh", TileOp::gelu_tanh, gradient_from_input<gelu_tanh_grad_op>);
constinit const Op silu_op = unary_op("silu", TileOp::silu, gradient_from_input<silu_grad_op>);
constinit const Op mish_op = unary_op("mish", TileOp::mish, gradient_from_input<mish_grad_op>);
constinit const Op hardswish_op =
    unary_op("hardswish", TileOp::hardswish, gradient_from_input<hardswish_grad_op>);
constinit const Op softsign_op =
    unary_op("softsign", TileOp::softsign,
             unary_gradient<[](Value x, Value, Value dy) { return dy / ops::square(ops::abs(x) + 1.0); }>);
constinit const Op tanhshrink_op =
    unary_op("tanhshrink", TileOp::tanhshrink,
             unary_gradient<[](Value x, Value, Value dy) { return dy * ops::square(ops::tanh(x)); }>);

// dy (1 - y^2) and dy y (1 - y): second derivatives with respect to y.
constinit const Op tanh_grad_op =
    binary_op("tanh_grad", TileOp::tanh_grad, step_gradient<[](Value y) { return y * -2.0; }>);
constinit const Op sigmoid_grad_op =
    binary_op("sigmoid_grad", TileOp::sigmoid_grad, step_gradient<[](Value y) { return 1.0 - y * 2.0; }>);
constinit const Op softplus_grad_op =
    binary_op("softplus_grad", TileOp::softplus_grad, step_gradient<softplus_second>);
constinit const Op gelu_grad_op = binary_op("gelu_grad", TileOp::gelu_grad, step_gradient<gelu_second>);
constinit const Op gelu_tanh_grad_op =
    binary_op("gelu_tanh_grad", TileOp::gelu_tanh_grad, step_gradient<gelu_tanh_second>);
constinit const Op silu_grad_op = binary_op("silu_grad", TileOp::silu_grad, step_gradient<silu_second>);
constinit const Op mish_grad_op = binary_op("mish_grad", TileOp::mish_grad, step_gradient<mish_second>);
constinit const Op hardswish_grad_op =
    binary_op("hardswish_grad", TileOp::hardswish_grad, step_gradient<hardswish_second>);

}  // namespace ravine
