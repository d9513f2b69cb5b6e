// The micro-kernels' code: compiled once, however many loop nests call it.
#include "kernels/gemm/micro.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

// Asks for the rows of B that are read in place, far ahead: far apart, the hardware does not foresee them.
// Into L2, as rows at a power of two from each other meet in a few lines of L1. Never beyond the last row:
// what lies there may be another thread's, which would have to fetch it back when it writes.
template <class T>
class RowsAhead {
 public:
  RAVINE_INLINE explicit RowsAhead(const MicroArgs<T>& args)
      : at_(args.b + (args.b_rows <= distance ? 0 : distance) * args.b_step),
        step_(args.b_step),
        left_(args.b_rows - 1 - distance) {}
  template <int vectors>
  RAVINE_INLINE void ask() {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) __builtin_prefetch(at_ + v * lanes<T>, 0, 2);
    at_ += left_ > 0 ? step_ : 0;
    --left_;
  }

 private:
  static constexpr std::int64_t distance = 64;
  const T* at_;
  std::int64_t step_, left_;
};

// sums[i][v] += the products of one p. b_vector(v): the address of B's.
template <class T, Packs packs, int rows, int vectors, class BVector, class Element>
RAVINE_INLINE void multiply_add_row(Vec<T> (&sums)[rows][vectors], BVector b_vector, Element a_element,
                                    T* packed) {
  Vec<T> b_row[vectors];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) {
    b_row[v] = load(b_vector(v));
    if constexpr (packs == Packs::b || packs == Packs::gathered_b) store(packed + v * lanes<T>, b_row[v]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
    const Vec<T> a = splat<T>(a_element(i));
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[i][v] += a * b_row[v];
  }
}

template <class T, ALayout layout, int rows, int vectors, Packs packs = Packs::nothing>
void micro_kernel(const MicroArgs<T>& args) {
  Vec<T> sums[rows][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[i][v] = Vec<T>{};

  if (!args.streams) {  // by the end of the sum C is in L1, to be written if not to be read
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) __builtin_prefetch(args.c_rows[i] + args.column + v * lanes<T>, 1);
  }

  const std::int64_t b_step = args.b_step;
  const T* b = args.b;
  T* packed = packs == Packs::nothing ? nullptr : args.packed;
  constexpr std::int64_t packed_step = packs == Packs::a                                 ? micro_rows
                                       : packs == Packs::b || packs == Packs::gathered_b ? vectors * lanes<T>
                                                                                         : 0;
  RowsAhead<T> rows_ahead(args);
  if constexpr (layout == ALayout::adjacent) {
    const T* a = args.a;
    const std::int64_t a_step = args.a_step;
    constexpr bool full = rows == micro_rows && vectors == micro_vectors;
    const T *ahead = args.ahead[0], *also_ahead = args.ahead[1];
    const std::int64_t ahead_step = args.ahead_step;
    for (std::int64_t p = args.depth; p > 0; --p, a += a_step, b += b_step, packed += packed_step) {
      if constexpr (full) {
        __builtin_prefetch(ahead, 0, 2);
        __builtin_prefetch(also_ahead, 0, 2);
        ahead += ahead_step;
        also_ahead += ahead_step;
      }
      if constexpr (packs == Packs::b) rows_ahead.template ask<vectors>();
      if constexpr (packs == Packs::a) std::memcpy(packed, a, rows * sizeof(T));
      const auto a_element = [a](int i) RAVINE_INLINE_LAMBDA { return a[i]; };
      if constexpr (packs == Packs::gathered_b) {
        const std::int64_t at = args.depth - p;
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v)
          __builtin_prefetch(args.b_gathered[v][at + gather_ahead] + v * lanes<T>);
        multiply_add_row<T, packs>(
            sums, [&args, at](int v) RAVINE_INLINE_LAMBDA { return args.b_gathered[v][at] + v * lanes<T>; },
            a_element, packed);
      } else {
        multiply_add_row<T, packs>(
            sums, [b](int v) RAVINE_INLINE_LAMBDA { return b + v * lanes<T>; }, a_element, packed);
      }
    }
  } else {
    const auto sum_runs = [&](auto ask_for) RAVINE_INLINE_LAMBDA {
      for (std::int64_t run = 0; run < args.runs; ++run) {
        const T* a[rows];
#pragma GCC unroll 8
        for (int i = 0; i < rows; ++i) a[i] = args.a_rows[run * micro_rows + i];
        const std::int64_t depth = args.run_depths[run];
        for (std::int64_t p = 0; p < depth; ++p, b += b_step, packed += packed_step) {
          ask_for(run, p, depth);
          if constexpr (packs == Packs::b) rows_ahead.template ask<vectors>();
          if constexpr (packs == Packs::a) {
#pragma GCC unroll 8
            for (int i = 0; i < rows; ++i) std::memcpy(packed + i, a[i] + p, sizeof(T));
          }
          multiply_add_row<T, packs>(
              sums, [b](int v) RAVINE_INLINE_LAMBDA { return b + v * lanes<T>; },
              [&a, p](int i) RAVINE_INLINE_LAMBDA { return a[i][p]; }, packed);
        }
      }
    };
    constexpr bool asks_for_a = rows == micro_rows && vectors > 1 && packs == Packs::nothing;
    if (asks_for_a && args.next_a_rows != args.a_rows) {
      sum_runs([&args](std::int64_t run, std::int64_t p, std::int64_t depth) RAVINE_INLINE_LAMBDA {
        // A cache line of each row in turn.
        constexpr std::int64_t cache_line = 64 / sizeof(T), turn = std::bit_ceil(unsigned{rows});
        const std::int64_t row = smaller(p % turn, rows - 1), line = p / turn * cache_line;
        __builtin_prefetch(args.next_a_rows[run * micro_rows + row] + (line < depth ? line : 0));
      });
    } else {
      sum_runs([](std::int64_t, std::int64_t, std::int64_t) RAVINE_INLINE_LAMBDA {});
    }
  }

  if (args.streams) {
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) stream(args.c_rows[i] + args.column + v * lanes<T>, sums[i][v]);
    return;
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
    T* c = args.c_rows[i] + args.column;
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      T* to = c + v * lanes<T>;
      if (v < vectors - 1 || args.last == lanes<T>) {
        store(to, args.accumulate ? load(to) + sums[i][v] : sums[i][v]);
      } else {
        store(to, args.accumulate ? load(to, args.last) + sums[i][v] : sums[i][v], args.last);
      }
    }
  }
}

