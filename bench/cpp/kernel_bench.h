// Runs one kernel per iteration on a team and reports GFLOP/s and the share of the team's FMA peak.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "core/team.h"
#include "dispatch/dispatch.h"
#include "peak.h"

namespace ravine::bench {

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<float, FreeMemory>;

// 64-byte aligned, filled with small numbers.
inline Memory numbers(std::int64_t n) {
  const auto bytes = (static_cast<std::size_t>(n) * sizeof(float) / 64 + 1) * 64;
  Memory memory(static_cast<float*>(std::aligned_alloc(64, bytes)));
  std::uint32_t state = 1;
  for (std::int64_t i = 0; i < n; ++i) {
    state = state * 1664525u + 1013904223u;
    memory.get()[i] = static_cast<float>(state >> 8) / (1 << 24) - 0.5f;
  }
  return memory;
}

template <class Args>
void time_kernel(benchmark::State& state, kernels::Kernel<Args> kernel, const Args& args, int threads,
                 double flops) {
  struct Call {
    kernels::Kernel<Args> kernel;
    const Args* args;
  } call{kernel, &args};
  for (auto _ : state) {
    run_on_team(
        threads, active_kernels().scratch_bytes,
        [](void* context, const Team& team) {
          const Call& self = *static_cast<const Call*>(context);
          self.kernel(*self.args, team);
        },
        &call);
  }
  const double total = flops * static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(total * 1e-9, benchmark::Counter::kIsRate);
  state.counters["of_peak"] =
      benchmark::Counter(total * 1e-9 / (fma_peak_gflops() * threads), benchmark::Counter::kIsRate);
}

}  // namespace ravine::bench
