// The product is cut into tiles that stay in L2 until the rule has used them. The update streams through
// memory, which is what the step then waits for: it moves the gradient neither out nor in.
#include "kernels/api/gemm_update.h"

#include "kernels/api/table.h"
#include "kernels/gemm/blocked.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

// Long rows, so that the streams of the parameter and its state are long.
constexpr std::int64_t tile_rows = 48;
static_assert(tile_rows % micro_rows == 0);
template <class T>
constexpr std::int64_t tile_columns = 4096 / sizeof(T);
template <class T>
constexpr std::size_t operand_bytes = (a_capacity<T> + b_capacity<T>)*sizeof(T);
static_assert(operand_bytes<float> + tile_rows * tile_columns<float> * sizeof(float) <=
              product_scratch_bytes);
static_assert(operand_bytes<double> + tile_rows * tile_columns<double> * sizeof(double) <=
              product_scratch_bytes);

// Rows and columns of C in a dense buffer of their own. While they are computed, what the update will read is
// on its way from memory: a row of a tensor with every micro-kernel.
template <class T>
class TileOfC {
 public:
  TileOfC(T* data, const GemmUpdateArgs& args, Range rows, Range columns)
      : data_(data), args_(args), rows_(rows), columns_(columns) {
    streams_[n_streams_++] = static_cast<const T*>(args.segment.parameter);
    for (const void* slot : args.segment.slots)
      if (slot != nullptr) streams_[n_streams_++] = static_cast<const T*>(slot);
  }

  T* row(std::int64_t i) const { return data_ + (i - rows_.begin) * columns_.size() - columns_.begin; }
  void complete(Range, Range) const {}

  void look_ahead(MicroArgs<T>& micro) const {
    constexpr std::int64_t line = 64 / sizeof(T);
    micro.ahead_step = smaller(line, ceil_div(columns_.size(), larger(args_.product.k, 1)));
    for (const T*& ahead : micro.ahead) {
      const std::int64_t row = smaller(asked_ / n_streams_, rows_.size() - 1);
      ahead = streams_[asked_ % n_streams_] + (rows_.begin + row) * args_.product.n + columns_.begin;
      ++asked_;
    }
  }

 private:
  T* data_;
  const GemmUpdateArgs& args_;
  Range rows_, columns_;
  const T* streams_[1 + all_slots];
  std::int64_t n_streams_ = 0;
  mutable std::int64_t asked_ = 0;  // rows of all streams
};

}  // namespace

template <class T>
void gemm_update(const GemmUpdateArgs& args, const Team& team) {
  if (args.fault != nullptr && args.fault->code != 0) return;
  const GemmArgs& product = args.product;
  const MatrixA<T> a{static_cast<const T*>(product.a.data), product.a.row_stride, product.a.column_stride,
                     static_cast<T*>(product.row_sums)};
  const MatrixB<T> b{static_cast<const T*>(product.b.data), product.b.row_stride, product.b.column_stride};
  T* const gradient = reinterpret_cast<T*>(team.scratch + operand_bytes<T>);

  // A thread updates the part of the weight that it reads when the weight is multiplied: no other cache holds
  // it.
  const Share mine = share<T>(1, product.m, product.n, team);
  const std::int64_t height = equal_parts(mine.rows.size(), tile_rows, micro_rows);
  const std::int64_t width = equal_parts(mine.columns.size(), tile_columns<T>, panel_columns<T>);
  for (std::int64_t i = mine.rows.begin; i < mine.rows.end; i += height) {
    const Range rows{i, smaller(i + height, mine.rows.end)};
    for (std::int64_t j = mine.columns.begin; j < mine.columns.end; j += width) {
      const Range columns{j, smaller(j + width, mine.columns.end)};
      multiply<T>(a, b, TileOfC<T>(gradient, args, rows, columns), rows, columns, Range{0, product.k}, false,
                  team.scratch);
      // Whole rows lie behind one another in the parameter too.
      const std::int64_t runs = columns.size() == product.n ? 1 : rows.size();
      const std::int64_t count = rows.size() * columns.size() / runs;
      for (std::int64_t run = 0; run < runs; ++run) {
        args.update(*args.step, args.segment, gradient + run * count,
                    (rows.begin + run) * product.n + columns.begin, count);
      }
    }
  }
}
template void gemm_update<float>(const GemmUpdateArgs&, const Team&);
template void gemm_update<double>(const GemmUpdateArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
