// The product of a step: a tile of the state's rows, wherever they lie, times the recurrent weights, which
// are packed once a call and stay in the caches over the steps.
#pragma once

#include "core/team.h"
#include "kernels/gemm/blocked.h"
#include "kernels/gemm/micro.h"
#include "kernels/gemm/pack.h"

namespace ravine::kernels::RAVINE_ISA {

// The weights B_g [depth, columns] of every gate g. The panels of all gates for the same columns lie side by
// side, as the cell needs all of its gates at once.
template <class T>
class PackedWeights {
 public:
  static std::int64_t elements(std::int64_t gates, std::int64_t columns, std::int64_t depth) {
    return gates * round_up(columns, lanes<T>) * depth;
  }

  PackedWeights(T* memory, std::int64_t gates, std::int64_t columns, std::int64_t depth)
      : memory_(memory), gates_(gates), columns_(columns), depth_(depth) {}

  // By the whole team; a barrier is the caller's. Gate g's weights begin at b + g * gate_stride.
  [[gnu::noinline]] void pack(MatrixB<T> b, std::int64_t gate_stride, const Team& team) const {
    int turn = 0;
    for_each([&](std::int64_t j, std::int64_t count, std::int64_t width) {
      for (std::int64_t gate = 0; gate < gates_; ++gate) {
        if (turn == team.rank) {
          const MatrixB<T> of_gate{b.data + gate * gate_stride, b.row_stride, b.column_stride};
          of_gate.pack(panel(j, gate, width), {j, j + count}, {0, depth_});
        }
        turn = turn + 1 == team.size ? 0 : turn + 1;
      }
    });
  }

  // f(first column, columns, width in whole vectors) for every panel; its code is there once, as it is long.
  template <class F>
  void for_each(F f) const {
    for_each_panel<T>(
        {0, columns_}, [&f](std::int64_t j, std::int64_t columns, std::int64_t width)
                           __attribute__((noinline)) { f(j, columns, width); });
  }

  // to[gate][i] = rows[i] B_gate for the columns of a panel, in rows of panel_columns; zeros where the rows
  // are null. Lanes beyond the last column are 0.
  [[gnu::noinline]] void multiply(const T* const* rows, std::int64_t height, std::int64_t j,
                                  std::int64_t width, T* to) const {
    for (std::int64_t gate = 0; gate < gates_; ++gate) {
      T* const tile = to + gate * micro_rows * panel_columns<T>;
      if (rows == nullptr || depth_ == 0) {
        for (std::int64_t i = 0; i < height * panel_columns<T>; i += lanes<T>) store(tile + i, Vec<T>{});
      } else {
        multiply_gate(rows, height, panel(j, gate, width), width, tile);
      }
    }
  }

 private:
  T* panel(std::int64_t j, std::int64_t gate, std::int64_t width) const {
    return memory_ + (j * gates_ + gate * width) * depth_;
  }

  // Long sums are cut into the runs of gemm/.
  void multiply_gate(const T* const* rows, std::int64_t height, const T* b, std::int64_t width,
                     T* tile) const {
    const std::int64_t longest = usual_run_depth<T>(depth_);
    T* c_rows[micro_rows];
    const T* a_rows[micro_rows];
    for (std::int64_t i = 0; i < height; ++i) c_rows[i] = tile + i * panel_columns<T>;
    for (std::int64_t p = 0; p < depth_; p += longest) {
      const std::int64_t depth = smaller(longest, depth_ - p);
      for (std::int64_t i = 0; i < height; ++i) a_rows[i] = rows[i] + p;
      MicroArgs<T> args;
      args.a_rows = args.next_a_rows = a_rows;
      args.run_depths = &depth;
      args.runs = 1;
      args.b = b + p * width;
      args.b_step = width;
      args.c_rows = c_rows;
      args.last = lanes<T>;
      args.accumulate = p > 0;
      MicroKernels<T>::all.multiply(ALayout::by_rows, height, width / lanes<T>, args);
    }
  }

  T* memory_;
  std::int64_t gates_, columns_, depth_;
};

// The products of a tile, at most four gates.
template <class T>
struct ProductTile {
  static constexpr std::int64_t gate_stride = micro_rows * panel_columns<T>;
  alignas(64) T data[4 * gate_stride];

  // Of a row of the tile, gate by gate.
  T* row(std::int64_t i) { return data + i * panel_columns<T>; }
  const T* row(std::int64_t i) const { return data + i * panel_columns<T>; }
};

}  // namespace ravine::kernels::RAVINE_ISA
