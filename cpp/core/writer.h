// Who changes arrays that others read meanwhile: a training state.
#pragma once

#include <atomic>

#include "core/fork.h"

namespace ravine {

struct Writer {
  Mutex mutex;                               // held while it changes some of them
  std::atomic<const void*> thread{nullptr};  // that held it last for that: see this_thread
  std::atomic<bool> ended{false};            // it changes nothing any more
};

// Tells threads apart while they live.
inline const void* this_thread() {
  static thread_local char mark;
  return &mark;
}

}  // namespace ravine
