// Softmax and cross-entropy against float64, with every option; faults of labels.
#include <algorithm>
#include <optional>

#include "kernels/kernel_test.h"

namespace ravine::testing {
namespace {

using kernels::CrossEntropyArgs;
using kernels::CrossEntropyGradArgs;
using kernels::Fault;
using kernels::SoftmaxArgs;
using kernels::SoftmaxGradArgs;

struct Extent {
  std::int64_t rows, columns;
};
constexpr Extent extents[] = {{0, 3},   {3, 0},  {1, 1},   {1, 2},   {5, 3},   {128, 10},
                              {70, 16}, {9, 17}, {66, 32}, {66, 33}, {3, 257}, {2, 5000}};

template <class T>
constexpr double tolerance = std::is_same_v<T, float> ? 2e-6 : 5e-15;

template <class T>
Buffer<double> to_double(const Buffer<T>& from) {
  Buffer<double> to(from.size());
  std::copy(from.begin(), from.end(), to.begin());
  return to;
}

// log softmax of a row.
std::vector<double> log_probabilities(const double* x, std::int64_t columns) {
  const double highest = *std::max_element(x, x + columns);
  long double sum = 0;
  for (std::int64_t c = 0; c < columns; ++c) sum += std::exp(static_cast<long double>(x[c]) - highest);
  std::vector<double> result;
  for (std::int64_t c = 0; c < columns; ++c)
    result.push_back(static_cast<double>(x[c] - (highest + std::log(sum))));
  return result;
}

template <class T>
void check_softmax(const KernelTable& table, Extent extent, bool log, bool in_place) {
  const auto [rows, columns] = extent;
  SCOPED_TRACE(std::to_string(rows) + "x" + std::to_string(columns) + (log ? " log" : "") +
               (in_place ? " in place" : ""));
  const std::int64_t n = rows * columns;
  const Buffer<T> x = random_buffer<T>(n, 1, -30, 30), dy = random_buffer<T>(n, 2);
  Buffer<T> y(n), dx(n);
  const SoftmaxArgs args{rows, columns, in_place ? y.data() : x.data(), y.data(), log};
  run_same_bits(table, table.of(dtype_of<T>).softmax, args, {y.memory()}, {}, [&] {
    if (in_place && n > 0) std::memcpy(y.data(), x.data(), y.memory().size());
  });
  const SoftmaxGradArgs grad_args{rows, columns, y.data(), in_place ? dx.data() : dy.data(), dx.data(), log};
  run_same_bits(table, table.of(dtype_of<T>).softmax_grad, grad_args, {dx.memory()}, {}, [&] {
    if (in_place && n > 0) std::memcpy(dx.data(), dy.data(), dx.memory().size());
  });
  Buffer<double> expected(n), expected_grad(n);
  const Buffer<double> wide = to_double(x);
  for (std::int64_t r = 0; r < rows && columns > 0; ++r) {
    const std::vector<double> log_p = log_probabilities(wide.data() + r * columns, columns);
    double sum = 0;
    for (std::int64_t c = 0; c < columns; ++c)
      sum += dy[r * columns + c] * (log ? 1 : std::exp(log_p[static_cast<std::size_t>(c)]));
    for (std::int64_t c = 0; c < columns; ++c) {
      const double lp = log_p[static_cast<std::size_t>(c)], g = dy[r * columns + c];
      expected[r * columns + c] = log ? lp : std::exp(lp);
      expected_grad[r * columns + c] = log ? g - std::exp(lp) * sum : std::exp(lp) * (g - sum);
    }
  }
  expect_close(y, expected, tolerance<T>, tolerance<T>);
  expect_close(dx, expected_grad, tolerance<T> * 20, tolerance<T> * 20);
}

TEST(Softmax, ForwardAndGradient) {
  on_every_isa([](const KernelTable& table) {
    for (const Extent extent : extents)
      for (const bool log : {false, true})
        for (const bool in_place : {false, true}) {
          check_softmax<float>(table, extent, log, in_place);
          check_softmax<double>(table, extent, log, in_place);
        }
  });
}

TEST(Softmax, ExtremeLogits) {
  on_every_isa([](const KernelTable& table) {
    constexpr float infinity = std::numeric_limits<float>::infinity(),
                    nan = std::numeric_limits<float>::quiet_NaN();
    const Buffer<float> x{3e38f, -3e38f, 0, /**/ -infinity, 1, 1, /**/ nan, 1, 2};
    Buffer<float> y(9);
    for (const bool log : {false, true}) {
      const SoftmaxArgs args{3, 3, x.data(), y.data(), log};
      run_same_bits(table, table.float32.softmax, args, {y.memory()});
      const double half = log ? -std::log(2.0) : 0.5, one = log ? 0 : 1, none = log ? -infinity : 0;
      // -3e38 - 3e38 overflows to -infinity
      expect_close(y, std::vector<double>{one, none, log ? -3e38f : 0.0, none, half, half, nan, nan, nan},
                   1e-6, 1e-6);
    }
  });
}

// ---- cross-entropy

struct Options {
  bool targets = false, weights = false, int32_labels = false;
  double label_smoothing = 0;
};

template <class T>
void check_cross_entropy(const KernelTable& table, Extent extent, Options options) {
  const auto [rows, columns] = extent;
  SCOPED_TRACE(std::string(ravine::name_of(dtype_of<T>)) + " " + std::to_string(rows) + "x" +
               std::to_string(columns) + (options.targets ? " targets" : "") +
               (options.weights ? " weights" : "") + (options.int32_labels ? " int32" : "") + " smoothing " +
               std::to_string(options.label_smoothing));
  const std::int64_t n = rows * columns, ignored = 1;
  const Buffer<T> x = random_buffer<T>(n, 3, -8, 8), targets = random_buffer<T>(n, 4, 0, 1),
                  weights = random_buffer<T>(columns, 5, 0.2, 2), grad_losses = random_buffer<T>(rows, 6);
  const Buffer<std::int64_t> labels = random_buffer<std::int64_t>(rows, 7, 0, static_cast<double>(columns));
  Buffer<std::int32_t> short_labels(rows);
  std::copy(labels.begin(), labels.end(), short_labels.begin());

  Buffer<T> losses(rows), row_weights(rows), maxima(rows), log_sums(rows), dx(n);
  Fault fault;
  CrossEntropyArgs args{.rows = rows, .columns = columns, .logits = x.data()};
  CrossEntropyGradArgs grad_args{.rows = rows, .columns = columns, .logits = x.data()};
  const auto set = [&](auto& a) {
    if (options.targets) {
      a.targets = targets.data();
    } else {
      a.labels = options.int32_labels ? static_cast<const void*>(short_labels.data()) : labels.data();
      a.label_dtype = options.int32_labels ? DType::int32 : DType::int64;
    }
    if (options.weights) a.class_weights = weights.data();
    a.label_smoothing = options.label_smoothing;
    a.ignore_index = ignored;
  };
  set(args);
  set(grad_args);
  args.losses = losses.data(), args.row_weights = row_weights.data(), args.maxima = maxima.data(),
  args.log_sums = log_sums.data();
  args.fault = &fault;
  run_same_bits(table, table.of(dtype_of<T>).cross_entropy, args,
                {losses.memory(), row_weights.memory(), maxima.memory(), log_sums.memory()});
  EXPECT_EQ(fault.code, 0);
  grad_args.maxima = maxima.data();
  grad_args.log_sums = log_sums.data();
  grad_args.grad_losses = grad_losses.data();
  grad_args.grad_logits = dx.data();
  run_same_bits(table, table.of(dtype_of<T>).cross_entropy_grad, grad_args, {dx.memory()});

  Buffer<double> expected_losses(rows), expected_weights(rows), expected_grad(n);
  const Buffer<double> wide = to_double(x);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::vector<double> log_p = log_probabilities(wide.data() + r * columns, columns);
    const bool absent = !options.targets && labels[r] == ignored;
    double loss = 0, sum = 0;
    std::vector<double> coefficients;
    for (std::int64_t c = 0; c < columns; ++c) {
      const double t =
          options.targets ? static_cast<double>(targets[r * columns + c]) : double(labels[r] == c);
      const double smoothed =
          (1 - options.label_smoothing) * t + options.label_smoothing / static_cast<double>(columns);
      coefficients.push_back(absent ? 0 : smoothed * (options.weights ? static_cast<double>(weights[c]) : 1));
      sum += coefficients.back();
      loss -= coefficients.back() * log_p[static_cast<std::size_t>(c)];
    }
    for (std::int64_t c = 0; c < columns; ++c) {
      const auto at = static_cast<std::size_t>(c);
      expected_grad[r * columns + c] = grad_losses[r] * (std::exp(log_p[at]) * sum - coefficients[at]);
    }
    expected_losses[r] = loss;
    expected_weights[r] = absent                                ? 0
                          : options.targets || !options.weights ? 1
                                                                : static_cast<double>(weights[labels[r]]);
  }
  const double relative = tolerance<T> * 4;
  expect_close(losses, expected_losses, relative, relative, "losses");
  expect_close(row_weights, expected_weights, 0, 0, "row weights");
  // p sum(t w) with sum(t w) up to `columns`
  expect_close(dx, expected_grad, relative * 4, relative * 4, "gradient");

