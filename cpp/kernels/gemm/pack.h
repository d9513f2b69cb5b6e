// Packing for GEMM: panels of A [depth][micro_rows] and of B [depth][width], in the order the micro-kernel
// reads them. A source is a matrix in memory here, patches of an image in conv/direct/sources.h.
#pragma once

#include <utility>

#include "core/team.h"
#include "kernels/base/ranges.h"
#include "kernels/base/vector_loop.h"
#include "kernels/gemm/micro.h"

namespace ravine::kernels::RAVINE_ISA {

template <class T>
struct LaneIndexOf;
template <>
struct LaneIndexOf<float> {
  using type = std::int32_t;
};
template <>
struct LaneIndexOf<double> {
  using type = std::int64_t;
};

// x0 y0 x1 y1 ... of the low (half 0) or high (half 1) halves.
template <int half, class T, std::size_t... lane>
RAVINE_INLINE Vec<T> interleave(Vec<T> x, Vec<T> y, std::index_sequence<lane...>) {
  constexpr int n = lanes<T>;
#if defined(__clang__)
  return __builtin_shufflevector(x, y, (lane / 2 + half * n / 2 + (lane % 2) * n)...);
#else
  using Index = typename LaneIndexOf<T>::type;
  typedef Index Indices __attribute__((vector_size(vector_bytes)));
  return __builtin_shuffle(x, y, Indices{static_cast<Index>(lane / 2 + half * n / 2 + (lane % 2) * n)...});
#endif
}
template <class T>
RAVINE_INLINE Vec<T> interleave_low(Vec<T> x, Vec<T> y) {
  return interleave<0, T>(x, y, std::make_index_sequence<lanes<T>>{});
}
template <class T>
RAVINE_INLINE Vec<T> interleave_high(Vec<T> x, Vec<T> y) {
  return interleave<1, T>(x, y, std::make_index_sequence<lanes<T>>{});
}

// Transposes `rows` vectors (a power of two) in place: read as one array, element (row, p) moves to p * rows
// + row. Each round moves the highest bit of the row number below the lane number, which rotates the array's
// index by one.
template <class T, int rows>
RAVINE_INLINE void transpose(Vec<T> (&v)[rows]) {
#pragma GCC unroll 8
  for (int round = 1; round < rows; round *= 2) {
    Vec<T> next[rows];
#pragma GCC unroll 16
    for (int i = 0; i < rows / 2; ++i) {
      next[2 * i] = interleave_low<T>(v[i], v[i + rows / 2]);
      next[2 * i + 1] = interleave_high<T>(v[i], v[i + rows / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) v[i] = next[i];
  }
}

// The longest run of a sum over k. (What a row outside of its image reads is as long.)
inline constexpr std::int64_t max_run_depth = 1024;
template <class T>
alignas(64) inline constexpr T zeros[max_run_depth] = {};

// The rows that a transposition takes at once: a power of two.
inline constexpr int transposed_rows = micro_rows == 6 ? 8 : micro_rows;

// to[p * micro_rows + i] = element p * transposed_rows + i of v read as one array, for p < count.
template <class T>
RAVINE_INLINE void store_transposed(T* to, const Vec<T> (&v)[transposed_rows], std::int64_t count) {
  constexpr int n = lanes<T>;
#pragma GCC unroll 8
  for (int i = 0; i < transposed_rows; ++i) {
    if constexpr (micro_rows == transposed_rows) {
      const std::int64_t left = count * micro_rows - i * n;
      if (left >= n) store(to + i * n, v[i]);
      else if (left > 0) store(to + i * n, v[i], left);
    } else {  // without the rows that fill up the power of two
      static_assert(n <= transposed_rows);
      const int p = i * n / transposed_rows, row = i * n % transposed_rows;
      if (p < count)
        std::memcpy(to + p * micro_rows + row, &v[i],
                    sizeof(T) * (row + n > micro_rows ? micro_rows - row : n));
    }
  }
}

// to[p * micro_rows + i] = row[i][p] for p < depth.
template <class T>
[[gnu::noinline]] void pack_a_rows(T* to, const T* const (&row)[micro_rows], std::int64_t depth) {
  constexpr int n = lanes<T>;
  Vec<T> v[transposed_rows];
  std::int64_t p = 0;
  for (; p + n <= depth; p += n) {
#pragma GCC unroll 8
    for (int i = 0; i < transposed_rows; ++i) v[i] = i < micro_rows ? load(row[i] + p) : Vec<T>{};
    transpose<T, transposed_rows>(v);
    store_transposed(to + p * micro_rows, v, n);
  }
  if (p == depth) return;
#pragma GCC unroll 8
  for (int i = 0; i < transposed_rows; ++i) v[i] = i < micro_rows ? load(row[i] + p, depth - p) : Vec<T>{};
  transpose<T, transposed_rows>(v);
  store_transposed(to + p * micro_rows, v, depth - p);
}

// to[p * width + i] = row[i][p] for p < depth and one vector of columns i; columns from `count` on are 0.
template <class T>
[[gnu::noinline]] void pack_b_columns(T* to, std::int64_t width, const T* column, std::int64_t column_stride,
                                      int count, std::int64_t depth) {
  constexpr int n = lanes<T>;
  for (std::int64_t p = 0; p < depth; p += n) {
    Vec<T> v[n];
    const std::int64_t left = depth - p;
    if (count == n && left >= n) {
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) v[i] = load(column + i * column_stride + p);
    } else {
      for (int i = 0; i < n; ++i) {
        v[i] = i < count ? load(column + i * column_stride + p, smaller(left, n)) : Vec<T>{};
      }
    }
    transpose<T, n>(v);
    if (left >= n) {
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) store(to + (p + i) * width, v[i]);
    } else {
      for (int i = 0; i < left; ++i) store(to + (p + i) * width, v[i]);
    }
  }
}

// Copies `count` elements in whole vectors, zeros behind them: writes up to the next multiple of lanes.
template <class T>
RAVINE_INLINE void copy_padded(T* to, const T* from, std::int64_t count) {
  constexpr int n = lanes<T>;
  std::int64_t j = 0;
  for (; j + n <= count; j += n) store(to + j, load(from + j));
  if (j < count) store(to + j, load(from + j, count - j));
}

// How a source of A can be read where it lies: step() elements from p to p + 1 (adjacent), or through
// addresses that point() writes, micro_rows of them for each run of depth (by_rows); packed: it cannot.
// pack() always can.
enum class AAccess { adjacent, by_rows, packed };
// Shortest run, but for the first and last, that a source read by rows has.
inline constexpr std::int64_t min_run = 8;

// to[i] = (to[i] +) a[i * row_stride] + a[i * row_stride + column_stride] + ... of `depth` numbers, for rows
// i. Four chains of additions, so that none waits for the one before.
template <class T>
void sum_rows(T* to, const T* a, std::int64_t row_stride, std::int64_t column_stride, std::int64_t rows,
              std::int64_t depth, bool accumulate) {
  constexpr int chains = 4, rows_at_once = 8;
  const auto sum_panel = [&](T* sums, const T* from, std::int64_t stride, int height) RAVINE_INLINE_LAMBDA {
    T chain[chains][rows_at_once] = {};
    std::int64_t p = 0;
    for (; p + chains <= depth; p += chains)
#pragma GCC unroll 4
      for (int c = 0; c < chains; ++c)
        for (int i = 0; i < height; ++i) chain[c][i] += from[i * stride + (p + c) * column_stride];
    for (; p < depth; ++p)
      for (int i = 0; i < height; ++i) chain[p % chains][i] += from[i * stride + p * column_stride];
    for (int i = 0; i < height; ++i) {
      const T sum = (chain[0][i] + chain[1][i]) + (chain[2][i] + chain[3][i]);
      sums[i] = accumulate ? sums[i] + sum : sum;
    }
  };
  for (std::int64_t i = 0; i < rows; i += rows_at_once) {
    const T* const from = a + i * row_stride;
    const int height = static_cast<int>(smaller(rows_at_once, rows - i));
    if (height == rows_at_once && row_stride == 1) sum_panel(to + i, from, 1, rows_at_once);
    else sum_panel(to + i, from, row_stride, height);
  }
}

// A [m, k] in memory.
template <class T>
struct MatrixA {
  const T* data;
  std::int64_t row_stride, column_stride;
  T* row_sums = nullptr;  // [m], if they are wanted

