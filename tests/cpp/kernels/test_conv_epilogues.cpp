// Convolutions that add a bias and a residual to their results while these are in registers, and that pool
// them: the same bits as the steps one by one.
#include "conv_test.h"
#include "ops/conv_choice.h"

namespace ravine::testing {
namespace {

ConvShape square(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t channels,
                 std::int64_t out_channels, const Axis& axis, std::int64_t groups = 1) {
  return shape_of(batch, height, width, channels, out_channels, groups, axis, axis);
}

constexpr ConvAlgorithm algorithms[] = {ConvAlgorithm::direct, ConvAlgorithm::winograd_2x2,
                                        ConvAlgorithm::winograd_4x4};

// The plain result of a convolution of random numbers, one of them NaN, by its kernel.
struct Convolution {
  const KernelTable& table;
  ConvForwardArgs args;
  std::int64_t rows, columns;
  Buffer<float> input, filter, result;
  Buffer<std::uint8_t> workspace{0};

  Convolution(const KernelTable& kernels, const ConvShape& s, ConvAlgorithm algorithm)
      : table(kernels),
        rows(s.batch * s.out_height * s.out_width),
        columns(s.out_channels),
        input(random_buffer<float>(s.batch * s.height * s.width * s.channels, 1)),
        filter(random_buffer<float>(s.out_channels * s.kernel_h * s.kernel_w * (s.channels / s.groups), 2)),
        result(rows * columns) {
    if (rows > 1) input.data()[s.channels / 2] = std::numeric_limits<float>::quiet_NaN();
    args.shape = s;
    args.algorithm = algorithm;
    args.input = input.data();
    args.filter = filter.data();
    run_into(result);
  }
  void run_into(Buffer<float>& to) {
    args.output = to.data();
    workspace = Buffer<std::uint8_t>(static_cast<std::int64_t>(table.float32.conv_forward_workspace(args)));
    args.workspace = workspace.data();
    run_same_bits(table, table.float32.conv_forward, args, {to.memory()}, {workspace.memory()});
  }
};

void expect_same(const Convolution& convolution, const Buffer<float>& actual,
                 const std::vector<float>& expected, const std::string& what) {
  ASSERT_EQ(static_cast<std::size_t>(std::size(actual)), expected.size()) << what;
  const float allowed = convolution.args.algorithm == ConvAlgorithm::direct ? 0.0f : 1e-6f;
  float largest = 1;
  for (const float value : expected) largest = std::max(largest, std::isnan(value) ? 0 : std::abs(value));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const float value = actual[static_cast<std::int64_t>(i)];
    ASSERT_TRUE(std::abs(value - expected[i]) <= allowed * largest ||
                (std::isnan(value) && std::isnan(expected[i])))
        << what << ", element " << i << ": " << value << ", expected " << expected[i];
  }
}

float rectify(float x) { return x < 0 ? 0 : x; }

void check_sums(const KernelTable& table, const ConvShape& s, ConvAlgorithm algorithm) {
  SCOPED_TRACE(describe(s) + " algorithm " + std::to_string(static_cast<int>(algorithm)));
  Convolution convolution(table, s, algorithm);
  const std::int64_t rows = convolution.rows, columns = convolution.columns;
  const Buffer<float> bias = random_buffer<float>(columns, 3);
  const Buffer<float> residual = random_buffer<float>(rows * columns, 4);
  Buffer<float> backwards(rows * columns);
  convolution.args.backwards = true;
  convolution.run_into(backwards);
  EXPECT_EQ(std::memcmp(backwards.data(), convolution.result.data(),
                        static_cast<std::size_t>(rows * columns) * sizeof(float)),
            0)
      << "from the last image to the first";
  for (const bool with_residual : {false, true})
    for (const bool rectified : {false, true})
      for (const bool in_place : {false, true}) {
        Buffer<float> sums(rows * columns), other(rows * columns);
        const TileProgram epilogue =
            sum_epilogue<float>(table, rows, columns, bias.data(), with_residual ? residual.data() : nullptr,
                                rectified, sums.data(), columns);
        convolution.args.epilogue = &epilogue;
        if (in_place) {
          convolution.run_into(sums);
        } else {
          convolution.run_into(other);
          expect_same(convolution, other,
                      {convolution.result.data(), convolution.result.data() + rows * columns},
                      "what the epilogue reads");
        }
        std::vector<float> expected;
        for (std::int64_t e = 0; e < rows * columns; ++e) {
          float sum = convolution.result[e] + bias[e % columns];
          if (with_residual) sum += residual[e];
          expected.push_back(rectified ? rectify(sum) : sum);
        }
        expect_same(convolution, sums, expected, in_place ? "in place" : "elsewhere");
      }
}

TEST(ConvEpilogues, SumsInRegisters) {
  on_every_isa([](const KernelTable& table) {
    for (const ConvShape& s :
         {square(2, 9, 10, 18, 20, {3, 1, 1, 1}), square(1, 41, 38, 5, 70, {3, 1, 1, 1}),
          square(2, 11, 9, 20, 33, {5, 1, 2, 1}), square(2, 9, 12, 17, 40, {3, 2, 1, 1}),
          square(2, 13, 11, 18, 7, {3, 1, 2, 2}), square(2, 7, 8, 34, 66, {3, 1, 1, 1}, 2),
          square(2, 9, 8, 3, 50, {3, 1, 1, 1}), square(2, 9, 8, 1, 16, {5, 2, 2, 1}),
          square(2, 6, 7, 24, 24, {3, 1, 1, 1}, 24), square(2, 6, 7, 24, 30, {1, 1, 0, 1}),
          square(0, 5, 5, 3, 4, {3, 1, 1, 1})})
      for (const ConvAlgorithm algorithm : algorithms) {
        if (!applies(algorithm, s, DType::float32)) continue;
        check_sums(table, s, algorithm);
        if (::testing::Test::HasFatalFailure()) return;
      }
  });
}

// Against the kernel that pools what is in memory.
void check_pooled(const KernelTable& table, const ConvShape& s, ConvAlgorithm algorithm) {
  SCOPED_TRACE(describe(s) + " algorithm " + std::to_string(static_cast<int>(algorithm)));
  Convolution convolution(table, s, algorithm);
  kernels::MaxPoolArgs pool;
  pool.shape = {s.batch, s.out_height, s.out_width, s.out_channels, s.out_height / 2, s.out_width / 2};
  pool.shape.kernel_h = pool.shape.kernel_w = pool.shape.stride_h = pool.shape.stride_w = 2;
  const std::int64_t rows = s.batch * pool.shape.out_height * pool.shape.out_width;
  const std::int64_t columns = s.out_channels;
  Buffer<float> maxima(rows * columns), pooled(rows * columns);
  pool.input = convolution.result.data();
  pool.output = maxima.data();
  run_same_bits(table, table.float32.max_pool, pool, {maxima.memory()});
  std::vector<float> expected(maxima.data(), maxima.data() + rows * columns);
  convolution.args.pool = 2;
  convolution.run_into(pooled);
  expect_same(convolution, pooled, expected, "pooled");

  const Buffer<float> bias = random_buffer<float>(columns, 3);
  const Buffer<float> residual = random_buffer<float>(rows * columns, 4);
  for (std::size_t e = 0; e < expected.size(); ++e)
    expected[e] = rectify(expected[e] + bias[static_cast<std::int64_t>(e) % columns]);
  const TileProgram in_place = bias_relu<float>(table, rows, columns, bias.data(), pooled.data(), columns);
  convolution.args.epilogue = &in_place;
  convolution.run_into(pooled);
  expect_same(convolution, pooled, expected, "pooled and summed in place");

  for (std::size_t e = 0; e < expected.size(); ++e)
    expected[e] =
        rectify(maxima[static_cast<std::int64_t>(e)] + bias[static_cast<std::int64_t>(e) % columns] +
                residual[static_cast<std::int64_t>(e)]);
  const TileProgram with_residual =
      sum_epilogue<float>(table, rows, columns, bias.data(), residual.data(), true, pooled.data(), columns);
  convolution.args.epilogue = &with_residual;
  convolution.run_into(pooled);
  expect_same(convolution, pooled, expected, "pooled, with a residual");
}

TEST(ConvEpilogues, Pooled) {
  int checked = 0;
  on_every_isa([&](const KernelTable& table) {
    for (const ConvShape& s :
         {square(2, 14, 14, 18, 20, {3, 1, 1, 1}), square(3, 9, 11, 5, 70, {3, 1, 1, 1}),
          square(1, 41, 38, 20, 33, {3, 1, 1, 1}), square(1, 5, 421, 6, 9, {3, 1, 1, 1}),
          square(2, 3, 2, 6, 9, {3, 1, 1, 1}), square(2, 1, 5, 6, 9, {3, 1, 1, 1}),
          square(2, 12, 10, 7, 50, {3, 1, 0, 1}), square(2, 15, 14, 20, 40, {5, 1, 2, 1}),
          square(2, 7, 8, 34, 66, {3, 1, 1, 1}, 2), square(3, 9, 8, 210, 205, {3, 1, 1, 1}),
          square(3, 28, 27, 1, 32, {3, 1, 1, 1}), square(2, 61, 70, 4, 20, {5, 1, 2, 1}),
          square(1, 90, 83, 3, 100, {7, 2, 3, 1}), square(2, 3, 1300, 2, 18, {2, 1, 1, 1}),
          square(2, 1, 7, 2, 5, {1, 1, 0, 1}), square(0, 8, 8, 3, 4, {3, 1, 1, 1})})
      for (const ConvAlgorithm algorithm : algorithms) {
        ConvForwardArgs args;
        args.shape = s;
        args.algorithm = algorithm;
        if (!applies(algorithm, s, DType::float32) || !table.conv_can_pool(args)) continue;
        check_pooled(table, s, algorithm);
        ++checked;
        if (::testing::Test::HasFatalFailure()) return;
      }
  });
  EXPECT_GT(checked, 20);
}

TEST(ConvEpilogues, NotEveryConvolutionCanPool) {
  on_every_isa([](const KernelTable& table) {
    ConvForwardArgs args;
    args.shape = square(2, 8, 8, 16, 16, {3, 1, 1, 1});
    EXPECT_FALSE(table.conv_can_pool(args));
    args.algorithm = ConvAlgorithm::winograd_4x4;
    EXPECT_TRUE(table.conv_can_pool(args));
    args.shape = square(2, 8, 8, 16, 16, {3, 2, 1, 1});
    EXPECT_FALSE(table.conv_can_pool(args));
    args.shape = square(2, 8, 8, 16, 16, {3, 1, 2, 2});
    EXPECT_FALSE(table.conv_can_pool(args));
  });
}

}  // namespace
}  // namespace ravine::testing
