// Reductions, float32, beside a plain loop that reads as much. Rows say threads, rows and columns; along rows
// each row gives one result, along columns each column.
#include "kernel_bench.h"

namespace ravine::bench {
namespace {

using namespace kernels;

void time_reduction(benchmark::State& state, Reduction reduction, bool along_rows) {
  const std::int64_t rows = state.range(1), columns = state.range(2);
  const Memory input = numbers(rows * columns), output = numbers(2 * (along_rows ? rows : columns));
  ReduceArgs args;
  args.outer = along_rows ? rows : 1;
  args.reduced = along_rows ? columns : rows;
  args.inner = along_rows ? 1 : columns;
  args.outer_stride = along_rows ? columns : rows * columns;
  args.reduced_stride = along_rows ? 1 : columns;
  args.input = input.get();
  args.output = output.get();
  const auto& kernels = active_kernels();
  const Memory workspace = numbers(
      static_cast<std::int64_t>(kernels.reduce_workspace(reduction, DType::float32, args) / sizeof(float)) +
      1);
  args.workspace = workspace.get();
  time_kernel(state, kernels.reduce(reduction, DType::float32), args, static_cast<int>(state.range(0)),
              Streams{.reads = 1, .writes = 0, .in_place = 0, .elements = rows * columns});
}

template <Reduction reduction>
void along_rows(benchmark::State& state) {
  time_reduction(state, reduction, true);
}
template <Reduction reduction>
void along_columns(benchmark::State& state) {
  time_reduction(state, reduction, false);
}

void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "rows", "columns"})->UseManualTime()->Iterations(1);
  for (int threads : {1, 2})
    for (const auto& [rows, columns] : {std::array<std::int64_t, 2>{1, 2048},
                                        {1, 1 << 15},
                                        {1, 1 << 20},
                                        {1, 1 << 24},
                                        {32, 64},
                                        {128, 10},
                                        {128, 128},
                                        {128, 256},
                                        {32, 4096},
                                        {128, 2048},
                                        {65536, 10},
                                        {65536, 64}})
      bench->Args({threads, rows, columns});
}

BENCHMARK(along_rows<Reduction::sum>)->Name("sum_rows")->Apply(shapes);
BENCHMARK(along_rows<Reduction::max>)->Name("max_rows")->Apply(shapes);
BENCHMARK(along_rows<Reduction::argmax>)->Name("argmax_rows")->Apply(shapes);
BENCHMARK(along_columns<Reduction::sum>)->Name("sum_columns")->Apply(shapes);
BENCHMARK(along_columns<Reduction::max>)->Name("max_columns")->Apply(shapes);
BENCHMARK(along_columns<Reduction::argmax>)->Name("argmax_columns")->Apply(shapes);

}  // namespace
}  // namespace ravine::bench
