// Attention, forward and backward, against its formula in float64.
#include "kernels/api/attention.h"

#include <algorithm>

#include "core/philox.h"
#include "kernel_test.h"

namespace ravine::testing {
namespace {

using namespace kernels;
using Doubles = std::vector<double>;

struct Layer {
  std::int64_t heads, queries, keys, depth, columns;
  bool causal = false;
  AttentionMask mask = AttentionMask::none;
  double dropout = 0;
  bool shared_keys = false;  // one key and one value for all heads
  std::int64_t gap = 0;      // between rows in memory
};

constexpr RandomState random_state{12345, 678};
constexpr std::uint32_t stream = 9;

double dropout_factor(const Layer& layer, std::int64_t query, std::int64_t key) {
  if (layer.dropout == 0) return 1;
  const auto element = static_cast<std::uint64_t>(query * ((layer.keys + 63) / 64 * 64) + key);
  const std::uint64_t group = element / 64, inside = element % 64, counter = group * 16 + inside % 16;
  const PhiloxCounter words = philox4x32(
      {static_cast<std::uint32_t>(counter), stream, static_cast<std::uint32_t>(random_state.step),
       static_cast<std::uint32_t>(counter >> 32 << 16)},
      {static_cast<std::uint32_t>(random_state.seed), static_cast<std::uint32_t>(random_state.seed >> 32)});
  const float number = static_cast<float>(words[inside / 16] >> 8) * 0x1p-24f;
  return number >= static_cast<float>(layer.dropout) && layer.dropout < 1 ? 1 / (1 - layer.dropout) : 0;
}

// Matrices [heads, rows, columns] with gaps behind the rows.
template <class T>
struct Matrices {
  std::int64_t heads, rows, columns, stride;
  Buffer<T> memory;

  Matrices(const Layer& layer, std::int64_t n, std::int64_t r, std::int64_t c)
      : heads(n), rows(r), columns(c), stride(c + layer.gap), memory(n * r * (c + layer.gap)) {}
  Matrices& fill(std::uint64_t seed, double spread) {
    const Buffer<T> numbers = random_buffer<T>(heads * rows * columns, seed, -spread, spread);
    for (std::int64_t i = 0; i < heads * rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j) memory[i * stride + j] = numbers[i * columns + j];
    return *this;
  }
  std::int64_t head_stride() const { return heads == 1 ? 0 : rows * stride; }
  double at(std::int64_t head, std::int64_t i, std::int64_t j) const {
    return static_cast<double>(memory[head * head_stride() + i * stride + j]);
  }
  Buffer<T> dense() const {
    Buffer<T> to(heads * rows * columns);
    for (std::int64_t i = 0; i < heads * rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j) to[i * columns + j] = memory[i * stride + j];
    return to;
  }
  template <class Matrix>
  void describe(Matrix& matrix) {
    matrix.data = memory.data();
    matrix.row_stride = stride;
    matrix.batch_strides[0] = head_stride();
  }
};

// What goes into both directions, and the results as they should be.
template <class T>
struct Problem {
  Layer layer;
  Matrices<T> query, key, value, grad_output;
  Buffer<T> added;
  Buffer<std::uint8_t> seen;
  Doubles output, log_sums, grad_query, grad_key, grad_value;

  explicit Problem(const Layer& of)
      : layer(of),
        query(of, of.heads, of.queries, of.depth),
        key(of, of.shared_keys ? 1 : of.heads, of.keys, of.depth),
        value(of, of.shared_keys ? 1 : of.heads, of.keys, of.columns),
        grad_output(of, of.heads, of.queries, of.columns),
        added(random_buffer<T>(of.queries * of.keys, 5, -2, 2)),
        seen(of.queries * of.keys) {
    query.fill(1, 2);
    key.fill(2, 2);
    value.fill(3, 1);
    grad_output.fill(4, 1);
    for (std::int64_t i = 0; i < seen.size(); ++i) seen[i] = i % 3 != 1;
    // Query 2 sees nothing.
    for (std::int64_t j = 0; j < of.keys && of.queries > 2; ++j) {
      seen[2 * of.keys + j] = 0;
      added[2 * of.keys + j] = -std::numeric_limits<T>::infinity();
    }
    const auto zeros = [&](std::int64_t n) { return Doubles(static_cast<std::size_t>(of.heads * n), 0.0); };
    output = zeros(of.queries * of.columns);
    log_sums = zeros(of.queries);
    grad_query = zeros(of.queries * of.depth);
    grad_key = zeros(of.keys * of.depth);
    grad_value = zeros(of.keys * of.columns);
    for (std::int64_t head = 0; head < of.heads; ++head)
      for (std::int64_t i = 0; i < of.queries; ++i) solve(head, i);
  }
  double scale() const {
    return 0.7 / std::sqrt(static_cast<double>(std::max<std::int64_t>(layer.depth, 1)));
  }

