// The loop nest that GEMM and convolution share. A thread multiplies a rectangle of C on its own: it packs
// what it reads into its scratch, so no thread waits for another. An element's sum runs over k in order, in
// runs of block_depth counted from the start of k, so it is the same whatever rectangle, and so whatever
// thread, it falls to.
#pragma once

#include "kernels/elementwise.h"
#include "kernels/gemm_pack.h"
#include "kernels/scratch.h"

namespace ravine::kernels::RAVINE_ISA {

// ---- model of the caches ------------------------------------------------------------------------------
inline constexpr std::int64_t l1_bytes = 48 << 10, l2_bytes = 1 << 20;

// A panel of B this deep and the panel of A beside it stay in L1 while the panels of A pass by.
template <class T>
inline constexpr std::int64_t block_depth =
    smaller(l1_bytes * 7 / 8 / ((panel_columns<T> + panel_rows) * static_cast<std::int64_t>(sizeof(T))),
            max_block_depth) /
    16 * 16;
// Rows of a block of A: each panel of B that comes from L2 or L3 is used by this many rows.
inline constexpr std::int64_t block_rows = 96;
// The packed part of B and the block of C share L2.
template <class T>
inline constexpr std::int64_t b_capacity = l2_bytes / 2 / static_cast<std::int64_t>(sizeof(T));
template <class T>
inline constexpr std::int64_t block_columns =
    b_capacity<T> / block_depth<T> / panel_columns<T>* panel_columns<T>;
// So few rows read B too seldom to pay for packing it, where whole vectors of it can be read in place.
inline constexpr std::int64_t rows_to_pack_b = 2 * micro_rows + 1;
// So few panels of columns read A too seldom to pay for packing it.
inline constexpr std::int64_t panels_in_place_a = 4;

template <class T>
inline constexpr std::int64_t a_capacity =
    block_depth<T>*(block_rows / micro_rows * panel_rows) + pack_slack<T>;
static_assert((a_capacity<double> + b_capacity<double>)*sizeof(double) <= scratch_bytes);
static_assert((a_capacity<float> + b_capacity<float>)*sizeof(float) <= scratch_bytes);
static_assert(block_rows % micro_rows == 0);

// ---- where C goes -------------------------------------------------------------------------------------
// Rows at a fixed stride, with an epilogue whose element (epilogue_row, epilogue_column) is C's (0, 0).
template <class T>
struct MatrixC {
  T* data;
  std::int64_t stride;
  const TileProgram* epilogue = nullptr;
  std::int64_t epilogue_row = 0, epilogue_column = 0;

  T* row(std::int64_t i) const { return data + i * stride; }
  void complete(Range rows, Range columns) const {
    if (epilogue == nullptr) return;
    run_epilogue(*epilogue, row(rows.begin) + columns.begin, stride, epilogue_row + rows.begin, rows.size(),
                 epilogue_column + columns.begin, columns.size());
  }
};

// ---- one thread's rectangle ----------------------------------------------------------------------------
// A block of A as the micro-kernels will read it: packed, or in place.
template <class T, class A>
class BlockOfA {
 public:
  BlockOfA(const A& a, AAccess access, std::byte* memory)
      : a_(a),
        access_(access),
        packed_(reinterpret_cast<T*>(memory)),
        addresses_(reinterpret_cast<const T**>(memory)) {}

  void prepare(Range rows, Range depth) {
    first_row_ = rows.begin;
    depth_ = depth;
    if (access_ == AAccess::adjacent) return;
    for (std::int64_t i = rows.begin; i < rows.end; i += micro_rows) {
      const std::int64_t panel = (i - first_row_) / micro_rows;
      const int height = static_cast<int>(smaller(micro_rows, rows.end - i));
      if (access_ == AAccess::packed) {
        a_.pack(packed_ + panel * panel_rows * depth.size(), i, height, depth);
      } else {  // every panel has the same runs
        runs_ = a_.point(addresses_ + panel * panel_rows * runs_, run_depths_, i, height, depth);
      }
    }
  }

