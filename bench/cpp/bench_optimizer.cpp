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

// A rule reads parameter, gradient and slots, and writes parameter and slots; a layer-wise one passes over
// some of them twice, and reads that many more.
template <class Hyper>
void time_step(benchmark::State& state, OptimizerRule rule, const Hyper& hyper, int slots,
               int read_again = 0) {
  const std::int64_t tensors = state.range(1), elements = state.range(2);
  const Parameters parameters(tensors, elements, slots);
  const OptimizerStep step{.hyper = &hyper};
  const KernelTable& kernels = active_kernels();
  OptimizerArgs args;
  args.segments = parameters.segments.data();
  args.n_segments = tensors;
  args.functions = kernels.optimizer_functions(rule, DType::float32);
  args.step = &step;
  const std::size_t bytes = kernels.float32.optimizer_step_workspace(args);
  const Memory workspace = numbers(static_cast<std::int64_t>(bytes / sizeof(float)) + 1);
  args.workspace = workspace.get();
  time_kernel(
      state, kernels.float32.optimizer_step, args, static_cast<int>(state.range(0)),
      Streams{
          .reads = 2 + slots + read_again, .writes = 1 + slots, .in_place = 1 + slots, .elements = elements});
}

void sgd_plain(benchmark::State& state) { time_step(state, OptimizerRule::sgd, SgdHyper{.lr = 1e-3}, 0); }
void sgd_nesterov(benchmark::State& state) {
  time_step(state, OptimizerRule::sgd, SgdHyper{.lr = 1e-3, .momentum = 0.9, .nesterov = 1}, 1);
}
void asgd(benchmark::State& state) {
  time_step(state, OptimizerRule::asgd, AsgdHyper{.eta = 1e-3, .mu = 0.5, .lambd = 1e-4}, 1);
}
void rprop(benchmark::State& state) {
  time_step(state, OptimizerRule::rprop, RpropHyper{.first_size = 1e-3}, 2);
}
void lion(benchmark::State& state) {
  time_step(state, OptimizerRule::lion, LionHyper{.lr = 1e-3, .weight_decay = 0.1}, 1);
}
void lars(benchmark::State& state) { time_step(state, OptimizerRule::lars, LarsHyper{.lr = 1e-3}, 1, 2); }
void adam(benchmark::State& state) {
  time_step(state, OptimizerRule::adam,
            AdamHyper{.lr = 1e-3, .bias_correction1 = 0.5, .bias_correction2 = 0.1}, 2);
}
void adam_amsgrad(benchmark::State& state) {
  time_step(state, OptimizerRule::adam,
            AdamHyper{.lr = 1e-3, .amsgrad = 1, .bias_correction1 = 0.5, .bias_correction2 = 0.1}, 3);
}
void adamw(benchmark::State& state) {
  time_step(
      state, OptimizerRule::adam,
      AdamHyper{
          .lr = 1e-3, .weight_decay = 0.01, .decoupled = 1, .bias_correction1 = 0.5, .bias_correction2 = 0.1},
      2);
}
void adamax(benchmark::State& state) {
  time_step(state, OptimizerRule::adamax, AdamaxHyper{.lr = 1e-3, .bias_correction1 = 0.5}, 2);
}
void nadam(benchmark::State& state) {
  time_step(state, OptimizerRule::nadam,
            NadamHyper{.lr = 1e-3, .gradient_share = 0.1, .average_share = 0.9, .bias_correction2 = 0.1}, 2);
}
void radam(benchmark::State& state) {
  time_step(state, OptimizerRule::radam,
            RadamHyper{.lr = 1e-3, .rectification = 0.5, .bias_correction1 = 0.5, .bias_correction2 = 0.1},
            2);
}
void adabelief(benchmark::State& state) {
  time_step(state, OptimizerRule::adabelief,
            AdabeliefHyper{.lr = 1e-3, .bias_correction1 = 0.5, .bias_correction2 = 0.1}, 2);
}
void yogi(benchmark::State& state) {
  time_step(state, OptimizerRule::yogi,
            YogiHyper{.lr = 1e-3, .bias_correction1 = 0.5, .bias_correction2 = 0.1}, 2);
}
void adan(benchmark::State& state) {
  time_step(state, OptimizerRule::adan,
            AdanHyper{.lr = 1e-3, .bias_correction1 = 0.5, .bias_correction2 = 0.5, .bias_correction3 = 0.1},
            4);
}
void lamb(benchmark::State& state) {
  time_step(state, OptimizerRule::lamb,
            LambHyper{.lr = 1e-3, .bias_correction1 = 0.5, .bias_correction2 = 0.1}, 2, 3);
}
void adagrad(benchmark::State& state) {
  time_step(state, OptimizerRule::adagrad, AdagradHyper{.lr = 1e-3}, 1);
}
void adadelta(benchmark::State& state) {
  time_step(state, OptimizerRule::adadelta, AdadeltaHyper{.lr = 1e-3}, 2);
}
void rmsprop(benchmark::State& state) {
  time_step(state, OptimizerRule::rmsprop, RmspropHyper{.lr = 1e-3}, 1);
}
void schedule_free_sgd(benchmark::State& state) {
  time_step(state, OptimizerRule::schedule_free_sgd, ScheduleFreeSgdHyper{.lr = 1e-3, .average_weight = 0.1},
            1);
}
void schedule_free_adamw(benchmark::State& state) {
  time_step(state, OptimizerRule::schedule_free_adamw,
            ScheduleFreeAdamwHyper{.lr = 1e-3, .average_weight = 0.1, .bias_correction2 = 0.1}, 2);
}

