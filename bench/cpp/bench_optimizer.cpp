// Optimizer steps, float32, beside a plain loop over the same arrays. A row's name says threads, the number
// of parameters (tensors) and of numbers in all of them.
#include <vector>

#include "kernel_bench.h"

namespace ravine::bench {
namespace {

using namespace kernels;

// Parameters of equal size, each array in memory of its own.
struct Parameters {
  std::vector<Memory> arrays;
  std::vector<ParameterSegment> segments;

  Parameters(std::int64_t tensors, std::int64_t elements, int slots) {
    for (std::int64_t t = 0; t < tensors; ++t) {
      ParameterSegment segment;
      segment.size = elements / tensors;
      segment.parameter = add(segment.size);
      segment.gradient = add(segment.size);
      for (int slot = 0; slot < slots; ++slot) {
        float* state = add(segment.size);
        for (std::int64_t i = 0; i < segment.size; ++i) state[i] = 0.25f;
        segment.slots[slot] = state;
      }
      segments.push_back(segment);
    }
  }

 private:
  float* add(std::int64_t size) {
    arrays.push_back(numbers(size));
    return arrays.back().get();
  }
};

template <class Hyper>
void time_step(benchmark::State& state, OptimizerRule rule, const Hyper& hyper, int slots) {
  const std::int64_t tensors = state.range(1), elements = state.range(2);
  const Parameters parameters(tensors, elements, slots);
  const OptimizerStep step{.hyper = &hyper};
  const KernelTable& kernels = active_kernels();
  OptimizerArgs args;
  args.segments = parameters.segments.data();
  args.n_segments = tensors;
  args.functions = kernels.optimizer_functions(rule, DType::float32);
  args.step = &step;
  time_kernel(state, kernels.float32.optimizer_step, args, static_cast<int>(state.range(0)),
              Streams{.reads = 2 + slots, .writes = 1 + slots, .in_place = 1 + slots, .elements = elements});
}

void sgd_plain(benchmark::State& state) { time_step(state, OptimizerRule::sgd, SgdHyper{.lr = 1e-3}, 0); }
void sgd_nesterov(benchmark::State& state) {
  time_step(state, OptimizerRule::sgd, SgdHyper{.lr = 1e-3, .momentum = 0.9, .nesterov = 1}, 1);
}
void adam(benchmark::State& state) {
  time_step(state, OptimizerRule::adam,
            AdamHyper{.lr = 1e-3, .bias_correction1 = 0.5, .bias_correction2 = 0.1}, 2);
}
void adamw(benchmark::State& state) {
  time_step(
      state, OptimizerRule::adam,
      AdamHyper{
          .lr = 1e-3, .weight_decay = 0.01, .decoupled = 1, .bias_correction1 = 0.5, .bias_correction2 = 0.1},
      2);
}

void sizes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "tensors", "elements"})->UseManualTime()->Iterations(1);
  for (int threads : {1, 2})
    for (const auto& [tensors, elements] : {std::array<std::int64_t, 2>{6, 6'000},
                                            {1, 100'000},
                                            {100, 100'000},
                                            {10, 236'000},
                                            {1, 1'000'000},
                                            {1, 10'000'000},
                                            {60, 10'000'020}})
      bench->Args({threads, tensors, elements});
}

BENCHMARK(sgd_plain)->Apply(sizes);
BENCHMARK(sgd_nesterov)->Apply(sizes);
BENCHMARK(adam)->Apply(sizes);
BENCHMARK(adamw)->Apply(sizes);

}  // namespace
}  // namespace ravine::bench
