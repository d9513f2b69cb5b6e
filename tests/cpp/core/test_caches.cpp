#include <gtest/gtest.h>

#include "core/caches.h"
#include "core/cpu.h"

namespace ravine::testing {
namespace {

TEST(Caches, OfOneCoreAndNoSmallerTowardsMemory) {
  const CpuInfo& cpu = cpu_info();
  EXPECT_GE(cpu.l3_sharers, 1);
  if (cpu.l1_bytes != 0 && cpu.l2_bytes != 0) {
    EXPECT_LE(cpu.l1_bytes, cpu.l2_bytes);
  }
  const Caches here = caches();
  EXPECT_GE(here.l2_bytes, 64 << 10);
  EXPECT_LE(here.l2_bytes, 64 << 20);
  EXPECT_GE(here.l3_bytes, 64 << 10);
  if (cpu.l3_bytes != 0) {
    EXPECT_EQ(here.l3_bytes * cpu.l3_sharers, static_cast<std::int64_t>(cpu.l3_bytes));
  }
}

TEST(Caches, CanBeOthersForTests) {
  const Caches here = caches();
  set_caches({1 << 18, 1 << 20});
  EXPECT_EQ(caches().l2_bytes, 1 << 18);
  EXPECT_EQ(caches().l3_bytes, 1 << 20);
  set_caches(here);
  EXPECT_EQ(caches().l2_bytes, here.l2_bytes);
}

}  // namespace
}  // namespace ravine::testing
