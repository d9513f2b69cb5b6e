// The steps from a schedule to a program, each on a schedule made by hand.
#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "graph/schedule/steps.h"

namespace ravine::testing {
namespace {

// Calls 0, 1, ... read and write storages; the pointers go where a test can see them.
class ScheduleTest : public ::testing::Test {
 protected:
  int arena(std::int64_t bytes) { return schedule_.add_storage({.bytes = bytes}); }
  int external(Array& array) {
    schedule_.kept.push_back(array);
    return schedule_.add_storage({.kind = Storage::Kind::external,
                                  .bytes = static_cast<std::int64_t>(array.bytes()),
                                  .address = array.data()});
  }
  int input(int index) {
    return schedule_.add_storage({.kind = Storage::Kind::input, .bytes = 64, .index = index});
  }

  void call(const std::vector<int>& reads, const std::vector<int>& writes) {
    schedule_.calls.emplace_back().kernel = "kernel";
    const int index = static_cast<int>(schedule_.calls.size()) - 1;
    for (const int storage : reads) schedule_.bind(index, field(), view_of(storage), /*write=*/false);
    for (const int storage : writes) schedule_.bind(index, field(), view_of(storage), /*write=*/true);
  }

  View view_of(int storage) const {
    View view;
    view.storage = storage;
    view.dtype = DType::uint8;
    view.shape = Shape{schedule_.storage(storage).bytes};
    view.strides = Strides{1};
    return view;
  }
  PointerField field() {
    pointers_.push_back(nullptr);
    return PointerField(pointers_.back());
  }
  std::vector<bool> barriers() const {
    std::vector<bool> found;
    for (const KernelCall& made : schedule_.calls) found.push_back(made.barrier_before);
    return found;
  }

  Schedule schedule_;
  std::deque<const void*> pointers_;
};

TEST_F(ScheduleTest, ReadingWhatNobodyWroteIsAnError) {
  const int a = arena(64), b = arena(64);
  call({}, {a});
  call({a}, {b});
  expect_written(schedule_);
  call({arena(64)}, {});
  EXPECT_THROW(expect_written(schedule_), RuntimeError);
}

TEST_F(ScheduleTest, AnEpilogueReadsWhatItsOwnCallWrites) {
  const int a = arena(64);
  call({a}, {a});
  expect_written(schedule_);
}

TEST_F(ScheduleTest, AChainOfResultsSharesOneMemory) {
  const int a = arena(64), b = arena(64), c = arena(64);
  call({}, {a});
  call({a}, {b});
  call({b}, {c});
  schedule_.in_place = {{b, a}, {c, b}};
  reuse_in_place(schedule_);
  EXPECT_EQ(schedule_.calls[2].reads, std::vector<int>{a});
  EXPECT_EQ(schedule_.calls[2].writes, std::vector<int>{a});
  EXPECT_EQ(schedule_.storage(a).last_call, 2);
  EXPECT_EQ(place_in_arena(schedule_).bytes, 64);
}

TEST_F(ScheduleTest, AnInputThatIsReadLaterOrHasAnotherSizeKeepsItsMemory) {
  const int a = arena(64), b = arena(64), c = arena(128);
  call({}, {a});
  call({a}, {b});
  call({a, b}, {c});
  schedule_.in_place = {{b, a}, {c, b}};
  reuse_in_place(schedule_);
  EXPECT_EQ(schedule_.calls[1].writes, std::vector<int>{b});
  EXPECT_EQ(schedule_.calls[2].writes, std::vector<int>{c});
}

TEST_F(ScheduleTest, StatesAreNeverTakenOver) {
  Array state(DType::uint8, {64});
  const int s = external(state), b = arena(64);
  call({s}, {b});
  schedule_.in_place = {{b, s}};
  reuse_in_place(schedule_);
  EXPECT_EQ(schedule_.calls[0].writes, std::vector<int>{b});
}

TEST_F(ScheduleTest, LivesThatMeetLieApart) {
  const int a = arena(100), b = arena(100), c = arena(100);
  call({}, {a});
  call({a}, {b});
  call({b}, {c});
  const Arena memory = place_in_arena(schedule_);
  EXPECT_EQ(memory.bytes, 2 * 128);
  EXPECT_EQ(schedule_.storage(a).offset, schedule_.storage(c).offset);
  EXPECT_NE(schedule_.storage(a).offset, schedule_.storage(b).offset);
  EXPECT_EQ(schedule_.storage(b).address, memory.memory.get() + schedule_.storage(b).offset);
}

TEST_F(ScheduleTest, BarriersStandWhereMemoryIsHandedOver) {
  const int a = arena(64), b = arena(64), c = arena(64);
  call({}, {a});
  call({}, {b});   // apart from the first
  call({a}, {c});  // reads what the first wrote
  call({b}, {});   // nobody wrote that since
  call({}, {b});   // writes what the call before reads
  const Arena memory = place_in_arena(schedule_);
  place_barriers(schedule_);
  EXPECT_EQ(barriers(), (std::vector<bool>{false, false, true, false, true}));
}

TEST_F(ScheduleTest, EffectsWaitForAllBeforeThem) {
  Array state(DType::uint8, {64});
  const int a = arena(64), s = external(state);
  call({}, {a});
  call({}, {s});
  schedule_.calls[1].effect = schedule_.calls[1].tests_guards = true;
  const Arena memory = place_in_arena(schedule_);
  place_barriers(schedule_);
  EXPECT_EQ(barriers(), (std::vector<bool>{false, true}));
}

TEST_F(ScheduleTest, PointersAreFilledOrLeftToEachRun) {
  Array state(DType::uint8, {64});
  const int s = external(state), a = arena(64), x = input(3);
  call({s, x}, {a});
  const Arena memory = place_in_arena(schedule_);
  const std::vector<PointerPatch> patches = resolve(schedule_);
  EXPECT_EQ(pointers_[0], state.data());
  EXPECT_EQ(pointers_[1], nullptr);
  EXPECT_EQ(pointers_[2], memory.memory.get());
  ASSERT_EQ(patches.size(), 1u);
  EXPECT_EQ(patches[0].index, 3);
  EXPECT_FALSE(patches[0].is_output);
}

TEST_F(ScheduleTest, WrittenStatesAreThoseOfItsCalls) {
  Array read(DType::uint8, {64}), written(DType::uint8, {64});
  const int r = external(read), w = external(written);
  call({r}, {w});
  const std::vector<Array> states = written_states(schedule_);
  ASSERT_EQ(states.size(), 1u);
  EXPECT_EQ(states[0].data(), written.data());
}

TEST_F(ScheduleTest, ResultsThatAreReadStayInTheCaches) {
  const int a = arena(64), b = arena(64), c = arena(64);
  kernels::TileOutput of_a, of_b, of_c;
  call({}, {a});
  call({a}, {b});
  call({}, {c});
  schedule_.tile_outputs = {{&of_a, a}, {&of_b, b}, {&of_c, c}};
  schedule_.in_place = {{b, a}};
  reuse_in_place(schedule_);
  mark_non_temporal_outputs(schedule_);
  EXPECT_FALSE(of_a.unread);  // read by the second call
  EXPECT_FALSE(of_b.unread);  // lies where its input lay, which is in the cache
  EXPECT_TRUE(of_c.unread);
}

}  // namespace
}  // namespace ravine::testing
