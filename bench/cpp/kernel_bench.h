// Times one kernel on a team beside the machine's limit for that work, and reports GFLOP/s or GB/s and the
// share of the limit.
#pragma once

#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>

#include "core/team.h"
#include "dispatch/dispatch.h"
#include "limit.h"
#include "numbers.h"

namespace ravine::bench {

// Something to time: work(context) once.
struct Job {
  void (*work)(void* context);
  void* context;
};

// Alternates batches of `job` and of `limit`, so that both see the same machine, and takes the median of each
// over the rounds (--rounds=N, --batch_ms=T on the command line). `amount` is the flops or bytes of one call.
// Counters: the rate (GFLOP/s or GB/s), the limit's (peak or loop), and the share (of_peak or of_loop).
void time_beside(benchmark::State& state, const Job& job, double amount, Limit& limit, int threads);

template <class Args>
void time_beside(benchmark::State& state, kernels::Kernel<Args> kernel, const Args& args, int threads,
                 double amount, Limit& limit) {
  struct Call {
    kernels::Kernel<Args> kernel;
    const Args* args;
    int threads;
  } call{kernel, &args, threads};
  const auto work = [](void* context) {
    run_on_team(
        static_cast<Call*>(context)->threads, active_kernels().scratch_bytes,
        [](void* inner, const Team& team) noexcept {
          const Call& self = *static_cast<const Call*>(inner);
          self.kernel(*self.args, team);
        },
        context);
  };
  time_beside(state, Job{work, &call}, amount, limit, threads);
}

// Beside the multiply-adds that `threads` cores do at most.
template <class Args>
void time_kernel(benchmark::State& state, kernels::Kernel<Args> kernel, const Args& args, int threads,
                 double flops) {
  const auto limit = multiply_adds(threads);
  time_beside(state, kernel, args, threads, flops, *limit);
}

// Beside a plain loop over the same streams.
template <class Args>
void time_kernel(benchmark::State& state, kernels::Kernel<Args> kernel, const Args& args, int threads,
                 const Streams& streams) {
  const auto limit = plain_loop(streams);
  time_beside(state, kernel, args, threads, limit->amount(), *limit);
}

}  // namespace ravine::bench
