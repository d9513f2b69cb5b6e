// Column statistics and LayerNorm against sums in long double.
#include "kernels/api/norm.h"

#include "kernel_test.h"

namespace ravine::testing {
namespace {

using namespace kernels;
using Doubles = std::vector<double>;

struct MatrixSize {
  std::int64_t rows, columns;
};
// Around vectors, row groups, pieces, folded narrow matrices with rows left over, and blocks of columns.
constexpr MatrixSize matrix_sizes[] = {{1, 1},    {2, 1},    {7, 3},    {9, 17},    {8, 64},    {129, 5},
                                       {1000, 1}, {3001, 3}, {128, 33}, {257, 600}, {2100, 70}, {5, 1030}};

struct Moments {
  Doubles mean, variance;
};
template <class T>
Moments column_moments_reference(const Buffer<T>& x, std::int64_t rows, std::int64_t columns) {
  Moments result;
  for (std::int64_t c = 0; c < columns; ++c) {
    long double sum = 0, square = 0;
    for (std::int64_t r = 0; r < rows; ++r) sum += static_cast<long double>(x[r * columns + c]);
    const long double mean = sum / static_cast<long double>(rows);
    for (std::int64_t r = 0; r < rows; ++r) {
      const long double deviation = static_cast<long double>(x[r * columns + c]) - mean;
      square += deviation * deviation;
    }
    result.mean.push_back(static_cast<double>(mean));
    result.variance.push_back(static_cast<double>(square / static_cast<long double>(rows)));
  }
  return result;
}

template <class T, class Args>
Buffer<std::byte> workspace_for(std::size_t (*bytes)(const Args&), const Args& args) {
  return Buffer<std::byte>(static_cast<std::int64_t>(bytes(args)));
}

template <class T>
void check_column_moments(std::int64_t rows, std::int64_t columns, double offset) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << columns << " around " << offset << ", " << sizeof(T));
  const Buffer<T> x = random_buffer<T>(rows * columns, 3, offset - 1, offset + 1);
  const Moments expected = column_moments_reference(x, rows, columns);
  on_every_isa([&](const KernelTable& table) {
    const FloatKernels& kernels = table.of(dtype_of<T>);
    Buffer<T> mean(columns), variance(columns);
    ColumnMomentsArgs args{rows, columns, x.data(), mean.data(), variance.data(), nullptr};
    auto workspace = workspace_for<T>(kernels.column_moments_workspace, args);
    args.workspace = workspace.data();
    run_same_bits(table, kernels.column_moments, args, {mean.memory(), variance.memory()},
                  {workspace.memory()});
    const double eps = sizeof(T) == 4 ? 6e-8 : 1.2e-16;
    expect_close(mean, expected.mean, sizeof(T) == 4 ? eps : 5 * eps, 2 * eps, "mean");
    expect_close(variance, expected.variance, 30 * eps, 0, "variance");
  });
}

TEST(ColumnMoments, AgreesWithLongDouble) {
  for (const MatrixSize size : matrix_sizes)
    for (const double offset : {0.0, 3.0}) {
      check_column_moments<float>(size.rows, size.columns, offset);
      check_column_moments<double>(size.rows, size.columns, offset);
    }
}

TEST(ColumnMoments, DoesNotCancelFarFromZero) {
  check_column_moments<float>(2000, 20, 1e5);
  check_column_moments<double>(2000, 20, 1e12);
}

TEST(ColumnMoments, OneOutlierInTheFirstRow) {
  Buffer<float> x = random_buffer<float>(500 * 40, 9);
  for (std::int64_t c = 0; c < 40; ++c) x[c] = 1e6f;
  const Moments expected = column_moments_reference(x, 500, 40);
  on_every_isa([&](const KernelTable& table) {
    Buffer<float> mean(40), variance(40);
    ColumnMomentsArgs args{500, 40, x.data(), mean.data(), variance.data(), nullptr};
    auto workspace = workspace_for<float>(table.float32.column_moments_workspace, args);
    args.workspace = workspace.data();
    run(table, table.float32.column_moments, args);
    expect_close(mean, expected.mean, 1e-5, 0);
    expect_close(variance, expected.variance, 1e-5, 0);
  });
}

