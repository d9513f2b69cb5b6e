// How much workspace of its own (team.scratch) every thread has.
#pragma once

#include <cstddef>

namespace ravine::kernels {

// What most kernels use: it stays in L2.
inline constexpr std::size_t scratch_bytes = std::size_t{1} << 20;
// Packed operands of a product, and a tile of its result. A part of it, by the machine's caches, is ever
// used.
inline constexpr std::size_t product_scratch_bytes = std::size_t{6} << 20;

}  // namespace ravine::kernels
