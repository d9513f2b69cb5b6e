// One check for convolutions: the three passes of a shape against plain float64 loops.
#pragma once

#include <algorithm>
#include <sstream>

#include "bias_relu.h"
#include "kernel_test.h"
#include "reference.h"

namespace ravine::testing {
using kernels::ConvAlgorithm;
using kernels::ConvForwardArgs;
using kernels::ConvGradFilterArgs;
using kernels::ConvGradInputArgs;
using kernels::ConvShape;

struct Axis {
  std::int64_t kernel = 3, stride = 1, pad = 0, dilation = 1;
  std::int64_t out(std::int64_t extent) const {
    const std::int64_t room = extent + 2 * pad - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
  }
};

inline ConvShape shape_of(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t channels,
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

inline std::string describe(const ConvShape& s) {
  std::ostringstream text;
  text << "image " << s.batch << "x" << s.height << "x" << s.width << "x" << s.channels << " out "
       << s.out_height << "x" << s.out_width << "x" << s.out_channels << " kernel " << s.kernel_h << "x"
       << s.kernel_w << " stride " << s.stride_h << "," << s.stride_w << " pad " << s.pad_h << "," << s.pad_w
       << " dilation " << s.dilation_h << "," << s.dilation_w << " groups " << s.groups;
  return text.str();
}

// The three passes, with and without an epilogue, against float64 sums of the products. The algorithms other
// than direct have errors in proportion to the largest result.
template <class T>
void check(const KernelTable& table, const ConvShape& s, ConvAlgorithm algorithm = ConvAlgorithm::direct) {
  SCOPED_TRACE(describe(s) + " algorithm " + std::to_string(static_cast<int>(algorithm)));
  const std::int64_t inputs = s.batch * s.height * s.width * s.channels;
  const std::int64_t filters = s.out_channels * s.kernel_h * s.kernel_w * (s.channels / s.groups);
  const std::int64_t rows = s.batch * s.out_height * s.out_width, outputs = rows * s.out_channels;
  const Buffer<T> input = random_buffer<T>(inputs, 1), filter = random_buffer<T>(filters, 2);
  const Buffer<T> grad = random_buffer<T>(outputs, 3), bias = random_buffer<T>(s.out_channels, 4);
  std::vector<double> output(outputs), grad_input(inputs), grad_filter(filters);
  add_convolution(s, input.data(), filter.data(), grad.data(), output.data(), grad_input.data(),
                  grad_filter.data());
  const auto& kernels = table.of(dtype_of<T>);
  const double epsilon = std::numeric_limits<T>::epsilon();
  const double patch = static_cast<double>(s.kernel_h * s.kernel_w * s.channels / s.groups);
  // The allowed absolute error of a sum of `terms` products.
  const auto allowed = [&](double terms, const std::vector<double>& expected, double winograd) {
    double largest = 0;
    for (const double value : expected) largest = std::max(largest, std::abs(value));
    return algorithm == ConvAlgorithm::direct ? epsilon * (8 + terms) : winograd * std::max(largest, 1.0);
  };
  const auto workspace_for = [](std::size_t bytes) {
    return Buffer<std::uint8_t>(static_cast<std::int64_t>(bytes));
  };

  {
    Buffer<T> result(outputs), activated(outputs);
    ConvForwardArgs args{s, input.data(), filter.data(), result.data(), nullptr, nullptr, algorithm};
    Buffer<std::uint8_t> workspace = workspace_for(kernels.conv_forward_workspace(args));
    args.workspace = workspace.data();
    run_same_bits(table, kernels.conv_forward, args, {result.memory()}, {workspace.memory()});
    expect_close(result, output, 2 * epsilon, allowed(patch, output, 2e-5), "forward");

    const TileProgram epilogue =
        bias_relu<T>(table, rows, s.out_channels, bias.data(), activated.data(), s.out_channels);
    args.epilogue = &epilogue;
    run_same_bits(table, kernels.conv_forward, args, {activated.memory()}, {workspace.memory()});
    std::vector<double> expected(outputs);
    for (std::int64_t e = 0; e < outputs; ++e)
      expected[e] = std::max(output[e] + bias[e % s.out_channels], 0.0);
    expect_close(activated, expected, 2 * epsilon, allowed(patch, output, 2e-5), "forward with epilogue");
  }
  {
    Buffer<T> result(inputs), activated(inputs);
    ConvGradInputArgs args{s, grad.data(), filter.data(), result.data(), nullptr, nullptr, algorithm};
    Buffer<std::uint8_t> workspace = workspace_for(kernels.conv_grad_input_workspace(args));
    args.workspace = workspace.data();
    run_same_bits(table, kernels.conv_grad_input, args, {result.memory()}, {workspace.memory()});
    const double terms = static_cast<double>(s.kernel_h * s.kernel_w * s.out_channels / s.groups);
    const double absolute = allowed(terms, grad_input, 2e-5);
    expect_close(result, grad_input, 2 * epsilon, absolute, "gradient to the input");

    const Buffer<T> input_bias = random_buffer<T>(s.channels, 5);
    const TileProgram epilogue = bias_relu<T>(table, s.batch * s.height * s.width, s.channels,
                                              input_bias.data(), activated.data(), s.channels);
    args.epilogue = &epilogue;
    run_same_bits(table, kernels.conv_grad_input, args, {activated.memory()}, {workspace.memory()});
    for (std::int64_t e = 0; e < inputs; ++e)
      grad_input[e] = std::max(grad_input[e] + input_bias[e % s.channels], 0.0);
    expect_close(activated, grad_input, 2 * epsilon, absolute, "gradient to the input with epilogue");
  }
  {
    Buffer<T> result(filters);
    ConvGradFilterArgs args{s, input.data(), grad.data(), result.data(), nullptr, algorithm};
    Buffer<std::uint8_t> workspace = workspace_for(kernels.conv_grad_filter_workspace(args));
    args.workspace = workspace.data();
    run_same_bits(table, kernels.conv_grad_filter, args, {result.memory()}, {workspace.memory()});
    expect_close(result, grad_filter, 2 * epsilon,
                 allowed(0.5 * static_cast<double>(rows), grad_filter, 1e-4), "gradient to the filter");
  }
}

}  // namespace ravine::testing
