// Float32 GEMM: cubes, and the products of a linear layer: forward (x W^T), gradient to the input (dy W) and
// to the weight (dy^T x). Arguments: threads, then m, n, k, or batch, in_features, out_features.
#include "kernel_bench.h"

namespace ravine::bench {
namespace {

using kernels::GemmArgs;

void time_gemm(benchmark::State& state, GemmArgs args, int threads) {
  const Memory a = numbers(args.m * args.k), b = numbers(args.k * args.n), c = numbers(args.m * args.n);
  args.a.data = a.get();
  args.b.data = b.get();
  args.c.data = c.get();
  args.c.row_stride = args.n;
  const auto& kernels = active_kernels().float32;
  const Memory workspace =
      numbers(static_cast<std::int64_t>(kernels.gemm_workspace(args) / sizeof(float)) + 1);
  args.workspace = workspace.get();
  time_kernel(state, kernels.gemm, args, threads,
              2.0 * static_cast<double>(args.m) * static_cast<double>(args.n) * static_cast<double>(args.k));
}

GemmArgs product(std::int64_t m, std::int64_t n, std::int64_t k, bool a_transposed, bool b_transposed) {
  GemmArgs args;
  args.m = m;
  args.n = n;
  args.k = k;
  args.a.row_stride = a_transposed ? 1 : k;
  args.a.column_stride = a_transposed ? m : 1;
  args.b.row_stride = b_transposed ? 1 : n;
  args.b.column_stride = b_transposed ? k : 1;
  return args;
}

void matmul(benchmark::State& state) {
  time_gemm(state, product(state.range(1), state.range(2), state.range(3), false, false),
            static_cast<int>(state.range(0)));
}
void linear(benchmark::State& state) {
  time_gemm(state, product(state.range(1), state.range(3), state.range(2), false, true),
            static_cast<int>(state.range(0)));
}
void linear_grad_input(benchmark::State& state) {
  time_gemm(state, product(state.range(1), state.range(2), state.range(3), false, false),
            static_cast<int>(state.range(0)));
}
void linear_grad_weight(benchmark::State& state) {
  time_gemm(state, product(state.range(3), state.range(2), state.range(1), true, false),
            static_cast<int>(state.range(0)));
}

void cubes(benchmark::internal::Benchmark* bench) {
  for (int threads : {1, 2})
    for (std::int64_t n : {64, 128, 256, 512, 1024, 2048}) bench->Args({threads, n, n, n});
}
// The linear layers of the workloads tab, mlp32, mlp, wide and deep.
void layers(benchmark::internal::Benchmark* bench) {
  for (int threads : {1, 2})
    for (const auto& [batch, in, out] : {std::array<std::int64_t, 3>{32, 30, 64},
                                         {32, 64, 64},
                                         {1, 784, 128},
                                         {32, 784, 128},
                                         {32, 128, 10},
                                         {128, 784, 256},
                                         {128, 256, 128},
                                         {128, 128, 10},
                                         {32, 784, 4096},
                                         {32, 4096, 4096},
                                         {128, 2048, 2048},
                                         {64, 3136, 128}})
      bench->Args({threads, batch, in, out});
}

BENCHMARK(matmul)->Apply(cubes)->UseRealTime();
BENCHMARK(linear)->Apply(layers)->UseRealTime();
BENCHMARK(linear_grad_input)->Apply(layers)->UseRealTime();
BENCHMARK(linear_grad_weight)->Apply(layers)->UseRealTime();

}  // namespace
}  // namespace ravine::bench
