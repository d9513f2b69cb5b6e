// How reductions are cut, and their loops over rows and columns: what the kernels of reduce.cpp are made of.
// Reductions have two forms: over rows (the reduced axis is contiguous, or is copied so) and over columns
// (the inner axis is contiguous). The reduced axis is cut into chunks of fixed length whose results are
// combined pairwise, so that the rounding error of a long sum grows with the logarithm of its length; long
// reductions with few results are cut into segments, which the team shares.
#pragma once

#include "kernels/api/reduce.h"
#include "kernels/base/scratch.h"
#include "kernels/base/vector_loop.h"
#include "kernels/tile/copy.h"
#include "simd/rows.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

constexpr std::int64_t row_chunk = 1024;     // elements of a row
constexpr std::int64_t column_chunk = 64;    // rows of a block of columns
constexpr std::int64_t column_block = 1024;  // columns
constexpr int cascade_levels = 48;           // 2^48 chunks

constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// ---- operations

template <class T>
constexpr T highest_of() {
  if constexpr (std::is_floating_point_v<T>) return static_cast<T>(__builtin_inf());
  else return static_cast<T>(~std::uint64_t{0} >> (64 - 8 * sizeof(T) + (std::is_signed_v<T> ? 1 : 0)));
}
template <class T>
constexpr T lowest_of() {
  if constexpr (std::is_floating_point_v<T>) return -highest_of<T>();
  else return std::is_signed_v<T> ? static_cast<T>(-highest_of<T>() - 1) : T(0);
}

// `apply` serves vectors and single elements.
struct Sum {
  template <class T>
  static constexpr T identity() {
    return T(0);
  }
  template <class V>
  RAVINE_INLINE static V apply(V a, V b) {
    return wrapped_sum(a, b);
  }
};
struct Product {
  template <class T>
  static constexpr T identity() {
    return T(1);
  }
  template <class V>
  RAVINE_INLINE static V apply(V a, V b) {
    return wrapped_product(a, b);
  }
};
struct Max {
  template <class T>
  static constexpr T identity() {
    return lowest_of<T>();
  }
  template <class V>
  RAVINE_INLINE static V apply(V a, V b) {
    return maximum(a, b);
  }
  template <class V>
  RAVINE_INLINE static auto before(V a, V b) {  // a is chosen over b
    return a > b;
  }
};
struct Min {
  template <class T>
  static constexpr T identity() {
    return highest_of<T>();
  }
  template <class V>
  RAVINE_INLINE static V apply(V a, V b) {
    return minimum(a, b);
  }
  template <class V>
  RAVINE_INLINE static auto before(V a, V b) {
    return a < b;
  }
};

// ---- how the work is cut, by shape alone

struct Plan {
  bool columns = false;  // else rows
  std::int64_t outer = 1, reduced = 1, inner = 1;
  std::int64_t outer_stride = 0, reduced_stride = 0, inner_stride = 1;
  std::int64_t blocks = 1;                        // of columns
  std::int64_t segments = 1, segment_length = 1;  // of the reduced axis
  std::int64_t results() const { return outer * inner; }
  std::int64_t units() const { return (columns ? outer * blocks : results()) * segments; }
  std::int64_t segment_end(std::int64_t segment) const {
    return smaller(reduced, (segment + 1) * segment_length);
  }
};

Plan plan_of(const ReduceArgs& args, bool splits_columns) {
  Plan plan{.outer = args.outer,
            .reduced = args.reduced,
            .inner = args.inner,
            .outer_stride = args.outer_stride,
            .reduced_stride = args.reduced_stride,
            .inner_stride = args.inner_stride};
  if (plan.inner == 1 && plan.reduced_stride != 1 && plan.outer_stride == 1) {  // the columns of a matrix
    plan.inner = plan.outer;
    plan.outer = 1;
    plan.inner_stride = 1;
  }
  plan.columns = plan.inner > 1 && plan.inner_stride == 1;
  plan.blocks = plan.columns ? ceil_div(plan.inner, column_block) : 1;
  plan.segment_length = plan.reduced;
  // About this many units keep any team busy; a segment is worth a few thousand elements.
  constexpr std::int64_t units_wanted = 32, elements_wanted = 8192;
  const std::int64_t units = plan.units(), chunk = plan.columns ? column_chunk : row_chunk;
  if ((plan.columns && !splits_columns) || units == 0 || units >= units_wanted) return plan;
  const std::int64_t width = plan.columns ? smaller(plan.inner, column_block) : 1;
  const std::int64_t shortest = ceil_div(ceil_div(elements_wanted, width), chunk) * chunk;
  const std::int64_t even = ceil_div(ceil_div(plan.reduced, ceil_div(units_wanted, units)), chunk) * chunk;
  plan.segment_length = even > shortest ? even : shortest;
  plan.segments = plan.reduced > 0 ? ceil_div(plan.reduced, plan.segment_length) : 1;
  return plan;
}

