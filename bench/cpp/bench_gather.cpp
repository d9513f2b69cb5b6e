// Gathering and scattering of rows (an embedding and its gradient), float32, beside a plain loop over the
// rows that are moved. Rows say threads, table rows, row length, indices.
#include <vector>

#include "kernel_bench.h"

namespace ravine::bench {
namespace {

using namespace kernels;

struct Problem {
  int threads;
  std::int64_t axis, inner, count;
  Memory table, rows;
  std::vector<std::int64_t> indices;

  explicit Problem(const benchmark::State& state)
      : threads(static_cast<int>(state.range(0))),
        axis(state.range(1)),
        inner(state.range(2)),
        count(state.range(3)),
        table(numbers(axis * inner)),
        rows(numbers(count * inner)) {
    std::uint64_t random = 1;
    for (std::int64_t j = 0; j < count; ++j) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      indices.push_back(static_cast<std::int64_t>((random >> 33) % static_cast<std::uint64_t>(axis)));
    }
  }
};

void gather(benchmark::State& state) {
  const Problem p(state);
  GatherArgs args;
  args.axis = p.axis;
  args.inner = p.inner;
  args.count = p.count;
  args.input = p.table.get();
  args.indices = p.indices.data();
  args.output = p.rows.get();
  time_kernel(state, active_kernels().gather(DType::float32), args, p.threads,
              Streams{.reads = 1, .writes = 1, .in_place = 0, .elements = p.count * p.inner});
}
// Clears the table, then adds the rows to it.
void scatter_add(benchmark::State& state) {
  const Problem p(state);
  ScatterAddArgs args;
  args.axis = p.axis;
  args.inner = p.inner;
  args.count = p.count;
  args.source = p.rows.get();
  args.indices = p.indices.data();
  args.output = p.table.get();
  time_kernel(state, active_kernels().float32.scatter_add, args, p.threads,
              Streams{.reads = 2, .writes = 1, .in_place = 1, .elements = p.count * p.inner});
}

// Sorts the indices, and sums the rows of each.
void coalesce_rows(benchmark::State& state) {
  const Problem p(state);
  const FloatKernels& kernels = active_kernels().float32;
  const Memory sums = numbers(p.count * p.inner);
  std::vector<std::int64_t> unique(p.indices.size());
  CoalesceRowsArgs args;
  args.count = p.count;
  args.inner = p.inner;
  args.extent = p.axis;
  args.source = p.rows.get();
  args.indices = p.indices.data();
  args.rows = sums.get();
  args.unique = unique.data();
  std::vector<std::byte> workspace(kernels.coalesce_rows_workspace(args));
  args.workspace = workspace.data();
  time_kernel(state, kernels.coalesce_rows, args, p.threads,
              Streams{.reads = 1, .writes = 1, .in_place = 0, .elements = p.count * p.inner});
}

void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "table", "length", "indices"})->UseManualTime()->Iterations(1);
  for (int threads : {1, 2})
    for (const auto& [table, length, indices] : {std::array<std::int64_t, 3>{1000, 16, 1024},
                                                 {10000, 64, 4096},
                                                 {100000, 64, 100000},
                                                 {1000, 3, 4096}})
      bench->Args({threads, table, length, indices});
}

BENCHMARK(gather)->Apply(shapes);
BENCHMARK(scatter_add)->Apply(shapes);
BENCHMARK(coalesce_rows)->Apply(shapes);

}  // namespace
}  // namespace ravine::bench
