#include "core/team_limit.h"

#include <algorithm>

namespace ravine {
namespace {

using namespace std::chrono_literals;

constexpr TeamLimit::Time shortest_pause = 50ms, longest_doubled_pause = 2s, longest_pause = 30s;
// First touches of memory, or a core that another process took for a moment, make single runs late.
constexpr int late_runs_to_shrink = 3;
// The first late run soon after a team has grown shows that one run was not enough to judge by.
constexpr int late_runs_of_a_grown_team = 1;
constexpr int runs_remembered = 16;
constexpr auto time_remembered = 50ms;
// Of the time between two tries, what a try in vain may cost.
constexpr int pause_per_loss = 10;

}  // namespace

int TeamLimit::size_for(int threads, Time now) {
  if (threads <= limit_) return threads;
  if (now < try_at_) return limit_;
  try_at_ = now + pause_;  // others go on as before meanwhile
  return std::min(threads, 2 * limit_);
}

void TeamLimit::finished(int size, Time now, Time run, Time wait) {
  const Time allowed = (run - run / size) * 2 / 3;
  const bool late = wait > allowed;
  if (size > limit_) {  // a try
    if (late) {
      const Time doubled = std::min<Time>(2 * pause_, longest_doubled_pause);
      pause_ = std::max(doubled, std::min<Time>(pause_per_loss * (wait - allowed), longest_pause));
      try_at_ = now + pause_;
    } else {
      limit_ = size;
      try_at_ = now + shortest_pause;
      grown_at_ = now;
      forget_runs();
    }
    return;
  }
  run_ += run;
  allowed_ += allowed;
  waited_ += wait;
  ++runs_;
  late_runs_ += late;
  const bool soon = now - grown_at_ < pause_per_loss * pause_;
  if (late_runs_ >= (soon ? late_runs_of_a_grown_team : late_runs_to_shrink) && waited_ > allowed_) {
    limit_ = size / 2;
    // Where the last try was a mistake, the next comes later.
    pause_ = soon ? std::min<Time>(2 * pause_, longest_doubled_pause) : shortest_pause;
    pause_ = std::max(pause_, std::min<Time>(pause_per_loss * (waited_ - allowed_), longest_doubled_pause));
    try_at_ = now + pause_;
    forget_runs();
  } else if (runs_ >= runs_remembered && run_ >= time_remembered) {
    run_ /= 2;
    allowed_ /= 2;
    waited_ /= 2;
    runs_ /= 2;
    late_runs_ /= 2;
  }
}

void TeamLimit::forget_runs() {
  run_ = allowed_ = waited_ = Time(0);
  runs_ = late_runs_ = 0;
}

}  // namespace ravine
