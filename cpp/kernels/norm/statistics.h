// Gathering statistics of columns, for this folder's kernels.
#pragma once

#include "kernels/api/norm.h"
#include "kernels/base/vector_loop.h"

namespace ravine::kernels::RAVINE_ISA {

// Adds rows and columns of a result, which are complete and in the cache, to a piece that has `before` rows
// so far. A piece is gathered by one thread for each range of columns; it may get no rows.
template <class T>
void gather_statistics(const ColumnStatistics* statistics, std::int64_t piece, std::int64_t before,
                       Range rows, Range columns);

}  // namespace ravine::kernels::RAVINE_ISA
