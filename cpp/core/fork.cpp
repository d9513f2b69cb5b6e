#include "core/fork.h"

#include <pthread.h>

namespace ravine {
namespace {

std::atomic<std::uint32_t> generation{0};

// Registered when the library is loaded, so before any thread can hold a lock.
[[maybe_unused]] const int registered =
    pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });

}  // namespace

std::uint32_t fork_generation() { return generation.load(std::memory_order_relaxed); }

}  // namespace ravine
