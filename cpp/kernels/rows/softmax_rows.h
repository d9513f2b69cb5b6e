// What softmax and cross-entropy do to the rows of a matrix: maxima, exponentials and their sums. Each is
// taken for many rows before the next, as within a row each waits for the one before.
#pragma once

#include "kernels/api/softmax.h"
#include "simd/math.h"
#include "simd/rows.h"

namespace ravine::kernels::RAVINE_ISA {

constexpr std::int64_t rows_at_once = 64;                               // a multiple of every number of lanes
constexpr std::int64_t short_row = 32;                                  // columns
constexpr std::int64_t short_elements = rows_at_once * short_row + 16;  // and what a vector may overshoot

constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// The first n lanes of `value`, the others `fill`.
template <class T>
RAVINE_INLINE Vec<T> fill_after(Vec<T> value, std::int64_t n, T fill) {
  return lane_numbers<T>() < static_cast<T>(n) ? value : splat<T>(fill);
}

// Calls f(column, count...) on whole vectors of a row, then on the rest with its count.
template <class T, class F>
RAVINE_INLINE void for_columns(std::int64_t columns, F f) {
  std::int64_t c = 0;
  for (; c + lanes<T> <= columns; c += lanes<T>) f(c);
  if (c < columns) f(c, columns - c);
}

// f(k, column, count...) on whole vectors of a row, then on the rest with its count; k takes turns from 0 to
// 3, so that four sums can run side by side.
template <class T, class F>
RAVINE_INLINE void for_columns_in_turns(std::int64_t columns, F f) {
  constexpr int L = lanes<T>;
  std::int64_t c = 0;
  for (; c + 4 * L <= columns; c += 4 * L)
    for (int k = 0; k < 4; ++k) f(k, c + k * L);
#pragma GCC unroll 4
  for (int k = 0; k < 3; ++k) {  // unrolled, so that all of them stay in registers
    if (c + L > columns) break;
    f(k, c);
    c += L;
  }
  if (c < columns) f(3, c, columns - c);
}

// The sum over a row of term(column, count...), whose lanes past the count are 0, as a vector whose lanes are
// still to be added.
template <class T, class F>
RAVINE_INLINE Vec<T> lane_sums(std::int64_t columns, F term) {
  constexpr int L = lanes<T>;
  if (columns <= L) return columns == L ? term(0) : columns > 0 ? term(0, columns) : Vec<T>{};
  Vec<T> running[4] = {};
  for_columns_in_turns<T>(columns, [&](int k, std::int64_t c, auto... count)
                                       RAVINE_INLINE_LAMBDA { running[k] += term(c, count...); });
  return (running[0] + running[2]) + (running[1] + running[3]);
}
template <class T, class F>
RAVINE_INLINE T sum_columns(std::int64_t columns, F term) {
  return sum_of_lanes<T>(lane_sums<T>(columns, term));
}

// results[s][r] = the lanes of out[s] combined, after row_vectors(r, out), for r < n <= rows_at_once; room
// for rows_at_once results.
template <class T, int N, class RowVectors, class Combine>
RAVINE_INLINE void reduce_each_row(std::int64_t n, T* const (&results)[N], RowVectors row_vectors,
                                   Combine combine) {
  constexpr int L = lanes<T>;
  for (std::int64_t first = 0; first < n; first += L) {
    Vec<T> rows[N][L], of_row[N];
    const std::int64_t count = smaller(L, n - first);
    for (std::int64_t r = 0; r < count; ++r) {
      row_vectors(first + r, of_row);
      for (int s = 0; s < N; ++s) rows[s][r] = of_row[s];
    }
    for (int s = 0; s < N; ++s) {
      for (std::int64_t r = count; r < L; ++r) rows[s][r] = Vec<T>{};
      store<T>(results[s] + first, reduce_rows<T>(rows[s], combine));
    }
  }
}
template <class T, int N, class RowVectors>
RAVINE_INLINE void sum_each_row(std::int64_t n, T* const (&results)[N], RowVectors row_vectors) {
  reduce_each_row<T>(n, results, row_vectors, [](auto a, auto b) RAVINE_INLINE_LAMBDA { return a + b; });
}

// b where either is NaN: a NaN in a row is not its maximum, but makes the sum of exponentials NaN.
template <class T>
RAVINE_INLINE Vec<T> larger_number(Vec<T> a, Vec<T> b) {
  return a > b ? a : b;
}

// -infinity for an empty row.
template <class T>
RAVINE_INLINE void maxima_of_rows(const T* x, std::int64_t n, std::int64_t columns, T* maxima) {
  constexpr T lowest = -FloatFormat<T>::infinity;
  constexpr int L = lanes<T>;
  const auto lane_maxima = [&](std::int64_t row, Vec<T>* out) RAVINE_INLINE_LAMBDA {
    const T* at = x + row * columns;
    Vec<T> running[4] = {splat<T>(lowest), splat<T>(lowest), splat<T>(lowest), splat<T>(lowest)};
    std::int64_t c = 0;
    for (; c + 4 * L <= columns; c += 4 * L)
      for (int k = 0; k < 4; ++k) running[k] = larger_number<T>(load<T>(at + c + k * L), running[k]);
    for (; c + L <= columns; c += L) running[0] = larger_number<T>(load<T>(at + c), running[0]);
    if (c < columns)
      running[1] =
          larger_number<T>(fill_after<T>(load<T>(at + c, columns - c), columns - c, lowest), running[1]);
    out[0] =
        larger_number<T>(larger_number<T>(running[0], running[2]), larger_number<T>(running[1], running[3]));
  };
  reduce_each_row<T>(n, {maxima}, lane_maxima,
                     [](auto a, auto b) RAVINE_INLINE_LAMBDA { return larger_number<T>(a, b); });
}

// exp(x - shift), 0 past the count.
template <class T, class... Count>
RAVINE_INLINE Vec<T> shifted_exp(const T* x, T shift, Count... count) {
  const Vec<T> value = exp<T>(load<T>(x, count...) - shift);
  if constexpr (sizeof...(count) > 0) return fill_after<T>(value, count..., T(0));
  else return value;
}

// to[r, c] = values[r]; `to` is written a vector beyond its end.
template <class T>
RAVINE_INLINE void repeat_for_columns(const T* values, std::int64_t n, std::int64_t columns, T* to) {
  for (std::int64_t r = 0; r < n; ++r)
    for (std::int64_t c = 0; c < columns; c += lanes<T>) store<T>(to + r * columns + c, splat<T>(values[r]));
}

// y[r, c] = exp(x - maxima[r]) of n short rows; x may be y.
template <class T>
RAVINE_INLINE void exponentials_of_short_rows(const T* x, std::int64_t n, std::int64_t columns,
                                              const T* maxima, T* y) {
  alignas(64) T shifts[short_elements];
  repeat_for_columns<T>(maxima, n, columns, shifts);
  for_columns<T>(n * columns, [&](std::int64_t i, auto... count) RAVINE_INLINE_LAMBDA {
    store<T>(y + i, exp<T>(load<T>(x + i, count...) - load<T>(shifts + i, count...)), count...);
  });
}

// The maxima of n <= rows_at_once rows and the logarithms of their sums of exp(x - maximum). The maximum's
// own term is 1; the others, which it would round away where it dominates, go through log1p.
template <class T>
RAVINE_INLINE void log_sums_of_rows(const T* x, std::int64_t n, std::int64_t columns, T* maxima,
                                    T* log_sums) {
  alignas(64) T values[short_elements], sums[rows_at_once] = {}, ones[rows_at_once] = {};
  maxima_of_rows<T>(x, n, columns, maxima);
  const bool is_short = columns <= short_row;
  if (is_short) exponentials_of_short_rows<T>(x, n, columns, maxima, values);
  // The sum of the terms that are not 1, and the number of those that are: at least one, except beside a NaN.
  sum_each_row<T>(n, {sums, ones}, [&](std::int64_t row, Vec<T>* out) RAVINE_INLINE_LAMBDA {
    if (columns < lanes<T>) {
      const Vec<T> value = load<T>(values + row * columns, columns);
      const auto is_one = value == T(1);
      out[0] = is_one ? Vec<T>{} : value;
      out[1] = is_one ? value : Vec<T>{};
      return;
    }
    Vec<T> running[4] = {};
    Vec<IntOf<T>> counted{};
    const auto add = [&](int k, Vec<T> value) RAVINE_INLINE_LAMBDA {
      const auto is_one = value == T(1);
      running[k] += is_one ? Vec<T>{} : value;
      counted -= is_one;
    };
    if (is_short) {
      for_columns_in_turns<T>(columns, [&](int k, std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        add(k, load<T>(values + row * columns + c, count...));
      });
    } else {
      for_columns_in_turns<T>(columns, [&](int k, std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        add(k, shifted_exp<T>(x + row * columns + c, maxima[row], count...));
      });
    }
    out[0] = (running[0] + running[2]) + (running[1] + running[3]);
    out[1] = convert<T>(counted);
  });
  for (std::int64_t r = 0; r < n; r += lanes<T>)
    store<T>(log_sums + r, log1p<T>(load<T>(sums + r) + (load<T>(ones + r) - T(1))));
}

}  // namespace ravine::kernels::RAVINE_ISA
