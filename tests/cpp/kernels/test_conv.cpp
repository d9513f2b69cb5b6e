// Convolutions, forward and both gradients, on every ISA against plain float64 loops.
#include "kernel_test.h"

#include <sstream>

namespace ravine::testing {
namespace {

using kernels::ConvForwardArgs;
using kernels::ConvGradFilterArgs;
using kernels::ConvGradInputArgs;
using kernels::ConvShape;
using kernels::TileOp;
using kernels::TileProgram;

struct Axis {
  std::int64_t kernel = 3, stride = 1, pad = 0, dilation = 1;
  std::int64_t out(std::int64_t extent) const {
    const std::int64_t room = extent + 2 * pad - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
  }
};

ConvShape shape_of(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t channels,
                   std::int64_t out_channels, std::int64_t groups, Axis y, Axis x) {
  ConvShape s;
  s.batch = batch;
  s.height = height;
  s.width = width;
  s.channels = channels;
  s.out_height = y.out(height);
  s.out_width = x.out(width);
  s.out_channels = out_channels;
  s.kernel_h = y.kernel;
  s.kernel_w = x.kernel;
  s.stride_h = y.stride;
  s.stride_w = x.stride;
  s.pad_h = y.pad;
  s.pad_w = x.pad;
  s.dilation_h = y.dilation;
  s.dilation_w = x.dilation;
  s.groups = groups;
  return s;
}

std::string describe(const ConvShape& s) {
  std::ostringstream text;
  text << "image " << s.batch << "x" << s.height << "x" << s.width << "x" << s.channels << " out "
       << s.out_height << "x" << s.out_width << "x" << s.out_channels << " kernel " << s.kernel_h << "x"
       << s.kernel_w << " stride " << s.stride_h << "," << s.stride_w << " pad " << s.pad_h << "," << s.pad_w
       << " dilation " << s.dilation_h << "," << s.dilation_w << " groups " << s.groups;
  return text.str();
}

// f(input index, filter index, output index) for every product that a convolution sums.
template <class F>
void for_each_product(const ConvShape& s, F f) {
  const std::int64_t group_in = s.channels / s.groups, group_out = s.out_channels / s.groups;
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t oy = 0; oy < s.out_height; ++oy)
      for (std::int64_t ox = 0; ox < s.out_width; ++ox)
        for (std::int64_t o = 0; o < s.out_channels; ++o)
          for (std::int64_t ky = 0; ky < s.kernel_h; ++ky)
            for (std::int64_t kx = 0; kx < s.kernel_w; ++kx) {
              const std::int64_t y = oy * s.stride_h - s.pad_h + ky * s.dilation_h;
              const std::int64_t x = ox * s.stride_w - s.pad_w + kx * s.dilation_w;
              if (y < 0 || y >= s.height || x < 0 || x >= s.width) continue;
              for (std::int64_t c = 0; c < group_in; ++c)
                f(((n * s.height + y) * s.width + x) * s.channels + o / group_out * group_in + c,
                  ((o * s.kernel_h + ky) * s.kernel_w + kx) * group_in + c,
                  ((n * s.out_height + oy) * s.out_width + ox) * s.out_channels + o);
            }
}

// The output plus a per-channel bias, then relu, to `to`.
template <class T>
TileProgram bias_relu(const KernelTable& table, std::int64_t rows, std::int64_t columns, const T* bias,
                      T* to) {
  TileProgram program;
  program.rank = 2;
  program.extents[0] = rows;
  program.extents[1] = columns;
  program.n_inputs = 2;
  program.inputs[0].dtype = program.inputs[1].dtype = dtype_of<T>;
  program.inputs[0].strides[0] = columns;
  program.inputs[0].strides[1] = 1;
  program.inputs[1].data = const_cast<T*>(bias);
  program.inputs[1].strides[1] = 1;
  program.n_steps = 2;
  const TileOp ops[] = {TileOp::add, TileOp::relu};
  for (int s = 0; s < 2; ++s) {
    program.steps[s].op = ops[s];
    program.steps[s].dtype = program.steps[s].result_dtype = dtype_of<T>;
    program.steps[s].function = table.tile_function(ops[s], dtype_of<T>, dtype_of<T>);
  }
  program.steps[0].operands[0] = 0;
  program.steps[0].operands[1] = 1;
  program.steps[1].operands[0] = 2;
  program.n_outputs = 1;
  program.outputs[0].value = 3;
  program.outputs[0].tensor.data = to;
  program.outputs[0].tensor.dtype = dtype_of<T>;
  program.outputs[0].tensor.strides[0] = columns;
  program.outputs[0].tensor.strides[1] = 1;
  return program;
}

template <class T>
void check(const KernelTable& table, const ConvShape& s) {
  SCOPED_TRACE(describe(s));
  const std::int64_t inputs = s.batch * s.height * s.width * s.channels;
  const std::int64_t filters = s.out_channels * s.kernel_h * s.kernel_w * (s.channels / s.groups);
  const std::int64_t rows = s.batch * s.out_height * s.out_width, outputs = rows * s.out_channels;
  const Buffer<T> input = random_buffer<T>(inputs, 1), filter = random_buffer<T>(filters, 2);
  const Buffer<T> grad = random_buffer<T>(outputs, 3), bias = random_buffer<T>(s.out_channels, 4);
  std::vector<double> output(outputs), grad_input(inputs), grad_filter(filters);
  for_each_product(s, [&](std::int64_t i, std::int64_t f, std::int64_t o) {
    output[o] += static_cast<double>(input[i]) * filter[f];
    grad_input[i] += static_cast<double>(grad[o]) * filter[f];
    grad_filter[f] += static_cast<double>(grad[o]) * input[i];
  });
  const auto& kernels = table.of(dtype_of<T>);
  const double epsilon = std::numeric_limits<T>::epsilon();
  const double patch = static_cast<double>(s.kernel_h * s.kernel_w * s.channels / s.groups);
  const auto workspace_for = [](std::size_t bytes) {
    return Buffer<std::uint8_t>(static_cast<std::int64_t>(bytes));
  };

  {
    Buffer<T> result(outputs), activated(outputs);
    ConvForwardArgs args{s, input.data(), filter.data(), result.data(), nullptr, nullptr};
    Buffer<std::uint8_t> workspace = workspace_for(kernels.conv_forward_workspace(args));
    args.workspace = workspace.data();
    run_same_bits(table, kernels.conv_forward, args, {result.memory()}, {workspace.memory()});
    expect_close(result, output, 2 * epsilon, epsilon * (8 + patch), "forward");

    const TileProgram epilogue = bias_relu<T>(table, rows, s.out_channels, bias.data(), activated.data());
    args.epilogue = &epilogue;
    run_same_bits(table, kernels.conv_forward, args, {activated.memory()}, {workspace.memory()});
    std::vector<double> expected(outputs);
    for (std::int64_t e = 0; e < outputs; ++e)
      expected[e] = std::max(output[e] + bias[e % s.out_channels], 0.0);
    expect_close(activated, expected, 2 * epsilon, epsilon * (8 + patch), "forward with epilogue");
  }
  {
    Buffer<T> result(inputs);
    ConvGradInputArgs args{s, grad.data(), filter.data(), result.data(), nullptr};
    Buffer<std::uint8_t> workspace = workspace_for(kernels.conv_grad_input_workspace(args));
    args.workspace = workspace.data();
    run_same_bits(table, kernels.conv_grad_input, args, {result.memory()}, {workspace.memory()});
    const double terms = static_cast<double>(s.kernel_h * s.kernel_w * s.out_channels / s.groups);
    expect_close(result, grad_input, 2 * epsilon, epsilon * (8 + terms), "gradient to the input");
  }
  {
    Buffer<T> result(filters);
    ConvGradFilterArgs args{s, input.data(), grad.data(), result.data(), nullptr};
    Buffer<std::uint8_t> workspace = workspace_for(kernels.conv_grad_filter_workspace(args));
    args.workspace = workspace.data();
    run_same_bits(table, kernels.conv_grad_filter, args, {result.memory()}, {workspace.memory()});
    expect_close(result, grad_filter, 2 * epsilon, epsilon * (8 + 0.5 * static_cast<double>(rows)),
                 "gradient to the filter");
  }
}

void check_both(const std::vector<ConvShape>& shapes) {
  on_every_isa([&](const KernelTable& table) {
    for (const ConvShape& s : shapes) {
      check<float>(table, s);
      check<double>(table, s);
      if (::testing::Test::HasFailure()) return;
    }
  });
}

TEST(Conv, ChannelsAndKernels) {
  std::vector<ConvShape> shapes;
  for (std::int64_t channels : {1, 2, 3, 5, 17, 33})
    for (std::int64_t out_channels : {1, 7, 50})
      for (std::int64_t kernel : {1, 2, 3}) {
        const Axis axis{kernel, 1, kernel / 2, 1};
        shapes.push_back(shape_of(2, 6, 9, channels, out_channels, 1, axis, axis));
      }
  check_both(shapes);
}

TEST(Conv, StridePaddingDilation) {
  std::vector<ConvShape> shapes;
  for (std::int64_t channels : {3, 18})
    for (std::int64_t kernel : {1, 3, 4})
      for (std::int64_t stride : {1, 2, 3})
        for (std::int64_t pad : {0, 2})
          for (std::int64_t dilation : {1, 2})
            shapes.push_back(shape_of(2, 11, 13, channels, 10, 1, {kernel, stride, pad, dilation},
                                      {3, stride, pad, dilation}));
  // Rows and columns unlike each other; padding beyond the kernel; a stride that leaves pixels unread.
  shapes.push_back(shape_of(1, 9, 21, 4, 6, 1, {5, 2, 0, 1}, {1, 3, 2, 1}));
  shapes.push_back(shape_of(3, 7, 5, 6, 4, 1, {2, 4, 3, 2}, {3, 1, 4, 3}));
  shapes.push_back(shape_of(2, 8, 8, 3, 5, 1, {1, 2, 0, 1}, {1, 2, 0, 1}));
  shapes.push_back(shape_of(1, 16, 16, 3, 8, 1, {7, 2, 3, 1}, {7, 2, 3, 1}));
  shapes.push_back(shape_of(1, 2, 30, 2, 3, 1, {1, 1, 0, 1}, {25, 1, 12, 1}));
  check_both(shapes);
}

TEST(Conv, Groups) {
  std::vector<ConvShape> shapes;
  for (const auto& [channels, out_channels, groups] :
       {std::array<std::int64_t, 3>{4, 6, 2}, {12, 9, 3}, {34, 66, 2}, {20, 5, 5}})
    for (const Axis& axis : {Axis{3, 1, 1, 1}, Axis{3, 2, 1, 1}, Axis{1, 1, 0, 1}, Axis{2, 3, 1, 2}})
      shapes.push_back(shape_of(2, 7, 8, channels, out_channels, groups, axis, axis));
  check_both(shapes);
}

TEST(Conv, Depthwise) {
  std::vector<ConvShape> shapes;
  for (std::int64_t channels : {2, 3, 17, 64, 70})
    for (std::int64_t multiplier : {1, 2, 3})
      for (const Axis& axis : {Axis{3, 1, 1, 1}, Axis{3, 2, 1, 1}, Axis{2, 3, 1, 2}, Axis{1, 1, 0, 1}})
        shapes.push_back(shape_of(2, 7, 6, channels, channels * multiplier, channels, axis, {3, 1, 2, 1}));
  shapes.push_back(shape_of(9, 15, 4, 20, 20, 20, {5, 1, 2, 1}, {5, 2, 2, 3}));
  check_both(shapes);
}

// Blocks of rows, columns and depth more than one; sums over many positions cut into parts.
TEST(Conv, SeveralBlocks) {
  check_both({shape_of(2, 19, 23, 70, 130, 1, {3, 1, 1, 1}, {3, 1, 1, 1}),
              shape_of(3, 20, 18, 130, 40, 1, {3, 2, 1, 1}, {3, 2, 1, 1}),
              shape_of(1, 9, 8, 210, 205, 1, {3, 1, 1, 1}, {3, 1, 1, 1}),
              shape_of(5, 28, 28, 1, 9, 1, {3, 1, 1, 1}, {3, 1, 1, 1}),
              shape_of(4, 20, 17, 3, 32, 1, {3, 1, 1, 1}, {3, 1, 1, 1}),
              shape_of(2, 30, 30, 40, 24, 1, {1, 1, 0, 1}, {1, 1, 0, 1})});
}

TEST(Conv, EmptyBatchAndEmptyOutput) {
  check_both({shape_of(0, 5, 5, 3, 4, 1, {3, 1, 1, 1}, {3, 1, 1, 1}),
              shape_of(0, 5, 5, 4, 4, 4, {3, 1, 1, 1}, {3, 1, 1, 1}),
              shape_of(0, 5, 5, 4, 4, 1, {1, 1, 0, 1}, {1, 1, 0, 1}),
              shape_of(2, 2, 5, 3, 4, 1, {3, 1, 0, 1}, {3, 1, 0, 1}),
              shape_of(2, 2, 5, 4, 4, 4, {3, 1, 0, 1}, {3, 1, 0, 1}),
              shape_of(2, 5, 2, 3, 4, 1, {3, 2, 0, 1}, {3, 2, 0, 1})});
}

}  // namespace
}  // namespace ravine::testing
