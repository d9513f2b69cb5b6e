#include "graph/snapshot.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/lock_all.h"
#include "graph/derived.h"

namespace ravine {

Snapshot::Snapshot(std::span<const Array> arrays, std::vector<std::shared_ptr<Derived>> derived)
    : derived_(std::move(derived)) {
  const auto copy_of = [this](const Array& array) {
    Array copy(array.dtype(), array.shape(), array.layout());
    places_.emplace(array.data(), copy.data());
    return copy;
  };
  for (const Array& array : arrays) copies_.push_back({.array = array, .copy = copy_of(array)});
  for (const auto& value : derived_) derived_copies_.push_back(copy_of(value->value()));
}

bool Snapshot::is_current() const {
  return complete_ && std::all_of(copies_.begin(), copies_.end(), [](const Copy& own) {
           const WriteRecord& writes = own.array.writes();
           return !writes.in_doubt() && writes.version() == own.version;
         });
}

void Snapshot::refresh(std::span<Mutex* const> locks) {
  if (is_current()) return;
  complete_ = false;  // until all is done: to compute a kept value takes memory, and may throw
  {
    const LockAll lock(locks);
    for (Copy& own : copies_) {
      const WriteRecord& writes = own.array.writes();
      const bool in_doubt = writes.in_doubt();
      const std::uint64_t version = writes.version();
      if (!in_doubt && version == own.version) continue;
      std::memcpy(own.copy.data(), own.array.data(), own.array.bytes());
      own.version = version;
    }
  }
  for (std::size_t i = 0; i < derived_.size(); ++i)
    derived_[i]->compute_from(*this, derived_copies_[i].data());
  complete_ = true;
}

std::byte* Snapshot::place_of(std::byte* address) const {
  const auto place = places_.find(address);
  return place == places_.end() ? address : place->second;
}

}  // namespace ravine
