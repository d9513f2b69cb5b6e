// Statistics of columns from pieces that other kernels gather: pieces are combined in double, in their order.
#include "kernels/norm/statistics.h"

#include "kernels/api/table.h"
#include "kernels/norm/column_sums.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

constexpr std::int64_t combined_columns = 64;  // by one thread, side by side

// body(first, count): the columns that this thread combines.
template <class Body>
RAVINE_INLINE void for_each_column_range(std::int64_t columns, const Team& team, Body body) {
  const Pieces mine = pieces_of(ceil_div(columns, combined_columns), team);
  for (std::int64_t chunk = mine.begin; chunk < mine.end; ++chunk) {
    const std::int64_t first = chunk * combined_columns;
    body(first, smaller(combined_columns, columns - first));
  }
}

}  // namespace

template <class T>
void gather_statistics(const ColumnStatistics* statistics, std::int64_t piece, std::int64_t before,
                       Range rows, Range columns) {
  if (statistics == nullptr) return;
  const ColumnStatistics& s = *statistics;
  if (columns.begin == 0)
    s.partials[2 * s.pieces * s.columns + piece] = static_cast<double>(before + rows.size());
  for (std::int64_t column = columns.begin; column < columns.end; column += max_block) {
    const std::int64_t count = smaller(max_block, columns.end - column);
    double* const means = s.partials + 2 * piece * s.columns + column;
    for (std::int64_t row = rows.begin; row < rows.end; row += piece_rows)
      gather_moments(static_cast<const T*>(s.values) + row * s.columns + column, s.columns,
                     before + row - rows.begin, smaller(piece_rows, rows.end - row), count, means,
                     means + s.columns);
  }
}
template void gather_statistics<float>(const ColumnStatistics*, std::int64_t, std::int64_t, Range, Range);
template void gather_statistics<double>(const ColumnStatistics*, std::int64_t, std::int64_t, Range, Range);

template <class T>
void combine_moments(const CombineMomentsArgs& args, const Team& team) {
  const double* const row_counts = args.partials + 2 * args.pieces * args.columns;
  for_each_column_range(args.columns, team, [&](std::int64_t first, std::int64_t count) {
    double means[combined_columns], deviations[combined_columns], rows = 0;
    for (std::int64_t piece = 0; piece < args.pieces; ++piece) {
      if (row_counts[piece] == 0) continue;
      const double* const partial = args.partials + 2 * piece * args.columns + first;
      combine(
          means, deviations, rows, row_counts[piece], count, [&](std::int64_t i) { return partial[i]; },
          [&](std::int64_t i) { return partial[args.columns + i]; });
      rows += row_counts[piece];
    }
    for (std::int64_t i = 0; i < count; ++i) {  // no rows: 0 / 0, NaN
      static_cast<T*>(args.mean)[first + i] = static_cast<T>(rows == 0 ? 0 / rows : means[i]);
      static_cast<T*>(args.variance)[first + i] = static_cast<T>((rows == 0 ? 0 : deviations[i]) / rows);
    }
  });
}
template void combine_moments<float>(const CombineMomentsArgs&, const Team&);
template void combine_moments<double>(const CombineMomentsArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
