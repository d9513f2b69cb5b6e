// Running tile programs, for this folder's kernels.
#pragma once

#include "kernels/api/tile.h"

namespace ravine::kernels::RAVINE_ISA {

// The kernel: the whole iteration space, divided over the team.
void elementwise(const TileProgram& program, const Team& team);

TileFunction tile_function(TileOp op, DType dtype, DType result_dtype);

// An epilogue on rows [row, row + rows) and columns [column, column + columns) of its rank-2 iteration space;
// input 0 is `block`, whose element (0, 0) belongs to (row, column) and whose rows lie `block_stride`
// elements apart. Called by one thread.
void run_epilogue(const TileProgram& program, const void* block, std::int64_t block_stride, std::int64_t row,
                  std::int64_t rows, std::int64_t column, std::int64_t columns);

}  // namespace ravine::kernels::RAVINE_ISA
