// The register-blocked inner product of GEMM and convolution: a tile of C, at most micro_rows x micro_vectors
// vectors, summed over a run of k in order. One instance per number of rows and of vectors, so that edges
// waste no arithmetic.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/base/vector_loop.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

// Accumulators + one row of B + one broadcast of A fill the vector registers: 24 + 3 + 1 of 32, 12 + 2 + 1
// of 16.
#if defined(__AVX512F__)
inline constexpr int micro_rows = 8, micro_vectors = 3;
#elif defined(__AVX2__)
inline constexpr int micro_rows = 6, micro_vectors = 2;
#else
inline constexpr int micro_rows = 4, micro_vectors = 2;
#endif
template <class T>
inline constexpr int panel_columns = micro_vectors* lanes<T>;

// How a micro-kernel reads A.
enum class ALayout {
  adjacent,  // the rows of one p side by side: a packed panel, or a transposed matrix in place
  by_rows,   // an address per row, in one or more runs of p: a matrix or an image in place
};

// What a micro-kernel does besides: the first that reads a panel in place leaves it packed for the others,
// which costs nothing while the multiplications are the bottleneck.
enum class Packs { nothing, a, b, gathered_b };
// gathered_b: rows of B that are anywhere; so far ahead they are asked for.
inline constexpr std::int64_t gather_ahead = 24;

template <class T>
struct MicroArgs {
  // adjacent: element (i, p) is a[p * a_step + i].
  const T* a = nullptr;
  std::int64_t a_step = 0;
  std::int64_t depth = 0;
  // by_rows: element (i, p) of a run is a_rows[run * micro_rows + i][p], p < run_depths[run].
  const T* const* a_rows = nullptr;
  const std::int64_t* run_depths = nullptr;
  std::int64_t runs = 0;
  const T* const* next_a_rows = nullptr;  // of the panel that is read next, for the same runs, or a_rows

  const T* b = nullptr;  // element (p, j) is b[p * b_step + j]; whole vectors are read
  std::int64_t b_step = 0;
  // Packs::gathered_b: vector v of row p is b_gathered[v][p] + v * lanes; addresses go on for gather_ahead.
  const T* const* b_gathered[micro_vectors] = {};
  std::int64_t b_rows = 0;  // Packs::b: how many there are from b on, of which `depth` are multiplied
  // What will be read soon, from memory to L2: two cache lines a p. Addresses that exist, as a search for the
  // page of others takes long.
  const T* ahead[2] = {};
  std::int64_t ahead_step = 0;
  T* packed = nullptr;         // Packs::a: [p][micro_rows], Packs::b: [p][vectors of the kernel]
  T* const* c_rows = nullptr;  // one address per row of the tile
  std::int64_t column = 0;     // of the tile within these rows
  std::int64_t last = 0;       // columns of the last vector, 1..lanes
  bool accumulate = false;     // add to what C holds
  bool streams = false;  // C goes to memory past the caches: whole vectors of aligned rows, not accumulated
};

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
[[gnu::noinline]] void micro_kernel(const MicroArgs<T>& args) {
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
using MicroKernel = void (*)(const MicroArgs<T>&);

template <class T, ALayout layout>
struct MicroKernels {
  MicroKernel<T> of[micro_rows][micro_vectors];  // [rows - 1][vectors - 1]

  template <int row>
  constexpr void fill() {
    of[row][0] = micro_kernel<T, layout, row + 1, 1>;
    of[row][1] = micro_kernel<T, layout, row + 1, 2>;
    if constexpr (micro_vectors > 2) of[row][2] = micro_kernel<T, layout, row + 1, 3>;
    if constexpr (row + 1 < micro_rows) fill<row + 1>();
  }
  constexpr MicroKernels() : of{} { fill<0>(); }
};
template <class T, ALayout layout>
inline constexpr MicroKernels<T, layout> micro_kernels{};

}  // namespace ravine::kernels::RAVINE_ISA
