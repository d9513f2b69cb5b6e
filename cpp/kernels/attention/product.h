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

// The tiles of a panel of columns: C (+)= A B for the numbers [from, to) of the sum. Long sums are cut into
// the runs of gemm/.
template <class T>
class PanelProduct {
 public:
  PanelProduct(RowsOf<T> c, std::int64_t column, std::int64_t columns, std::int64_t width, const T* panel)
      : c_(c), panel_(panel), vectors_(width / lanes<T>) {
    args_.b_step = width;
    args_.column = column;
    args_.last = columns - (width - lanes<T>);
    args_.c_rows = c_rows_;
    args_.a_rows = args_.next_a_rows = a_rows_;
    args_.run_depths = &args_.depth;
    args_.runs = 1;
  }

  // A's rows are rows i .. i + height of `a`.
  void by_rows(RowsOf<const T> a, std::int64_t i, std::int64_t height, Range sum, bool accumulate) {
    for_each_run(i, height, sum, accumulate, [&](Range run) {
      for (std::int64_t r = 0; r < height; ++r) a_rows_[r] = a.row(i + r) + run.begin;
      MicroKernels<T>::all.multiply(ALayout::by_rows, height, vectors_, args_);
    });
  }
  // A's rows are columns i .. i + height of `a`.
  void by_columns(RowsOf<const T> a, std::int64_t i, std::int64_t height, Range sum, bool accumulate) {
    for_each_run(i, height, sum, accumulate, [&](Range run) {
      args_.a = a.row(run.begin) + i;
      args_.a_step = a.stride;
      MicroKernels<T>::all.multiply(ALayout::adjacent, height, vectors_, args_);
    });
  }

 private:
  template <class F>
  void for_each_run(std::int64_t i, std::int64_t height, Range sum, bool accumulate, F multiply) {
    for (std::int64_t r = 0; r < height; ++r) c_rows_[r] = c_.row(i + r);
    const std::int64_t longest = usual_run_depth<T>(sum.size());
    std::int64_t p = sum.begin;
    do {  // once even if the sum is empty: C must become 0
      const Range run{p, smaller(p + longest, sum.end)};
      args_.b = panel_ + run.begin * args_.b_step;
      args_.ahead[0] = args_.ahead[1] = args_.b;
      args_.depth = run.size();
      args_.accumulate = accumulate || p > sum.begin;
      multiply(run);
      p = run.end;
    } while (p < sum.end);
  }

  RowsOf<T> c_;
  const T* panel_;
  std::int64_t vectors_;
  MicroArgs<T> args_;
  T* c_rows_[micro_rows];
  const T* a_rows_[micro_rows];
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
    PanelProduct<T> product(to, j, width, width, panel);
    const std::int64_t first = sight.first_row(j);
    if (first >= rows) return;
    for_each_tile(first / micro_rows * micro_rows, rows, [&](std::int64_t i, std::int64_t height) {
      product.by_rows(a, i, height, {0, b.depth}, /*accumulate=*/false);
    });
  });
}

// to [rows, columns] (+)= weights b over the keys that a tile's rows see.
template <class T>
[[gnu::noinline]] void multiply_weights(RowsOf<T> to, RowsOf<const T> weights, std::int64_t rows,
                                        const PackedBlock<T>& b, Sight sight, bool accumulate) {
  b.for_each_panel([&](std::int64_t j, std::int64_t count, std::int64_t width, const T* panel) {
    PanelProduct<T> product(to, j, count, width, panel);
    for_each_tile(0, rows, [&](std::int64_t i, std::int64_t height) {
      const std::int64_t keys = sight.keys(i + height - 1, b.depth);
      if (keys > 0 || !accumulate) product.by_rows(weights, i, height, {0, keys}, accumulate);
    });
  });
}

// to [keys, columns] (+)= weights^T b over the rows that see a tile's keys.
template <class T>
[[gnu::noinline]] void multiply_transposed_weights(RowsOf<T> to, RowsOf<const T> weights, std::int64_t keys,
                                                   const PackedBlock<T>& b, Sight sight, bool accumulate) {
  b.for_each_panel([&](std::int64_t j, std::int64_t count, std::int64_t width, const T* panel) {
    PanelProduct<T> product(to, j, count, width, panel);
    for_each_tile(0, keys, [&](std::int64_t i, std::int64_t height) {
      const std::int64_t first = smaller(sight.first_row(i), b.depth);
      if (first < b.depth || !accumulate)
        product.by_columns(weights, i, height, {first, b.depth}, accumulate);
    });
  });
}

}  // namespace ravine::kernels::RAVINE_ISA
