// Products of few rows where A and B both lie along k (a linear layer on a few samples): dot products along
// k, without packing. As many columns at a time as a vector has lanes, so that their sums end up as one
// vector of C.
#pragma once

#include "kernels/gemm/pack.h"

namespace ravine::kernels::RAVINE_ISA {

inline constexpr std::int64_t max_dot_rows = 8;

// Lane i: the sum of v[i]'s lanes, added in pairs. Of fewer vectors than lanes, n, a power of two, lanes i +
// n, i + 2 n, ... have parts of it.
template <class T, int n>
RAVINE_INLINE Vec<T> sum_each(Vec<T> (&v)[n]) {
#pragma GCC unroll 8
  for (int count = n / 2; count > 0; count /= 2) {
    // In place: v[i] is read before it is written, and v[i + count] is not needed again.
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i) {
      v[i] = interleave_low<T>(v[i], v[i + count]) + interleave_high<T>(v[i], v[i + count]);
    }
  }
  return v[0];
}

// C[row, j] for j in columns = a . (column j of B), a of k elements and B's columns at column_stride, k
// contiguous.
template <class T>
void dot_row(const T* a, const T* b, std::int64_t column_stride, std::int64_t k, T* c, Range columns,
             bool accumulate) {
  constexpr int n = lanes<T>;
  for (std::int64_t j = columns.begin; j < columns.end; j += n) {
    const std::int64_t count = smaller(n, columns.end - j);
    const T* column[n];
    for (int i = 0; i < n; ++i) column[i] = b + (j + smaller(i, count - 1)) * column_stride;
    Vec<T> sums[n];
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) sums[i] = Vec<T>{};
    std::int64_t p = 0;
    for (; p + n <= k; p += n) {
      const Vec<T> a_run = load(a + p);
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) sums[i] += a_run * load(column[i] + p);
    }
    if (p < k) {
      const Vec<T> a_run = load(a + p, k - p);
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) sums[i] += a_run * load(column[i] + p, k - p);
    }
    Vec<T> result = sum_each<T>(sums);
    if (count == n) {
      store(c + j, accumulate ? load(c + j) + result : result);
    } else {
      store(c + j, accumulate ? load(c + j, count) + result : result, count);
    }
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