// ---- rows

// n elements, 0 <= n: eight running vectors, which are combined in a fixed order; the lanes are still to be
// combined.
template <class Op, class T>
RAVINE_INLINE Vec<T> lanes_of_chunk(const T* x, std::int64_t n) {
  constexpr int width = 8, L = lanes<T>;
  const Vec<T> identity = splat<T>(Op::template identity<T>());
  const auto rest_at = [&](std::int64_t i, std::int64_t rest) RAVINE_INLINE_LAMBDA {
    return lane_numbers<T>() < static_cast<T>(rest) ? load<T>(x + i, rest) : identity;
  };
  if (n < L) return n > 0 ? rest_at(0, n) : identity;
  Vec<T> running[width] = {identity, identity, identity, identity, identity, identity, identity, identity};
  std::int64_t i = 0;
  for (; i + width * L <= n; i += width * L)
    for (int k = 0; k < width; ++k) running[k] = Op::apply(running[k], load<T>(x + i + k * L));
#pragma GCC unroll 8
  for (int k = 0; k < width - 1; ++k) {  // unrolled, so that all of them stay in registers
    if (i + L > n) break;
    running[k] = Op::apply(running[k], load<T>(x + i));
    i += L;
  }
  if (i < n) running[width - 1] = Op::apply(running[width - 1], rest_at(i, n - i));
  for (int k = 0; k < 4; ++k) running[k] = Op::apply(running[k], running[k + 4]);
  return Op::apply(Op::apply(running[0], running[2]), Op::apply(running[1], running[3]));
}

template <class Op>
struct Combine {
  template <class V>
  RAVINE_INLINE V operator()(V a, V b) const {
    return Op::apply(a, b);
  }
};

template <class Op, class T>
T reduce_chunk(const T* x, std::int64_t n) {
  return reduce_lanes<T>(lanes_of_chunk<Op, T>(x, n), Combine<Op>{});
}

// to[r] = the r-th row of at most row_chunk elements: their lanes are combined for as many rows at once as
// there are lanes, in the order of reduce_lanes.
template <class Op, class T, class RowAt>
RAVINE_INLINE void reduce_short_rows(T* to, std::int64_t rows, std::int64_t n, RowAt row_at) {
  constexpr int L = lanes<T>;
  for (std::int64_t first = 0; first < rows; first += L) {
    const std::int64_t count = smaller(L, rows - first);
    Vec<T> each[L];
    for (std::int64_t r = 0; r < count; ++r) each[r] = lanes_of_chunk<Op, T>(row_at(first + r), n);
    for (std::int64_t r = count; r < L; ++r) each[r] = Vec<T>{};
    const Vec<T> results = reduce_rows<T>(each, Combine<Op>{});
    if (count == L) store<T>(to + first, results);
    else store<T>(to + first, results, count);
  }
}

// Pairwise combination of a stream of values: level k holds the result of 2^k of them.
template <class Op, class T>
class Cascade {
 public:
  void add(T value) {
    int level = 0;
    for (std::uint64_t n = count_++; n & 1; n >>= 1, ++level) value = Op::apply(levels_[level], value);
    levels_[level] = value;
  }
  T total() const {
    T result = Op::template identity<T>();
    bool first = true;
    for (int level = 0; count_ >> level != 0; ++level) {
      if (!(count_ >> level & 1)) continue;
      result = first ? levels_[level] : Op::apply(levels_[level], result);
      first = false;
    }
    return result;
  }

 private:
  std::uint64_t count_ = 0;
  T levels_[cascade_levels];
};

// Calls f(chunk, begin, n) on the row's contiguous chunks of [begin, end); strided ones are copied first.
template <class T, class F>
void for_chunks(const T* row, std::int64_t stride, std::int64_t begin, std::int64_t end, F f) {
  alignas(64) T copied[row_chunk];
  for (std::int64_t i = begin; i < end; i += row_chunk) {
    const std::int64_t n = smaller(row_chunk, end - i);
    if (stride != 1) copy_block(copied, n, 1, row + i * stride, 0, stride, 1, n, sizeof(T));
    f(stride == 1 ? row + i : copied, i, n);
  }
}

template <class Op, class T>
T reduce_row(const T* row, std::int64_t stride, std::int64_t begin, std::int64_t end) {
  if (stride == 1 && end - begin <= row_chunk) return reduce_chunk<Op, T>(row + begin, end - begin);
  Cascade<Op, T> cascade;
  for_chunks(row, stride, begin, end, [&](const T* chunk, std::int64_t, std::int64_t n) {
    cascade.add(reduce_chunk<Op, T>(chunk, n));
  });
  return cascade.total();
}

