// Reductions over the middle axis: those whose result has the values' dtype, those of integers in int64, and
// the places of extremes.
#include "kernels/api/reduce.h"

#include "kernels/api/table.h"
#include "kernels/rows/reduce_loops.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

// ---- integers in int64

// Narrow integers are widened block by block, in the caches. Sums and products wrap, so that any order gives
// the same bits.
constexpr std::int64_t widened_elements = 8192;

// The byte of a bool counts as 0 or 1.
struct Truth {
  std::uint8_t byte;
};
RAVINE_INLINE std::int64_t widened(Truth x) { return x.byte != 0; }
template <class T>
RAVINE_INLINE std::int64_t widened(T x) {
  return x;
}

// to[i] = x[i stride]
template <class T>
void widen(std::int64_t* to, const T* x, std::int64_t stride, std::int64_t n) {
  if (stride == 1)
    for (std::int64_t i = 0; i < n; ++i) to[i] = widened(x[i]);
  else
    for (std::int64_t i = 0; i < n; ++i) to[i] = widened(x[i * stride]);
}

template <class Op, class T>
std::int64_t reduce_widened_row(const T* row, std::int64_t stride, std::int64_t begin, std::int64_t end) {
  alignas(64) std::int64_t wide[row_chunk];
  std::int64_t result = Op::template identity<std::int64_t>();
  for (std::int64_t i = begin; i < end; i += row_chunk) {
    const std::int64_t n = smaller(row_chunk, end - i);
    widen(wide, row + i * stride, stride, n);
    result = Op::apply(result, reduce_chunk<Op, std::int64_t>(wide, n));
  }
  return result;
}

// `scratch` is room for the levels that a block needs, a block, and its result.
template <class Op, class T>
void reduce_widened_columns(std::int64_t* to, const T* x, std::int64_t stride, std::int64_t rows,
                            std::int64_t n, std::int64_t* scratch) {
  constexpr std::int64_t levels = 20 * column_block;
  std::int64_t *const wide = scratch + levels, *const partial = wide + widened_elements;
  for (std::int64_t c = 0; c < n; ++c) to[c] = Op::template identity<std::int64_t>();
  const std::int64_t at_once = n > 0 ? widened_elements / n : rows;
  for (std::int64_t first = 0; first < rows; first += at_once) {
    const std::int64_t count = smaller(at_once, rows - first);
    if (n == stride) widen(wide, x + first * stride, 1, count * n);
    else
      for (std::int64_t r = 0; r < count; ++r) widen(wide + r * n, x + (first + r) * stride, 1, n);
    reduce_narrow_columns<Op, std::int64_t>(partial, wide, count, n, scratch);
    combine_columns<Op, std::int64_t>(to, partial, n);
  }
}
static_assert((20 * column_block + widened_elements + column_block) * 8 <=
              static_cast<std::int64_t>(scratch_bytes));

// ---- the kernel

template <class T>
void scale_results(T* results, std::int64_t n, double scale) {
  if (scale == 1) return;
  for (std::int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_floating_point_v<T>) results[i] *= static_cast<T>(scale);
    else results[i] = static_cast<T>(static_cast<double>(results[i]) * scale);
  }
}

template <class Op, class In, class T = In>
void reduce(const ReduceArgs& args, const Team& team) {
  constexpr bool widens = !std::is_same_v<In, T>;
  const Plan plan = plan_of(args, true);
  const double scale = std::is_same_v<Op, Sum> ? args.scale : 1;
  const In* input = static_cast<const In*>(args.input);
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
      const In* from = input + o * plan.outer_stride + begin * plan.reduced_stride + first;
      T* levels = reinterpret_cast<T*>(team.scratch);
      if constexpr (widens)
        reduce_widened_columns<Op, In>(to, from, plan.reduced_stride, end - begin, n, levels);
      else if (n > 0 && n == plan.reduced_stride)
        reduce_narrow_columns<Op, T>(to, from, end - begin, n, levels);
      else reduce_columns<Op, T>(to, from, plan.reduced_stride, end - begin, n, levels);
      if (plan.segments == 1) scale_results(to, n, scale);
    } else {
      const In* row = input + which / plan.inner * plan.outer_stride + which % plan.inner * plan.inner_stride;
      T* to = partials + segment * plan.results() + which;
      if constexpr (widens) *to = reduce_widened_row<Op, In>(row, plan.reduced_stride, begin, end);
      else *to = reduce_row<Op, T>(row, plan.reduced_stride, begin, end);
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

// ---- argmax and argmin

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
  using Total = std::conditional_t<std::is_integral_v<T>, std::int64_t, T>;
  switch (reduction) {
    case Reduction::sum:
      return reduce<Sum, T, Total>;
    case Reduction::max:
      return reduce<Max, T>;
    case Reduction::min:
      return reduce<Min, T>;
    case Reduction::prod:
      return reduce<Product, T, Total>;
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
      return reduction == Reduction::sum    ? reduce<Sum, Truth, std::int64_t>
             : reduction == Reduction::prod ? reduce<Product, Truth, std::int64_t>
                                            : nullptr;
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
