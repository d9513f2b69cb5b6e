// The products of attention: tiles of rows times a block that is packed in panels, by the micro-kernels of
// gemm/. Under a causal mask a row sees a prefix of the keys only, and what it does not see is not computed.
#pragma once

#include "kernels/gemm/blocked.h"
#include "kernels/gemm/micro.h"
#include "kernels/gemm/pack.h"

namespace ravine::kernels::RAVINE_ISA {

// The keys of a block that the rows of a block of queries see, both counted from the blocks' beginnings.
struct Sight {
  bool causal;
  std::int64_t lead;  // causal: row i sees keys 0 .. i + lead

  std::int64_t keys(std::int64_t row, std::int64_t count) const {
    return causal ? smaller(larger(row + lead + 1, 0), count) : count;
  }
  std::int64_t first_row(std::int64_t key) const { return causal ? larger(key - lead, 0) : 0; }
};

// Rows in memory at a fixed stride.
template <class T>
struct RowsOf {
  T* data;
  std::int64_t stride;
  T* row(std::int64_t i) const { return data + i * stride; }
};

// B [depth, columns], packed in panels.
template <class T>
struct PackedBlock {
  T* data;
  std::int64_t columns, depth;

  static std::int64_t elements(std::int64_t columns, std::int64_t depth) {
    return round_up(columns, lanes<T>) * depth;
  }
  // The block [depth, columns] of rows.
  static PackedBlock pack(T* memory, RowsOf<const T> rows, std::int64_t columns, std::int64_t depth) {
    MatrixB<T>{rows.data, rows.stride, 1}.pack(memory, {0, columns}, {0, depth});
    return {memory, columns, depth};
  }
  // The transposed block: `columns` rows of `depth` numbers.
  static PackedBlock pack_transposed(T* memory, RowsOf<const T> rows, std::int64_t columns,
                                     std::int64_t depth) {
    MatrixB<T>{rows.data, 1, rows.stride}.pack(memory, {0, columns}, {0, depth});
    return {memory, columns, depth};
  }

  // f(first column, columns, panel's width, panel). The code of f is there once, as it is long.
  template <class F>
  void for_each_panel(F f) const {
    kernels::RAVINE_ISA::for_each_panel<T>(
        {0, columns}, [&](std::int64_t j, std::int64_t count, std::int64_t width)
                          __attribute__((noinline)) { f(j, count, width, data + j * depth); });
  }
};

// One tile: C (+)= A B for the numbers [from, to) of the sum, B being a panel. Long sums are cut into the
// runs of gemm/.
template <class T>
class TileProduct {
 public:
  TileProduct(RowsOf<T> c, std::int64_t column, std::int64_t columns, std::int64_t width)
      : c_(c), column_(column), columns_(columns), width_(width) {}

  // A's rows are rows i .. i + height of `a`.
  void by_rows(RowsOf<const T> a, std::int64_t i, std::int64_t height, Range sum, const T* panel,
               bool accumulate) const {
    const T* a_rows[micro_rows];
    std::int64_t run_depth = 0;
    for_each_run(sum, accumulate, [&](Range run, bool add) {
      for (std::int64_t r = 0; r < height; ++r) a_rows[r] = a.row(i + r) + run.begin;
      run_depth = run.size();
      MicroArgs<T> args = args_for(i, height, run, panel, add);
      args.a_rows = args.next_a_rows = a_rows;
      args.run_depths = &run_depth;
      args.runs = 1;
      micro_kernels<T, ALayout::by_rows>.of[height - 1][width_ / lanes<T> - 1](args);
    });
  }
  // A's rows are columns i .. i + height of `a`.
  void by_columns(RowsOf<const T> a, std::int64_t i, std::int64_t height, Range sum, const T* panel,
                  bool accumulate) const {
    for_each_run(sum, accumulate, [&](Range run, bool add) {
      MicroArgs<T> args = args_for(i, height, run, panel, add);
      args.a = a.row(run.begin) + i;
      args.a_step = a.stride;
      args.depth = run.size();
      micro_kernels<T, ALayout::adjacent>.of[height - 1][width_ / lanes<T> - 1](args);
    });
  }

