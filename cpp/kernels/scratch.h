// How much workspace of its own (team.scratch) every thread has.
#pragma once

#include <cstddef>

namespace ravine::kernels {

inline constexpr std::size_t scratch_bytes = std::size_t{1} << 20;

}  // namespace ravine::kernels
