// Float32 convolutions, NHWC. Arguments: threads, batch, image size, in channels, out channels, kernel,
// stride, groups, dilation; padding keeps the size. The label is the algorithm that the model chooses, or
// RAVINE_CONV forces. GFLOP/s count what the direct formula multiplies.
#include "kernel_bench.h"
#include "ops/conv_choice.h"

namespace ravine::bench {
namespace {

using namespace kernels;

struct Problem {
  ConvShape shape;
  int threads;
  double flops;
  Memory input, filter, output;
};

Problem problem_of(const benchmark::State& state) {
  Problem p;
  p.threads = static_cast<int>(state.range(0));
  ConvShape& s = p.shape;
  s.batch = state.range(1);
  s.height = s.width = state.range(2);
  s.channels = state.range(3);
  s.out_channels = state.range(4);
  s.kernel_h = s.kernel_w = state.range(5);
  s.stride_h = s.stride_w = state.range(6);
  s.groups = state.range(7);
  s.dilation_h = s.dilation_w = state.range(8);
  s.pad_h = s.pad_w = s.kernel_h / 2 * s.dilation_h;
  s.out_height = s.out_width =
      (s.height + 2 * s.pad_h - (s.kernel_h - 1) * s.dilation_h - 1) / s.stride_h + 1;
  const std::int64_t filter = s.out_channels * s.kernel_h * s.kernel_w * s.channels / s.groups;
  const std::int64_t positions = s.batch * s.out_height * s.out_width;
  p.flops = 2.0 * static_cast<double>(positions) * static_cast<double>(filter);
  p.input = numbers(s.batch * s.height * s.width * s.channels);
  p.filter = numbers(filter);
  p.output = numbers(positions * s.out_channels);
  return p;
}

template <class Args>
void time_conv(benchmark::State& state, const Problem& p, ConvPass pass, Kernel<Args> kernel,
               WorkspaceBytes<Args> workspace_bytes, Args args) {
  args.algorithm = choose_conv(pass, p.shape, DType::float32, active_kernels().vector_bytes);
  state.SetLabel(name_of(args.algorithm));
  const Memory workspace = numbers(static_cast<std::int64_t>(workspace_bytes(args) / sizeof(float)) + 1);
  args.workspace = workspace.get();
  time_kernel(state, kernel, args, p.threads, p.flops);
}

void forward(benchmark::State& state) {
  const Problem p = problem_of(state);
  const auto& k = active_kernels().float32;
  time_conv(state, p, ConvPass::forward, k.conv_forward, k.conv_forward_workspace,
            ConvForwardArgs{p.shape, p.input.get(), p.filter.get(), p.output.get(), nullptr, nullptr});
}
void grad_input(benchmark::State& state) {
  const Problem p = problem_of(state);
  const auto& k = active_kernels().float32;
  time_conv(state, p, ConvPass::grad_input, k.conv_grad_input, k.conv_grad_input_workspace,
            ConvGradInputArgs{p.shape, p.output.get(), p.filter.get(), p.input.get(), nullptr, nullptr});
}
void grad_filter(benchmark::State& state) {
  const Problem p = problem_of(state);
  const auto& k = active_kernels().float32;
  time_conv(state, p, ConvPass::grad_filter, k.conv_grad_filter, k.conv_grad_filter_workspace,
            ConvGradFilterArgs{p.shape, p.input.get(), p.output.get(), p.filter.get(), nullptr});
}

// {batch, size, in, out, kernel, stride, groups, dilation}
using Layer = std::array<std::int64_t, 8>;

void add(benchmark::internal::Benchmark* bench, std::initializer_list<Layer> layers) {
  for (int threads : {1, 2})
    for (const auto& [batch, size, in, out, kernel, stride, groups, dilation] : layers)
      bench->Args({threads, batch, size, in, out, kernel, stride, groups, dilation});
}

// The convolutions of the workloads lenet, r18s and r18.
void workloads(benchmark::internal::Benchmark* bench) {
  add(bench, {{64, 28, 1, 32, 3, 1, 1, 1},    {64, 14, 32, 64, 3, 1, 1, 1},   {64, 32, 3, 16, 3, 1, 1, 1},
              {64, 32, 16, 16, 3, 1, 1, 1},   {64, 32, 16, 32, 3, 2, 1, 1},   {64, 32, 16, 32, 1, 2, 1, 1},
              {64, 16, 32, 32, 3, 1, 1, 1},   {64, 8, 64, 64, 3, 1, 1, 1},    {64, 4, 128, 128, 3, 1, 1, 1},
              {64, 32, 3, 64, 3, 1, 1, 1},    {64, 32, 64, 64, 3, 1, 1, 1},   {64, 32, 64, 128, 3, 2, 1, 1},
              {64, 32, 64, 128, 1, 2, 1, 1},  {64, 16, 128, 128, 3, 1, 1, 1}, {64, 16, 128, 256, 3, 2, 1, 1},
              {64, 16, 128, 256, 1, 2, 1, 1}, {64, 8, 256, 256, 3, 1, 1, 1},  {64, 8, 256, 512, 3, 2, 1, 1},
              {64, 8, 256, 512, 1, 2, 1, 1},  {64, 4, 512, 512, 3, 1, 1, 1}});
}

// Those of ResNet-18 and VGG-16 on 224x224 that are none of the above, of MobileNet-V2, and odd ones.
void others(benchmark::internal::Benchmark* bench) {
  add(bench, {{8, 224, 3, 64, 7, 2, 1, 1},     {8, 56, 64, 64, 3, 1, 1, 1},    {8, 28, 128, 128, 3, 1, 1, 1},
              {8, 14, 256, 256, 3, 1, 1, 1},   {8, 7, 512, 512, 3, 1, 1, 1},   {2, 224, 3, 64, 3, 1, 1, 1},
              {2, 224, 64, 64, 3, 1, 1, 1},    {2, 112, 128, 128, 3, 1, 1, 1}, {2, 56, 256, 256, 3, 1, 1, 1},
              {2, 28, 512, 512, 3, 1, 1, 1},   {2, 14, 512, 512, 3, 1, 1, 1},  {8, 112, 32, 32, 3, 1, 32, 1},
              {8, 112, 16, 96, 1, 1, 1, 1},    {8, 112, 96, 96, 3, 2, 96, 1},  {8, 28, 192, 32, 1, 1, 1, 1},
              {8, 14, 384, 384, 3, 1, 384, 1}, {8, 7, 160, 960, 1, 1, 1, 1},   {64, 16, 256, 256, 1, 1, 1, 1},
              {64, 32, 17, 17, 3, 1, 1, 1},    {64, 28, 32, 64, 5, 1, 1, 1},   {64, 33, 48, 48, 3, 3, 1, 1},
              {64, 32, 32, 32, 3, 1, 1, 2},    {64, 16, 128, 128, 3, 1, 4, 1}});
}

const std::vector<std::string> names{"threads", "batch",  "size",   "in",      "out",
                                     "kernel",  "stride", "groups", "dilation"};

BENCHMARK(forward)->Apply(workloads)->Apply(others)->ArgNames(names)->UseManualTime()->Iterations(1);
BENCHMARK(grad_input)->Apply(workloads)->Apply(others)->ArgNames(names)->UseManualTime()->Iterations(1);
BENCHMARK(grad_filter)->Apply(workloads)->Apply(others)->ArgNames(names)->UseManualTime()->Iterations(1);

}  // namespace
}  // namespace ravine::bench