  void solve(std::int64_t head, std::int64_t i) {
    const std::int64_t S = layer.keys, E = layer.depth, F = layer.columns, L = layer.queries;
    const auto in = [](Doubles& values, std::int64_t k) -> double& {
      return values[static_cast<std::size_t>(k)];
    };
    Doubles weights(static_cast<std::size_t>(S), 0.0), grads(static_cast<std::size_t>(S), 0.0);
    constexpr double infinity = std::numeric_limits<double>::infinity();
    double maximum = -infinity, sum = 0, row_sum = 0;
    for (std::int64_t j = 0; j < S; ++j) {
      double& score = in(weights, j);
      for (std::int64_t p = 0; p < E; ++p) score += query.at(head, i, p) * key.at(head, j, p) * scale();
      if (layer.mask == AttentionMask::additive) score += static_cast<double>(added[i * S + j]);
      if (layer.mask == AttentionMask::boolean && seen[i * S + j] == 0) score = -infinity;
      if (layer.causal && j > i) score = -infinity;
      maximum = std::max(maximum, score);
    }
    for (double& weight : weights) sum += weight = maximum == -infinity ? 0 : std::exp(weight - maximum);
    in(log_sums, head * L + i) = sum == 0 ? infinity : maximum + std::log(sum);
    for (std::int64_t j = 0; j < S; ++j) {
      double& weight = in(weights, j);
      if (sum > 0) weight /= sum;
      const double factor = dropout_factor(layer, head * L + i, j);
      for (std::int64_t c = 0; c < F; ++c) {
        in(output, (head * L + i) * F + c) += weight * factor * value.at(head, j, c);
        in(grads, j) += factor * grad_output.at(head, i, c) * value.at(head, j, c);
        in(grad_value, (head * S + j) * F + c) += weight * factor * grad_output.at(head, i, c);
      }
      row_sum += weight * in(grads, j);
    }
    for (std::int64_t j = 0; j < S; ++j) {
      const double grad = in(weights, j) * (in(grads, j) - row_sum) * scale();
      for (std::int64_t p = 0; p < E; ++p) {
        in(grad_query, (head * L + i) * E + p) += grad * key.at(head, j, p);
        in(grad_key, (head * S + j) * E + p) += grad * query.at(head, i, p);
      }
    }
  }

