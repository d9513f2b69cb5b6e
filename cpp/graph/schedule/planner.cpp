#include "graph/schedule/planner.h"

#include <algorithm>
#include <numeric>

namespace ravine {

namespace {

// A storage that has its place. The search below walks over all of them for each new one, so they lie side by
// side, ordered by offset.
struct Placed {
  std::int64_t offset, end;
  int first, last;
};

std::int64_t rounded(std::int64_t bytes) {
  return (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
}

}  // namespace

Placement plan_memory(std::span<const Lifetime> lifetimes) {
  Placement placement;
  placement.offsets.assign(lifetimes.size(), 0);
  std::vector<std::size_t> by_size;
  for (std::size_t i = 0; i < lifetimes.size(); ++i)
    if (lifetimes[i].bytes > 0) by_size.push_back(i);
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](std::size_t a, std::size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });

  std::vector<Placed> placed;
  placed.reserve(by_size.size());
  for (const std::size_t i : by_size) {
    const auto [size, first, last] = lifetimes[i];
    const std::int64_t bytes = rounded(size);
    std::int64_t offset = 0;
    for (const Placed& other : placed) {
      if (first > other.last || other.first > last) continue;
      if (offset + bytes <= other.offset) break;
      offset = std::max(offset, other.end);
    }
    placement.offsets[i] = offset;
    placement.arena_bytes = std::max(placement.arena_bytes, offset + bytes);
    const auto behind =
        std::upper_bound(placed.begin(), placed.end(), offset,
                         [](std::int64_t at, const Placed& other) { return at < other.offset; });
    placed.insert(behind, {offset, offset + bytes, first, last});
  }
  return placement;
}

}  // namespace ravine
