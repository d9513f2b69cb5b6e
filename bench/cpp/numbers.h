// Memory as arrays have it, with numbers in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/memory.h"

namespace ravine::bench {

using Memory = std::shared_ptr<float>;

// n float32 numbers in [-0.5, 0.5).
inline Memory numbers(std::int64_t n) {
  const SharedBytes bytes = reserve_bytes(static_cast<std::size_t>(n) * sizeof(float));
  Memory memory(bytes, reinterpret_cast<float*>(bytes.get()));
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < n; ++i) {
    state = state * 1664525u + 1013904223u;
    memory.get()[i] = static_cast<float>(state >> 8) / (1 << 24) - 0.5f;
  }
  return memory;
}

}  // namespace ravine::bench
