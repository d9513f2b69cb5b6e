// Reductions in two forms: over rows (the reduced axis is contiguous, or is copied so) and over columns (the
// inner axis is contiguous). The reduced axis is cut into chunks of fixed length whose results are combined
// pairwise, so that the rounding error of a long sum grows with the logarithm of its length; long reductions
// with few results are cut into segments, which the team shares.
#include "kernels/reduce.h"

#include "kernels/scratch.h"
#include "kernels/table.h"
#include "kernels/tile_copy.h"
#include "kernels/vector_loop.h"
#include "simd/rows.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

constexpr std::int64_t row_chunk = 1024;     // elements of a row
constexpr std::int64_t column_chunk = 64;    // rows of a block of columns
constexpr std::int64_t column_block = 1024;  // columns
constexpr int cascade_levels = 48;           // 2^48 chunks

constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
constexpr std::int64_t ceil_divide(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// ---- operations ---------------------------------------------------------------------------------

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

// ---- how the work is cut, by shape alone --------------------------------------------------------

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
  plan.blocks = plan.columns ? ceil_divide(plan.inner, column_block) : 1;
  plan.segment_length = plan.reduced;
  // About this many units keep any team busy; a segment is worth a few thousand elements.
  constexpr std::int64_t units_wanted = 32, elements_wanted = 8192;
  const std::int64_t units = plan.units(), chunk = plan.columns ? column_chunk : row_chunk;
  if ((plan.columns && !splits_columns) || units == 0 || units >= units_wanted) return plan;
  const std::int64_t width = plan.columns ? smaller(plan.inner, column_block) : 1;
  const std::int64_t shortest = ceil_divide(ceil_divide(elements_wanted, width), chunk) * chunk;
  const std::int64_t even =
      ceil_divide(ceil_divide(plan.reduced, ceil_divide(units_wanted, units)), chunk) * chunk;
  plan.segment_length = even > shortest ? even : shortest;
  plan.segments = plan.reduced > 0 ? ceil_divide(plan.reduced, plan.segment_length) : 1;
  return plan;
}

// ---- rows ---------------------------------------------------------------------------------------

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

// ---- columns ------------------------------------------------------------------------------------

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

// ---- the kernel ---------------------------------------------------------------------------------

template <class T>
void scale_results(T* results, std::int64_t n, double scale) {
  if (scale == 1) return;
  for (std::int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_floating_point_v<T>) results[i] *= static_cast<T>(scale);
    else results[i] = static_cast<T>(static_cast<double>(results[i]) * scale);
  }
}

template <class Op, class T>
void reduce(const ReduceArgs& args, const Team& team) {
  const Plan plan = plan_of(args, true);
  const double scale = std::is_same_v<Op, Sum> ? args.scale : 1;
  const T* input = static_cast<const T*>(args.input);
  T* output = static_cast<T*>(args.output);
  // Where a unit's results go: the output itself, or segment after segment in the workspace, [segments,
  // results].
  T* partials = plan.segments > 1 ? static_cast<T*>(args.workspace) : output;

  const Pieces units = pieces_of(plan.units(), team);
  if constexpr (std::is_floating_point_v<T>) {
    if (!plan.columns && plan.reduced_stride == 1 && plan.reduced <= row_chunk) {  // so one segment
      const auto row_at = [&](std::int64_t r) RAVINE_INLINE_LAMBDA {
        const std::int64_t result = units.begin + r;
        return input + (plan.inner == 1 ? result * plan.outer_stride
                                        : result / plan.inner * plan.outer_stride +
                                              result % plan.inner * plan.inner_stride);
      };
      reduce_short_rows<Op, T>(output + units.begin, units.end - units.begin, plan.reduced, row_at);
      return scale_results(output + units.begin, units.end - units.begin, scale);
    }
  }
  for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
    const std::int64_t segment = unit % plan.segments, begin = segment * plan.segment_length;
    const std::int64_t end = plan.segment_end(segment), which = unit / plan.segments;
    if (plan.columns) {
      const std::int64_t o = which / plan.blocks, first = which % plan.blocks * column_block;
      const std::int64_t n = smaller(column_block, plan.inner - first);
      T* to = partials + segment * plan.results() + o * plan.inner + first;
      const T* from = input + o * plan.outer_stride + begin * plan.reduced_stride + first;
      T* levels = reinterpret_cast<T*>(team.scratch);
      if (n > 0 && n == plan.reduced_stride) reduce_narrow_columns<Op, T>(to, from, end - begin, n, levels);
      else reduce_columns<Op, T>(to, from, plan.reduced_stride, end - begin, n, levels);
      if (plan.segments == 1) scale_results(to, n, scale);
    } else {
      const T* row = input + which / plan.inner * plan.outer_stride + which % plan.inner * plan.inner_stride;
      T* to = partials + segment * plan.results() + which;
      *to = reduce_row<Op, T>(row, plan.reduced_stride, begin, end);
      if (plan.segments == 1) scale_results(to, 1, scale);
    }
  }
  if (plan.segments == 1) return;

  team.barrier();
  // Pairs of segments, then pairs of pairs, each thread for its share of the results.
  const Pieces results = pieces_of(plan.results(), team);
  const std::int64_t n = results.end - results.begin;
  const auto segment_at = [&](std::int64_t segment) {
    return partials + segment * plan.results() + results.begin;
  };
  for (std::int64_t distance = 1; distance < plan.segments; distance *= 2)
    for (std::int64_t segment = 0; segment + distance < plan.segments; segment += 2 * distance)
      combine_columns<Op, T>(segment_at(segment), segment_at(segment + distance), n);
  copy_block(output + results.begin, n, 1, segment_at(0), n, 1, 1, n, sizeof(T));
  scale_results(output + results.begin, n, scale);
}