  // One gradient for all rows.
  if (rows == 0) return;
  grad_args.grad_stride = 0;
  run_same_bits(table, table.of(dtype_of<T>).cross_entropy_grad, grad_args, {dx.memory()});
  for (std::int64_t i = 0; i < n; ++i)
    if (grad_losses[i / columns] != T(0))
      expected_grad[i] *= grad_losses[0] / static_cast<double>(grad_losses[i / columns]);
  expect_close(dx, expected_grad, relative * 4, relative * 4, "gradient of the sum");
}

TEST(CrossEntropy, EveryOption) {
  on_every_isa([](const KernelTable& table) {
    for (const Extent extent :
         {Extent{0, 3}, {1, 1}, {1, 2}, {5, 3}, {128, 10}, {70, 16}, {9, 17}, {66, 32}, {66, 33}, {3, 257}})
      for (const bool targets : {false, true})
        for (const bool weights : {false, true})
          for (const double smoothing : {0.0, 0.1}) {
            const Options options{targets, weights, extent.rows == 5, smoothing};
            check_cross_entropy<float>(table, extent, options);
            check_cross_entropy<double>(table, extent, options);
            if (::testing::Test::HasFailure()) return;
          }
  });
}

TEST(CrossEntropy, LabelsOutOfRangeAreFaults) {
  on_every_isa([](const KernelTable& table) {
    const Buffer<float> x = random_buffer<float>(12, 1);
    for (const std::int64_t bad : {std::int64_t{3}, std::int64_t{-1}, std::int64_t{1} << 40}) {
      const Buffer<std::int64_t> labels{0, bad, -100, 2};
      Buffer<float> losses(4), weights(4), maxima(4), log_sums(4), dx(12);
      Fault fault;
      const CrossEntropyArgs args{.rows = 4,
                                  .columns = 3,
                                  .logits = x.data(),
                                  .labels = labels.data(),
                                  .losses = losses.data(),
                                  .row_weights = weights.data(),
                                  .maxima = maxima.data(),
                                  .log_sums = log_sums.data(),
                                  .fault = &fault,
                                  .fault_code = 9};
      run_same_bits(table, table.float32.cross_entropy, args, {losses.memory(), weights.memory()});
      EXPECT_EQ(fault.code, 9);
      EXPECT_EQ(fault.value, bad);
      EXPECT_EQ(losses[1], 0);
      EXPECT_EQ(losses[2], 0);
      EXPECT_GT(losses[3], 0);
      EXPECT_EQ(weights[1], 0);
      const Buffer<float> one{1};
      const CrossEntropyGradArgs grad_args{.rows = 4,
                                           .columns = 3,
                                           .logits = x.data(),
                                           .labels = labels.data(),
                                           .maxima = maxima.data(),
                                           .log_sums = log_sums.data(),
                                           .grad_losses = one.data(),
                                           .grad_stride = 0,
                                           .grad_logits = dx.data()};
      run_same_bits(table, table.float32.cross_entropy_grad, grad_args, {dx.memory()});
      for (int c = 3; c < 9; ++c) EXPECT_EQ(dx[c], 0);
      EXPECT_NE(dx[0], 0);
    }
  });
}

TEST(CrossEntropy, ClassesRuledOutByTheirLogit) {
  on_every_isa([](const KernelTable& table) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const Buffer<double> x{0, -infinity, 0}, targets{0.5, 0, 0.5}, one{1};
    Buffer<double> loss(1), weight(1), maxima(1), log_sums(1), dx(3);
    CrossEntropyArgs args{.rows = 1,
                          .columns = 3,
                          .logits = x.data(),
                          .targets = targets.data(),
                          .losses = loss.data(),
                          .row_weights = weight.data(),
                          .maxima = maxima.data(),
                          .log_sums = log_sums.data()};
    run(table, table.float64.cross_entropy, args);
    EXPECT_NEAR(loss[0], std::log(2), 1e-15);
    const CrossEntropyGradArgs grad_args{.rows = 1,
                                         .columns = 3,
                                         .logits = x.data(),
                                         .targets = targets.data(),
                                         .maxima = maxima.data(),
                                         .log_sums = log_sums.data(),
                                         .grad_losses = one.data(),
                                         .grad_logits = dx.data()};
    run(table, table.float64.cross_entropy_grad, grad_args);
    expect_close(dx, std::vector<double>{0, 0, 0}, 0, 1e-15);
    const Buffer<std::int64_t> label{1};
    args.targets = nullptr;
    args.labels = label.data();
    run(table, table.float64.cross_entropy, args);
    EXPECT_EQ(loss[0], infinity);
  });
}