TEST(ColumnMoments, ConstantColumnsHaveNoVariance) {
  on_every_isa([](const KernelTable& table) {
    Buffer<float> x(777 * 19), mean(19), variance(19);
    for (float& value : x) value = 0.1f;
    ColumnMomentsArgs args{777, 19, x.data(), mean.data(), variance.data(), nullptr};
    auto workspace = workspace_for<float>(table.float32.column_moments_workspace, args);
    args.workspace = workspace.data();
    run(table, table.float32.column_moments, args, 2);
    expect_close(mean, Doubles(19, static_cast<double>(0.1f)), 0, 0);
    expect_close(variance, Doubles(19, 0.0), 0, 0);
  });
}

TEST(ColumnMoments, NaNStaysInItsColumn) {
  Buffer<float> x = random_buffer<float>(300 * 6, 9);
  x[150 * 6 + 2] = std::numeric_limits<float>::quiet_NaN();
  on_every_isa([&](const KernelTable& table) {
    Buffer<float> mean(6), variance(6);
    ColumnMomentsArgs args{300, 6, x.data(), mean.data(), variance.data(), nullptr};
    auto workspace = workspace_for<float>(table.float32.column_moments_workspace, args);
    args.workspace = workspace.data();
    run(table, table.float32.column_moments, args);
    for (std::int64_t c = 0; c < 6; ++c) {
      EXPECT_EQ(std::isnan(mean[c]), c == 2);
      EXPECT_EQ(std::isnan(variance[c]), c == 2);
    }
  });
}

TEST(ColumnMoments, NoRowsGiveNaN) {
  on_every_isa([](const KernelTable& table) {
    Buffer<double> mean{1, 2, 3}, variance{1, 2, 3};
    const ColumnMomentsArgs args{0, 3, nullptr, mean.data(), variance.data(), nullptr};
    EXPECT_EQ(table.float64.column_moments_workspace(args), 0u);
    run(table, table.float64.column_moments, args, 2);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    expect_close(mean, Doubles(3, nan), 0, 0);
    expect_close(variance, Doubles(3, nan), 0, 0);
    run(table, table.float64.column_moments, ColumnMomentsArgs{5, 0, nullptr, nullptr, nullptr, nullptr}, 2);
  });
}

template <class T>
void check_column_grad_sums(std::int64_t rows, std::int64_t columns, bool rectified) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << columns << ", " << sizeof(T)
                                    << (rectified ? ", rectified" : ""));
  const Buffer<T> x = random_buffer<T>(rows * columns, 3, 1, 5), dy = random_buffer<T>(rows * columns, 4);
  const Buffer<T> mean = random_buffer<T>(columns, 5, 2, 4), rstd = random_buffer<T>(columns, 6, 0.1, 2);
  const Buffer<T> scale = random_buffer<T>(columns, 7, 0.5, 2), shift = random_buffer<T>(columns, 8, -6, -2);
  Doubles sums(static_cast<std::size_t>(columns)), products(sums);
  std::int64_t passed = 0;
  for (std::int64_t i = 0; i < rows * columns; ++i) {
    const auto c = i % columns;
    const auto number = [](T value) { return static_cast<double>(value); };
    if (rectified && number(x[i]) * number(scale[c]) + number(shift[c]) <= 0) continue;
    ++passed;
    sums[static_cast<std::size_t>(c)] += number(dy[i]);
    products[static_cast<std::size_t>(c)] +=
        number(dy[i]) * (number(x[i]) - number(mean[c])) * number(rstd[c]);
  }
  if (rectified && rows * columns > 1000) {  // neither all nor none
    EXPECT_GT(passed, rows * columns / 8);
    EXPECT_LT(passed, rows * columns * 7 / 8);
  }
  on_every_isa([&](const KernelTable& table) {
    const FloatKernels& kernels = table.of(dtype_of<T>);
    Buffer<T> sum_grad(columns), sum_grad_xhat(columns);
    ColumnGradSumsArgs args{rows,        columns,     x.data(),        dy.data(),
                            mean.data(), rstd.data(), sum_grad.data(), sum_grad_xhat.data(),
                            nullptr};
    if (rectified) {
      args.scale = scale.data();
      args.shift = shift.data();
    }
    auto workspace = workspace_for<T>(kernels.column_grad_sums_workspace, args);
    args.workspace = workspace.data();
    run_same_bits(table, kernels.column_grad_sums, args, {sum_grad.memory(), sum_grad_xhat.memory()},
                  {workspace.memory()});
    const double absolute = (sizeof(T) == 4 ? 1e-7 : 1e-15) * (2 + std::sqrt(static_cast<double>(rows)) * 4);
    expect_close(sum_grad, sums, absolute, absolute, "sum_grad");
    expect_close(sum_grad_xhat, products, absolute, absolute, "sum_grad_xhat");
  });
}

