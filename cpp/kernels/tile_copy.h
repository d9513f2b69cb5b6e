// Copies between tiles and tensors of any strides, by element size.
#pragma once

#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

// An element of any type of this size; may alias it.
typedef std::uint8_t Element1 __attribute__((may_alias));
typedef std::uint32_t Element4 __attribute__((may_alias));
typedef std::uint64_t Element8 __attribute__((may_alias));

template <class E>
void copy_elements(E* __restrict to, std::int64_t to_row, std::int64_t to_column, const E* __restrict from,
                   std::int64_t from_row, std::int64_t from_column, std::int64_t rows, std::int64_t columns) {
  if (to_column == 1 && (from_column == 0 || from_column == 1)) {
    for (std::int64_t r = 0; r < rows; ++r) {
      E* __restrict row_to = to + r * to_row;
      const E* __restrict row_from = from + r * from_row;
      if (from_column == 1)
        for (std::int64_t c = 0; c < columns; ++c) row_to[c] = row_from[c];
      else
        for (std::int64_t c = 0; c < columns; ++c) row_to[c] = row_from[0];
    }
  } else if (from_column > from_row) {  // the tensor that is read is contiguous, or nearly so, down its rows
    for (std::int64_t c = 0; c < columns; ++c)
      for (std::int64_t r = 0; r < rows; ++r)
        to[r * to_row + c * to_column] = from[r * from_row + c * from_column];
  } else {
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < columns; ++c)
        to[r * to_row + c * to_column] = from[r * from_row + c * from_column];
  }
}

// to[r, c] = from[r, c]; strides in elements.
RAVINE_INLINE void copy_block(void* to, std::int64_t to_row, std::int64_t to_column, const void* from,
                              std::int64_t from_row, std::int64_t from_column, std::int64_t rows,
                              std::int64_t columns, std::int64_t element_bytes) {
  const auto copy = [&]<class E>(E* typed_to) RAVINE_INLINE_LAMBDA {
    copy_elements<E>(typed_to, to_row, to_column, static_cast<const E*>(from), from_row, from_column, rows,
                     columns);
  };
  if (element_bytes == 4) copy(static_cast<Element4*>(to));
  else if (element_bytes == 8) copy(static_cast<Element8*>(to));
  else copy(static_cast<Element1*>(to));
}

}  // namespace ravine::kernels::RAVINE_ISA