  AAccess access() const {
    if (column_stride == 1) return AAccess::by_rows;
    return row_stride == 1 ? AAccess::adjacent : AAccess::packed;
  }
  std::int64_t step() const { return column_stride; }
  const T* at(std::int64_t i, std::int64_t p) const { return data + i * row_stride + p * column_stride; }
  void sum(Range rows, Range depth, bool accumulate) const {
    sum_rows(row_sums + rows.begin, at(rows.begin, depth.begin), row_stride, column_stride, rows.size(),
             depth.size(), accumulate);
  }

  std::int64_t point(const T** to, std::int64_t* run_depths, std::int64_t first_row, int rows,
                     Range depth) const {
    // Rows that a lower panel lacks are asked for nonetheless: the last one stands for them.
    for (int i = 0; i < micro_rows; ++i) to[i] = at(first_row + smaller(i, rows - 1), depth.begin);
    run_depths[0] = depth.size();
    return 1;
  }
  [[gnu::noinline]] void pack(T* to, std::int64_t first_row, int rows, Range depth) const {
    if (column_stride == 1) {
      const T* row[micro_rows];
      for (int i = 0; i < micro_rows; ++i) row[i] = i < rows ? at(first_row + i, depth.begin) : zeros<T>;
      pack_a_rows<T>(to, row, depth.size());
    } else if (row_stride == 1 && rows == micro_rows) {
      const T* from = at(first_row, depth.begin);
      for (std::int64_t p = 0; p < depth.size(); ++p, from += column_stride, to += micro_rows) {
#pragma GCC unroll 8
        for (int i = 0; i < micro_rows; ++i) to[i] = from[i];
      }
    } else {
      const T* from = at(first_row, depth.begin);
      for (std::int64_t p = 0; p < depth.size(); ++p, from += column_stride, to += micro_rows) {
        for (int i = 0; i < rows; ++i) to[i] = from[i * row_stride];
      }
    }
  }
};

// Columns are cut into panels of panel_columns, the rest into one or two narrower ones: a panel of a single
// vector would feed the multipliers badly, so the last four vectors of a row are two and two.
template <class T>
RAVINE_INLINE std::int64_t full_panels(std::int64_t columns) {
  const std::int64_t vectors = ceil_div(columns, lanes<T>), full = columns / panel_columns<T>;
  return micro_vectors > 2 && full > 0 && vectors % micro_vectors == 1 ? full - 1 : full;
}
// Where the last panel begins.
template <class T>
RAVINE_INLINE std::int64_t last_panel(std::int64_t columns) {
  const std::int64_t full = full_panels<T>(columns), rest = columns - full * panel_columns<T>;
  if (rest == 0) return (full - 1) * panel_columns<T>;
  return full * panel_columns<T> + (rest > panel_columns<T> ? 2 * lanes<T> : 0);
}

// f(first column, columns, width) for the panels of B that cover `columns`; the width is whole vectors.
// Behind one another in memory, panel j begins at (j - columns.begin) * depth.
template <class T, class F>
RAVINE_INLINE void for_each_panel(Range columns, F f) {
  std::int64_t j = columns.begin;
  const std::int64_t full_end = j + full_panels<T>(columns.size()) * panel_columns<T>;
  for (; j < full_end; j += panel_columns<T>) f(j, panel_columns<T>, panel_columns<T>);
  if (columns.end - j > panel_columns<T>) {
    f(j, 2 * lanes<T>, 2 * lanes<T>);
    j += 2 * lanes<T>;
  }
  if (j < columns.end) f(j, columns.end - j, round_up(columns.end - j, lanes<T>));
}

// B [k, n] in memory. pack() writes the panels that cover `columns`, one behind the other.
template <class T>
struct MatrixB {
  const T* data;
  std::int64_t row_stride, column_stride;