TEST(ColumnGradSums, AgreesWithDouble) {
  for (const bool rectified : {false, true}) {
    for (const MatrixSize size : matrix_sizes) {
      check_column_grad_sums<float>(size.rows, size.columns, rectified);
      check_column_grad_sums<double>(size.rows, size.columns, rectified);
    }
    check_column_grad_sums<float>(0, 5, rectified);  // sums of nothing are 0
    check_column_grad_sums<float>(5, 0, rectified);
  }
}

constexpr MatrixSize layer_sizes[] = {{1, 1},  {3, 2},     {5, 7},    {9, 16},  {33, 31},
                                      {2, 65}, {200, 130}, {19, 511}, {3, 9001}};

template <class T>
void check_layer_norm(std::int64_t rows, std::int64_t columns, bool affine, double offset = 0) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << columns << " affine " << affine << ", " << sizeof(T));
  const double eps = 1e-5;
  const Buffer<T> x = random_buffer<T>(rows * columns, 3, offset - 2, offset + 2);
  const Buffer<T> dy = random_buffer<T>(rows * columns, 4), gamma = random_buffer<T>(columns, 5, 0.5, 2);
  const Buffer<T> beta = random_buffer<T>(columns, 6);
  const auto count = static_cast<std::size_t>(columns);
  Doubles y, means, rstds, dx, dgamma(count), dbeta(count);
  for (std::int64_t r = 0; r < rows; ++r) {
    const T* row = x.data() + r * columns;
    long double sum = 0, square = 0, sum_g = 0, sum_g_xhat = 0;
    for (std::size_t c = 0; c < count; ++c) sum += static_cast<long double>(row[c]);
    const long double n = static_cast<long double>(columns), mean = sum / n;
    for (std::size_t c = 0; c < count; ++c)
      square += (static_cast<long double>(row[c]) - mean) * (static_cast<long double>(row[c]) - mean);
    const long double rstd = 1 / std::sqrt(square / n + static_cast<long double>(eps));
    Doubles xhat, g;
    for (std::int64_t c = 0; c < columns; ++c) {
      xhat.push_back(static_cast<double>((static_cast<long double>(row[c]) - mean) * rstd));
      const double grad = static_cast<double>(dy[r * columns + c]);
      const double scale = affine ? static_cast<double>(gamma[c]) : 1;
      g.push_back(grad * scale);
      y.push_back(xhat.back() * scale + (affine ? static_cast<double>(beta[c]) : 0));
      sum_g += static_cast<long double>(g.back());
      sum_g_xhat += static_cast<long double>(g.back() * xhat.back());
      dgamma[static_cast<std::size_t>(c)] += grad * xhat.back();
      dbeta[static_cast<std::size_t>(c)] += grad;
    }
    means.push_back(static_cast<double>(mean));
    rstds.push_back(static_cast<double>(rstd));
    for (std::size_t c = 0; c < count; ++c)
      dx.push_back(static_cast<double>(rstd) *
                   (g[c] - static_cast<double>(sum_g / n) - xhat[c] * static_cast<double>(sum_g_xhat / n)));
  }

  on_every_isa([&](const KernelTable& table) {
    const FloatKernels& kernels = table.of(dtype_of<T>);
    const double eps_t = sizeof(T) == 4 ? 6e-8 : 1.2e-16;
    Buffer<T> output(rows * columns), mean(rows), rstd(rows), grad_input(rows * columns), grad_gamma(columns),
        grad_beta(columns);
    const void* scale = affine ? gamma.data() : nullptr;
    const void* shift = affine ? beta.data() : nullptr;
    const LayerNormArgs args{rows,  columns,       eps,         x.data(),   scale,
                             shift, output.data(), mean.data(), rstd.data()};
    run_same_bits(table, kernels.layer_norm, args, {output.memory(), mean.memory(), rstd.memory()});
    const double rounding = eps_t * (20 + 8 * std::abs(offset));
    expect_close(output, y, rounding, rounding, "y");
    expect_close(mean, means, 2 * eps_t, 2 * eps_t, "mean");
    expect_close(rstd, rstds, rounding, 0, "rstd");

    LayerNormGradArgs grad{rows,
                           columns,
                           x.data(),
                           dy.data(),
                           scale,
                           mean.data(),
                           rstd.data(),
                           grad_input.data(),
                           affine ? grad_gamma.data() : nullptr,
                           affine ? grad_beta.data() : nullptr,
                           nullptr};
    auto workspace = workspace_for<T>(kernels.layer_norm_grad_workspace, grad);
    grad.workspace = workspace.data();
    if (affine)
      run_same_bits(table, kernels.layer_norm_grad, grad,
                    {grad_input.memory(), grad_gamma.memory(), grad_beta.memory()}, {workspace.memory()});
    else run_same_bits(table, kernels.layer_norm_grad, grad, {grad_input.memory()}, {workspace.memory()});
    // rstd is as large as 1 / sqrt(eps) where a row hardly varies (a single column).
    const double grad_rounding = rounding * (columns == 1 ? 400 : 20);
    expect_close(grad_input, dx, grad_rounding, grad_rounding, "dx");
    if (affine) {
      const double absolute = rounding * (1 + std::sqrt(static_cast<double>(rows)) * 2);
      expect_close(grad_gamma, dgamma, absolute, absolute, "dgamma");
      expect_close(grad_beta, dbeta, absolute, absolute, "dbeta");
    }
  });
}

