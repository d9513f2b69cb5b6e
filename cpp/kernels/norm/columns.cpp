// Sums over the rows of dense [rows, columns] for BatchNorm: cut into pieces of rows and blocks of columns,
// summed in T inside a piece and combined over the pieces in double, in the order of the rows.
#include "kernels/api/norm.h"

#include "kernels/api/table.h"
#include "kernels/norm/column_sums.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

constexpr std::int64_t combine_columns = 64;

// A narrow matrix is read as a wider one: `fold` rows side by side make a row of `width` columns, and rows
// that fill none are added when the pieces are combined.
struct ColumnPlan {
  std::int64_t fold, width, folded_rows, row_pieces, block, column_blocks;
};

RAVINE_INLINE ColumnPlan plan_columns(std::int64_t rows, std::int64_t columns) {
  ColumnPlan plan{};
  if (rows == 0 || columns == 0) return plan;
  plan.fold = larger(1, smaller(2 * combine_columns / columns, rows / group_rows));
  plan.width = plan.fold * columns;
  plan.folded_rows = rows / plan.fold;
  plan.row_pieces = ceil_div(plan.folded_rows, piece_rows);
  plan.block = plan.row_pieces < 16 ? 64 : max_block;
  plan.column_blocks = ceil_div(plan.width, plan.block);
  return plan;
}

template <class T>
std::size_t plan_bytes(std::int64_t rows, std::int64_t columns) {
  const ColumnPlan plan = plan_columns(rows, columns);
  return static_cast<std::size_t>(plan.row_pieces * plan.width) * 2 * sizeof(double);
}

// One block of a piece: folded rows [begin, end) and columns [first, first + count) of the folded matrix.
struct Block {
  std::int64_t begin, end, first, count;
  double* partial;  // [2, width] of the piece, at column `first`
};

template <class Body>
RAVINE_INLINE void for_each_block(const ColumnPlan& plan, void* workspace, const Team& team, Body body) {
  const Pieces mine = pieces_of(plan.row_pieces * plan.column_blocks, team);
  for (std::int64_t item = mine.begin; item < mine.end; ++item) {
    const std::int64_t piece = item / plan.column_blocks, first = item % plan.column_blocks * plan.block;
    const std::int64_t begin = piece * piece_rows;
    body(Block{begin, smaller(begin + piece_rows, plan.folded_rows), first,
               smaller(plan.block, plan.width - first),
               static_cast<double*>(workspace) + piece * 2 * plan.width + first});
  }
}

// body(i, column, n): elements [i, i + n) of the block belong to columns [column, column + n) of the matrix.
template <class Body>
RAVINE_INLINE void for_each_run(const Block& block, std::int64_t columns, Body body) {
  std::int64_t column = block.first % columns;
  for (std::int64_t i = 0; i < block.count;) {
    const std::int64_t n = smaller(block.count - i, columns - column);
    body(i, column, n);
    i += n;
    column = 0;
  }
}

// body(first, count): the columns that this thread combines.
template <class Body>
RAVINE_INLINE void for_each_column_range(std::int64_t columns, const Team& team, Body body) {
  const Pieces mine = pieces_of(ceil_div(columns, combine_columns), team);
  for (std::int64_t chunk = mine.begin; chunk < mine.end; ++chunk) {
    const std::int64_t first = chunk * combine_columns;
    body(first, smaller(combine_columns, columns - first));
  }
}

}  // namespace

template <class T>
std::size_t column_moments_workspace(const ColumnMomentsArgs& args) {
  return plan_bytes<T>(args.rows, args.columns);
}
template std::size_t column_moments_workspace<float>(const ColumnMomentsArgs&);
template std::size_t column_moments_workspace<double>(const ColumnMomentsArgs&);

// Pieces are combined by Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm" (1979).
template <class T>
void column_moments(const ColumnMomentsArgs& args, const Team& team) {
  const ColumnPlan plan = plan_columns(args.rows, args.columns);
  const T* input = static_cast<const T*>(args.input);

  for_each_block(plan, args.workspace, team, [&](const Block& block) {
    alignas(64) T shift[max_block], sums[max_block], squares[max_block];
    sum_deviations(input + block.begin * plan.width + block.first, plan.width, block.end - block.begin,
                   block.count, shift, sums, squares);
    const double count = static_cast<double>(block.end - block.begin);
    const double share = 1 / count;
    double* deviations = block.partial + plan.width;
    for_each_run(block, args.columns, [&](std::int64_t begin, std::int64_t column, std::int64_t n) {
      for (std::int64_t k = 0; k < n; ++k) {
        const std::int64_t i = begin + k;
        const double sum = static_cast<double>(sums[i]), square = static_cast<double>(squares[i]);
        const double deviation = square - sum * sum * share;
        block.partial[i] =
            (static_cast<double>(shift[i]) - static_cast<double>(input[column + k])) + sum * share;
        deviations[i] = deviation < 0 ? 0 : deviation;  // a NaN stays
      }
    });
  });
  team.barrier();

  for_each_column_range(args.columns, team, [&](std::int64_t first, std::int64_t count) {
    double means[combine_columns], deviations[combine_columns];
    double rows = 0;
    const auto base = [&](std::int64_t i) { return static_cast<double>(input[first + i]); };
    const auto add = [&](double n, auto mean_of, auto deviation_of) {
      const double share = n / (rows + n), weight = rows * share;
      for (std::int64_t i = 0; i < count; ++i) {
        const double mean = rows == 0 ? 0 : means[i], deviation = rows == 0 ? 0 : deviations[i];
        const double delta = mean_of(i) - mean;
        means[i] = mean + delta * share;
        deviations[i] = deviation + deviation_of(i) + delta * delta * weight;
      }
      rows += n;
    };
    for (std::int64_t piece = 0; piece < plan.row_pieces; ++piece) {
      const double n = static_cast<double>(smaller(piece_rows, plan.folded_rows - piece * piece_rows));
      for (std::int64_t f = 0; f < plan.fold; ++f) {
        const double* partial =
            static_cast<const double*>(args.workspace) + piece * 2 * plan.width + f * args.columns + first;
        add(
            n, [&](std::int64_t i) { return partial[i]; },
            [&](std::int64_t i) { return partial[plan.width + i]; });
      }
    }
    for (std::int64_t row = plan.folded_rows * plan.fold; row < args.rows; ++row)
      add(
          1,
          [&](std::int64_t i) {
            return static_cast<double>(input[row * args.columns + first + i]) - base(i);
          },
          [](std::int64_t) { return 0.0; });
    for (std::int64_t i = 0; i < count; ++i) {  // no rows: 0 / 0, NaN
      static_cast<T*>(args.mean)[first + i] = static_cast<T>(rows == 0 ? 0 / rows : base(i) + means[i]);
      static_cast<T*>(args.variance)[first + i] = static_cast<T>((rows == 0 ? 0 : deviations[i]) / rows);
    }
  });
}
template void column_moments<float>(const ColumnMomentsArgs&, const Team&);
template void column_moments<double>(const ColumnMomentsArgs&, const Team&);

