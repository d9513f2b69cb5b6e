// What survives fork. A child has one thread, and a copy of the parent's memory as it was at that moment:
// locks that other threads held stay locked there for ever, and what these locks protect may be half changed.
// The types here know in which process they were used last, and begin again in a child.
#pragma once

#include <atomic>
#include <cstdint>

namespace ravine {

// How many forks lie between the first process and this one.
std::uint32_t fork_generation();

// A lock, exclusive or shared by readers, that is free in a forked child, whoever held it. For
// std::lock_guard, std::unique_lock and std::shared_lock. A thread that holds it must not fork.
class Mutex {
 public:
  void lock() { acquire(exclusive, 0); }
  void unlock() {
    word_.store(this_process(), std::memory_order_release);
    word_.notify_all();
  }
  void lock_shared() { acquire(1, exclusive - 2); }
  void unlock_shared() {
    if (word_.fetch_sub(1, std::memory_order_release) == this_process() + 1) word_.notify_all();
  }

 private:
  // The low half of the word counts the readers, the high half is the process's generation.
  static constexpr std::uint32_t exclusive = 0xffff;
  static std::uint32_t this_process() { return fork_generation() << 16; }

  // Adds `holders` as soon as at most `most` hold the lock.
  void acquire(std::uint32_t holders, std::uint32_t most) {
    const std::uint32_t process = this_process();
    std::uint32_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint32_t held = (word & ~exclusive) == process ? word & exclusive : 0;
      if (held > most) {
        word_.wait(word, std::memory_order_relaxed);
        word = word_.load(std::memory_order_relaxed);
      } else if (word_.compare_exchange_weak(word, process + held + holders, std::memory_order_acquire,
                                             std::memory_order_relaxed)) {
        return;
      }
    }
  }

  std::atomic<std::uint32_t> word_{0};
};

// One T for each process, made when it is first asked for. A forked child makes its own and leaks the
// parent's, which another thread may have been changing. Never destroyed: threads may use it until the
// process ends.
template <class T>
class PerProcess {
 public:
  T& get() {
    Made* made = made_.load(std::memory_order_acquire);
    while (made == nullptr || made->generation != fork_generation()) {
      Made* fresh = new Made;
      if (made_.compare_exchange_strong(made, fresh, std::memory_order_acq_rel, std::memory_order_acquire))
        return fresh->value;
      delete fresh;
    }
    return made->value;
  }

 private:
  struct Made {
    std::uint32_t generation = fork_generation();
    T value;
  };
  std::atomic<Made*> made_{nullptr};
};

}  // namespace ravine
