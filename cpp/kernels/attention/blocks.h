// How attention is cut into blocks and into units of work: by shapes alone, as the blocks of keys group sums.
#pragma once

#include "kernels/api/attention.h"
#include "kernels/attention/product.h"
#include "kernels/base/ranges.h"

namespace ravine::kernels::RAVINE_ISA {

RAVINE_INLINE std::int64_t heads_of(const AttentionShape& shape) {
  std::int64_t heads = 1;
  for (int axis = 0; axis < shape.batch_rank; ++axis) heads *= shape.batch_extents[axis];
  return heads;
}

// Where the matrix of a head begins.
RAVINE_INLINE std::int64_t head_offset(const AttentionShape& shape, const std::int64_t* batch_strides,
                                       std::int64_t head) {
  std::int64_t offset = 0;
  for (int axis = shape.batch_rank - 1; axis >= 0; --axis) {
    offset += head % shape.batch_extents[axis] * batch_strides[axis];
    head /= shape.batch_extents[axis];
  }
  return offset;
}
template <class T>
RowsOf<const T> rows_of(const AttentionShape& shape, const AttentionOperand& operand, std::int64_t head) {
  return {static_cast<const T*>(operand.data) + head_offset(shape, operand.batch_strides, head),
          operand.row_stride};
}
template <class T>
RowsOf<T> rows_of(const AttentionShape& shape, const AttentionResult& result, std::int64_t head) {
  return {static_cast<T*>(result.data) + head_offset(shape, result.batch_strides, head), result.row_stride};
}

// Enough units for the teams of usual machines.
inline constexpr std::int64_t enough_units = 16;
// Blocks of one operand that stay in L2 together with others.
inline constexpr std::int64_t block_bytes = std::int64_t{1} << 17;

// A block of keys: the largest part of `most` by powers of two whose block of so many features is small
// enough.
template <class T>
std::int64_t keys_of_block(std::int64_t features, std::int64_t most) {
  constexpr std::int64_t least = 16;
  std::int64_t keys = most;
  while (keys > least && keys * features * static_cast<std::int64_t>(sizeof(T)) > block_bytes) keys /= 2;
  return keys;
}
// Rows of at most `most`, a multiple of `unit`, whose block of so many features is small enough.
template <class T>
std::int64_t rows_of_block(std::int64_t features, std::int64_t most, std::int64_t unit) {
  const std::int64_t fitting = block_bytes / (larger(features, 1) * static_cast<std::int64_t>(sizeof(T)));
  return larger(smaller(fitting, most) / unit * unit, unit);
}

// Between rows of a block of scores: columns of a block meet in few lines of L1 if rows are a power of two
// apart.
template <class T>
std::int64_t score_stride(std::int64_t keys) {
  return keys + 64 / static_cast<std::int64_t>(sizeof(T));
}

// f(unit) for this thread's units. Under a causal mask units are ever dearer, so that every other round of
// the team takes them in the opposite order.
template <class F>
void for_each_unit(std::int64_t count, const Team& team, F f) {
  for (std::int64_t first = 0, round = 0; first < count; first += team.size, ++round) {
    const std::int64_t unit = first + (round % 2 == 0 ? team.rank : team.size - 1 - team.rank);
    if (unit < count) f(unit);
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
