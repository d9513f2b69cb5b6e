// What the benchmarks of kernels over dense rows share: arrays [rows, columns], vectors of either length, and
// shapes whose arguments are threads, rows, columns.
#pragma once

#include <initializer_list>

#include "kernel_bench.h"

namespace ravine::bench {

struct Rows {
  int threads;
  std::int64_t rows, columns;
  Memory x, y, z, of_columns[4], of_rows[4];

  explicit Rows(const benchmark::State& state)
      : Rows(static_cast<int>(state.range(0)), state.range(1), state.range(2)) {}
  Rows(int threads, std::int64_t rows, std::int64_t columns)
      : threads(threads),
        rows(rows),
        columns(columns),
        x(numbers(rows * columns)),
        y(numbers(rows * columns)),
        z(numbers(rows * columns)) {
    for (Memory& values : of_columns) values = numbers(columns);
    for (Memory& values : of_rows) values = numbers(rows);
  }
  // Whole arrays that a kernel reads and writes.
  Streams streams(int reads, int writes) const {
    return {.reads = reads, .writes = writes, .in_place = 0, .elements = rows * columns};
  }
};

inline void rows_and_columns(benchmark::internal::Benchmark* bench,
                             std::initializer_list<std::array<std::int64_t, 2>> sizes) {
  bench->ArgNames({"threads", "rows", "columns"})->UseManualTime()->Iterations(1);
  for (int threads : {1, 2})
    for (const auto& [rows, columns] : sizes) bench->Args({threads, rows, columns});
}

// Beside a plain loop, with the workspace that the kernel asks for.
template <class Args>
void time_kernel(benchmark::State& state, kernels::Kernel<Args> kernel,
                 kernels::WorkspaceBytes<Args> workspace_bytes, Args args, int threads,
                 const Streams& streams) {
  const Memory workspace = numbers(static_cast<std::int64_t>(workspace_bytes(args) / sizeof(float)) + 1);
  args.workspace = workspace.get();
  time_kernel(state, kernel, args, threads, streams);
}

}  // namespace ravine::bench
