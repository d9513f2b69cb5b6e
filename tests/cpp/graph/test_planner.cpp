#include "graph/schedule/planner.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace ravine {
namespace {

bool meet(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

std::int64_t rounded(std::int64_t bytes) {
  return (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
}

// No two storages that live at once share a byte.
void expect_valid(const std::vector<Lifetime>& lifetimes, const Placement& placement) {
  ASSERT_EQ(placement.offsets.size(), lifetimes.size());
  for (std::size_t i = 0; i < lifetimes.size(); ++i) {
    EXPECT_EQ(placement.offsets[i] % arena_alignment, 0);
    EXPECT_LE(placement.offsets[i] + lifetimes[i].bytes, placement.arena_bytes);
    for (std::size_t j = 0; j < i; ++j) {
      if (!meet(lifetimes[i], lifetimes[j])) continue;
      const bool apart = placement.offsets[i] + lifetimes[i].bytes <= placement.offsets[j] ||
                         placement.offsets[j] + lifetimes[j].bytes <= placement.offsets[i];
      EXPECT_TRUE(apart) << i << " and " << j;
    }
  }
}

TEST(Planner, ReachesThePeakOfAHandMadeCase) {
  // A chain of layers forward, then backward: the activations (640, 1280, 320 bytes) live until their
  // backward call, each gradient until the next. By hand: at call 3 all activations and the first gradient
  // live.
  const std::vector<Lifetime> lifetimes = {
      {640, 0, 5}, {1280, 1, 4}, {320, 2, 3},  // activations
      {320, 3, 4}, {1280, 4, 5}, {640, 5, 6},  // gradients
  };
  const Placement placement = plan_memory(lifetimes);
  expect_valid(lifetimes, placement);
  std::int64_t peak = 0;
  for (int call = 0; call <= 6; ++call) {
    std::int64_t live = 0;
    for (const Lifetime& lifetime : lifetimes)
      if (lifetime.first <= call && call <= lifetime.last) live += rounded(lifetime.bytes);
    peak = std::max(peak, live);
  }
  EXPECT_EQ(peak, 640 + 1280 + 320 + 1280);  // at call 4
  EXPECT_EQ(placement.arena_bytes, peak);
}

TEST(Planner, ReusesMemoryOfADisjointLife) {
  const std::vector<Lifetime> lifetimes = {{1000, 0, 1}, {1000, 2, 3}, {1000, 4, 4}};
  EXPECT_EQ(plan_memory(lifetimes).arena_bytes, 1024);
}

TEST(Planner, EmptyAndZeroBytes) {
  EXPECT_EQ(plan_memory({}).arena_bytes, 0);
  const std::vector<Lifetime> lifetimes = {{0, 0, 3}, {64, 0, 3}, {0, 1, 2}};
  const Placement placement = plan_memory(lifetimes);
  expect_valid(lifetimes, placement);
  EXPECT_EQ(placement.arena_bytes, 64);
}

TEST(Planner, RandomLivesNeverOverlap) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<Lifetime> lifetimes;
    for (int i = 0; i < 60; ++i) {
      const int first = static_cast<int>(random() % 40);
      lifetimes.push_back(
          {static_cast<std::int64_t>(random() % 5000), first, first + static_cast<int>(random() % 10)});
    }
    expect_valid(lifetimes, plan_memory(lifetimes));
  }
}

}  // namespace
}  // namespace ravine
