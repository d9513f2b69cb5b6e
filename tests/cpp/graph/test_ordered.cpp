// The check of schedules finds a barrier that is missing and memory that is read after its life.
#include "graph/schedule/ordered.h"

#include "core/error.h"
#include "graph/schedule/touched_memory.h"
#include "graph_test.h"

namespace ravine::testing {
namespace {

Storage in_arena(std::int64_t offset, std::int64_t bytes) { return {.bytes = bytes, .offset = offset}; }

KernelCall call(std::vector<int> reads, std::vector<int> writes, bool barrier_before = false) {
  KernelCall made;
  made.kernel = "kernel";
  made.barrier_before = barrier_before;
  made.reads = std::move(reads);
  made.writes = std::move(writes);
  return made;
}

std::string complaint(const std::vector<KernelCall>& calls, const std::vector<Storage>& storages) {
  try {
    expect_ordered(calls, storages);
  } catch (const RuntimeError& error) {
    return error.what();
  }
  return "none";
}

TEST(Ordered, ACallWaitsForWhatItReadsAndForReadersOfWhatItWrites) {
  const std::vector<Storage> storages{in_arena(0, 64), in_arena(64, 64), in_arena(32, 64)};
  EXPECT_EQ(complaint({call({}, {0}), call({}, {1})}, storages), "none");  // nothing in common
  EXPECT_EQ(complaint({call({}, {0}), call({0}, {1}, true)}, storages), "none");
  EXPECT_EQ(
      complaint({call({}, {0}), call({0}, {1})}, storages),
      "schedule: call 1 'kernel' () touches memory of call 0 'kernel' () without a barrier between them");
  EXPECT_NE(complaint({call({}, {0}), call({0}, {}, true), call({}, {0})}, storages), "none");
  EXPECT_NE(complaint({call({}, {0}), call({}, {2})}, storages), "none");  // other storages, the same bytes
}

TEST(Ordered, NoCallReadsAStorageWhoseMemoryAnotherOneTookOver) {
  const std::vector<Storage> storages{in_arena(0, 64), in_arena(0, 128), in_arena(128, 64)};
  EXPECT_EQ(complaint({call({}, {0}), call({0}, {2}, true), call({}, {1}, true)}, storages), "none");
  EXPECT_EQ(complaint({call({}, {0}), call({}, {1}, true), call({0}, {2}, true)}, storages),
            "schedule: call 2 'kernel' () reads a storage whose memory another one has taken over");
}

TEST(Ordered, EffectsBeginBehindABarrier) {
  const std::vector<Storage> storages{in_arena(0, 64), in_arena(64, 64)};
  KernelCall effect = call({}, {1});
  effect.effect = true;
  EXPECT_NE(complaint({call({}, {0}), effect}, storages).find("where effects begin"), std::string::npos);
  effect.barrier_before = true;
  EXPECT_EQ(complaint({call({}, {0}), effect}, storages), "none");
  KernelCall behind_a_guard = call({}, {0});
  behind_a_guard.effect = behind_a_guard.tests_guards = true;
  EXPECT_NE(complaint({call({}, {0}), effect, behind_a_guard}, storages), "none");
}

TEST(TouchedMemory, MeetsWhatSharesAByte) {
  const std::vector<Storage> storages{in_arena(0, 64),  in_arena(64, 64),
                                      in_arena(100, 8), in_arena(128, 64),
                                      in_arena(0, 256), {.kind = Storage::Kind::external, .bytes = 8}};
  TouchedMemory touched(storages);
  EXPECT_TRUE(touched.empty());
  touched.add(std::vector{1});
  for (const int apart : {0, 3, 5}) EXPECT_FALSE(touched.meets(std::vector{apart})) << apart;
  for (const int inside : {1, 2, 4}) EXPECT_TRUE(touched.meets(std::vector{inside})) << inside;
  touched.add(std::vector{0, 5});
  EXPECT_TRUE(touched.meets(std::vector{0}));
  EXPECT_TRUE(touched.meets(std::vector{5}));
  EXPECT_FALSE(touched.meets(std::vector{3}));
  touched.clear();
  EXPECT_FALSE(touched.meets(std::vector{0, 1, 5}));
}

}  // namespace
}  // namespace ravine::testing
