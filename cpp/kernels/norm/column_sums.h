// Sums over some rows of dense columns, in T: the blocks that the statistics of BatchNorm and GroupNorm are
// combined from, in double.
#pragma once

#include "kernels/base/vector_loop.h"
#include "kernels/tile/formulas.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

// Rows whose sums in T are added up before they are combined with others in double.
inline constexpr std::int64_t piece_rows = 128;
// Columns that one thread sums side by side, its sums stay in the L1 cache.
inline constexpr std::int64_t max_block = 512;
inline constexpr int group_rows = 8;  // rows that are read together between two updates of the sums

template <int K>
struct Rows {
  static constexpr int count = K;
};

template <class Body>
RAVINE_INLINE void for_each_row_group(std::int64_t rows, Body body) {
  std::int64_t row = 0;
  for (; row + group_rows <= rows; row += group_rows) body(row, Rows<group_rows>{});
  for (; row < rows; ++row) body(row, Rows<1>{});
}

template <class T, int K>
RAVINE_INLINE Vec<T> sum_pairwise(Vec<T> (&terms)[K]) {
#pragma GCC unroll 8
  for (int step = 1; step < K; step *= 2)
#pragma GCC unroll 8
    for (int k = 0; k < K; k += 2 * step) terms[k] += terms[k + step];
  return terms[0];
}

template <class T>
RAVINE_INLINE void set_zero(T* values, std::int64_t count) {
  for_each_vector<T>(count, [&](std::int64_t i, auto n) { store(values + i, Vec<T>{}, n); });
}

// Sums of x - shift and of its squares over at least one row, for `count` columns, with a value of the sample
// itself as the shift: sum(x - shift)^2 then exceeds the sum of squared deviations by no more than the number
// of rows, whatever the mean.
template <class T>
RAVINE_INLINE void sum_deviations(const T* x, std::int64_t stride, std::int64_t rows, std::int64_t count,
                                  T* shift, T* sums, T* squares) {
  set_zero(sums, count);
  set_zero(squares, count);
  const auto set_shift = [&](auto group) {
    constexpr int K = decltype(group)::count;
    for_each_vector<T>(count, [&](std::int64_t i, auto n) {
      Vec<T> values[K];
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k) values[k] = load(x + k * stride + i, n);
      store(shift + i, sum_pairwise<T>(values) * splat(T(1) / K), n);
    });
  };
  if (rows < group_rows) set_shift(Rows<1>{});
  else set_shift(Rows<group_rows>{});
  for_each_row_group(rows, [&](std::int64_t row, auto group) {
    constexpr int K = decltype(group)::count;
    const T* from = x + row * stride;
    for_each_vector<T>(count, [&](std::int64_t i, auto n) {
      const Vec<T> s = load(shift + i, n);
      Vec<T> deviations[K], squared[K];
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k) {
        deviations[k] = load(from + k * stride + i, n) - s;
        squared[k] = deviations[k] * deviations[k];
      }
      store(sums + i, load(sums + i, n) + sum_pairwise<T>(deviations), n);
      store(squares + i, load(squares + i, n) + sum_pairwise<T>(squared), n);
    });
  });
}

// dy as it is.
template <class T>
struct WholeGradient {
  RAVINE_INLINE auto of_columns(std::int64_t, auto) const {
    return [](Vec<T>, Vec<T> dy) RAVINE_INLINE_LAMBDA { return dy; };
  }
};

// dy of relu(x scale + shift): what reaches the sum.
template <class T>
struct RectifiedGradient {
  const T *scale, *shift;  // of the first column

  RAVINE_INLINE auto of_columns(std::int64_t i, auto n) const {
    return [a = load(scale + i, n), b = load(shift + i, n)](Vec<T> x, Vec<T> dy) RAVINE_INLINE_LAMBDA {
      const Vec<T> sum = formula::multiply_add::of<T>({}, x, a, b);
      return formula::scale_by_positive::of<T>({}, sum, dy);
    };
  }
};

// Sums of dy and of dy (x - mean), dy by way of `gradient`.
template <class T, class Gradient>
RAVINE_INLINE void sum_gradients(const T* x, const T* dy, const T* means, std::int64_t stride,
                                 std::int64_t rows, std::int64_t count, T* sums, T* products,
                                 Gradient gradient) {
  set_zero(sums, count);
  set_zero(products, count);
  for_each_row_group(rows, [&](std::int64_t row, auto group) {
    constexpr int K = decltype(group)::count;
    const std::int64_t first = row * stride;
    for_each_vector<T>(count, [&](std::int64_t i, auto n) {
      const Vec<T> m = load(means + i, n);
      const auto gradient_of = gradient.of_columns(i, n);
      Vec<T> grads[K], weighted[K];
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k) {
        const Vec<T> values = load(x + first + k * stride + i, n);
        grads[k] = gradient_of(values, load(dy + first + k * stride + i, n));
        weighted[k] = grads[k] * (values - m);
      }
      store(sums + i, load(sums + i, n) + sum_pairwise<T>(grads), n);
      store(products + i, load(products + i, n) + sum_pairwise<T>(weighted), n);
    });
  });
}

// Adds a sample of `rows` rows to one of `before`, each a mean and a sum of squared deviations: Chan, Golub,
// LeVeque, "Updating formulae and a pairwise algorithm" (1979).
template <class MeanOf, class DeviationOf>
RAVINE_INLINE void combine(double* means, double* deviations, double before, double rows, std::int64_t count,
                           MeanOf mean_of, DeviationOf deviation_of) {
  if (before == 0) {
    for (std::int64_t i = 0; i < count; ++i) {
      means[i] = mean_of(i);
      deviations[i] = deviation_of(i);
    }
    return;
  }
  const double share = rows / (before + rows), weight = before * share;
  for (std::int64_t i = 0; i < count; ++i) {
    const double delta = mean_of(i) - means[i];
    means[i] += delta * share;
    deviations[i] += deviation_of(i) + delta * delta * weight;
  }
}

// Adds the moments of some rows to those of `before` others.
template <class T>
RAVINE_INLINE void gather_moments(const T* x, std::int64_t stride, std::int64_t before, std::int64_t rows,
                                  std::int64_t count, double* means, double* squared_deviations) {
  alignas(64) T shift[max_block], sums[max_block], squares[max_block];
  sum_deviations(x, stride, rows, count, shift, sums, squares);
  const double share = 1 / static_cast<double>(rows);
  combine(
      means, squared_deviations, static_cast<double>(before), static_cast<double>(rows), count,
      [&](std::int64_t i) { return static_cast<double>(shift[i]) + static_cast<double>(sums[i]) * share; },
      [&](std::int64_t i) {
        const double sum = static_cast<double>(sums[i]), square = static_cast<double>(squares[i]);
        const double deviation = square - sum * sum * share;
        return deviation < 0 ? 0 : deviation;  // a NaN stays
      });
}

}  // namespace ravine::kernels::RAVINE_ISA