// ---- argmax and argmin --------------------------------------------------------------------------

// The better of two in order: an earlier one stays unless the later is strictly better; the first NaN wins.
template <class Op, class T>
RAVINE_INLINE bool replaces(T value, T best) {
  if constexpr (std::is_floating_point_v<T>)
    return Op::before(value, best) || (value != value && best == best);
  else return Op::before(value, best);
}

template <class T>
struct Extremum {
  T value;
  std::int64_t index;
};

// The first place of a value that a chunk holds; NaN is found as itself.
template <class T>
RAVINE_INLINE std::int64_t position_of(T value, const T* chunk, std::int64_t n) {
  constexpr int L = lanes<T>;
  const Vec<T> wanted = splat<T>(value);
  std::int64_t i = 0;
  for (; i + L <= n; i += L) {
    const Vec<T> x = load<T>(chunk + i);
    if (any((x == wanted) | ((wanted != wanted) & (x != x)))) break;
  }
  while (i < n - 1 && !(chunk[i] == value || (value != value && chunk[i] != chunk[i]))) ++i;
  return i;
}

template <class Op, class T>
Extremum<T> find_in_row(const T* row, std::int64_t stride, std::int64_t begin, std::int64_t end) {
  Extremum<T> best{Op::template identity<T>(), begin};
  for_chunks(row, stride, begin, end, [&](const T* chunk, std::int64_t first, std::int64_t n) {
    const T value = reduce_chunk<Op, T>(chunk, n);
    if (first > begin && !replaces<Op, T>(value, best.value)) return;
    best = {value, first + position_of(value, chunk, n)};
  });
  return best;
}

// What find_in_columns compares: bytes as int32, as many as there are indices.
template <class T>
using Compared = std::conditional_t<sizeof(T) == 1, std::int32_t, T>;

// For `vectors` vectors of columns at once, as a comparison waits for the one before; `count` is All, or the
// number of columns in the only vector.
template <class Op, class T, int vectors, class Count>
RAVINE_INLINE void find_in_vectors(std::int64_t* to, const T* x, std::int64_t stride, std::int64_t rows,
                                   Count count) {
  using Wide = Compared<T>;
  using Index = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
  constexpr int L = lanes<Wide>;
  std::int64_t n = L;
  if constexpr (!std::is_same_v<Count, All>) n = count;
  const auto at = [&](std::int64_t row, int v) RAVINE_INLINE_LAMBDA {
    const T* const from = x + row * stride + v * L;
    if constexpr (sizeof(T) == 1) {
      VecN<T, L> bytes{};
      std::memcpy(&bytes, from, static_cast<std::size_t>(n));
      return convert<Wide>(bytes);
    } else {
      return load<T>(from, count);
    }
  };
  Vec<Wide> best[vectors];
  Vec<Index> index[vectors] = {};
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) best[v] = at(0, v);
  for (std::int64_t row = 1; row < rows; ++row) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      const Vec<Wide> value = at(row, v);
      const auto better = Op::before(value, best[v]) | ((value != value) & (best[v] == best[v]));
      best[v] = better ? value : best[v];
      index[v] = better ? splat<Index>(static_cast<Index>(row)) : index[v];
    }
  }
  for (int v = 0; v < vectors; ++v)
    for (std::int64_t i = 0; i < n; ++i) to[v * L + i] = index[v][i];
}

// Rows below each other.
template <class Op, class T>
void find_in_columns(std::int64_t* to, const T* x, std::int64_t stride, std::int64_t rows,
                     std::int64_t columns) {
  constexpr std::int64_t L = lanes<Compared<T>>;
  std::int64_t c = 0;
  for (; c + 4 * L <= columns; c += 4 * L) find_in_vectors<Op, T, 4>(to + c, x + c, stride, rows, All{});
  for (; c + L <= columns; c += L) find_in_vectors<Op, T, 1>(to + c, x + c, stride, rows, All{});
  if (c < columns) find_in_vectors<Op, T, 1>(to + c, x + c, stride, rows, columns - c);
}

