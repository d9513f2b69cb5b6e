// From a schedule to what a program runs, one step after the other: each changes the part of the schedule
// that its name says, and nothing else is known to it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "graph/schedule/schedule.h"

namespace ravine {

// Memory of the arena holds what an earlier run left: RuntimeError where a call reads what no call before it,
// nor itself, writes (an epilogue reads its kernel's result).
void expect_written(const Schedule& schedule);

// Results take over the memory of inputs that nothing reads later.
void reuse_in_place(Schedule& schedule);

// Marks elementwise results of which the program reads at most a 64th for non-temporal stores.
void mark_non_temporal_outputs(Schedule& schedule);

// Places the storages of the arena.
struct Arena {
  SharedBytes memory;
  std::int64_t bytes = 0;
};
Arena place_in_arena(Schedule& schedule);

// A call waits for the team when it touches memory that a call since the last barrier wrote, or writes what
// one read.
void place_barriers(Schedule& schedule);

// Writes the address of a run's input or output into the arguments of calls.
struct PointerPatch {
  PointerField field;
  bool is_output;
  int index;
  std::int64_t byte_offset;
};
// Fills the pointers whose memory has its place; those of inputs and outputs are left to each run.
std::vector<PointerPatch> resolve(const Schedule& schedule);

// The arrays outside the program that its calls write.
std::vector<Array> written_states(const Schedule& schedule);

}  // namespace ravine
