// Copies between tiles and tensors of any strides, by element size.
#pragma once

#include "simd/vec.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace ravine::kernels::RAVINE_ISA {

// An element of any type of this size; may alias it.
typedef std::uint8_t Element1 __attribute__((may_alias));
typedef std::uint32_t Element4 __attribute__((may_alias));
typedef std::uint64_t Element8 __attribute__((may_alias));

// to[i * to_stride + j] = from[j * from_stride + i] for i < n, j < m.
template <class E>
void transpose(E* __restrict to, std::int64_t to_stride, const E* __restrict from, std::int64_t from_stride,
               std::int64_t n, std::int64_t m) {
  std::int64_t i = 0;
#if defined(__SSE2__)
  if constexpr (sizeof(E) == 4) {
    for (; i + 4 <= n; i += 4) {
      std::int64_t j = 0;
      for (; j + 4 <= m; j += 4) {
        const auto at = [&](std::int64_t k) RAVINE_INLINE_LAMBDA {
          return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + (j + k) * from_stride + i));
        };
        const __m128i a = at(0), b = at(1), c = at(2), d = at(3);
        const __m128i ab_low = _mm_unpacklo_epi32(a, b), ab_high = _mm_unpackhi_epi32(a, b);
        const __m128i cd_low = _mm_unpacklo_epi32(c, d), cd_high = _mm_unpackhi_epi32(c, d);
        const auto put = [&](std::int64_t k, __m128i row) RAVINE_INLINE_LAMBDA {
          _mm_storeu_si128(reinterpret_cast<__m128i*>(to + (i + k) * to_stride + j), row);
        };
        put(0, _mm_unpacklo_epi64(ab_low, cd_low));
        put(1, _mm_unpackhi_epi64(ab_low, cd_low));
        put(2, _mm_unpacklo_epi64(ab_high, cd_high));
        put(3, _mm_unpackhi_epi64(ab_high, cd_high));
      }
      for (; j < m; ++j)
        for (std::int64_t k = 0; k < 4; ++k) to[(i + k) * to_stride + j] = from[j * from_stride + i + k];
    }
  }
#endif
  for (std::int64_t j = 0; j < m; ++j)
    for (std::int64_t k = i; k < n; ++k) to[k * to_stride + j] = from[j * from_stride + k];
}

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
  } else if (to_column == 1 && from_row == 1) {
    transpose(to, to_row, from, from_column, rows, columns);
  } else if (to_row == 1 && from_column == 1) {
    transpose(to, to_column, from, from_row, columns, rows);
  } else if (from_column > from_row) {  // the tensor that is read is nearly contiguous down its rows
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

// Copies bytes past the caches, but for those of lines that are written in part (see stream in simd/vec.h).
RAVINE_INLINE void stream_bytes(std::byte* to, const std::byte* from, std::int64_t bytes) {
  using Byte = std::uint8_t;
  constexpr std::int64_t line = 64;
  const std::int64_t misaligned = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(to) % line);
  std::int64_t done = misaligned == 0 ? 0 : line - misaligned;
  if (done > bytes) done = bytes;
  std::memcpy(to, from, static_cast<std::size_t>(done));
  for (; done + line <= bytes; done += line)
    for (int part = 0; part < line; part += vector_bytes)
      stream<Byte>(reinterpret_cast<Byte*>(to) + done + part,
                   load<Byte>(reinterpret_cast<const Byte*>(from) + done + part));
  std::memcpy(to + done, from + done, static_cast<std::size_t>(bytes - done));
}

}  // namespace ravine::kernels::RAVINE_ISA
