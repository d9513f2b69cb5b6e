// Places temporary storages in one arena: two share memory when their lifetimes do not meet.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ravine {

struct Lifetime {
  std::int64_t bytes = 0;
  int first = 0, last = 0;  // calls, both included
};

struct Placement {
  std::vector<std::int64_t> offsets;  // multiples of arena_alignment, one per lifetime
  std::int64_t arena_bytes = 0;
};

inline constexpr std::int64_t arena_alignment = 64;

// Largest first, each at the lowest offset that is free for its whole life ("greedy by size", Pisarchyk and
// Lee 2020).
Placement plan_memory(std::span<const Lifetime> lifetimes);

}  // namespace ravine
