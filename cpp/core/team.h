// The threads that run a program together. A kernel is an SPMD function: every thread of the team calls it
// with the same arguments and its own rank.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ravine {

class TeamBarrier;

// One thread's place in the team. Kernels cut work into pieces by shape alone and take pieces by rank, so a
// result never depends on `size`.
struct Team {
  int rank = 0;
  int size = 1;
  std::byte* scratch =
      nullptr;  // this thread's own workspace, 64-byte aligned, as large as the program asked for
  TeamBarrier* shared = nullptr;

  // Returns once every thread of the team has called it; what they wrote before is then visible to all.
  void barrier() const;
};

// Half-open range of pieces for one thread: contiguous, sizes differ by at most one.
struct Pieces {
  std::int64_t begin, end;
};
[[gnu::always_inline]] static inline Pieces pieces_of(std::int64_t count, const Team& team) {
  const std::int64_t base = count / team.size, extra = count % team.size;
  const std::int64_t begin = team.rank * base + (team.rank < extra ? team.rank : extra);
  return {begin, begin + base + (team.rank < extra ? 1 : 0)};
}

// It cannot throw: others of the team would run on.
using TeamFunction = void (*)(void* context, const Team& team) noexcept;

// adaptive: smaller while other processes take the cores (core/team_limit.h).
enum class TeamSize : std::uint8_t { fixed, adaptive };

// Runs `function` on a team of at most `threads` threads (this one has rank 0) and returns when all are done.
// Workers that another call is using are not waited for: the team is then smaller, and the result the same.
// Every thread has `scratch_bytes` of workspace and runs with denormals flushed to zero; the caller's
// floating point mode is restored afterwards. std::bad_alloc, before anything ran, where the caller's
// workspace cannot be had.
void run_on_team(int threads, std::size_t scratch_bytes, TeamFunction function, void* context,
                 TeamSize size = TeamSize::fixed);

// For tests that want the teams they ask for: off makes adaptive teams fixed ones.
void set_adaptive_teams(bool on);

}  // namespace ravine