 private:
  template <class F>
  void for_each_run(Range sum, bool accumulate, F f) const {
    const std::int64_t longest = usual_run_depth<T>(sum.size());
    std::int64_t p = sum.begin;
    do {  // once even if the sum is empty: C must become 0
      const Range run{p, smaller(p + longest, sum.end)};
      f(run, accumulate || p > sum.begin);
      p = run.end;
    } while (p < sum.end);
  }
  MicroArgs<T> args_for(std::int64_t i, std::int64_t height, Range run, const T* panel,
                        bool accumulate) const {
    for (std::int64_t r = 0; r < height; ++r) c_rows_[r] = c_.row(i + r);
    MicroArgs<T> args;
    args.b = panel + run.begin * width_;
    args.b_step = width_;
    args.ahead[0] = args.ahead[1] = args.b;
    args.c_rows = c_rows_;
    args.column = column_;
    args.last = columns_ - (width_ - lanes<T>);
    args.accumulate = accumulate;
    return args;
  }

  RowsOf<T> c_;
  std::int64_t column_, columns_, width_;
  mutable T* c_rows_[micro_rows];
};

// f(first row, height) for the tiles of rows [begin, end).
template <class F>
RAVINE_INLINE void for_each_tile(std::int64_t begin, std::int64_t end, F f) {
  for (std::int64_t i = begin, height = 0; i < end; i += height) {
    height = tile_height(end - i);
    f(i, height);
  }
}

// to [rows, keys] = a b, the products of queries and keys, in whole vectors: lanes past the last key are 0.
// Left out are panels of keys that no row of a tile sees.
template <class T>
[[gnu::noinline]] void multiply_by_keys(RowsOf<T> to, RowsOf<const T> a, std::int64_t rows,
                                        const PackedBlock<T>& b, Sight sight) {
  b.for_each_panel([&](std::int64_t j, std::int64_t, std::int64_t width, const T* panel) {
    const TileProduct<T> product(to, j, width, width);
    const std::int64_t first = sight.first_row(j);
    if (first >= rows) return;
    for_each_tile(first / micro_rows * micro_rows, rows, [&](std::int64_t i, std::int64_t height) {
      product.by_rows(a, i, height, {0, b.depth}, panel, /*accumulate=*/false);
    });
  });
}

// to [rows, columns] (+)= weights b over the keys that a tile's rows see.
template <class T>
[[gnu::noinline]] void multiply_weights(RowsOf<T> to, RowsOf<const T> weights, std::int64_t rows,
                                        const PackedBlock<T>& b, Sight sight, bool accumulate) {
  b.for_each_panel([&](std::int64_t j, std::int64_t count, std::int64_t width, const T* panel) {
    const TileProduct<T> product(to, j, count, width);
    for_each_tile(0, rows, [&](std::int64_t i, std::int64_t height) {
      const std::int64_t keys = sight.keys(i + height - 1, b.depth);
      if (keys > 0 || !accumulate) product.by_rows(weights, i, height, {0, keys}, panel, accumulate);
    });
  });
}

// to [keys, columns] (+)= weights^T b over the rows that see a tile's keys.
template <class T>
[[gnu::noinline]] void multiply_transposed_weights(RowsOf<T> to, RowsOf<const T> weights, std::int64_t keys,
                                                   const PackedBlock<T>& b, Sight sight, bool accumulate) {
  b.for_each_panel([&](std::int64_t j, std::int64_t count, std::int64_t width, const T* panel) {
    const TileProduct<T> product(to, j, count, width);
    for_each_tile(0, keys, [&](std::int64_t i, std::int64_t height) {
      const std::int64_t first = smaller(sight.first_row(i), b.depth);
      if (first < b.depth || !accumulate)
        product.by_columns(weights, i, height, {first, b.depth}, panel, accumulate);
    });
  });
}

}  // namespace ravine::kernels::RAVINE_ISA
