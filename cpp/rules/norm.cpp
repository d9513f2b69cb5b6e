#include "ops/batch_norm.h"
#include "ops/list.h"
#include "rules/rules.h"

namespace ravine::rules {
namespace {

// Both passes over the images see for themselves where the ReLU let the gradient through, as they read x:
// neither the ReLU's result is read nor the gradient behind it stored.
std::optional<Values> rectify_in_batch_norm_grad(const Match& match) {
  const Values& inputs = match.inputs;  // x, dy, mean, variance[, gamma]
  const Node& gate = *inputs[1].node;
  if (gate.op != &scale_by_positive_op || gate.attrs.real("slope") != 0) return std::nullopt;
  const Node& relu = *gate.inputs[0].node;
  if (relu.op != &relu_op) return std::nullopt;
  const Value normalized = relu.inputs[0];
  const Node& norm = *normalized.node;
  if (norm.op != &batch_norm_op || normalized.index != 0 || norm.inputs[0] != inputs[0] ||
      norm.out(1) != inputs[2] || norm.out(2) != inputs[3] || norm.attrs != match.node.attrs)
    return std::nullopt;
  Values operands{inputs[0], gate.inputs[1], inputs[2], inputs[3]};
  if (inputs.size() == 5) {
    if (norm.n_inputs() != 3 || norm.inputs[1] != inputs[4]) return std::nullopt;
    operands.insert(operands.end(), {norm.inputs[1], norm.inputs[2]});
  }
  return match.to().apply(batch_norm_relu_grad_op, std::move(operands), match.node.attrs);
}

constexpr Rule rectified[] = {
    {"gradient of a rectified BatchNorm", &batch_norm_grad_op, rectify_in_batch_norm_grad}};

}  // namespace

std::span<const Rule> norm_relu_gradients() { return rectified; }

}  // namespace ravine::rules
