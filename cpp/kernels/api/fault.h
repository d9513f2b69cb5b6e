// What a kernel that reads indices reports of those outside their range.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace ravine::kernels {

// The first fault of a run: that of the first call in the program's order, of its first bad index in the
// order of the indices. Effects are skipped once `code` is set, and the run raises.
struct Fault {
  std::int32_t code = 0;      // 0: none. Calls have codes in the program's order.
  std::int32_t locked = 0;    // while a thread writes
  std::int64_t position = 0;  // of the bad index among those of its call
  std::int64_t value = 0;     // the bad index itself
};

// Threads meet faults in any order; the first in order stays.
[[gnu::noinline, gnu::cold]] static inline void report(Fault* fault, std::int32_t code, std::int64_t position,
                                                       std::int64_t value) {
  if (fault == nullptr) return;
  while (__atomic_exchange_n(&fault->locked, 1, __ATOMIC_ACQUIRE) != 0) {
  }
  const std::int32_t known = fault->code;
  if (known == 0 || code < known || (code == known && position < fault->position)) {
    fault->position = position;
    fault->value = value;
    __atomic_store_n(&fault->code, code, __ATOMIC_RELAXED);
  }
  __atomic_store_n(&fault->locked, 0, __ATOMIC_RELEASE);
}

}  // namespace ravine::kernels
