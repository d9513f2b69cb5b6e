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

template <class T>
using MicroKernel = void (*)(const MicroArgs<T>&);

// The micro-kernels of a type; their code is in micro.cpp alone, whatever loop nest calls them.
template <class T>
struct MicroKernels {
  MicroKernel<T> of[2][micro_rows][micro_vectors];  // [layout][rows - 1][vectors - 1]
  MicroKernel<T> packing[4][2][micro_vectors];      // [packs][layout][vectors - 1], of micro_rows

  static const MicroKernels all;

  void multiply(ALayout layout, std::int64_t rows, std::int64_t vectors, const MicroArgs<T>& args) const {
    of[static_cast<int>(layout)][rows - 1][vectors - 1](args);
  }
  // Packs::a at least two vectors wide, Packs::gathered_b micro_vectors wide and beside adjacent rows of A.
  void multiply_and_pack(Packs packs, ALayout layout, std::int64_t vectors, const MicroArgs<T>& args) const {
    packing[static_cast<int>(packs)][static_cast<int>(layout)][vectors - 1](args);
  }
};

}  // namespace ravine::kernels::RAVINE_ISA
