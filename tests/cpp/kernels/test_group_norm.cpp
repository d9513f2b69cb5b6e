// GroupNorm against sums in long double.
#include "bias_relu.h"
#include "kernels/api/norm.h"

namespace ravine::testing {
namespace {

using namespace kernels;
using Doubles = std::vector<double>;

struct ImagesSize {
  std::int64_t samples, positions, channels, groups;
};
// One position; narrow samples folded, with positions left over; one group, a channel each, and between; wide
// samples of several blocks of columns; few large samples, which are cut into parts; many small ones.
constexpr ImagesSize sizes[] = {{1, 1, 1, 1},       {3, 1, 6, 2},      {2, 2, 1, 1},    {5, 9, 17, 17},
                                {4, 63, 3, 1},      {2, 133, 3, 3},    {3, 3001, 5, 5}, {1, 1000, 1, 1},
                                {1, 9000, 12, 4},   {3, 700, 40, 8},   {2, 300, 70, 7}, {3, 20, 1030, 10},
                                {2, 150, 600, 600}, {40, 130, 64, 16}, {33, 49, 24, 1}, {1, 40000, 2, 1}};

struct Reference {
  Doubles y, mean, variance, dx, dgamma, dbeta;
};

constexpr double eps = 1e-5;

template <class T>
Reference reference(const ImagesSize& size, const Buffer<T>& x, const Buffer<T>& dy, const Buffer<T>* gamma,
                    const Buffer<T>* beta) {
  const std::int64_t members = size.channels / size.groups;
  Reference want;
  want.y.resize(static_cast<std::size_t>(x.size()));
  want.dx = want.y;
  want.dgamma.resize(static_cast<std::size_t>(size.channels));
  want.dbeta = want.dgamma;
  const auto of = [](const Buffer<T>* values, std::int64_t c, double otherwise) {
    return values == nullptr ? otherwise : static_cast<double>((*values)[c]);
  };
  for (std::int64_t n = 0; n < size.samples; ++n)
    for (std::int64_t g = 0; g < size.groups; ++g) {
      const auto for_each = [&](auto body) {
        for (std::int64_t p = 0; p < size.positions; ++p)
          for (std::int64_t c = g * members; c < (g + 1) * members; ++c)
            body((n * size.positions + p) * size.channels + c, c);
      };
      const auto count = static_cast<long double>(size.positions * members);
      long double sum = 0, square = 0, sum_g = 0, sum_g_xhat = 0;
      for_each([&](std::int64_t i, std::int64_t) { sum += static_cast<long double>(x[i]); });
      const long double mean = sum / count;
      for_each([&](std::int64_t i, std::int64_t) {
        const long double deviation = static_cast<long double>(x[i]) - mean;
        square += deviation * deviation;
      });
      const long double rstd = 1 / std::sqrt(square / count + static_cast<long double>(eps));
      for_each([&](std::int64_t i, std::int64_t c) {
        const auto at = static_cast<std::size_t>(i), column = static_cast<std::size_t>(c);
        const long double xhat = (static_cast<long double>(x[i]) - mean) * rstd;
        const double grad = static_cast<double>(dy[i]), scale = of(gamma, c, 1);
        want.y[at] = static_cast<double>(xhat) * scale + of(beta, c, 0);
        sum_g += static_cast<long double>(grad * scale);
        sum_g_xhat += static_cast<long double>(grad * scale) * xhat;
        want.dgamma[column] += grad * static_cast<double>(xhat);
        want.dbeta[column] += grad;
      });
      for_each([&](std::int64_t i, std::int64_t c) {
        const long double xhat = (static_cast<long double>(x[i]) - mean) * rstd;
        const long double grad = static_cast<long double>(dy[i]) * static_cast<long double>(of(gamma, c, 1));
        want.dx[static_cast<std::size_t>(i)] =
            static_cast<double>(rstd * (grad - sum_g / count - xhat * sum_g_xhat / count));
      });
      want.mean.push_back(static_cast<double>(mean));
      want.variance.push_back(static_cast<double>(square / count));
    }
  return want;
}

template <class Args>
Args args_of(const ImagesSize& size) {
  Args args;
  args.samples = size.samples;
  args.positions = size.positions;
  args.channels = size.channels;
  args.groups = size.groups;
  args.eps = eps;
  return args;
}

template <class T>
void check_group_norm(const ImagesSize& size, bool affine, double offset = 0) {
  SCOPED_TRACE(::testing::Message() << size.samples << " x " << size.positions << " x " << size.channels
                                    << " in " << size.groups << ", affine " << affine << ", around " << offset
                                    << ", " << sizeof(T));
  const std::int64_t numbers = size.samples * size.positions * size.channels;
  const Buffer<T> x = random_buffer<T>(numbers, 3, offset - 2, offset + 2);
  const Buffer<T> dy = random_buffer<T>(numbers, 4), gamma = random_buffer<T>(size.channels, 5, 0.5, 2);
  const Buffer<T> beta = random_buffer<T>(size.channels, 6);
  const Reference want = reference(size, x, dy, affine ? &gamma : nullptr, affine ? &beta : nullptr);

  on_every_isa([&](const KernelTable& table) {
    const FloatKernels& kernels = table.of(dtype_of<T>);
    const double rounding = (sizeof(T) == 4 ? 6e-8 : 1.2e-16) * (20 + 8 * std::abs(offset));
    Buffer<T> y(numbers), mean(size.samples * size.groups), variance(size.samples * size.groups);
    auto args = args_of<GroupNormArgs>(size);
    args.input = x.data();
    args.gamma = affine ? gamma.data() : nullptr;
    args.beta = affine ? beta.data() : nullptr;
    args.output = y.data();
    args.mean = mean.data();
    args.variance = variance.data();
    Buffer<std::byte> workspace(static_cast<std::int64_t>(kernels.group_norm_workspace(args)));
    args.workspace = workspace.data();
    run_same_bits(table, kernels.group_norm, args, {y.memory(), mean.memory(), variance.memory()},
                  {workspace.memory()});
    // rstd is as large as 1 / sqrt(eps) where a group hardly varies (a single number).
    const double steep = size.positions * size.channels / size.groups == 1 ? 400 : 1;
    expect_close(y, want.y, rounding * steep, rounding * steep, "y");
    expect_close(mean, want.mean, rounding, rounding / 5, "mean");
    expect_close(variance, want.variance, rounding, rounding, "variance");

    Buffer<T> dx(numbers), dgamma(size.channels), dbeta(size.channels);
    auto grad = args_of<GroupNormGradArgs>(size);
    grad.input = x.data();
    grad.grad_output = dy.data();
    grad.gamma = args.gamma;
    grad.mean = mean.data();
    grad.variance = variance.data();
    grad.grad_input = dx.data();
    grad.grad_gamma = affine ? dgamma.data() : nullptr;
    grad.grad_beta = affine ? dbeta.data() : nullptr;
    Buffer<std::byte> grad_workspace(static_cast<std::int64_t>(kernels.group_norm_grad_workspace(grad)));
    grad.workspace = grad_workspace.data();
    if (affine)
      run_same_bits(table, kernels.group_norm_grad, grad, {dx.memory(), dgamma.memory(), dbeta.memory()},
                    {grad_workspace.memory()});
    else run_same_bits(table, kernels.group_norm_grad, grad, {dx.memory()}, {grad_workspace.memory()});
    expect_close(dx, want.dx, 20 * rounding * steep, 20 * rounding * steep, "dx");
    if (!affine) return;
    const double absolute =
        rounding * (1 + 2 * std::sqrt(static_cast<double>(size.samples * size.positions))) * steep;
    expect_close(dgamma, want.dgamma, absolute, absolute, "dgamma");
    expect_close(dbeta, want.dbeta, absolute, absolute, "dbeta");
  });
}

TEST(GroupNorm, ForwardAndGradientAgreeWithLongDouble) {
  for (const ImagesSize& size : sizes)
    for (const bool affine : {true, false}) {
      check_group_norm<float>(size, affine);
      check_group_norm<double>(size, affine);
    }
}

TEST(GroupNorm, DoesNotCancelFarFromZero) {
  check_group_norm<float>({3, 500, 12, 3}, true, 100);
  check_group_norm<float>({1, 3000, 64, 8}, true, 100);
  check_group_norm<double>({40, 30, 200, 200}, true, 1e5);
}

// Channels of one group may lie far apart from each other.
TEST(GroupNorm, OneChannelFarFromTheOthers) {
  const ImagesSize size{2, 50, 6, 2};
  Buffer<float> x = random_buffer<float>(600, 3);
  for (std::int64_t i = 4; i < 600; i += 6) x[i] += 1e4f;
  const Reference want = reference<float>(size, x, x, nullptr, nullptr);
  on_every_isa([&](const KernelTable& table) {
    Buffer<float> y(600), mean(4), variance(4);
    auto args = args_of<GroupNormArgs>(size);
    args.input = x.data();
    args.output = y.data();
    args.mean = mean.data();
    args.variance = variance.data();
    Buffer<std::byte> workspace(static_cast<std::int64_t>(table.float32.group_norm_workspace(args)));
    args.workspace = workspace.data();
    run(table, table.float32.group_norm, args);
    expect_close(mean, want.mean, 2e-7, 1e-7);
    expect_close(variance, want.variance, 1e-6, 0);
    expect_close(y, want.y, 1e-6, 1e-6);
  });
}

// The result over the input, and the gradient over the output's: what is read is read before.
TEST(GroupNorm, InPlace) {
  for (const ImagesSize& size : {ImagesSize{2, 700, 24, 6}, ImagesSize{40, 21, 5, 5}}) {
    const std::int64_t numbers = size.samples * size.positions * size.channels;
    const Buffer<float> x = random_buffer<float>(numbers, 3), dy = random_buffer<float>(numbers, 4);
    on_every_isa([&](const KernelTable& table) {
      const FloatKernels& k = table.float32;
      Buffer<float> expected(numbers), y(numbers), mean(size.samples * size.groups),
          variance(size.samples * size.groups);
      auto args = args_of<GroupNormArgs>(size);
      args.input = x.data();
      args.output = expected.data();
      args.mean = mean.data();
      args.variance = variance.data();
      Buffer<std::byte> workspace(static_cast<std::int64_t>(k.group_norm_workspace(args)));
      args.workspace = workspace.data();
      run(table, k.group_norm, args);
      args.input = args.output = y.data();
      const auto fill = [&](const Buffer<float>& from) {
        return [&] { std::memcpy(y.data(), from.data(), y.memory().size()); };
      };
      run_same_bits(table, k.group_norm, args, {y.memory()}, {workspace.memory()}, fill(x));
      expect_close(y, expected, 0, 0);

      auto grad = args_of<GroupNormGradArgs>(size);
      grad.input = x.data();
      grad.grad_output = dy.data();
      grad.mean = mean.data();
      grad.variance = variance.data();
      grad.grad_input = expected.data();
      Buffer<std::byte> grad_workspace(static_cast<std::int64_t>(k.group_norm_grad_workspace(grad)));
      grad.workspace = grad_workspace.data();
      run(table, k.group_norm_grad, grad);
      grad.grad_output = grad.grad_input = y.data();
      run_same_bits(table, k.group_norm_grad, grad, {y.memory()}, {grad_workspace.memory()}, fill(dy));
      expect_close(y, expected, 0, 0);
    });
  }
}

TEST(GroupNorm, EpilogueRunsOnEveryPosition) {
  for (const ImagesSize& size : {ImagesSize{2, 1001, 6, 3}, ImagesSize{40, 9, 130, 10}}) {
    const std::int64_t numbers = size.samples * size.positions * size.channels;
    const Buffer<float> x = random_buffer<float>(numbers, 3), bias = random_buffer<float>(size.channels, 7);
    const Reference want = reference<float>(size, x, x, nullptr, nullptr);
    Doubles rectified, gradient;
    for (std::size_t i = 0; i < want.y.size(); ++i) {
      const auto b = static_cast<double>(bias[static_cast<std::int64_t>(i) % size.channels]);
      rectified.push_back(std::max(want.y[i] + b, 0.0));
      gradient.push_back(std::max(want.dx[i] + b, 0.0));
    }
    on_every_isa([&](const KernelTable& table) {
      Buffer<float> y(numbers), mean(size.samples * size.groups), variance(size.samples * size.groups);
      const TileProgram epilogue = bias_relu(table, size.samples * size.positions, size.channels, bias.data(),
                                             y.data(), size.channels);
      auto args = args_of<GroupNormArgs>(size);
      args.input = x.data();
      args.output = y.data();
      args.mean = mean.data();
      args.variance = variance.data();
      args.epilogue = &epilogue;
      Buffer<std::byte> workspace(static_cast<std::int64_t>(table.float32.group_norm_workspace(args)));
      args.workspace = workspace.data();
      run_same_bits(table, table.float32.group_norm, args, {y.memory()}, {workspace.memory()});
      expect_close(y, rectified, 4e-6, 4e-6, "y");

      auto grad = args_of<GroupNormGradArgs>(size);
      grad.input = grad.grad_output = x.data();
      grad.mean = mean.data();
      grad.variance = variance.data();
      grad.grad_input = y.data();
      grad.epilogue = &epilogue;
      Buffer<std::byte> grad_workspace(
          static_cast<std::int64_t>(table.float32.group_norm_grad_workspace(grad)));
      grad.workspace = grad_workspace.data();
      run_same_bits(table, table.float32.group_norm_grad, grad, {y.memory()}, {grad_workspace.memory()});
      expect_close(y, gradient, 1e-5, 1e-5, "dx");
    });
  }
}

TEST(GroupNorm, NaNStaysInItsGroup) {
  Buffer<float> x = random_buffer<float>(3 * 40 * 6, 9);
  x[(40 + 21) * 6 + 3] = std::numeric_limits<float>::quiet_NaN();  // sample 1, group 1 of 3
  on_every_isa([&](const KernelTable& table) {
    Buffer<float> y(3 * 40 * 6), mean(9), variance(9);
    auto args = args_of<GroupNormArgs>({3, 40, 6, 3});
    args.input = x.data();
    args.output = y.data();
    args.mean = mean.data();
    args.variance = variance.data();
    Buffer<std::byte> workspace(static_cast<std::int64_t>(table.float32.group_norm_workspace(args)));
    args.workspace = workspace.data();
    run(table, table.float32.group_norm, args);
    for (std::int64_t i = 0; i < 9; ++i) {
      EXPECT_EQ(std::isnan(mean[i]), i == 4);
      EXPECT_EQ(std::isnan(variance[i]), i == 4);
    }
    for (std::int64_t i = 0; i < y.size(); ++i)
      EXPECT_EQ(std::isnan(y[i]), i / 240 == 1 && i % 6 / 2 == 1) << i;
  });
}

TEST(GroupNorm, NoSamples) {
  on_every_isa([](const KernelTable& table) {
    auto args = args_of<GroupNormArgs>({0, 4, 6, 3});
    EXPECT_EQ(table.float32.group_norm_workspace(args), 0u);
    run(table, table.float32.group_norm, args, 2);
    Buffer<float> dgamma(6), dbeta(6);  // sums of nothing
    auto grad = args_of<GroupNormGradArgs>({0, 4, 6, 3});
    grad.grad_gamma = dgamma.data();
    grad.grad_beta = dbeta.data();
    run_same_bits(table, table.float32.group_norm_grad, grad, {dgamma.memory(), dbeta.memory()});
    expect_close(dgamma, Doubles(6, 0.0), 0, 0);
    expect_close(dbeta, Doubles(6, 0.0), 0, 0);
  });
}

}  // namespace
}  // namespace ravine::testing