TEST(LayerNorm, ForwardAndGradientAgreeWithLongDouble) {
  for (const MatrixSize size : layer_sizes)
    for (const bool affine : {true, false}) {
      check_layer_norm<float>(size.rows, size.columns, affine);
      check_layer_norm<double>(size.rows, size.columns, affine);
    }
  check_layer_norm<float>(20, 100, true, /*offset=*/100);
}

TEST(LayerNorm, EmptyExtents) {
  on_every_isa([](const KernelTable& table) {
    Buffer<float> mean(2), rstd(2), grad_gamma(5), grad_beta(5), rows_of_nothing(0);
    run(table, table.float32.layer_norm, LayerNormArgs{}, 2);
    run(table, table.float32.layer_norm_grad, LayerNormGradArgs{}, 2);
    // No rows: the parameters' gradients are sums of nothing.
    LayerNormGradArgs args;
    args.columns = 5;
    args.grad_gamma = grad_gamma.data();
    args.grad_beta = grad_beta.data();
    run_same_bits(table, table.float32.layer_norm_grad, args, {grad_gamma.memory(), grad_beta.memory()});
    expect_close(grad_gamma, Doubles(5, 0.0), 0, 0);
    expect_close(grad_beta, Doubles(5, 0.0), 0, 0);
  });
}

}  // namespace
}  // namespace ravine::testing