  bool in_place() const { return column_stride == 1; }
  std::int64_t step() const { return row_stride; }
  const T* at(std::int64_t p, std::int64_t j) const { return data + p * row_stride + j * column_stride; }

  [[gnu::noinline]] void pack(T* to, Range columns, Range depth) const {
    if (column_stride == 1) {
      // Row by row over all panels: that is how memory streams, where rows lie far apart.
      for (std::int64_t p = 0; p < depth.size(); ++p) {
        const T* const row = at(depth.begin + p, 0);
        for_each_panel<T>(columns,
                          [&](std::int64_t j, std::int64_t count, std::int64_t width) RAVINE_INLINE_LAMBDA {
                            copy_padded(to + (j - columns.begin) * depth.size() + p * width, row + j, count);
                          });
      }
      return;
    }
    for_each_panel<T>(columns,
                      [&](std::int64_t j, std::int64_t count, std::int64_t width) RAVINE_INLINE_LAMBDA {
                        T* const panel = to + (j - columns.begin) * depth.size();
                        pack_panel(panel, width, at(depth.begin, j), count, depth.size());
                      });
  }

 private:
  void pack_panel(T* to, std::int64_t width, const T* from, std::int64_t columns, std::int64_t depth) const {
    constexpr int n = lanes<T>;
    if (row_stride == 1) {
      for (std::int64_t j = 0; j < columns; j += n) {
        pack_b_columns(to + j, width, from + j * column_stride, column_stride,
                       static_cast<int>(smaller(columns - j, n)), depth);
      }
      return;
    }
    for (std::int64_t p = 0; p < depth; ++p, to += width, from += row_stride) {
      for (std::int64_t j = 0; j < columns; ++j) to[j] = from[j * column_stride];
      for (std::int64_t j = columns; j < width; ++j) to[j] = T{0};
    }
  }
};

}  // namespace ravine::kernels::RAVINE_ISA
