// Max-pooling joins its neighbours. In training it takes BatchNorm's last step and its ReLU in, where nothing
// else reads what they make: the images are read once, and neither the normalised nor the rectified ones are
// written. Where nobody asks which pixels were the largest, a convolution pools its own outputs; where the
// gradient alone does, a byte tells it.
#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/api/pool.h"
#include "ops/conv.h"
#include "ops/list.h"
#include "rules/rules.h"

namespace ravine::rules {
namespace {

using Replacement = std::optional<Values>;

// Outputs of a max-pooling, inputs of its gradient.
constexpr int places_output = 1, places_input = 1;

bool is_max_pool(const Node& node) {
  return node.op == &max_pool2d_op || node.op == &normalized_max_pool2d_op;
}

// A number for each channel of images.
bool is_column(const Value& value, const Shape& images) { return value.shape() == Shape{1, images[1], 1, 1}; }

// Whether anyone reads where the maxima of a pooling were; or anyone but gradients.
enum class Readers : std::uint8_t { any, no_gradient };
bool places_read(const Match& match, const Node& pool, Readers readers) {
  const Value places = pool.out(places_output);
  if (std::any_of(match.outputs().begin(), match.outputs().end(),
                  [&](const Value& output) { return output == places; }))
    return true;
  for (const Node* user : match.users().of(pool)) {
    const bool is_gradient = readers == Readers::no_gradient && user->op == &max_pool2d_grad_op;
    for (int i = 0; i < user->n_inputs(); ++i)
      if (user->inputs[static_cast<std::size_t>(i)] == places && !(is_gradient && i == places_input))
        return true;
  }
  return false;
}

// ---- the gradient behind ReLU

// A gradient goes to where the maximum is and is scaled there by the sign of the maximum itself, of which
// there are fewer. The rectified numbers need not be kept then.
Replacement scale_before_spreading(const Match& match) {
  const Node& node = match.node;  // scale_by_positive
  const Node& grad = *match.inputs[1].node;
  if (grad.op != &max_pool2d_grad_op || !match.users().has_one(*node.inputs[1].node)) return std::nullopt;
  const Node& pool = *grad.inputs[places_input].node;
  if (!is_max_pool(pool) || pool.inputs[0] != match.inputs[0]) return std::nullopt;
  const Value scaled = match.to().apply(*node.op, {pool.out(0), grad.inputs[0]}, node.attrs)[0];
  return match.to().apply(*grad.op, {scaled, grad.inputs[places_input]}, grad.attrs);
}

// ---- in a convolution

// The size of square windows, side by side and all of them whole; 0 where they are not.
std::int64_t window_size(const Node& pool) {
  const Dims kernel = pool.attrs.dims("kernel_size");
  const bool side_by_side = kernel[0] == kernel[1] && pool.attrs.dims("stride") == kernel &&
                            pool.attrs.dims("padding") == Dims{0, 0} &&
                            pool.attrs.dims("dilation") == Dims{1, 1} && !pool.attrs.flag("ceil_mode", false);
  return side_by_side ? kernel[0] : 0;
}

// The input of an elementwise step that keeps the order of each channel's pixels, or -1: pooled before the
// step or behind it, they are the same.
int ordered_input(const Node& node) {
  if (node.op == &relu_op) return 0;
  if (node.op != &add_op) return -1;
  const Shape& images = node.outputs[0].shape;
  for (const int i : {0, 1})
    if (node.input_shape(i) == images && is_column(node.inputs[static_cast<std::size_t>(1 - i)], images))
      return i;
  return -1;
}

// The pooling goes before what keeps the order, and into the convolution.
Replacement pool_in_convolution(const Match& match) {
  const Node& node = match.node;
  if (places_read(match, node, Readers::any)) return std::nullopt;
  std::vector<std::pair<const Node*, std::size_t>> steps;  // and their inputs from before
  const Node* before = node.inputs[0].node;
  for (int i; match.users().has_one(*before) && (i = ordered_input(*before)) >= 0;) {
    steps.emplace_back(before, i);
    before = before->inputs[static_cast<std::size_t>(i)].node;
  }
  if (!match.users().has_one(*before) || !is_convolution(*before)) return std::nullopt;
  const Node* convolution = match.now(before->out()).node;
  const std::optional<Value> pooled =
      pooled_convolution(*convolution, convolution->inputs, window_size(node), match.kernels);
  if (!pooled) return std::nullopt;
  Value result = *pooled;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    Values operands;
    for (const Value& input : step->first->inputs) operands.push_back(match.now(input));
    operands[step->second] = result;
    result = match.to().apply(*step->first->op, std::move(operands), step->first->attrs)[0];
  }
  return Values{result, Value{}};
}

// ---- behind BatchNorm and ReLU

Replacement normalize_in_pool(const Match& match) {
  const Node& relu = *match.node.inputs[0].node;
  if (relu.op != &relu_op || !match.users().has_one(relu)) return std::nullopt;
  const Node& affine = *relu.inputs[0].node;
  if (affine.op != &multiply_add_op || !match.users().has_one(affine)) return std::nullopt;
  const Shape& images = match.node.input_shape(0);
  if (affine.input_shape(0) != images || !is_column(affine.inputs[1], images) ||
      !is_column(affine.inputs[2], images))
    return std::nullopt;
  Values operands;
  for (const Value& input : affine.inputs) operands.push_back(match.now(input));
  return match.to().apply(normalized_max_pool2d_op, std::move(operands), match.node.attrs);
}

// ---- places in a byte

Attrs with_offsets(const Node& node) {
  Attrs attrs = node.attrs;
  attrs.set("offsets", true);
  return attrs;
}

Replacement give_offsets(const Match& match) {
  const Dims kernel = match.node.attrs.dims("kernel_size");
  if (kernel[0] * kernel[1] > kernels::max_window_offsets ||
      places_read(match, match.node, Readers::no_gradient))
    return std::nullopt;
  return match.to().apply(*match.node.op, match.inputs, with_offsets(match.node));
}

Replacement take_offsets(const Match& match) {
  const Node& pool = *match.inputs[places_input].node;
  if (!is_max_pool(pool) || !pool.attrs.flag("offsets", false)) return std::nullopt;
  return match.to().apply(*match.node.op, match.inputs, with_offsets(match.node));
}

constexpr Rule gradients[] = {
    {"gradient of a pool of rectified images", &scale_by_positive_op, scale_before_spreading}};
constexpr Rule convolutions[] = {{"pool of a convolution", &max_pool2d_op, pool_in_convolution}};
constexpr Rule norms[] = {{"pool of normalised images", &max_pool2d_op, normalize_in_pool}};
constexpr Rule offsets[] = {{"maxima by offsets", &max_pool2d_op, give_offsets},
                            {"maxima by offsets", &normalized_max_pool2d_op, give_offsets},
                            {"gradient by offsets", &max_pool2d_grad_op, take_offsets}};

}  // namespace

std::span<const Rule> pool_relu_gradients() { return gradients; }
std::span<const Rule> pools_in_convolutions() { return convolutions; }
std::span<const Rule> norms_in_pools() { return norms; }
std::span<const Rule> compressed_argmax() { return offsets; }

}  // namespace ravine::rules
