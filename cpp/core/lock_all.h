// Several locks at once.
#pragma once

#include <span>

#include "core/fork.h"

namespace ravine {

// Each once and in the order of their addresses, so that no two threads wait for each other.
class LockAll {
 public:
  explicit LockAll(std::span<Mutex* const> locks) : locks_(locks) {
    for (Mutex* lock : locks_) lock->lock();
  }
  ~LockAll() {
    for (Mutex* lock : locks_) lock->unlock();
  }
  LockAll(const LockAll&) = delete;
  LockAll& operator=(const LockAll&) = delete;

 private:
  std::span<Mutex* const> locks_;
};

}  // namespace ravine
