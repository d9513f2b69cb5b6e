#include "ops/conv.h"

#include <algorithm>
#include <vector>

#include "ops/batch_norm.h"
#include "ops/builders.h"
#include "ops/list.h"
#include "rules/rules.h"

namespace ravine::rules {
namespace {

using Replacement = std::optional<Values>;

// ---- prepacked filters: where no state changes, products with a filter take it in the form that serves kept
// values best, and a chain behind them that multiplies and adds numbers of each output channel, as
// BatchNorm's running statistics do, goes into the filter and one addition.

// [1, C, 1, 1] or less, as it is broadcast over [N, C, H, W]
bool is_per_channel(const Shape& shape, const Shape& images) {
  if (shape.rank() > images.rank()) return false;
  for (int back = 1; back <= shape.rank(); ++back) {
    const int axis = images.rank() - back;
    const std::int64_t extent = shape[shape.rank() - back];
    if (extent != 1 && !(axis == 1 && extent == images[1])) return false;
  }
  return true;
}

// y scale + shift of a result y [N, C, H, W]; a value that is none stands for 1 and 0.
struct Affine {
  Value scale, shift;

  void multiply(Value factor) {
    scale = scale ? scale * factor : factor;
    if (shift) shift = shift * factor;
  }
  void add(Value term) { shift = shift ? shift + term : term; }
};

// Whether the node multiplies or adds fixed numbers of each channel to what is before.
bool is_affine_step(const Match& match, const Node& node, const Node& before) {
  if (node.outputs[0] != before.outputs[0]) return false;
  const auto per_channel = [&](std::size_t i) {
    return match.analysis.is_fixed(*node.inputs[i].node) &&
           is_per_channel(node.inputs[i].shape(), before.outputs[0].shape);
  };
  const bool first = node.inputs[0].node == &before;
  if (node.op == &add_op || node.op == &sub_op || node.op == &mul_op) return per_channel(first ? 1 : 0);
  if (node.op == &multiply_add_op) return per_channel(2) && per_channel(first ? 1 : 0);
  return false;
}

// The steps behind a convolution that are per channel, up to the last multiplication and the additions behind
// it; each has one user, the next.
std::vector<const Node*> chain_behind(const Match& match, const Node& conv) {
  std::vector<const Node*> chain;
  bool multiplies = false;
  for (const Node* last = &conv; match.users().has_one(*last);) {
    const Node* next = match.users().of(*last)[0];
    if (next->inputs.empty() || !is_affine_step(match, *next, *last)) break;
    multiplies = multiplies || next->op == &mul_op || next->op == &multiply_add_op;
    chain.push_back(last = next);
  }
  if (!multiplies) chain.clear();
  return chain;
}

bool has_fixed_filter(const Match& match, const Node& node) {
  return node.op == &conv2d_op && match.analysis.is_fixed(*node.inputs[1].node);
}

// Without a chain; the last step of a chain replaces it all, as it has what all of them need.
Replacement prepack(const Match& match) {
  if (!has_fixed_filter(match, match.node) || !chain_behind(match, match.node).empty()) return std::nullopt;
  const std::optional<Value> result = prepacked_convolution(match.node, match.inputs, {}, match.kernels);
  if (!result) return std::nullopt;
  return Values{*result};
}

// The convolution with a fixed filter that a chain of per-channel steps leads back to from the node.
const Node* convolution_before(const Match& match) {
  for (const Node* node = &match.node;;) {
    const Node* before = nullptr;
    for (const Value& input : node->inputs)
      if (!match.analysis.is_fixed(*input.node) && is_affine_step(match, *node, *input.node))
        before = input.node;
    if (before == nullptr || !match.users().has_one(*before)) return nullptr;
    if (has_fixed_filter(match, *before)) return before;
    node = before;
  }
}

Replacement fold_affine(const Match& match) {
  const Node* const conv = convolution_before(match);
  if (conv == nullptr) return std::nullopt;
  const std::vector<const Node*> chain = chain_behind(match, *conv);
  if (chain.empty() || chain.back() != &match.node) return std::nullopt;
  Affine affine;
  const Node* last = conv;
  for (const Node* step : chain) {
    const bool first = step->inputs[0].node == last;
    const Value other = match.now(step->inputs[first ? 1 : 0]);
    if (step->op == &add_op) {
      affine.add(other);
    } else if (step->op == &sub_op) {
      if (!first) affine.multiply(other.graph().scalar(-1, other.dtype()));
      affine.add(first ? -other : other);
    } else {
      affine.multiply(other);
      if (step->op == &multiply_add_op) affine.add(match.now(step->inputs[2]));
    }
    last = step;
  }
  const std::int64_t channels = conv->outputs[0].shape[1];
  Value scale = affine.scale;
  if (numel(scale.shape()) != channels) scale = ops::broadcast_to(scale, Shape{1, channels, 1, 1});
  const Values inputs{match.now(conv->inputs[0]), match.now(conv->inputs[1])};
  const Value result = *prepacked_convolution(*conv, inputs, ops::reshape(scale, {channels}), match.kernels);
  return Values{affine.shift ? result + affine.shift : result};
}

// ---- moments

// The first reader whose moments can be gathered.
Replacement gather_moments(const Match& match) {
  const Node& conv = match.node;
  for (const Node* user : match.users().of(conv)) {
    if (user->op != &column_moments_op) continue;
    const Value images = user->inputs[0];
    if (images.shape() != conv.outputs[0].shape || images.dtype() != conv.input_dtype(0)) continue;
    const std::int64_t pieces = moment_pieces(conv, match.kernels);
    if (pieces == 0) return std::nullopt;
    Node& gathering = match.rewriting.copy(conv, match.inputs);
    Values values = outputs_of(gathering);
    add_moments(gathering, images.index, pieces);
    return values;
  }
  return std::nullopt;
}

Replacement combine_gathered(const Match& match) {
  const Value& images = match.inputs[0];
  if (output_with_moments(*images.node) != images.index) return std::nullopt;
  const Node& conv = *images.node;
  const Value partials = conv.own_out(1);
  return match.to().apply(combine_moments_op, {partials},
                          {{"pieces", conv.attrs.integer("pieces")}, {"dtype", images.dtype()}});
}

constexpr Rule filters[] = {{"prepacked filter", &conv2d_op, prepack},
                            {"filter times a scale of its channels", &mul_op, fold_affine},
                            {"filter times a scale of its channels", &multiply_add_op, fold_affine},
                            {"filter times a scale of its channels", &add_op, fold_affine},
                            {"filter times a scale of its channels", &sub_op, fold_affine}};
constexpr Rule moments[] = {{"moments in a convolution", &conv2d_op, gather_moments},
                            {"moments that a convolution gathered", &column_moments_op, combine_gathered}};

}  // namespace

std::span<const Rule> prepacked_filters() { return filters; }
std::span<const Rule> fused_batch_statistics() { return moments; }

}  // namespace ravine::rules