// ---- limits

// Rows of whole quarters between -3 and 3, at any offset exact, with one dominating logit in every other row.
template <class T>
void check_offsets(const KernelTable& table, std::int64_t columns, double offset) {
  SCOPED_TRACE(std::to_string(columns) + " classes, offset " + std::to_string(offset));
  constexpr std::int64_t rows = 67;
  Buffer<T> x = random_buffer<T>(rows * columns, 8, -12, 12), log_p(rows * columns), dx(rows * columns);
  Buffer<std::int64_t> labels(rows);
  for (std::int64_t r = 0; r < rows; ++r) {
    labels[r] = (3 * r) % columns;
    for (std::int64_t c = 0; c < columns; ++c) {
      T& value = x[r * columns + c];
      value = std::nearbyint(value) / 4;
      if (r % 2 == 0 && c == labels[r]) value += 24;
    }
  }
  std::vector<double> expected;
  std::vector<double> expected_losses, expected_grad;
  for (std::int64_t r = 0; r < rows; ++r) {
    std::vector<long double> z;
    for (std::int64_t c = 0; c < columns; ++c) z.push_back(x[r * columns + c]);
    const long double highest = *std::max_element(z.begin(), z.end());
    long double others = 0;  // the terms that are not the maximum's, and the maxima but one
    std::int64_t maxima = 0;
    for (const long double value : z) {
      if (value == highest) ++maxima;
      else others += std::exp(value - highest);
    }
    others += static_cast<long double>(maxima - 1);
    long double rest = 0;
    const long double log_sum = std::log1p(others);
    for (const long double value : z) expected.push_back(static_cast<double>(value - highest - log_sum));
    const auto label = static_cast<std::size_t>(labels[r]);
    for (std::size_t c = 0; c < z.size(); ++c)
      if (c != label) rest += std::exp(z[c] - highest - log_sum);
    expected_losses.push_back(static_cast<double>(highest - z[label] + log_sum));
    for (std::size_t c = 0; c < z.size(); ++c)
      expected_grad.push_back(static_cast<double>(c == label ? -rest : std::exp(z[c] - highest - log_sum)));
  }
  for (T& value : x) value += static_cast<T>(offset);
  const SoftmaxArgs log_args{rows, columns, x.data(), log_p.data(), /*log=*/true};
  run_same_bits(table, table.of(dtype_of<T>).softmax, log_args, {log_p.memory()});
  Buffer<T> losses(rows), row_weights(rows), maxima(rows), log_sums(rows);
  const CrossEntropyArgs args{.rows = rows,
                              .columns = columns,
                              .logits = x.data(),
                              .labels = labels.data(),
                              .losses = losses.data(),
                              .row_weights = row_weights.data(),
                              .maxima = maxima.data(),
                              .log_sums = log_sums.data()};
  run_same_bits(table, table.of(dtype_of<T>).cross_entropy, args, {losses.memory(), log_sums.memory()});
  const Buffer<T> one{1};
  const CrossEntropyGradArgs grad_args{.rows = rows,
                                       .columns = columns,
                                       .logits = x.data(),
                                       .labels = labels.data(),
                                       .maxima = maxima.data(),
                                       .log_sums = log_sums.data(),
                                       .grad_losses = one.data(),
                                       .grad_stride = 0,
                                       .grad_logits = dx.data()};
  run_same_bits(table, table.of(dtype_of<T>).cross_entropy_grad, grad_args, {dx.memory()});
  // Relative to each number, however small it is.
  const double relative = tolerance<T> * 2, least = columns == 1 ? tolerance<T> : 0;
  expect_close(log_p, expected, relative, least, "log_softmax");
  expect_close(losses, expected_losses, relative, least, "losses");
  expect_close(dx, expected_grad, relative * 4, least, "gradient");
}

