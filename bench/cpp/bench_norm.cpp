// The statistics and sums of BatchNorm and LayerNorm, float32, beside a plain loop over the same arrays. Rows
// say threads, rows, columns. (Applying BatchNorm is a tile program: bench_elementwise.)
#include "kernel_bench.h"

namespace ravine::bench {
namespace {

using namespace kernels;

struct Problem {
  int threads;
  std::int64_t rows, columns;
  Memory x, dy, dx, of_columns[4], of_rows[2];

  explicit Problem(const benchmark::State& state)
      : threads(static_cast<int>(state.range(0))),
        rows(state.range(1)),
        columns(state.range(2)),
        x(numbers(rows * columns)),
        dy(numbers(rows * columns)),
        dx(numbers(rows * columns)) {
    for (Memory& values : of_columns) values = numbers(columns);
    for (Memory& values : of_rows) values = numbers(rows);
  }
  Streams streams(int reads, int writes) const {
    return {.reads = reads, .writes = writes, .in_place = 0, .elements = rows * columns};
  }
};

template <class Args>
void time_with_workspace(benchmark::State& state, const Problem& p, Kernel<Args> kernel,
                         WorkspaceBytes<Args> workspace_bytes, Args args, const Streams& streams) {
  const Memory workspace = numbers(static_cast<std::int64_t>(workspace_bytes(args) / sizeof(float)) + 1);
  args.workspace = workspace.get();
  time_kernel(state, kernel, args, p.threads, streams);
}

void column_moments(benchmark::State& state) {
  const Problem p(state);
  const auto& k = active_kernels().float32;
  const ColumnMomentsArgs args{p.rows, p.columns, p.x.get(), p.of_columns[0].get(), p.of_columns[1].get(),
                               nullptr};
  time_with_workspace(state, p, k.column_moments, k.column_moments_workspace, args, p.streams(1, 0));
}
void column_grad_sums(benchmark::State& state) {
  const Problem p(state);
  const auto& k = active_kernels().float32;
  const ColumnGradSumsArgs args{p.rows,
                                p.columns,
                                p.x.get(),
                                p.dy.get(),
                                p.of_columns[0].get(),
                                p.of_columns[1].get(),
                                p.of_columns[2].get(),
                                p.of_columns[3].get(),
                                nullptr};
  time_with_workspace(state, p, k.column_grad_sums, k.column_grad_sums_workspace, args, p.streams(2, 0));
}
void layer_norm(benchmark::State& state) {
  const Problem p(state);
  LayerNormArgs args;
  args.rows = p.rows;
  args.columns = p.columns;
  args.input = p.x.get();
  args.gamma = p.of_columns[0].get();
  args.beta = p.of_columns[1].get();
  args.output = p.dx.get();
  args.mean = p.of_rows[0].get();
  args.rstd = p.of_rows[1].get();
  time_kernel(state, active_kernels().float32.layer_norm, args, p.threads, p.streams(1, 1));
}
void layer_norm_grad(benchmark::State& state) {
  const Problem p(state);
  const auto& k = active_kernels().float32;
  LayerNormGradArgs args;
  args.rows = p.rows;
  args.columns = p.columns;
  args.input = p.x.get();
  args.grad_output = p.dy.get();
  args.gamma = p.of_columns[0].get();
  args.mean = p.of_rows[0].get();
  args.rstd = p.of_rows[1].get();
  args.grad_input = p.dx.get();
  args.grad_gamma = p.of_columns[2].get();
  args.grad_beta = p.of_columns[3].get();
  time_with_workspace(state, p, k.layer_norm_grad, k.layer_norm_grad_workspace, args, p.streams(2, 1));
}

void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "rows", "columns"})->UseManualTime()->Iterations(1);
  for (int threads : {1, 2})
    for (const auto& [rows, columns] : {std::array<std::int64_t, 2>{32, 64},
                                        {128, 128},
                                        {128, 256},
                                        {128, 2048},
                                        {12544, 64},
                                        {65536, 16},
                                        {65536, 64},
                                        {1024, 512}})
      bench->Args({threads, rows, columns});
}

BENCHMARK(column_moments)->Apply(shapes);
BENCHMARK(column_grad_sums)->Apply(shapes);
BENCHMARK(layer_norm)->Apply(shapes);
BENCHMARK(layer_norm_grad)->Apply(shapes);

}  // namespace
}  // namespace ravine::bench
