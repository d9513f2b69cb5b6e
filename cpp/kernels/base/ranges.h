// Ranges of indices, and how they are cut.
#pragma once

#include <cstdint>

#include "core/team.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

RAVINE_INLINE constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
RAVINE_INLINE constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
RAVINE_INLINE constexpr std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

struct Range {
  std::int64_t begin, end;
  std::int64_t size() const { return end - begin; }
};

RAVINE_INLINE constexpr std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// Part `part` of `parts` of an extent, in whole units except at its end.
RAVINE_INLINE Range share_of(std::int64_t extent, std::int64_t unit, int part, int parts) {
  Team place;
  place.rank = part;
  place.size = parts;
  const Pieces pieces = pieces_of(ceil_div(extent, unit), place);
  return {smaller(pieces.begin * unit, extent), smaller(pieces.end * unit, extent)};
}

}  // namespace ravine::kernels::RAVINE_ISA
