#include <gtest/gtest.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <functional>

#include "core/cpu.h"
#include "core/team.h"

namespace ravine::testing {
namespace {

void run(int threads, std::function<void(const Team&)> function) {
  run_on_team(
      threads, 0,
      [](void* context, const Team& team) noexcept {
        (*static_cast<std::function<void(const Team&)>*>(context))(team);
      },
      &function);
}

cpu_set_t allowed() {
  cpu_set_t cores;
  EXPECT_EQ(sched_getaffinity(0, sizeof cores, &cores), 0);
  return cores;
}
void allow(const cpu_set_t& cores) { EXPECT_EQ(sched_setaffinity(0, sizeof cores, &cores), 0); }

TEST(Team, EveryRankRunsOnceAndABarrierShowsItToAll) {
  for (const int threads : {1, 2, 3, 5}) {
    std::array<std::atomic<int>, 5> runs{};
    std::atomic<int> size{0}, seen_by_all{0};
    run(threads, [&](const Team& team) {
      size = team.size;
      ++runs[static_cast<std::size_t>(team.rank)];
      team.barrier();
      int seen = 0;
      for (const auto& count : runs) seen += count;
      if (seen == team.size) ++seen_by_all;
    });
    EXPECT_EQ(seen_by_all, size);
    for (int rank = 0; rank < 5; ++rank) EXPECT_EQ(runs[static_cast<std::size_t>(rank)], rank < size ? 1 : 0);
  }
}

TEST(Team, AWorkerLeavesItsCallersCoreAndMayRunWhereItMightBefore) {
  const cpu_set_t all = allowed();
  if (cpu_info().affinity < 2) GTEST_SKIP() << "one core";  // asked before this thread is held on one
  const int own = sched_getcpu();
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<std::size_t>(own), &one);
  allow(one);
  const auto on_worker = [](const std::function<void()>& function) {
    run(2, [&](const Team& team) {
      if (team.rank == 1) function();
    });
  };
  on_worker([&] { allow(one); });
  int core = -1;
  on_worker([&] { core = sched_getcpu(); });
  EXPECT_EQ(core, own) << "there is no other core that the worker may run on";
  // A scheduler with other work may bring a worker back at once, or move one that stayed; hardly every time.
  constexpr int times = 20;
  int elsewhere = 0;
  for (int time = 0; time < times; ++time) {
    on_worker([&] { allow(one); });
    on_worker([&] { allow(all); });  // which does not move it
    cpu_set_t left = one;
    on_worker([&] {
      elsewhere += sched_getcpu() != own;
      left = allowed();
    });
    EXPECT_TRUE(CPU_EQUAL(&left, &all));
  }
  EXPECT_GE(elsewhere, times / 2);
  allow(all);
}

}  // namespace
}  // namespace ravine::testing
