#include "graph/schedule/touched_memory.h"

#include <algorithm>
#include <iterator>

namespace ravine {

void TouchedMemory::add(std::span<const int> storages) {
  for (const int index : storages) {
    const Storage& storage = storages_[static_cast<std::size_t>(index)];
    if (storage.kind != Storage::Kind::arena || storage.bytes == 0) {
      others_.insert(index);
      continue;
    }
    std::int64_t begin = storage.offset, end = storage.offset + storage.bytes;
    auto place = ranges_.upper_bound(begin);
    if (place != ranges_.begin() && std::prev(place)->second >= begin) --place;
    while (place != ranges_.end() && place->first <= end) {
      begin = std::min(begin, place->first);
      end = std::max(end, place->second);
      place = ranges_.erase(place);
    }
    ranges_.emplace_hint(place, begin, end);
  }
}

bool TouchedMemory::meets(std::span<const int> storages) const {
  return std::any_of(storages.begin(), storages.end(), [&](int index) {
    if (others_.contains(index)) return true;
    const Storage& storage = storages_[static_cast<std::size_t>(index)];
    if (storage.kind != Storage::Kind::arena || storage.bytes == 0) return false;
    const auto place = ranges_.lower_bound(storage.offset + storage.bytes);
    return place != ranges_.begin() && std::prev(place)->second > storage.offset;
  });
}

void TouchedMemory::clear() {
  ranges_.clear();
  others_.clear();
}

}  // namespace ravine