  void describe(AttentionShape& args) {
    args.batch_rank = 1;
    args.batch_extents[0] = layer.heads;
    args.queries = layer.queries;
    args.keys = layer.keys;
    args.depth = layer.depth;
    args.columns = layer.columns;
    args.scale = scale();
    args.causal = layer.causal;
    args.dropout = layer.dropout;
    args.stream = stream;
    query.describe(args.query);
    key.describe(args.key);
    value.describe(args.value);
    args.mask_kind = layer.mask;
    args.mask.row_stride = layer.keys;
    args.mask.data =
        layer.mask == AttentionMask::boolean ? static_cast<const void*>(seen.data()) : added.data();
  }
};

template <class T>
void check(const Layer& layer) {
  SCOPED_TRACE(::testing::Message() << layer.heads << " heads, " << layer.queries << " x " << layer.keys
                                    << ", " << layer.depth << " and " << layer.columns << " wide, causal "
                                    << layer.causal << ", mask " << static_cast<int>(layer.mask)
                                    << ", dropout " << layer.dropout << ", " << sizeof(T));
  Problem<T> problem(layer);
  const double eps = sizeof(T) == 4 ? 4e-6 : 1e-14;
  on_every_isa([&](const KernelTable& table) {
    const FloatKernels& kernels = table.of(dtype_of<T>);
    Matrices<T> output(layer, layer.heads, layer.queries, layer.columns);
    Buffer<T> log_sums(layer.heads * layer.queries);
    Buffer<std::int64_t> drawn(2);
    AttentionArgs args;
    problem.describe(args);
    output.describe(args.output);
    args.log_sums = log_sums.data();
    args.random = &random_state;
    args.drawn = drawn.data();
    run_same_bits(table, kernels.attention, args,
                  {output.memory.memory(), log_sums.memory(), drawn.memory()});
    expect_close(output.dense(), problem.output, eps, eps, "output");
    expect_close(log_sums, problem.log_sums, eps, eps, "logarithms of sums");

    Matrices<T> grad_query(layer, layer.heads, layer.queries, layer.depth),
        grad_key(layer, layer.heads, layer.keys, layer.depth),
        grad_value(layer, layer.heads, layer.keys, layer.columns);
    AttentionGradArgs back;
    problem.describe(back);
    output.describe(back.output);
    problem.grad_output.describe(back.grad_output);
    back.log_sums = log_sums.data();
    back.drawn = drawn.data();
    grad_query.describe(back.grad_query);
    grad_key.describe(back.grad_key);
    grad_value.describe(back.grad_value);
    Buffer<std::byte> workspace(static_cast<std::int64_t>(kernels.attention_grad_workspace(back)));
    back.workspace = workspace.data();
    run_same_bits(table, kernels.attention_grad, back,
                  {grad_query.memory.memory(), grad_key.memory.memory(), grad_value.memory.memory()},
                  {workspace.memory()});
    const double loose = 5 * eps;
    expect_close(grad_query.dense(), problem.grad_query, loose, loose, "queries' gradient");
    expect_close(grad_key.dense(), problem.grad_key, loose, loose, "keys' gradient");
    expect_close(grad_value.dense(), problem.grad_value, loose, loose, "values' gradient");
  });
}

// Around vectors, panels, tiles and blocks of queries and keys; where the keys of few heads are cut in parts.
TEST(Attention, AgreesWithTheFormula) {
  for (const bool causal : {false, true}) {
    for (const Layer& layer : {Layer{1, 1, 1, 1, 1}, Layer{3, 5, 7, 3, 2}, Layer{2, 25, 17, 8, 16},
                               Layer{2, 17, 25, 33, 5}, Layer{2, 100, 129, 16, 24}, Layer{1, 300, 270, 9, 8},
                               Layer{17, 30, 33, 4, 4}, Layer{1, 2, 600, 3, 3}, Layer{1, 600, 3, 3, 3}}) {
      Layer of = layer;
      of.causal = causal;
      check<float>(of);
      check<double>(of);
    }
  }
}

TEST(Attention, MasksDropsAndSharesKeysInStridedMemory) {
  for (const AttentionMask mask : {AttentionMask::none, AttentionMask::boolean, AttentionMask::additive})
    for (const double dropout : {0.0, 0.4})
      for (const bool causal : {false, true}) {
        const Layer layer{3, 70, 140, 20, 10, causal, mask, dropout, true, 3};
        check<float>(layer);
        check<double>(layer);
      }
}

TEST(Attention, IsWide) {
  check<float>({1, 9, 40, 1100, 700});
  check<double>({1, 9, 40, 600, 1100, true});
}

TEST(Attention, HasNoQueriesNoKeysNoHeadsOrNoFeatures) {
  for (const bool causal : {false, true})
    for (const Layer& layer :
         {Layer{2, 0, 5, 4, 4, causal}, Layer{2, 5, 0, 4, 4, causal}, Layer{0, 5, 5, 4, 4, causal},
          Layer{2, 5, 6, 0, 4, causal}, Layer{2, 5, 6, 4, 0, causal}})
      check<float>(layer);
}

TEST(Attention, DropsAllWeights) { check<float>({2, 9, 20, 8, 8, false, AttentionMask::none, 1.0}); }

}  // namespace
}  // namespace ravine::testing