template <class T>
constexpr MicroKernels<T> all_micro_kernels() {
  MicroKernels<T> kernels{};
  const auto fill_layout = [&]<ALayout layout>() {
    constexpr int l = static_cast<int>(layout);
    const auto fill_packing = [&]<int... v>(std::integer_sequence<int, v...>) {
      const auto pack = [&]<Packs packs, int vectors>() {
        kernels.packing[static_cast<int>(packs)][l][vectors - 1] =
            micro_kernel<T, layout, micro_rows, vectors, packs>;
      };
      (pack.template operator()<Packs::b, v + 1>(), ...);
      (
          [&] {
            if constexpr (v > 0) pack.template operator()<Packs::a, v + 1>();
          }(),
          ...);
      if constexpr (layout == ALayout::adjacent) pack.template operator()<Packs::gathered_b, micro_vectors>();
    };
    fill_packing(std::make_integer_sequence<int, micro_vectors>());
    const auto fill_rows = [&]<int... i>(std::integer_sequence<int, i...>) {
      ((kernels.of[l][i / micro_vectors][i % micro_vectors] =
            micro_kernel<T, layout, i / micro_vectors + 1, i % micro_vectors + 1>),
       ...);
    };
    fill_rows(std::make_integer_sequence<int, micro_rows * micro_vectors>());
  };
  fill_layout.template operator()<ALayout::adjacent>();
  fill_layout.template operator()<ALayout::by_rows>();
  return kernels;
}

}  // namespace

template <class T>
constinit const MicroKernels<T> MicroKernels<T>::all = all_micro_kernels<T>();
template struct MicroKernels<float>;
template struct MicroKernels<double>;

}  // namespace ravine::kernels::RAVINE_ISA
