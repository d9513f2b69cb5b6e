// Float32 GEMM: matmul in the four cases of transposition (nn: A B, nt: A B^T, ...), and the three products
// of a linear layer: forward (x W^T), gradient to the input (dy W) and to the weight (dy^T x). A row's name
// says threads, then m, n, k, or batch, in_features, out_features.
#include "kernel_bench.h"

namespace ravine::bench {
namespace {

using kernels::GemmArgs;

void time_product(benchmark::State& state, std::int64_t m, std::int64_t n, std::int64_t k, bool a_transposed,
                  bool b_transposed) {
  const Memory a = numbers(m * k), b = numbers(k * n), c = numbers(m * n);
  GemmArgs args;
  args.m = m;
  args.n = n;
  args.k = k;
  args.a.data = a.get();
  args.a.row_stride = a_transposed ? 1 : k;
  args.a.column_stride = a_transposed ? m : 1;
  args.b.data = b.get();
  args.b.row_stride = b_transposed ? 1 : n;
  args.b.column_stride = b_transposed ? k : 1;
  args.c.data = c.get();
  args.c.row_stride = n;
  const auto& kernels = active_kernels().float32;
  const Memory workspace =
      numbers(static_cast<std::int64_t>(kernels.gemm_workspace(args) / sizeof(float)) + 1);
  args.workspace = workspace.get();
  time_kernel(state, kernels.gemm, args, static_cast<int>(state.range(0)),
              2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k));
}

template <bool a_transposed, bool b_transposed>
void matmul(benchmark::State& state) {
  time_product(state, state.range(1), state.range(2), state.range(3), a_transposed, b_transposed);
}
void linear(benchmark::State& state) {
  time_product(state, state.range(1), state.range(3), state.range(2), false, true);
}
void linear_grad_input(benchmark::State& state) {
  time_product(state, state.range(1), state.range(2), state.range(3), false, false);
}
void linear_grad_weight(benchmark::State& state) {
  time_product(state, state.range(3), state.range(2), state.range(1), true, false);
}

// Cubes, and the products whose shares of the peak are promised.
void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "m", "n", "k"})->UseManualTime()->Iterations(1);
  for (int threads : {1, 2}) {
    for (std::int64_t n : {64, 128, 256, 512, 1024, 2048}) bench->Args({threads, n, n, n});
    bench->Args({threads, 128, 1024, 1024})->Args({threads, 32, 128, 784})->Args({threads, 64, 4096, 4096});
  }
}
// The linear layers of the workloads tab, mlp32, mlp, wide and deep.
void layers(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "batch", "in", "out"})->UseManualTime()->Iterations(1);
  for (int threads : {1, 2})
    for (const auto& [batch, in, out] : {std::array<std::int64_t, 3>{32, 30, 64},
                                         {32, 64, 64},
                                         {32, 64, 2},
                                         {1, 784, 128},
                                         {32, 784, 128},
                                         {32, 128, 10},
                                         {128, 784, 256},
                                         {128, 256, 128},
                                         {128, 128, 10},
                                         {32, 784, 4096},
                                         {32, 4096, 4096},
                                         {32, 4096, 10},
                                         {128, 2048, 2048},
                                         {128, 2048, 10},
                                         {64, 3136, 128}})
      bench->Args({threads, batch, in, out});
}

BENCHMARK(matmul<false, false>)->Name("matmul_nn")->Apply(shapes);
BENCHMARK(matmul<false, true>)->Name("matmul_nt")->Apply(shapes);
BENCHMARK(matmul<true, false>)->Name("matmul_tn")->Apply(shapes);
BENCHMARK(matmul<true, true>)->Name("matmul_tt")->Apply(shapes);
BENCHMARK(linear)->Apply(layers);
BENCHMARK(linear_grad_input)->Apply(layers);
BENCHMARK(linear_grad_weight)->Apply(layers);

}  // namespace
}  // namespace ravine::bench
