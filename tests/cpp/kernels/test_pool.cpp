// Pooling against plain loops over windows in double, written as torch documents them.
#include "kernels/api/pool.h"

#include <algorithm>

#include "kernel_test.h"

namespace ravine::testing {
namespace {

using namespace kernels;
using Doubles = std::vector<double>;

PoolShape pool_shape(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t channels,
                     int kernel_h, int kernel_w, int stride, int pad, int dilation = 1) {
  PoolShape s;
  s.batch = batch, s.height = height, s.width = width, s.channels = channels;
  s.kernel_h = kernel_h, s.kernel_w = kernel_w, s.stride_h = s.stride_w = stride;
  s.pad_h = s.pad_w = pad, s.dilation_h = s.dilation_w = dilation;
  s.out_height = (height + 2 * pad - dilation * (kernel_h - 1) - 1) / stride + 1;
  s.out_width = (width + 2 * pad - dilation * (kernel_w - 1) - 1) / stride + 1;
  return s;
}

PoolShape adaptive_shape(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t channels,
                         std::int64_t out_height, std::int64_t out_width) {
  PoolShape s;
  s.batch = batch, s.height = height, s.width = width, s.channels = channels;
  s.out_height = out_height, s.out_width = out_width, s.adaptive = true;
  return s;
}

// A window that hangs over the far edge, as torch's ceil_mode makes it.
PoolShape ceil_mode_shape() {
  PoolShape s = pool_shape(2, 6, 8, 5, 3, 3, 2, 1);
  s.out_height = 4, s.out_width = 5;
  return s;
}

// The last windows reach beyond the image.
PoolShape ceil_mode_side_by_side() {
  PoolShape s = pool_shape(2, 7, 5, 18, 2, 2, 2, 0);
  s.out_height = 4, s.out_width = 3;
  return s;
}

std::vector<PoolShape> pool_shapes() {
  return {pool_shape(2, 8, 6, 16, 2, 2, 2, 0), pool_shape(3, 7, 9, 17, 3, 3, 2, 1),
          pool_shape(1, 5, 5, 1, 3, 2, 1, 1), pool_shape(2, 9, 7, 3, 3, 3, 1, 1),
          pool_shape(1, 11, 10, 4, 3, 3, 2, 2, 2), pool_shape(2, 9, 9, 33, 2, 3, 3, 0, 3),
          pool_shape(1, 4, 4, 600, 4, 4, 1, 0), pool_shape(5, 1, 1, 7, 1, 1, 1, 0),
          pool_shape(2, 13, 4, 40, 5, 1, 2, 0), pool_shape(0, 4, 4, 8, 2, 2, 2, 0),
          pool_shape(2, 4, 4, 0, 2, 2, 2, 0), ceil_mode_shape(), pool_shape(2, 9, 7, 20, 2, 2, 2, 0),
          pool_shape(3, 8, 11, 3, 2, 2, 2, 0), pool_shape(2, 10, 8, 300, 3, 3, 3, 0),
          ceil_mode_side_by_side(),
          // rows of few channels: strides that leave gaps, windows that many outputs share, more taps than
          // there may be
          pool_shape(2, 7, 41, 3, 3, 3, 2, 1), pool_shape(2, 8, 37, 1, 2, 2, 3, 0),
          pool_shape(1, 12, 50, 2, 5, 4, 2, 2), pool_shape(1, 9, 30, 7, 4, 5, 1, 2),
          pool_shape(1, 21, 20, 3, 17, 15, 1, 7), pool_shape(2, 9, 11, 20, 5, 5, 1, 2),
          pool_shape(1, 10, 64, 1, 3, 3, 4, 1)};
}

std::int64_t pixels(const PoolShape& s) { return s.batch * s.height * s.width; }
std::int64_t out_pixels(const PoolShape& s) { return s.batch * s.out_height * s.out_width; }

std::string text(const PoolShape& s) {
  return (::testing::Message() << s.batch << "x" << s.height << "x" << s.width << "x" << s.channels << " -> "
                               << s.out_height << "x" << s.out_width << ", kernel " << s.kernel_h << "x"
                               << s.kernel_w << " stride " << s.stride_h << " pad " << s.pad_h << " dilation "
                               << s.dilation_h << " adaptive " << s.adaptive << " count_include_pad "
                               << s.count_include_pad)
      .GetString();
}

// visit(output element, input element) for every pair of a window and an element of the image inside it, in
// order.
template <class Visit>
void for_each_tap(const PoolShape& s, Visit visit) {
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t oh = 0; oh < s.out_height; ++oh)
      for (std::int64_t ow = 0; ow < s.out_width; ++ow)
        for (std::int64_t c = 0; c < s.channels; ++c) {
          const std::int64_t output = ((n * s.out_height + oh) * s.out_width + ow) * s.channels + c;
          for (std::int64_t ih = 0; ih < s.height; ++ih)
            for (std::int64_t iw = 0; iw < s.width; ++iw) {
              bool inside;
              if (s.adaptive) {
                inside = ih >= oh * s.height / s.out_height && ih * s.out_height < (oh + 1) * s.height &&
                         iw >= ow * s.width / s.out_width && iw * s.out_width < (ow + 1) * s.width;
              } else {
                const std::int64_t y = ih + s.pad_h - oh * s.stride_h, x = iw + s.pad_w - ow * s.stride_w;
                inside = y >= 0 && x >= 0 && y % s.dilation_h == 0 && x % s.dilation_w == 0 &&
                         y / s.dilation_h < s.kernel_h && x / s.dilation_w < s.kernel_w;
              }
              if (inside) visit(output, ((n * s.height + ih) * s.width + iw) * s.channels + c);
            }
        }
}

// torch's divisor for windows without dilation.
double divisor(const PoolShape& s, std::int64_t output, std::int64_t taps) {
  if (s.adaptive || !s.count_include_pad) return static_cast<double>(taps);
  const std::int64_t ow = output / s.channels % s.out_width,
                     oh = output / s.channels / s.out_width % s.out_height;
  const std::int64_t top = oh * s.stride_h - s.pad_h, left = ow * s.stride_w - s.pad_w;
  return static_cast<double>((std::min(top + s.kernel_h, s.height + s.pad_h) - top) *
                             (std::min(left + s.kernel_w, s.width + s.pad_w) - left));
}

// Pixels that the kernel normalises and rectifies itself are pooled as if they had lain in memory so. Scales
// are powers of two, so that a fused multiplication rounds no differently.
template <class T>
void check_normalized(const KernelTable& table, const PoolShape& s, const Buffer<T>& x) {
  const auto max_pool = table.of(dtype_of<T>).max_pool;
  const std::int64_t outputs = out_pixels(s) * s.channels, inputs = pixels(s) * s.channels;
  Buffer<T> scale(s.channels), normalized(inputs);
  const Buffer<T> shift = random_buffer<T>(s.channels, 7);
  for (std::int64_t c = 0; c < s.channels; ++c) scale[c] = c % 3 == 0 ? T(1) : c % 3 == 1 ? T(-2) : T(0.5);
  for (std::int64_t i = 0; i < inputs; ++i) {
    const T value = x[i] * scale[i % s.channels] + shift[i % s.channels];
    normalized[i] = value < 0 ? T(0) : value;
  }
  Buffer<T> y(outputs), expected(outputs);
  Buffer<std::int64_t> where(outputs), expected_where(outputs);
  run_same_bits(table, max_pool, MaxPoolArgs{s, normalized.data(), expected.data(), expected_where.data()},
                {expected.memory(), expected_where.memory()});
  run_same_bits(table, max_pool, MaxPoolArgs{s, x.data(), y.data(), where.data(), scale.data(), shift.data()},
                {y.memory(), where.memory()});
  expect_close(y, Doubles(expected.begin(), expected.end()), 0, 0, "maximum of normalised pixels");
  expect_close(where, Doubles(expected_where.begin(), expected_where.end()), 0, 0, "their index");
}

template <class T>
void check_max_pool(const PoolShape& s, const Buffer<T>& x) {
  SCOPED_TRACE(text(s));
  const std::int64_t outputs = out_pixels(s) * s.channels, inputs = pixels(s) * s.channels;
  std::vector<std::int64_t> winners(static_cast<std::size_t>(outputs), -1);
  for_each_tap(s, [&](std::int64_t output, std::int64_t input) {
    std::int64_t& winner = winners[static_cast<std::size_t>(output)];
    if (winner < 0 || x[input] > x[winner] || (std::isnan(x[input]) && !std::isnan(x[winner])))
      winner = input;
  });
  const Buffer<T> dy = random_buffer<T>(outputs, 2);
  Doubles maxima, indices, offsets, dx(static_cast<std::size_t>(inputs));
  for (std::int64_t output = 0; output < outputs; ++output) {
    const std::int64_t winner = winners[static_cast<std::size_t>(output)];
    maxima.push_back(static_cast<double>(x[winner]));
    indices.push_back(static_cast<double>(winner / s.channels % (s.height * s.width)));
    dx[static_cast<std::size_t>(winner)] += static_cast<double>(dy[output]);
    const std::int64_t pixel = output / s.channels, place = winner / s.channels % (s.height * s.width);
    const std::int64_t row = place / s.width + s.pad_h - pixel / s.out_width % s.out_height * s.stride_h;
    const std::int64_t column = place % s.width + s.pad_w - pixel % s.out_width * s.stride_w;
    offsets.push_back(static_cast<double>(row / s.dilation_h * s.kernel_w + column / s.dilation_w));
  }
  on_every_isa([&](const KernelTable& table) {
    const FloatKernels& kernels = table.of(dtype_of<T>);
    Buffer<T> y(outputs), grad_input(inputs);
    Buffer<std::int64_t> where(outputs);
    run_same_bits(table, kernels.max_pool, MaxPoolArgs{s, x.data(), y.data(), where.data()},
                  {y.memory(), where.memory()});
    expect_close(y, maxima, 0, 0, "maximum");
    expect_close(where, indices, 0, 0, "index");
    Buffer<T> y_alone(outputs);
    run_same_bits(table, kernels.max_pool, MaxPoolArgs{s, x.data(), y_alone.data(), nullptr},
                  {y_alone.memory()});
    expect_close(y_alone, maxima, 0, 0, "maximum without indices");
    check_normalized<T>(table, s, x);
    run_same_bits(table, kernels.max_pool_grad,
                  MaxPoolGradArgs{s, dy.data(), where.data(), grad_input.data()}, {grad_input.memory()});
    const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-15;
    expect_close(grad_input, dx, tolerance, tolerance, "gradient");
    Buffer<std::uint8_t> offset(outputs);
    Buffer<T> by_offset(inputs);
    MaxPoolArgs args{s, x.data(), y_alone.data()};
    args.offsets = offset.data();
    run_same_bits(table, kernels.max_pool, args, {y_alone.memory(), offset.memory()});
    expect_close(y_alone, maxima, 0, 0, "maximum beside its offset");
    expect_close(offset, offsets, 0, 0, "offset");
    MaxPoolGradArgs grad{s, dy.data()};
    grad.grad_input = by_offset.data();
    grad.offsets = offset.data();
    run_same_bits(table, kernels.max_pool_grad, grad, {by_offset.memory()});
    expect_close(by_offset, Doubles(grad_input.begin(), grad_input.end()), 0, 0, "gradient by offsets");
  });
}

TEST(MaxPool, AgreesWithPlainLoops) {
  for (const PoolShape& s : pool_shapes()) {
    check_max_pool(s, random_buffer<float>(pixels(s) * s.channels, 1));
    check_max_pool(s, random_buffer<double>(pixels(s) * s.channels, 1));
  }
}

TEST(MaxPool, FirstOfEqualsWins) {
  for (const PoolShape& s : pool_shapes()) {
    Buffer<float> x = random_buffer<float>(pixels(s) * s.channels, 1, -2, 2);
    for (float& value : x) value = std::round(value);
    check_max_pool(s, x);
  }
}

TEST(MaxPool, NaNWinsAndPaddingNever) {
  for (const PoolShape& s : pool_shapes()) {
    const std::int64_t n = pixels(s) * s.channels;
    Buffer<float> holes = random_buffer<float>(n, 7), low(n);
    for (std::int64_t i = 0; i < n; i += 5) holes[i] = std::numeric_limits<float>::quiet_NaN();
    for (float& value : low) value = -std::numeric_limits<float>::infinity();
    check_max_pool(s, holes);
    check_max_pool(s, low);
  }
}

template <class T>
void check_avg_pool(const PoolShape& s) {
  SCOPED_TRACE(text(s) + (sizeof(T) == 4 ? " float" : " double"));
  const std::int64_t outputs = out_pixels(s) * s.channels, inputs = pixels(s) * s.channels;
  const Buffer<T> x = random_buffer<T>(inputs, 1), dy = random_buffer<T>(outputs, 2);
  Doubles y(static_cast<std::size_t>(outputs)), dx(static_cast<std::size_t>(inputs));
  std::vector<std::int64_t> taps(y.size());
  for_each_tap(s, [&](std::int64_t output, std::int64_t input) {
    y[static_cast<std::size_t>(output)] += static_cast<double>(x[input]);
    ++taps[static_cast<std::size_t>(output)];
  });
  const auto divisor_at = [&](std::int64_t output) {
    return divisor(s, output, taps[static_cast<std::size_t>(output)]);
  };
  for (std::int64_t output = 0; output < outputs; ++output)
    y[static_cast<std::size_t>(output)] /= divisor_at(output);
  for_each_tap(s, [&](std::int64_t output, std::int64_t input) {
    dx[static_cast<std::size_t>(input)] += static_cast<double>(dy[output]) / divisor_at(output);
  });
  on_every_isa([&](const KernelTable& table) {
    const FloatKernels& kernels = table.of(dtype_of<T>);
    Buffer<T> output(outputs), grad_input(inputs);
    run_same_bits(table, kernels.avg_pool, AvgPoolArgs{s, x.data(), output.data()}, {output.memory()});
    run_same_bits(table, kernels.avg_pool_grad, AvgPoolGradArgs{s, dy.data(), grad_input.data()},
                  {grad_input.memory()});
    const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-15;
    expect_close(output, y, tolerance, tolerance, "average");
    expect_close(grad_input, dx, tolerance, tolerance, "gradient");
  });
}

TEST(AvgPool, AgreesWithPlainLoops) {
  for (PoolShape s : pool_shapes())
    for (const bool include : {true, false}) {
      if (s.dilation_h != 1 && include) continue;  // torch defines no divisor for it
      s.count_include_pad = include;
      check_avg_pool<float>(s);
      check_avg_pool<double>(s);
    }
}

TEST(AvgPool, Adaptive) {
  for (const PoolShape& s : {adaptive_shape(3, 7, 7, 20, 1, 1), adaptive_shape(2, 7, 5, 3, 3, 2),
                             adaptive_shape(2, 3, 4, 18, 5, 7), adaptive_shape(1, 6, 6, 300, 6, 6),
                             adaptive_shape(2, 40, 50, 2, 1, 1), adaptive_shape(0, 4, 4, 8, 2, 2)}) {
    check_avg_pool<float>(s);
    check_avg_pool<double>(s);
  }
}

}  // namespace
}  // namespace ravine::testing