  // Multiplies the panel that begins at row i; args lacks only what concerns A.
  void multiply(MicroArgs<T>& args, std::int64_t i, std::int64_t height, std::int64_t vectors) const {
    const std::int64_t panel = (i - first_row_) / micro_rows;
    if (access_ == AAccess::by_rows) {
      args.a_rows = addresses_ + panel * panel_rows * runs_;
      args.run_depths = run_depths_;
      args.runs = runs_;
      micro_kernels<T, ALayout::by_rows>.of[height - 1][vectors - 1](args);
      return;
    }
    args.a = packed_ + panel * panel_rows * depth_.size();
    args.a_step = panel_rows;
    args.depth = depth_.size();
    if constexpr (requires { a_.at(i, i); }) {
      if (access_ == AAccess::adjacent) {
        args.a = a_.at(i, depth_.begin);
        args.a_step = a_.step();
      }
    }
    micro_kernels<T, ALayout::adjacent>.of[height - 1][vectors - 1](args);
  }

 private:
  const A& a_;
  AAccess access_;
  T* packed_;
  const T** addresses_;
  std::int64_t first_row_ = 0, runs_ = 0;
  Range depth_{0, 0};
  std::int64_t run_depths_[max_block_depth / min_run + 2];
};

// C[rows, columns] = A[rows, depth] B[depth, columns] (+ C), by one thread. C has row(i) and complete(rows,
// columns).
template <class T, class A, class B, class C>
void multiply(const A& a, const B& b, const C& c, Range rows, Range columns, Range depth, bool accumulate,
              std::byte* scratch) {
  constexpr std::int64_t n_lanes = lanes<T>;
  if (rows.size() <= 0 || columns.size() <= 0) return;
  T* const packed_b = reinterpret_cast<T*>(scratch);
  const std::int64_t strip_columns = smaller(columns.size(), block_columns<T>);
  // Deep strips of B spare C the way to memory and back: as deep as the capacity allows.
  const std::int64_t strip_depth =
      larger(b_capacity<T> / round_up(strip_columns, n_lanes) / block_depth<T>, 1) * block_depth<T>;
  const bool b_in_place = b.in_place() && rows.size() < rows_to_pack_b && depth.size() > 0;

  for (std::int64_t j0 = columns.begin; j0 < columns.end; j0 += strip_columns) {
    const Range strip{j0, smaller(j0 + strip_columns, columns.end)};
    const bool pack_a = strip.size() > panels_in_place_a * panel_columns<T> || depth.size() == 0;
    BlockOfA<T, A> block_of_a(a, pack_a ? AAccess::packed : a.access(), scratch + b_capacity<T> * sizeof(T));
    // What is read in place and does not stay in the caches comes along strided rows, which the hardware does
    // not foresee.
    const bool prefetch_a =
        !pack_a && rows.size() * depth.size() * static_cast<std::int64_t>(sizeof(T)) > l2_bytes;
    std::int64_t q0 = depth.begin;
    do {  // once even where depth is empty: C must become 0
      const Range deep{q0, smaller(q0 + strip_depth, depth.end)};
      if (!b_in_place) {
        b.pack(packed_b, strip, deep);
      } else if (strip.size() % n_lanes != 0) {  // whole vectors of the last panel would reach beyond B
        const std::int64_t ragged = (strip.size() - 1) / panel_columns<T> * panel_columns<T>;
        b.pack(packed_b + ragged * deep.size(), {strip.begin + ragged, strip.end}, deep);
      }

      for (std::int64_t i0 = rows.begin; i0 < rows.end; i0 += block_rows) {
        const Range block{i0, smaller(i0 + block_rows, rows.end)};
        T* c_rows[block_rows];
        for (std::int64_t i = block.begin; i < block.end; ++i) c_rows[i - block.begin] = c.row(i);

        std::int64_t p0 = deep.begin;
        do {
          const Range run{p0, smaller(p0 + block_depth<T>, deep.end)};
          block_of_a.prepare(block, run);
          for_each_panel<T>(strip, [&](std::int64_t j, std::int64_t count, std::int64_t width) {
            const std::int64_t vectors = width / n_lanes;
            MicroArgs<T> args;
            args.column = j;
            args.last = count - (vectors - 1) * n_lanes;
            args.accumulate = accumulate || run.begin > depth.begin;
            args.b = packed_b + (j - strip.begin) * deep.size() + (run.begin - deep.begin) * width;
            args.b_step = width;
            if constexpr (requires { b.at(p0, j); }) {
              if (b_in_place && count == width) {
                args.b = b.at(run.begin, j);
                args.b_step = b.step();
              }
            }
            for (std::int64_t i = block.begin; i < block.end; i += micro_rows) {
              args.c_rows = c_rows + (i - block.begin);
              if constexpr (requires { a.prefetch_panel(i, run); }) {
                if (prefetch_a && j == strip.begin) a.prefetch_panel(i + micro_rows, run);
              }
              block_of_a.multiply(args, i, smaller(micro_rows, block.end - i), vectors);
            }
          });
          p0 = run.end;
        } while (p0 < deep.end);
        if (deep.end == depth.end) c.complete(block, strip);
      }
      q0 = deep.end;
    } while (q0 < depth.end);
  }
}

// ---- the team's division -------------------------------------------------------------------------------
// This thread's share of `count` products, each m x n: a range of products and a rectangle of micro-tiles in
// them.
struct Share {
  Range products, rows, columns;
};

// Cuts the micro-tiles of all products into team.size boxes, so that the largest box is smallest. Every
// element of C is computed alike in any box, so the bits do not depend on the cut.
template <class T>
Share share(std::int64_t count, std::int64_t m, std::int64_t n, const Team& team) {
  const std::int64_t row_units = divide_up(m, micro_rows), column_units = divide_up(n, panel_columns<T>);
  int best[3] = {1, team.size, 1};
  std::int64_t best_cost = -1;
  for (int products = 1; products <= team.size; ++products) {
    if (team.size % products != 0) continue;
    const int rest = team.size / products;
    for (int columns = 1; columns <= rest; ++columns) {
      if (rest % columns != 0) continue;
      const std::int64_t rows_each = divide_up(row_units, rest / columns);
      const std::int64_t columns_each = divide_up(column_units, columns);
      // A tile's arithmetic, and in the same unit about what packing its share of A and of B costs.
      const std::int64_t cost =
          divide_up(count, products) * (8 * rows_each * columns_each + 4 * rows_each + 4 * columns_each);
      if (best_cost < 0 || cost < best_cost) {
        best_cost = cost;
        best[0] = products;
        best[1] = rest / columns;
        best[2] = columns;
      }
    }
  }
  const int rank = team.rank;
  return {share_of(count, 1, rank / (best[1] * best[2]), best[0]),
          share_of(m, micro_rows, rank / best[2] % best[1], best[1]),
          share_of(n, panel_columns<T>, rank % best[2], best[2])};
}

// ---- sums over a long k ------------------------------------------------------------------------------
// Into how many parts k is cut: few tiles of C and a long k leave too few pieces for a team. By shape only.
template <class T>
std::int64_t depth_splits(std::int64_t count, std::int64_t m, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t enough_tiles = 64, shortest = 512;
  const std::int64_t tiles = count * divide_up(m, micro_rows) * divide_up(n, panel_columns<T>);
  if (tiles == 0 || tiles >= enough_tiles / 2) return 1;
  return larger(smaller(divide_up(enough_tiles, tiles), k / shortest), 1);
}
// Part `split` of k.
RAVINE_INLINE Range split_of(std::int64_t k, std::int64_t split, std::int64_t splits) {
  return share_of(k, 64, static_cast<int>(split), static_cast<int>(splits));
}

// to[j] = the sum over the parts, in order, of partials[part * stride + j] (+ to[j]), for j < n.
template <class T>
void add_splits(T* to, const T* partials, std::int64_t stride, std::int64_t splits, std::int64_t n,
                bool accumulate) {
  for (std::int64_t j = 0; j < n; j += lanes<T>) {
    const std::int64_t count = smaller(n - j, lanes<T>);
    Vec<T> sum = load(partials + j, count);
    for (std::int64_t split = 1; split < splits; ++split) sum += load(partials + split * stride + j, count);
    store(to + j, accumulate ? load(to + j, count) + sum : sum, count);
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