template <class T>
std::size_t column_grad_sums_workspace(const ColumnGradSumsArgs& args) {
  return plan_bytes<T>(args.rows, args.columns);
}
template std::size_t column_grad_sums_workspace<float>(const ColumnGradSumsArgs&);
template std::size_t column_grad_sums_workspace<double>(const ColumnGradSumsArgs&);

namespace {

template <class T, bool rectified>
void sum_column_gradients(const ColumnGradSumsArgs& args, const Team& team) {
  const ColumnPlan plan = plan_columns(args.rows, args.columns);
  const T* input = static_cast<const T*>(args.input);
  const T* grad_output = static_cast<const T*>(args.grad_output);
  const T* mean = static_cast<const T*>(args.mean);
  const T* rstd = static_cast<const T*>(args.rstd);
  const T *scale = static_cast<const T*>(args.scale), *shift = static_cast<const T*>(args.shift);
  // From numbers of the columns.
  const auto gradient = [](const T* of_scale, const T* of_shift) {
    if constexpr (rectified) return RectifiedGradient<T>{of_scale, of_shift};
    else return WholeGradient<T>{};
  };

  for_each_block(plan, args.workspace, team, [&](const Block& block) {
    alignas(64) T means[max_block], scales[max_block], shifts[max_block], sums[max_block],
        products[max_block];
    for_each_run(block, args.columns, [&](std::int64_t i, std::int64_t column, std::int64_t n) {
      for (std::int64_t k = 0; k < n; ++k) means[i + k] = mean[column + k];
      if constexpr (rectified)
        for (std::int64_t k = 0; k < n; ++k) {
          scales[i + k] = scale[column + k];
          shifts[i + k] = shift[column + k];
        }
    });
    const std::int64_t start = block.begin * plan.width + block.first;
    sum_gradients(input + start, grad_output + start, means, plan.width, block.end - block.begin, block.count,
                  sums, products, gradient(scales, shifts));
    for (std::int64_t i = 0; i < block.count; ++i) {
      block.partial[i] = static_cast<double>(sums[i]);
      block.partial[plan.width + i] = static_cast<double>(products[i]);
    }
  });
  team.barrier();

  for_each_column_range(args.columns, team, [&](std::int64_t first, std::int64_t count) {
    double sums[combine_columns], products[combine_columns];
    for (std::int64_t i = 0; i < count; ++i) sums[i] = products[i] = 0;
    for (std::int64_t part = 0; part < plan.row_pieces * plan.fold; ++part) {
      const double* partial = static_cast<const double*>(args.workspace) + part / plan.fold * 2 * plan.width +
                              part % plan.fold * args.columns + first;
      for (std::int64_t i = 0; i < count; ++i) {
        sums[i] += partial[i];
        products[i] += partial[plan.width + i];
      }
    }
    for (std::int64_t row = plan.folded_rows * plan.fold; row < args.rows; ++row) {
      const std::int64_t start = row * args.columns + first;
      alignas(64) T grads[combine_columns];
      for_each_vector<T>(count, [&](std::int64_t i, auto n) {
        const auto gradient_of = gradient(scale + first, shift + first).of_columns(i, n);
        store(grads + i, gradient_of(load(input + start + i, n), load(grad_output + start + i, n)), n);
      });
      for (std::int64_t i = 0; i < count; ++i) {
        const double dy = static_cast<double>(grads[i]);
        sums[i] += dy;
        products[i] += dy * (static_cast<double>(input[start + i]) - static_cast<double>(mean[first + i]));
      }
    }
    for (std::int64_t i = 0; i < count; ++i) {
      static_cast<T*>(args.sum_grad)[first + i] = static_cast<T>(sums[i]);
      static_cast<T*>(args.sum_grad_xhat)[first + i] =
          static_cast<T>(products[i] * static_cast<double>(rstd[first + i]));
    }
  });
}

}  // namespace

template <class T>
void column_grad_sums(const ColumnGradSumsArgs& args, const Team& team) {
  if (args.scale != nullptr) sum_column_gradients<T, true>(args, team);
  else sum_column_gradients<T, false>(args, team);
}
template void column_grad_sums<float>(const ColumnGradSumsArgs&, const Team&);
template void column_grad_sums<double>(const ColumnGradSumsArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
