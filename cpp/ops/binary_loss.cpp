// Losses of yes and no: of probabilities, and of logits with the weights of the two answers.
#include "ops/tile_ops.h"

namespace ravine {
namespace {

// ---- binary_cross_entropy(x, t) = -(t ln x + (1 - t) ln(1 - x)), logarithms of at least -100

constexpr double least_logarithm = -100;
// torch's divisor where x (1 - x) is 0: the gradient stays finite.
constexpr double least_divisor = 1e-12;

Value bounded_log(Value logarithm) {
  return ops::maximum(logarithm, ops::scalar_like(logarithm, least_logarithm));
}
Value log_yes(Value x) { return bounded_log(ops::log(x)); }
Value log_no(Value x) { return bounded_log(ops::log1p(-x)); }

void infer_binary_cross_entropy(Node& node) {
  check_no_attributes(node);
  infer_binary(node, TileTypes::floating);
}

Values expand_binary_cross_entropy(const Node& node) {
  const Value x = node.inputs[0], t = node.inputs[1];
  return {-(t * log_yes(x) + (1.0 - t) * log_no(x))};
}

// (x - t) / (x (1 - x)), and the difference of the logarithms.
Values binary_cross_entropy_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value x = node.inputs[0], t = node.inputs[1], dy = cotangents[0];
  const Value variance = x * (1.0 - x);
  const Value certain = ops::equal(variance, ops::scalar_like(variance, 0));
  const Value divisor = ops::where(certain, ops::scalar_like(variance, least_divisor), variance);
  return {dy * ((x - t) / divisor), dy * (log_no(x) - log_yes(x))};
}

// ---- logistic_loss(x, a, b) = a ln(1 + e^-x) + b ln(1 + e^x)

void infer_logits(Node& node) {
  check_no_attributes(node);
  expect_inputs(node, 3);
  expect_floating(node, 0);
  expect_one_dtype(node);
  const Shape weights = broadcast_shapes(node.input_shape(1), node.input_shape(2), node.op->name);
  node.outputs = {{node.input_dtype(0), broadcast_shapes(node.input_shape(0), weights, node.op->name)}};
}

Values logistic_loss_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value x = node.inputs[0], dy = cotangents[0];
  const Value slope = node.graph->apply1("logistic_loss_grad", node.inputs);
  return {dy * slope, dy * ops::softplus(-x), dy * ops::softplus(x)};
}

// b sigmoid(x) - a sigmoid(-x)
Values logistic_loss_grad_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value x = node.inputs[0], dy = cotangents[0];
  const Value yes = ops::sigmoid(x), no = ops::sigmoid(-x);
  return {dy * ((node.inputs[1] + node.inputs[2]) * (yes * no)), -(dy * no), dy * yes};
}

}  // namespace

constinit const Op binary_cross_entropy_op{.name = "binary_cross_entropy",
                                           .infer = infer_binary_cross_entropy,
                                           .gradient = binary_cross_entropy_gradient,
                                           .expand = expand_binary_cross_entropy};
constinit const Op logistic_loss_op{.name = "logistic_loss",
                                    .kind = OpKind::tile,
                                    .infer = infer_logits,
                                    .gradient = logistic_loss_gradient,
                                    .tile = TileOp::logistic_loss};
constinit const Op logistic_loss_grad_op{.name = "logistic_loss_grad",
                                         .kind = OpKind::tile,
                                         .infer = infer_logits,
                                         .gradient = logistic_loss_grad_gradient,
                                         .tile = TileOp::logistic_loss_grad};

}  // namespace ravine
