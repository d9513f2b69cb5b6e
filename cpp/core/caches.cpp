#include "core/caches.h"

#include <atomic>

#include "core/cpu.h"

namespace ravine {
namespace {

struct Known {
  std::atomic<std::int64_t> l2_bytes, l3_bytes;

  Known() {
    const CpuInfo& cpu = cpu_info();
    const auto or_usual = [](std::size_t bytes, std::int64_t usual) {
      return bytes == 0 ? usual : static_cast<std::int64_t>(bytes);
    };
    l2_bytes = or_usual(cpu.l2_bytes, std::int64_t{1} << 20);
    l3_bytes = or_usual(cpu.l3_bytes / static_cast<std::size_t>(cpu.l3_sharers), std::int64_t{2} << 20);
  }
};

Known& known() {
  static Known caches;
  return caches;
}

}  // namespace

Caches caches() {
  Known& now = known();
  return {now.l2_bytes.load(std::memory_order_relaxed), now.l3_bytes.load(std::memory_order_relaxed)};
}

void set_caches(Caches other) {
  Known& now = known();
  now.l2_bytes.store(other.l2_bytes, std::memory_order_relaxed);
  now.l3_bytes.store(other.l3_bytes, std::memory_order_relaxed);
}

}  // namespace ravine
