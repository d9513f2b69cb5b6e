// Aligned memory with numbers in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace ravine::bench {

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<float, FreeMemory>;

// n float32 numbers in [-0.5, 0.5), 64-byte aligned.
inline Memory numbers(std::int64_t n) {
  const auto bytes = (static_cast<std::size_t>(n) * sizeof(float) / 64 + 1) * 64;
  Memory memory(static_cast<float*>(std::aligned_alloc(64, bytes)));
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < n; ++i) {
    state = state * 1664525u + 1013904223u;
    memory.get()[i] = static_cast<float>(state >> 8) / (1 << 24) - 0.5f;
  }
  return memory;
}

}  // namespace ravine::bench
