#include <gtest/gtest.h>

#include "core/team_limit.h"

namespace ravine::testing {
namespace {

using namespace std::chrono_literals;
using Time = TeamLimit::Time;

// A machine on which a run takes this long on one thread and, on more, waits this long at its barriers.
struct Machine {
  TeamLimit limit;
  Time now{0};

  // Runs for `duration`; returns the time that it took in all, divided by that on one thread alone.
  double run_for(Time duration, int threads, Time work, Time wait) {
    const Time start = now;
    std::int64_t runs = 0;
    while (now - start < duration) {
      const int size = limit.size_for(threads, now);
      const Time own = work / size, run = size == 1 ? own : own + wait;
      now += run;
      if (size > 1) limit.finished(size, now, run, wait);
      ++runs;
    }
    return static_cast<double>((now - start).count()) / static_cast<double>(runs * work.count());
  }
};

TEST(TeamLimit, KeepsTeamsWhoseWaitsAreSmall) {
  Machine idle;
  idle.run_for(10s, 2, 1ms, 200us);
  EXPECT_EQ(idle.limit.size_for(2, idle.now), 2);
  EXPECT_EQ(idle.limit.size_for(64, idle.now), 64);
}

TEST(TeamLimit, ShrinksWhileWaitsExceedTheirShareAndTriesLargerTeamsRarely) {
  for (const Time wait : {3ms, 40ms, 90ms}) {
    Machine busy;
    busy.run_for(2s, 2, 2ms, wait);
    EXPECT_LT(busy.run_for(20s, 2, 2ms, wait), 1.15) << wait.count();
  }
}

TEST(TeamLimit, ShrinksWhereFewRunsAreHit) {
  Machine busy;  // every tenth run of 50 us waits for 10 ms
  const Time start = busy.now;
  std::int64_t runs = 0;
  for (; busy.now - start < 20s; ++runs) {
    const int size = busy.limit.size_for(2, busy.now);
    const Time wait = size > 1 && runs % 10 == 0 ? 10ms : 0us, run = 50us / size + wait;
    busy.now += run;
    if (size > 1) busy.limit.finished(size, busy.now, run, wait);
  }
  EXPECT_LT(static_cast<double>((busy.now - start).count()), 1.3 * 50e3 * static_cast<double>(runs));
}

TEST(TeamLimit, GrowsBackWhenTheMachineIsIdleAgain) {
  Machine machine;
  machine.run_for(5s, 16, 5ms, 50ms);
  EXPECT_LE(machine.limit.limit(), 2);
  machine.run_for(40s, 16, 5ms, 0ms);
  EXPECT_GE(machine.limit.limit(), 16);
}

TEST(TeamLimit, ForgivesSingleLateRuns) {
  Machine machine;
  for (int i = 0; i < 100; ++i) {
    machine.run_for(200ms, 4, 1ms, 50us);
    machine.limit.finished(4, machine.now += 20ms, 20ms, 19ms);  // memory that is touched for the first time
    EXPECT_EQ(machine.limit.size_for(4, machine.now), 4);
  }
}

}  // namespace
}  // namespace ravine::testing
