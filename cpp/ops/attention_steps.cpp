// Attention as primitives: for derivatives of derivatives and the gradient of a mask, whose memory grows with
// queries x keys.
#include <limits>

#include "graph/autodiff.h"
#include "ops/attention.h"
#include "ops/builders.h"

namespace ravine {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Weights {
  Value log_sums, before_dropout, factors;  // factors: of dropout; none without it

  Value dropped() const { return factors ? before_dropout * factors : before_dropout; }
};

// The kernels' random numbers: rows of whole groups of 64.
Value dropout_factors(const Node& node, const Attention& attention) {
  if (attention.dropout == 0) return {};
  Graph& graph = attention.graph();
  check<RuntimeError>(!graph.on_record, node.op->name,
                      ": second derivatives with dropout, and those by a mask, exist in compiled recordings "
                      "only: leave rv.eager(), or set dropout to 0");
  const std::int64_t row = (attention.keys + 63) / 64 * 64;
  const Value numbers = graph.apply1("uniform", {},
                                     {{"shape", attention.over_batch({attention.queries, row})},
                                      {"dtype", DType::float32},
                                      {"stream", node.attrs.integer("stream")}});
  const Value of_keys = ops::slice_axis(numbers, numbers.rank() - 1, 0, attention.keys);
  const Value kept = ops::greater_equal(of_keys, ops::scalar_like(of_keys, attention.dropout));
  const double factor = attention.dropout < 1 ? 1 / (1 - attention.dropout) : 0;
  return ops::cast(kept, attention.query.dtype()) * factor;
}

Weights weights_of(const Node& node, const Attention& attention) {
  Value scores =
      ops::broadcast_to(ops::matmul(attention.query * attention.scale, ops::swap_last_axes(attention.key)),
                        attention.over_batch({attention.queries, attention.keys}));
  const Value hidden = ops::scalar_like(scores, -infinity);
  if (attention.mask && attention.mask.dtype() == DType::boolean)
    scores = ops::where(attention.mask, scores, hidden);
  else if (attention.mask) scores = scores + attention.mask;
  if (attention.causal) {
    Graph& graph = attention.graph();
    const Value query_numbers = ops::reshape(ops::arange(graph, attention.queries), {attention.queries, 1});
    scores = ops::where(ops::less_equal(ops::arange(graph, attention.keys), query_numbers), scores, hidden);
  }
  const Value log_sums = ops::logsumexp(scores, {scores.rank() - 1}, /*keepdims=*/true);
  const Value of_any = ops::where(ops::equal(log_sums, hidden), ops::scalar_like(scores, infinity), log_sums);
  return {ops::reshape(of_any, attention.over_batch({attention.queries})), ops::exp(scores - of_any),
          dropout_factors(node, attention)};
}

// The gradient by the scores, mask included.
Value grad_of_scores(const Weights& weights, const Attention& attention, Value grad_output) {
  Value grad = ops::matmul(grad_output, ops::swap_last_axes(attention.value));
  if (weights.factors) grad = grad * weights.factors;
  const Value product = weights.before_dropout * grad;
  return product - weights.before_dropout * ops::sum(product, {product.rank() - 1}, /*keepdims=*/true);
}

}  // namespace

Values decompose_attention(const Node& node) {
  const Attention attention(node);
  const Weights weights = weights_of(node, attention);
  Values outputs{ops::matmul(weights.dropped(), attention.value), weights.log_sums};
  if (attention.dropout > 0) outputs.push_back(ops::arange(attention.graph(), 2));  // no derivative reads it
  return outputs;
}

// The weights are functions of the inputs here, so that a derivative goes through them.
Values decompose_attention_grad(const Node& node) {
  const Attention attention(node);
  const Value grad_output = AttentionGradInputs(node, attention).grad_output;
  const Weights weights = weights_of(node, attention);
  const Value grad_scores = grad_of_scores(weights, attention, grad_output);
  const auto over_batch = [&](Value grad, std::int64_t rows, std::int64_t columns) {
    return ops::broadcast_to(grad, attention.over_batch({rows, columns}));
  };
  return {over_batch(ops::matmul(grad_scores, attention.key) * attention.scale, attention.queries,
                     attention.depth),
          over_batch(ops::matmul(ops::swap_last_axes(grad_scores), attention.query) * attention.scale,
                     attention.keys, attention.depth),
          over_batch(ops::matmul(ops::swap_last_axes(weights.dropped()), grad_output), attention.keys,
                     attention.columns)};
}

Value grad_of_additive_mask(const Node& node, Value grad_output) {
  const Attention attention(node);
  return grad_of_scores(weights_of(node, attention), attention, grad_output);
}

}  // namespace ravine
