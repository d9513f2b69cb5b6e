#include "core/error.h"
#include "ops/builders.h"
#include "ops/linalg.h"
#include "ops/list.h"
#include "optim/matmul_update.h"
#include "optim/optimizer.h"
#include "rules/rules.h"

namespace ravine::rules {
namespace {

using Replacement = std::optional<Values>;

bool swaps_two_axes(const Node& node) {
  return node.op == &transpose_op && node.outputs[0].shape.rank() == 2 && node.attrs.dims("axes")[0] == 1;
}

// The product is then written in the order in which it is wanted. The gradient of a linear layer's weight,
// stored [out, in], has this form.
Replacement transpose_operands(const Match& match) {
  const Node& node = match.node;
  const Node& product = *match.inputs[0].node;
  if (!swaps_two_axes(node) || product.op != &matmul_op || product.inputs[0].rank() != 2 ||
      product.inputs[1].rank() != 2 || !match.users().has_one(*node.inputs[0].node))
    return std::nullopt;
  const auto swapped = [&](const Value& matrix) -> Value {
    return swaps_two_axes(*matrix.node) ? matrix.node->inputs[0] : ops::swap_last_axes(matrix);
  };
  const Value a = swapped(product.inputs[1]), b = swapped(product.inputs[0]);
  return Values{ops::matmul(a, b)};
}

// ---- updates

// States change while updates run, so that a product of one cannot wait so long.
bool reads_state(Value value) {
  while (value.node->op->kind == OpKind::view) value = value.node->inputs[0];
  return value.node->op->kind == OpKind::state;
}

// From 2^18 numbers on an update piece by piece spares the gradient the way through memory; with a short sum,
// by far less work, the way to another core's cache, as a rule alone divides its numbers in other parts than
// a product. (784 x 128, 32 rows, two cores far from each other: 54 us a step instead of 72; with 128 rows 3
// % slower.) In one call many small parameters cost less than in calls of their own.
bool is_worth_an_update(const Node& product) {
  constexpr std::int64_t large = std::int64_t{1} << 18, small = std::int64_t{1} << 13, short_sum = 64;
  const std::int64_t elements = numel(product.outputs[0].shape), depth = product.inputs[0].shape().back();
  return elements >= large || (elements >= small && depth <= short_sum);
}

// A gradient that the step alone reads need not exist as a whole.
Replacement update_in_products(const Match& match) {
  const Node& step = match.node;
  const auto& optimizer = static_cast<const optim::Optimizer&>(*step.target);
  Values gradients = match.inputs;
  bool found = false;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const Node& product = *step.inputs[i].node;
    if (product.op != &matmul_op || product.outputs[0].shape.rank() != 2 || !match.users().has_one(product) ||
        !optim::updates_by_parts(optimizer, i) || !is_worth_an_update(product) ||
        reads_state(product.inputs[0]) || reads_state(product.inputs[1]))
      continue;
    match.to().origin.scope = product.origin.scope;  // the layer's, not the optimizer's
    gradients[i] = match.to().effect(optim::matmul_update_op,
                                     {match.now(product.inputs[0]), match.now(product.inputs[1])},
                                     step.target, {{"parameter", static_cast<std::int64_t>(i)}})[0];
    found = true;
  }
  if (!found) return std::nullopt;
  match.to().origin = step.origin;
  return match.to().effect(*step.op, std::move(gradients), step.target, step.attrs);
}

// ---- sums of rows

bool sums_rows(const Node& node) {
  return node.op == &sum_op && node.input_shape(0).rank() == 2 && is_floating(node.input_dtype(0)) &&
         node.attrs.dims("axes") == Axes{0};
}

// Whether the product comes before whoever reads the sum. Effects come behind everything else, and outputs of
// the unit are made ready before the first.
bool comes_before_users(const Match& match, const Node& sum) {
  const bool is_effect = match.node.op->kind == OpKind::effect;
  // A view of what an effect gives would come before it.
  if (is_effect && (match.users().wanted(sum) || sum.outputs[0].shape.rank() != 1)) return false;
  for (const Node* user : match.users().of(sum)) {
    const bool at_work_later = user->op->kind == OpKind::effect && user->op->lower != nullptr;
    const bool after = user->id > match.node.id;
    if (is_effect ? !(at_work_later && after) : !(user->op->kind == OpKind::effect || after)) return false;
  }
  return true;
}

// A sum over the rows of the matrix whose transpose the product reads as its left side.
const Node* sum_of_left_side(const Match& match) {
  const Node& transposed = *match.node.inputs[0].node;
  if (!swaps_two_axes(transposed)) return nullptr;
  const Value matrix = transposed.inputs[0];
  for (const Node* user : match.users().of(*matrix.node))
    if (sums_rows(*user) && user->inputs[0] == matrix && !match.rewriting.is_replaced(*user) &&
        comes_before_users(match, *user))
      return user;
  return nullptr;
}

void replace_sum(const Match& match, const Node& sum, Value row_sums) {
  match.rewriting.replace(sum, {ops::reshape(row_sums, sum.outputs[0].shape)});
}

// A bias's gradient sums what the weight's gradient, a product of its transpose, reads anyway.
Replacement sum_in_matmul(const Match& match) {
  const Shape& result = match.node.outputs[0].shape;
  if (result.rank() != 2 || result.back() == 0) return std::nullopt;
  const Node* sum = sum_of_left_side(match);
  if (sum == nullptr) return std::nullopt;
  const Values values = match.to().apply(matmul_row_sums_op, match.inputs);
  replace_sum(match, *sum, values[1]);
  return Values{values[0]};
}

Replacement sum_in_update(const Match& match) {
  const Node* sum = sum_of_left_side(match);
  if (sum == nullptr) return std::nullopt;
  Attrs attrs = match.node.attrs;
  attrs.set("row_sums", true);
  const Values values = match.to().effect(*match.node.op, match.inputs, match.node.target, std::move(attrs));
  replace_sum(match, *sum, values[1]);
  return Values{values[0]};
}

constexpr Rule transposes[] = {{"transpose of a product", &transpose_op, transpose_operands}};
constexpr Rule updates[] = {{"update in products", &optim::optimizer_step_op, update_in_products}};
constexpr Rule sums[] = {{"row sums in a product", &matmul_op, sum_in_matmul},
                         {"row sums in an update", &optim::matmul_update_op, sum_in_update}};

}  // namespace

std::span<const Rule> transposed_products() { return transposes; }
std::span<const Rule> fused_updates() { return updates; }
std::span<const Rule> fused_bias_gradients() { return sums; }

}  // namespace ravine::rules
