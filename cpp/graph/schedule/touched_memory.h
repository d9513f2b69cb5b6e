// Memory that some calls touch, as a set of bytes.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <unordered_set>

#include "graph/schedule/schedule.h"

namespace ravine {

// Callers may pass one array for two inputs, which are only read; outputs are distinct, and a state has one
// storage. So storages outside the arena meet when they are the same, those of the arena when they share a
// byte.
class TouchedMemory {
 public:
  explicit TouchedMemory(std::span<const Storage> storages) : storages_(storages) {}

  void add(std::span<const int> storages);
  bool meets(std::span<const int> storages) const;
  bool empty() const { return ranges_.empty() && others_.empty(); }
  void clear();

 private:
  std::span<const Storage> storages_;
  std::map<std::int64_t, std::int64_t> ranges_;  // begin -> end in the arena, apart from each other
  std::unordered_set<int> others_;               // storages outside the arena, and empty ones
};

}  // namespace ravine