TEST(CrossEntropy, NeitherOffsetsNorDominanceCostDigits) {
  on_every_isa([](const KernelTable& table) {
    for (const std::int64_t columns : {1, 2, 7, 10, 32, 33, 131})
      for (const double offset : {0.0, 1e3, -0x1p18, 0x1p20}) {
        check_offsets<float>(table, columns, offset);
        check_offsets<double>(table, columns, offset * 0x1p20);
        if (::testing::Test::HasFailure()) return;
      }
  });
}

TEST(CrossEntropy, EqualLogitsOfAnySizeLoseTheLogarithmOfTheirNumber) {
  on_every_isa([](const KernelTable& table) {
    for (const std::int64_t columns : {2, 5, 32, 40})
      for (const float size : {1.f, 1e8f, -1e20f, 3e38f}) {
        Buffer<float> x(columns), loss(1), weight(1), maximum(1), log_sum(1);
        for (float& value : x) value = size;
        const Buffer<std::int64_t> label{columns - 1};
        const CrossEntropyArgs args{.rows = 1,
                                    .columns = columns,
                                    .logits = x.data(),
                                    .labels = label.data(),
                                    .losses = loss.data(),
                                    .row_weights = weight.data(),
                                    .maxima = maximum.data(),
                                    .log_sums = log_sum.data()};
        run_same_bits(table, table.float32.cross_entropy, args, {loss.memory()});
        EXPECT_NEAR(loss[0], std::log(static_cast<double>(columns)), 1e-6) << columns << " of " << size;
      }
  });
}

