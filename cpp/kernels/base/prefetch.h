// What will be read or written soon, asked for from memory by what is computed before it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/base/vector_loop.h"

namespace ravine::kernels::RAVINE_ISA {

// Bytes in memory.
struct Window {
  const std::byte* begin = nullptr;
  std::int64_t bytes = 0;

  Window() = default;
  template <class T>
  Window(const T* array, std::int64_t elements)
      : begin(reinterpret_cast<const std::byte*>(array)),
        bytes(elements * static_cast<std::int64_t>(sizeof(T))) {}

  // Of an array of so many elements the share of `parts` of `count` equal ones, moved by `lead` elements;
  // what is beyond the array is left out.
  template <class T>
  static Window share(const T* array, std::int64_t elements, Range parts, std::int64_t count,
                      std::int64_t lead) {
    const auto place = [&](std::int64_t part) {
      return smaller(larger(elements * part / larger(count, 1) + lead, 0), elements);
    };
    const std::int64_t first = place(parts.begin);
    return {array + first, place(parts.end) - first};
  }
};

// Two windows, asked for evenly over as many steps of a computation whose own operands are in the caches: it
// has loads to spare, and what comes next the hardware does not foresee.
class LookAhead {
 public:
  LookAhead() = default;
  LookAhead(Window first, Window second, std::int64_t steps)
      : now_(first),
        later_(second),
        step_(smaller(ceil_div(first.bytes + second.bytes, larger(steps, 1)), cache_line)) {}

  // Bytes from step to step.
  std::int64_t step() const { return step_; }
  // What the next steps ask for, or nothing.
  Window next(std::int64_t steps) {
    const std::int64_t bytes = steps * step_;
    if (now_.bytes < bytes) {  // the rest is short
      now_ = later_;
      later_ = {};
    }
    if (now_.bytes < bytes) return {};
    const Window asked(now_.begin, bytes);
    now_.begin += bytes;
    now_.bytes -= bytes;
    return asked;
  }

 private:
  static constexpr std::int64_t cache_line = 64;
  Window now_, later_;
  std::int64_t step_ = 0;
};

}  // namespace ravine::kernels::RAVINE_ISA