// ---- columns

// to[c] = to[c] op from[c]
template <class Op, class T>
void combine_columns(T* to, const T* from, std::int64_t n) {
  std::int64_t c = 0;
  for (; c + lanes<T> <= n; c += lanes<T>) store<T>(to + c, Op::apply(load<T>(from + c), load<T>(to + c)));
  if (const std::int64_t rest = n - c; rest > 0)
    store<T>(to + c, Op::apply(load<T>(from + c, rest), load<T>(to + c, rest)), rest);
}

// to[c] = to[c] op (x[0, c] op ... op x[K - 1, c]), or without to[c] where these are the first rows.
template <class Op, int K, class T>
RAVINE_INLINE void add_rows(T* to, const T* x, std::int64_t stride, std::int64_t n, bool first) {
  constexpr int L = lanes<T>;
  const auto add = [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
    Vec<T> rows[K];
#pragma GCC unroll 8
    for (int k = 0; k < K; ++k) rows[k] = load<T>(x + k * stride + c, count...);
#pragma GCC unroll 3
    for (int step = K / 2; step > 0; step /= 2)
#pragma GCC unroll 4
      for (int k = 0; k < step; ++k) rows[k] = Op::apply(rows[k], rows[k + step]);
    store<T>(to + c, first ? rows[0] : Op::apply(load<T>(to + c, count...), rows[0]), count...);
  };
  std::int64_t c = 0;
  for (; c + L <= n; c += L) add(c);
  if (c < n) add(c, n - c);
}

// to[c] = x[0, c] op ... op x[rows - 1, c], for 1 to column_chunk rows; eight rows at a time.
template <class Op, class T>
void reduce_column_chunk(T* to, const T* x, std::int64_t stride, std::int64_t rows, std::int64_t n) {
  std::int64_t r = 0;
  for (; r + 8 <= rows; r += 8) add_rows<Op, 8>(to, x + r * stride, stride, n, r == 0);
  if (r + 4 <= rows) {
    add_rows<Op, 4>(to, x + r * stride, stride, n, r == 0);
    r += 4;
  }
  for (; r < rows; ++r) add_rows<Op, 1>(to, x + r * stride, stride, n, r == 0);
}

// `levels` is room for cascade_levels + 1 rows of column_block elements; the result is written to `to` [n].
template <class Op, class T>
void reduce_columns(T* to, const T* x, std::int64_t stride, std::int64_t rows, std::int64_t n, T* levels) {
  if (rows <= column_chunk) {
    if (rows == 0)
      for (std::int64_t c = 0; c < n; ++c) to[c] = Op::template identity<T>();
    return reduce_column_chunk<Op, T>(to, x, stride, rows, n);
  }
  std::uint64_t count = 0;
  for (std::int64_t r = 0; r < rows; r += column_chunk, ++count) {
    T* chunk = levels;
    reduce_column_chunk<Op, T>(chunk, x + r * stride, stride, smaller(column_chunk, rows - r), n);
    std::int64_t level = 1;
    for (std::uint64_t bits = count; bits & 1; bits >>= 1, ++level)
      combine_columns<Op, T>(chunk, levels + level * column_block, n);
    copy_block(levels + level * column_block, n, 1, chunk, n, 1, 1, n, sizeof(T));
  }
  bool first = true;
  for (std::int64_t level = 0; count >> level != 0; ++level) {
    if (!(count >> level & 1)) continue;
    const T* partial = levels + (level + 1) * column_block;
    if (first) copy_block(to, n, 1, partial, n, 1, 1, n, sizeof(T));
    else combine_columns<Op, T>(to, partial, n);
    first = false;
  }
}

// Few columns, dense: several rows end to end are read as one of about `folded_width` columns.
template <class Op, class T>
void reduce_narrow_columns(T* to, const T* x, std::int64_t rows, std::int64_t n, T* levels) {
  constexpr std::int64_t folded_width = 128;
  const std::int64_t fold = folded_width / n;
  if (fold < 2 || rows < 4 * fold) return reduce_columns<Op, T>(to, x, n, rows, n, levels);
  const std::int64_t folded_rows = rows / fold, done = folded_rows * fold;
  alignas(64) T wide[folded_width];
  reduce_columns<Op, T>(wide, x, fold * n, folded_rows, fold * n, levels);
  reduce_column_chunk<Op, T>(to, wide, n, fold, n);
  if (done == rows) return;
  reduce_column_chunk<Op, T>(wide, x + done * n, n, rows - done, n);
  combine_columns<Op, T>(to, wide, n);
}
static_assert((cascade_levels + 1) * column_block * 8 <= static_cast<std::int64_t>(scratch_bytes));

}  // namespace
}  // namespace ravine::kernels::RAVINE_ISA
