// Several locks at once.
#pragma once

#include <functional>
#include <set>
#include <span>

#include "core/fork.h"

namespace ravine {

// Each once and in an order that is the same for all threads, so that no two wait for each other.
using LocksInOrder = std::set<Mutex*, std::less<>>;

// Of LocksInOrder.
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
