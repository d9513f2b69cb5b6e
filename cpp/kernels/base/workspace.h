// Memory of a kernel, part after part.
#pragma once

#include <cstddef>

#include "kernels/base/ranges.h"

namespace ravine::kernels::RAVINE_ISA {

class Workspace {
 public:
  explicit Workspace(void* memory) : next_(static_cast<std::byte*>(memory)) {}
  template <class T>
  T* take(std::int64_t elements) {
    T* const taken = reinterpret_cast<T*>(next_);
    next_ += bytes<T>(elements);
    return taken;
  }
  template <class T>
  static std::int64_t bytes(std::int64_t elements) {
    return round_up(elements * static_cast<std::int64_t>(sizeof(T)), 64);
  }

 private:
  std::byte* next_;
};

}  // namespace ravine::kernels::RAVINE_ISA
