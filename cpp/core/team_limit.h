// How large teams may be while other processes want the same cores.
#pragma once

#include <chrono>

namespace ravine {

// A thread whose core was taken comes to a barrier milliseconds late, and all others wait. Then a smaller
// team is faster: of n threads the caller works for one nth of the work or more, so once it waits for longer
// than n - 1 times its own work, one thread alone would have been done. A caller that loses its core too
// seems to work for longer than it does; hence two thirds of that is what is allowed: `wait` <= 2/3 (1 - 1/n)
// `run`. On an idle machine kernels that cannot be divided do not come near that, as the caller has the
// largest share of every kernel. Teams grow again by trying twice the size in one run, rarely: a try on a
// busy machine may cost as much as many runs. Not thread-safe.
class TeamLimit {
 public:
  using Time = std::chrono::nanoseconds;  // since any moment

  // The size for a run that wants `threads`, at most as many.
  int size_for(int threads, Time now);

  // A run on a team of `size`, at least 2, took `run`, of which its caller waited for others for `wait`.
  void finished(int size, Time now, Time run, Time wait);

  int limit() const { return limit_; }

 private:
  void forget_runs();

  int limit_ = 1 << 20;
  // The newest runs.
  Time allowed_{0}, waited_{0}, run_{0};
  int runs_ = 0, late_runs_ = 0;
  // When to try a larger team, and how long it takes from one try to the next.
  Time try_at_{0}, pause_{0}, grown_at_{0};
};

}  // namespace ravine