constexpr AdafactorHyper adafactor_hyper{.rate = 1e-3, .share = 0.1};
void adafactor(benchmark::State& state) { time_step(state, OptimizerRule::adafactor, adafactor_hyper, 1, 3); }

// Square matrices of about as many numbers as the row says.
struct MatrixStep {
  MatrixShape shape;
  Parameters parameters;
  std::vector<MatrixShape> shapes;
  OptimizerStep step;
  MatrixStepArgs args;
  std::vector<Memory> memory;

  MatrixStep(benchmark::State& state, const void* hyper)
      : shape(square(state.range(2) / state.range(1))),
        parameters(state.range(1), state.range(1) * shape.size(), 3),
        shapes(static_cast<std::size_t>(state.range(1)), shape),
        step{.hyper = hyper} {
    args.step.segments = parameters.segments.data();
    args.step.n_segments = state.range(1);
    args.step.step = &step;
    args.shapes = shapes.data();
  }
  void give_workspace(WorkspaceBytes<MatrixStepArgs> bytes) {
    memory.push_back(numbers(static_cast<std::int64_t>(bytes(args) / sizeof(float)) + 1));
    args.step.workspace = memory.back().get();
  }
  static MatrixShape square(std::int64_t elements) {
    std::int64_t side = 1;
    while ((side + 1) * (side + 1) <= elements) ++side;
    return {.rows = side, .columns = side};
  }
};

// The gradient is read three times, the parameter twice.
void adafactor_matrices(benchmark::State& state) {
  MatrixStep matrices(state, &adafactor_hyper);
  const FloatKernels& kernels = active_kernels().float32;
  matrices.give_workspace(kernels.adafactor_matrices_workspace);
  time_kernel(
      state, kernels.adafactor_matrices, matrices.args, static_cast<int>(state.range(0)),
      Streams{.reads = 5, .writes = 1, .in_place = 1, .elements = state.range(1) * matrices.shape.size()});
}

// Beside the multiply-adds of its products, three of them in five iterations.
void muon_matrices(benchmark::State& state) {
  const MuonHyper hyper{.adam = {}, .lr = 1e-3};
  MatrixStep matrices(state, &hyper);
  const FloatKernels& kernels = active_kernels().float32;
  matrices.give_workspace(kernels.muon_matrices_workspace);
  const double side = static_cast<double>(matrices.shape.rows);
  time_kernel(state, kernels.muon_matrices, matrices.args, static_cast<int>(state.range(0)),
              static_cast<double>(state.range(1)) * 5 * 3 * 2 * side * side * side);
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
BENCHMARK(asgd)->Apply(sizes);
BENCHMARK(rprop)->Apply(sizes);
BENCHMARK(lion)->Apply(sizes);
BENCHMARK(lars)->Apply(sizes);
BENCHMARK(adam)->Apply(sizes);
BENCHMARK(adam_amsgrad)->Apply(sizes);
BENCHMARK(adamw)->Apply(sizes);
BENCHMARK(adamax)->Apply(sizes);
BENCHMARK(nadam)->Apply(sizes);
BENCHMARK(radam)->Apply(sizes);
BENCHMARK(adabelief)->Apply(sizes);
BENCHMARK(yogi)->Apply(sizes);
BENCHMARK(adan)->Apply(sizes);
BENCHMARK(lamb)->Apply(sizes);
BENCHMARK(adagrad)->Apply(sizes);
BENCHMARK(adadelta)->Apply(sizes);
BENCHMARK(rmsprop)->Apply(sizes);
BENCHMARK(schedule_free_sgd)->Apply(sizes);
BENCHMARK(schedule_free_adamw)->Apply(sizes);
BENCHMARK(adafactor)->Apply(sizes);
BENCHMARK(adafactor_matrices)->Apply(sizes);
BENCHMARK(muon_matrices)->Apply(sizes);

}  // namespace
}  // namespace ravine::bench
