#include "kernel_bench.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "core/cpu.h"

namespace ravine::bench {
namespace {

int rounds = 9;
double batch_seconds = 2e-3;

double seconds_of(const Job& job, std::int64_t calls) {
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t call = 0; call < calls; ++call) job.work(job.context);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Calls that fill a batch.
std::int64_t calls_per_batch(const Job& job) {
  std::int64_t calls = 1;
  for (;;) {
    const double seconds = seconds_of(job, calls);
    if (seconds >= batch_seconds) return calls;
    if (seconds >= 0.1 * batch_seconds)
      return static_cast<std::int64_t>(static_cast<double>(calls) * batch_seconds / seconds) + 1;
    calls *= 4;
  }
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// The value of "--name=..." if `argument` is that, else null.
const char* value_of(const char* argument, const char* name) {
  const std::string prefix = std::string("--") + name + "=";
  return std::strncmp(argument, prefix.c_str(), prefix.size()) == 0 ? argument + prefix.size() : nullptr;
}

}  // namespace

void time_beside(benchmark::State& state, const Job& job, double amount, Limit& limit, int threads) {
  struct LimitCall {
    Limit* limit;
    int threads;
  } limit_call{&limit, threads};
  const Job limit_job{[](void* context) {
                        const auto& self = *static_cast<const LimitCall*>(context);
                        self.limit->run(self.threads);
                      },
                      &limit_call};
  for (auto _ : state) {
    job.work(job.context);
    limit_job.work(limit_job.context);
    const std::int64_t calls = calls_per_batch(job), limit_calls = calls_per_batch(limit_job);
    std::vector<double> seconds, limit_seconds;
    for (int round = 0; round < rounds; ++round) {
      job.work(job.context);  // its data comes back into the caches
      seconds.push_back(seconds_of(job, calls) / static_cast<double>(calls));
      limit_job.work(limit_job.context);
      limit_seconds.push_back(seconds_of(limit_job, limit_calls) / static_cast<double>(limit_calls));
    }
    const double call_seconds = median(seconds), rate = amount / call_seconds;
    const double limit_rate = limit.amount() / median(limit_seconds);
    state.SetIterationTime(call_seconds);
    const bool bytes = limit.counts_bytes();
    state.counters[bytes ? "GB/s" : "GFLOP/s"] = rate * 1e-9;
    state.counters[bytes ? "of_loop" : "of_peak"] = rate / limit_rate;
    state.counters[bytes ? "loop" : "peak"] = limit_rate * 1e-9;
  }
}

}  // namespace ravine::bench

int main(int argc, char** argv) {
  std::vector<char*> rest{argv[0]};
  for (int i = 1; i < argc; ++i) {
    if (const char* value = ravine::bench::value_of(argv[i], "rounds")) {
      ravine::bench::rounds = std::max(1, std::atoi(value));
    } else if (const char* time = ravine::bench::value_of(argv[i], "batch_ms")) {
      ravine::bench::batch_seconds = std::atof(time) * 1e-3;
    } else {
      rest.push_back(argv[i]);
    }
  }
  int count = static_cast<int>(rest.size());
  benchmark::Initialize(&count, rest.data());
  if (benchmark::ReportUnrecognizedArguments(count, rest.data())) return 1;
  benchmark::AddCustomContext("isa", ravine::active_isa());
  benchmark::AddCustomContext("cpu", ravine::cpu_info().model);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
