// The statistics and sums of BatchNorm, LayerNorm and GroupNorm, float32, beside a plain loop over the same
// arrays. Rows say threads, rows, columns; GroupNorm's threads, samples, positions, channels, groups.
// (Applying BatchNorm is a tile program: bench_elementwise.)
#include "rows.h"

namespace ravine::bench {
namespace {

using namespace kernels;

void column_moments(benchmark::State& state) {
  const Rows p(state);
  const auto& k = active_kernels().float32;
  const ColumnMomentsArgs args{p.rows, p.columns, p.x.get(), p.of_columns[0].get(), p.of_columns[1].get(),
                               nullptr};
  time_kernel(state, k.column_moments, k.column_moments_workspace, args, p.threads, p.streams(1, 0));
}
void column_grad_sums(benchmark::State& state) {
  const Rows p(state);
  const auto& k = active_kernels().float32;
  const ColumnGradSumsArgs args{p.rows,
                                p.columns,
                                p.x.get(),
                                p.y.get(),
                                p.of_columns[0].get(),
                                p.of_columns[1].get(),
                                p.of_columns[2].get(),
                                p.of_columns[3].get(),
                                nullptr};
  time_kernel(state, k.column_grad_sums, k.column_grad_sums_workspace, args, p.threads, p.streams(2, 0));
}
void layer_norm(benchmark::State& state) {
  const Rows p(state);
  LayerNormArgs args;
  args.rows = p.rows;
  args.columns = p.columns;
  args.input = p.x.get();
  args.gamma = p.of_columns[0].get();
  args.beta = p.of_columns[1].get();
  args.output = p.z.get();
  args.mean = p.of_rows[0].get();
  args.rstd = p.of_rows[1].get();
  time_kernel(state, active_kernels().float32.layer_norm, args, p.threads, p.streams(1, 1));
}
void layer_norm_grad(benchmark::State& state) {
  const Rows p(state);
  const auto& k = active_kernels().float32;
  LayerNormGradArgs args;
  args.rows = p.rows;
  args.columns = p.columns;
  args.input = p.x.get();
  args.grad_output = p.y.get();
  args.gamma = p.of_columns[0].get();
  args.mean = p.of_rows[0].get();
  args.rstd = p.of_rows[1].get();
  args.grad_input = p.z.get();
  args.grad_gamma = p.of_columns[2].get();
  args.grad_beta = p.of_columns[3].get();
  time_kernel(state, k.layer_norm_grad, k.layer_norm_grad_workspace, args, p.threads, p.streams(2, 1));
}

// Images [samples, positions, channels].
struct Images : Rows {
  explicit Images(const benchmark::State& state)
      : Rows(static_cast<int>(state.range(0)), state.range(1) * state.range(2), state.range(3)),
        statistics{numbers(state.range(1) * state.range(4)), numbers(state.range(1) * state.range(4))} {}
  template <class Args>
  Args args(const benchmark::State& state) const {
    Args args;
    args.samples = state.range(1);
    args.positions = state.range(2);
    args.channels = state.range(3);
    args.groups = state.range(4);
    args.input = x.get();
    args.gamma = of_columns[0].get();
    args.mean = statistics[0].get();
    args.variance = statistics[1].get();
    return args;
  }
  Memory statistics[2];
};

void group_norm(benchmark::State& state) {
  const Images p(state);
  auto args = p.args<GroupNormArgs>(state);
  args.beta = p.of_columns[1].get();
  args.output = p.z.get();
  const auto& k = active_kernels().float32;
  time_kernel(state, k.group_norm, k.group_norm_workspace, args, p.threads, p.streams(1, 1));
}
void group_norm_grad(benchmark::State& state) {
  const Images p(state);
  auto args = p.args<GroupNormGradArgs>(state);
  args.eps = 1;  // the variances here may be negative
  args.grad_output = p.y.get();
  args.grad_input = p.z.get();
  args.grad_gamma = p.of_columns[2].get();
  args.grad_beta = p.of_columns[3].get();
  const auto& k = active_kernels().float32;
  time_kernel(state, k.group_norm_grad, k.group_norm_grad_workspace, args, p.threads, p.streams(2, 1));
}

void shapes(benchmark::internal::Benchmark* bench) {
  rows_and_columns(
      bench,
      {{32, 64}, {128, 128}, {128, 256}, {128, 2048}, {12544, 64}, {65536, 16}, {65536, 64}, {1024, 512}});
}

void image_shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "samples", "positions", "channels", "groups"})->UseManualTime()->Iterations(1);
  for (int threads : {1, 2})
    for (const auto& [samples, positions, channels, groups] : {std::array<std::int64_t, 4>{64, 1024, 64, 8},
                                                               {64, 1024, 64, 64},
                                                               {64, 64, 256, 8},
                                                               {64, 64, 256, 256},
                                                               {64, 784, 32, 8},
                                                               {16, 256, 8, 8},
                                                               {64, 49, 512, 32},
                                                               {1, 12544, 64, 8}})
      bench->Args({threads, samples, positions, channels, groups});
}

BENCHMARK(column_moments)->Apply(shapes);
BENCHMARK(column_grad_sums)->Apply(shapes);
BENCHMARK(layer_norm)->Apply(shapes);
BENCHMARK(layer_norm_grad)->Apply(shapes);
BENCHMARK(group_norm)->Apply(image_shapes);
BENCHMARK(group_norm_grad)->Apply(image_shapes);

}  // namespace
}  // namespace ravine::bench
