// Pooling of NHWC images, float32, beside a plain loop over as much memory: an image of stride * stride
// arrays of the output's size; maxima with offsets of a byte, as programs keep them. Rows say threads, batch,
// image size, channels, kernel, stride; padding keeps size / stride.
#include <vector>

#include "kernel_bench.h"

namespace ravine::bench {
namespace {

using namespace kernels;

struct Problem {
  PoolShape shape;
  int threads;
  std::int64_t outputs;
  Memory input, output;
  std::vector<std::uint8_t> offsets;

  explicit Problem(const benchmark::State& state) : threads(static_cast<int>(state.range(0))) {
    shape.batch = state.range(1);
    shape.height = shape.width = state.range(2);
    shape.channels = state.range(3);
    shape.kernel_h = shape.kernel_w = state.range(4);
    shape.stride_h = shape.stride_w = state.range(5);
    shape.pad_h = shape.pad_w = (shape.kernel_h - 1) / 2;
    shape.out_height = shape.out_width =
        (shape.height + 2 * shape.pad_h - shape.kernel_h) / shape.stride_h + 1;
    outputs = shape.batch * shape.out_height * shape.out_width * shape.channels;
    input = numbers(shape.batch * shape.height * shape.width * shape.channels);
    output = numbers(outputs);
    offsets.resize(static_cast<std::size_t>(outputs));
  }
  MaxPoolArgs forward() {
    MaxPoolArgs args{shape, input.get(), output.get()};
    args.offsets = offsets.data();
    return args;
  }
  // Inputs per output, as many streams.
  int share() const { return static_cast<int>(shape.stride_h * shape.stride_w); }
  Streams streams(int reads, int writes) const {
    return {.reads = reads, .writes = writes, .in_place = 0, .elements = outputs};
  }
};

void max_pool(benchmark::State& state) {
  Problem p(state);
  time_kernel(state, active_kernels().float32.max_pool, p.forward(), p.threads, p.streams(p.share(), 1));
}
void max_pool_grad(benchmark::State& state) {
  Problem p(state);
  const auto& k = active_kernels().float32;
  std::vector<std::byte> scratch(active_kernels().scratch_bytes);
  const Team alone{.scratch = scratch.data()};
  k.max_pool(p.forward(), alone);  // offsets that exist
  MaxPoolGradArgs args{p.shape, p.output.get()};
  args.grad_input = p.input.get();
  args.offsets = p.offsets.data();
  time_kernel(state, k.max_pool_grad, args, p.threads, p.streams(1, p.share()));
}
void avg_pool(benchmark::State& state) {
  const Problem p(state);
  const AvgPoolArgs args{p.shape, p.input.get(), p.output.get()};
  time_kernel(state, active_kernels().float32.avg_pool, args, p.threads, p.streams(p.share(), 1));
}
void avg_pool_grad(benchmark::State& state) {
  const Problem p(state);
  const AvgPoolGradArgs args{p.shape, p.output.get(), p.input.get()};
  time_kernel(state, active_kernels().float32.avg_pool_grad, args, p.threads, p.streams(1, p.share()));
}

void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"threads", "batch", "size", "channels", "kernel", "stride"})
      ->UseManualTime()
      ->Iterations(1);
  for (int threads : {1, 2})
    for (const auto& [batch, size, channels, kernel, stride] : {std::array<std::int64_t, 5>{64, 28, 32, 2, 2},
                                                                {64, 14, 64, 2, 2},
                                                                {64, 8, 16, 2, 2},
                                                                {64, 32, 64, 3, 2},
                                                                {16, 32, 3, 2, 2},
                                                                {64, 32, 3, 3, 2}})
      bench->Args({threads, batch, size, channels, kernel, stride});
}

BENCHMARK(max_pool)->Apply(shapes);
BENCHMARK(max_pool_grad)->Apply(shapes);
BENCHMARK(avg_pool)->Apply(shapes);
BENCHMARK(avg_pool_grad)->Apply(shapes);

}  // namespace
}  // namespace ravine::bench