// Short rows: some are turned into columns, which give as many results at once.
constexpr std::int64_t longest_turned_row = 96;

template <class Op, class T>
void find_in_short_rows(std::int64_t* to, const T* x, std::int64_t stride, std::int64_t rows,
                        std::int64_t columns) {
  constexpr std::int64_t block = 4 * lanes<Compared<T>>;
  alignas(64) T turned[longest_turned_row * block];
  for (std::int64_t row = 0; row < rows; row += block) {
    const std::int64_t n = smaller(block, rows - row);
    copy_block(turned, block, 1, x + row * stride, 1, stride, columns, n, sizeof(T));
    find_in_columns<Op, T>(to + row, turned, block, columns, n);
  }
}

template <class Op, class T>
void arg_reduce(const ReduceArgs& args, const Team& team) {
  const Plan plan = plan_of(args, false);
  const T* input = static_cast<const T*>(args.input);
  std::int64_t* output = static_cast<std::int64_t*>(args.output);
  const Pieces units = pieces_of(plan.units(), team);
  if (plan.reduced == 0) {
    const Pieces results = pieces_of(plan.results(), team);
    for (std::int64_t i = results.begin; i < results.end; ++i) output[i] = 0;
    return;
  }
  if (plan.columns) {
    for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
      const std::int64_t o = unit / plan.blocks, first = unit % plan.blocks * column_block;
      find_in_columns<Op, T>(output + o * plan.inner + first, input + o * plan.outer_stride + first,
                             plan.reduced_stride, plan.reduced, smaller(column_block, plan.inner - first));
    }
    return;
  }
  if (plan.inner == 1 && plan.reduced_stride == 1 && plan.reduced <= longest_turned_row)  // so one segment
    return find_in_short_rows<Op, T>(output + units.begin, input + units.begin * plan.outer_stride,
                                     plan.outer_stride, units.end - units.begin, plan.reduced);
  auto* partials = static_cast<Extremum<T>*>(args.workspace);  // [results, segments]
  for (std::int64_t unit = units.begin; unit < units.end; ++unit) {
    const std::int64_t segment = unit % plan.segments, result = unit / plan.segments;
    const T* row = input + result / plan.inner * plan.outer_stride + result % plan.inner * plan.inner_stride;
    const Extremum<T> found = find_in_row<Op, T>(row, plan.reduced_stride, segment * plan.segment_length,
                                                 plan.segment_end(segment));
    if (plan.segments == 1) output[result] = found.index;
    else partials[unit] = found;
  }
  if (plan.segments == 1) return;

  team.barrier();
  const Pieces results = pieces_of(plan.results(), team);
  for (std::int64_t i = results.begin; i < results.end; ++i) {
    Extremum<T> best = partials[i * plan.segments];
    for (std::int64_t segment = 1; segment < plan.segments; ++segment)
      if (const Extremum<T>& next = partials[i * plan.segments + segment];
          replaces<Op, T>(next.value, best.value))
        best = next;
    output[i] = best.index;
  }
}

template <class T>
Kernel<ReduceArgs> kernel_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::sum:
      return reduce<Sum, T>;
    case Reduction::max:
      return reduce<Max, T>;
    case Reduction::min:
      return reduce<Min, T>;
    case Reduction::prod:
      return reduce<Product, T>;
    case Reduction::argmax:
      return arg_reduce<Max, T>;
    case Reduction::argmin:
      return arg_reduce<Min, T>;
  }
  return nullptr;
}

}  // namespace

Kernel<ReduceArgs> reduce_kernel(Reduction reduction, DType dtype) {
  switch (dtype) {
    case DType::float32:
      return kernel_of<float>(reduction);
    case DType::float64:
      return kernel_of<double>(reduction);
    case DType::int32:
      return kernel_of<std::int32_t>(reduction);
    case DType::int64:
      return kernel_of<std::int64_t>(reduction);
    case DType::uint8:
      return kernel_of<std::uint8_t>(reduction);
    case DType::boolean:
      return nullptr;
  }
  return nullptr;
}

std::size_t reduce_workspace(Reduction reduction, DType, const ReduceArgs& args) {
  const bool finds_index = reduction == Reduction::argmax || reduction == Reduction::argmin;
  const Plan plan = plan_of(args, !finds_index);
  if (plan.segments == 1) return 0;
  const std::size_t largest = finds_index ? sizeof(Extremum<double>) : sizeof(double);
  return static_cast<std::size_t>(plan.results() * plan.segments) * largest;
}

}  // namespace ravine::kernels::RAVINE_ISA