TEST(CrossEntropy, IgnoredRowsHaveNoGradientWhateverComesFromAbove) {
  on_every_isa([](const KernelTable& table) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const std::int64_t columns : {1, 5, 32, 33, 200})
      for (const bool weighted : {false, true})
        for (const double smoothing : {0.0, 0.1}) {
          constexpr std::int64_t rows = 9;
          Buffer<float> x = random_buffer<float>(rows * columns, 9), dx(rows * columns);
          x[0] = nan;
          Buffer<std::int64_t> labels(rows);
          for (std::int64_t& label : labels) label = -100;
          const Buffer<float> weights = random_buffer<float>(columns, 10, 1, 2), grad{nan},
                              maxima = random_buffer<float>(rows, 11),
                              log_sums = random_buffer<float>(rows, 12);
          const CrossEntropyGradArgs args{.rows = rows,
                                          .columns = columns,
                                          .logits = x.data(),
                                          .labels = labels.data(),
                                          .class_weights = weighted ? weights.data() : nullptr,
                                          .label_smoothing = smoothing,
                                          .maxima = maxima.data(),
                                          .log_sums = log_sums.data(),
                                          .grad_losses = grad.data(),
                                          .grad_stride = 0,
                                          .grad_logits = dx.data()};
          run_same_bits(table, table.float32.cross_entropy_grad, args, {dx.memory()});
          expect_close(dx, std::vector<double>(static_cast<std::size_t>(rows * columns), 0), 0, 0);
        }
  });
}

TEST(CrossEntropy, AWeightOfZeroTakesAnInfiniteLoss) {
  on_every_isa([](const KernelTable& table) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    const Buffer<float> x{0, -infinity, 0}, class_weights{1, 0, 1};
    const Buffer<std::int64_t> label{1};
    for (const double smoothing : {0.0, 0.3}) {
      Buffer<float> loss(1), weight(1), maximum(1), log_sum(1);
      const CrossEntropyArgs args{.rows = 1,
                                  .columns = 3,
                                  .logits = x.data(),
                                  .labels = label.data(),
                                  .class_weights = class_weights.data(),
                                  .label_smoothing = smoothing,
                                  .losses = loss.data(),
                                  .row_weights = weight.data(),
                                  .maxima = maximum.data(),
                                  .log_sums = log_sum.data()};
      run_same_bits(table, table.float32.cross_entropy, args, {loss.memory(), weight.memory()});
      EXPECT_NEAR(loss[0], smoothing * 2 / 3 * std::log(2), 1e-6);
      EXPECT_EQ(weight[0], 0);
    }
  });
}

}  // namespace
}  // namespace ravine::testing
