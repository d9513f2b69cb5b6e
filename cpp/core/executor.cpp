#include "core/executor.h"

#include <atomic>
#include <cstdint>
#include <mutex>

#include "core/fork.h"

namespace ravine {
namespace {

std::atomic<bool> is_set{false};  // the lock is for those alone who have an executor
Mutex mutex;
std::shared_ptr<const Executor> current;
std::uint32_t process = 0;  // in which it was set

}  // namespace

void set_executor(Executor executor) {
  auto next = executor == nullptr ? nullptr : std::make_shared<const Executor>(std::move(executor));
  const std::lock_guard lock(mutex);
  current.swap(next);
  process = fork_generation();
  is_set.store(current != nullptr, std::memory_order_release);
}

std::shared_ptr<const Executor> host_executor() {
  if (!is_set.load(std::memory_order_acquire)) return nullptr;
  const std::lock_guard lock(mutex);
  return process == fork_generation() ? current : nullptr;  // a child has not the host's threads
}

}  // namespace ravine
