// The register-blocked inner product of GEMM and convolution: a tile of C, at most micro_rows x micro_vectors
// vectors, summed over a run of k in order. One instance per number of rows and of vectors, so that edges
// waste no arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>

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
// Rows of a packed panel of A: a power of two, as its transposition by interleaving needs.
inline constexpr int panel_rows = micro_rows == 6 ? 8 : micro_rows;
template <class T>
inline constexpr int panel_columns = micro_vectors* lanes<T>;

// Where a micro-kernel reads A: element (i, p) is a[i * row_step + p * depth_step].
enum class ALayout {
  rows_adjacent,   // row_step 1: a packed panel, or a transposed matrix in place
  depth_adjacent,  // depth_step 1: a row-major matrix in place
};

template <class T>
struct MicroArgs {
  std::int64_t depth;
  const T* a;
  std::int64_t a_step;  // the step of A that is not 1
  const T* b;           // element (p, j) is b[p * b_step + j]; whole vectors are read
  std::int64_t b_step;
  T* const* c_rows;     // one address per row of the tile
  std::int64_t column;  // of the tile within these rows
  std::int64_t last;    // columns of the last vector, 1..lanes
  bool accumulate;      // add to what C holds
};

template <class T, ALayout layout, int rows, int vectors>
[[gnu::noinline]] void micro_kernel(const MicroArgs<T>& args) {
  Vec<T> sums[rows][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[i][v] = Vec<T>{};

  const std::int64_t depth = args.depth, a_step = args.a_step, b_step = args.b_step;
  const T* a = args.a;
  const T* b = args.b;
  for (std::int64_t p = 0; p < depth; ++p) {
    Vec<T> b_row[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) b_row[v] = load(b + v * lanes<T>);
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const Vec<T> a_element = splat(layout == ALayout::rows_adjacent ? a[i] : a[i * a_step]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[i][v] += a_element * b_row[v];
    }
    a += layout == ALayout::rows_adjacent ? a_step : 1;
    b += b_step;
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
