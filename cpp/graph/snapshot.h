// What a program reads of a model that another thread trains meanwhile: copies of one moment between two of
// its steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "core/array.h"

namespace ravine {

class Derived;

class Snapshot {
 public:
  // Of these arrays, and of kept values: those are computed from the copies.
  Snapshot(std::span<const Array> arrays, std::vector<std::shared_ptr<Derived>> derived);

  // Copies what was written since the last time, with these locks held for that long: those of all who write
  // the arrays, in their order.
  void refresh(std::span<Mutex* const> locks);
  // Where the copy of an array, or of the memory of a kept value, lies that is at this address; the address
  // itself if there is none.
  std::byte* place_of(std::byte* address) const;

 private:
  struct Copy {
    Array array, copy;
    std::uint64_t version = ~std::uint64_t{0};  // of the array, when it was copied
  };
  bool is_current() const;

  bool complete_ = false;  // whether the kept values were computed from these copies
  std::vector<Copy> copies_;
  std::vector<std::shared_ptr<Derived>> derived_;
  std::vector<Array> derived_copies_;
  std::map<const std::byte*, std::byte*> places_;
};

}  // namespace ravine
