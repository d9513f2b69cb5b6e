// Sizes of float32 arrays that training uses, by where one of them lies.
#pragma once

#include <array>
#include <cstdint>

namespace ravine::bench {

inline constexpr std::int64_t in_l1 = 1 << 11;      // 8 KiB
inline constexpr std::int64_t in_l2 = 1 << 15;      // 128 KiB
inline constexpr std::int64_t in_l3 = 1 << 20;      // 4 MiB
inline constexpr std::int64_t in_memory = 1 << 24;  // 64 MiB
inline constexpr std::array all_levels{in_l1, in_l2, in_l3, in_memory};

}  // namespace ravine::bench
