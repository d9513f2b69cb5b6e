#include "graph/planner.h"

#include <algorithm>
#include <numeric>

namespace ravine {

Placement plan_memory(std::span<const Lifetime> lifetimes) {
  Placement placement;
  placement.offsets.assign(lifetimes.size(), 0);
  std::vector<std::size_t> by_size(lifetimes.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](std::size_t a, std::size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });

  const auto end_of = [&](std::size_t i) {
    return placement.offsets[i] +
           (lifetimes[i].bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
  };
  std::vector<std::size_t> placed;  // by offset
  for (const std::size_t i : by_size) {
    const std::int64_t bytes = (lifetimes[i].bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
    std::int64_t offset = 0;
    for (const std::size_t other : placed) {
      const bool meet =
          lifetimes[i].first <= lifetimes[other].last && lifetimes[other].first <= lifetimes[i].last;
      if (!meet || lifetimes[other].bytes == 0) continue;
      if (offset + bytes <= placement.offsets[other]) break;
      offset = std::max(offset, end_of(other));
    }
    placement.offsets[i] = offset;
    placement.arena_bytes = std::max(placement.arena_bytes, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](std::size_t a, std::size_t b) {
                                     return placement.offsets[a] < placement.offsets[b];
                                   }),
                  i);
  }
  return placement;
}

}  // namespace ravine
