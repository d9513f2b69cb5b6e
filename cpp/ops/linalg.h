// Shapes of batches of matrices; products in other forms, for the rules that choose them, and what the
// kernels of products are told.
#pragma once

#include "graph/lowering.h"

namespace ravine {

// The dimensions before the last two, which are those of matrices.
inline Shape batch_of(const Shape& shape) {
  return Shape(std::span(shape.begin(), static_cast<std::size_t>(shape.rank() - 2)));
}
inline std::int64_t rows_of(const Shape& shape) { return shape[shape.rank() - 2]; }

// (a [m, k], b [k, n]) -> a b, and the sums over each row of a, which the kernel takes while it reads a.
extern const Op matmul_row_sums_op;

// One product of the last two axes, wherever they lie.
void set_matrices(kernels::GemmArgs& args, const View& a, const View& b);

}  // namespace ravine
