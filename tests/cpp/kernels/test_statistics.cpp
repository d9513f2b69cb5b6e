// Moments that a convolution gathers from its result, against float64.
#include "conv_test.h"

namespace ravine::testing {
namespace {

using namespace kernels;

// The convolution's result, or what its epilogue makes of it, has these moments; the same bits for every
// team.
void check_gathered(const KernelTable& table, const ConvShape& s, ConvAlgorithm algorithm,
                    bool with_epilogue) {
  SCOPED_TRACE(describe(s) + " algorithm " + std::to_string(static_cast<int>(algorithm)) +
               (with_epilogue ? " with epilogue" : ""));
  const std::int64_t rows = s.batch * s.out_height * s.out_width, columns = s.out_channels;
  const Buffer<float> input = random_buffer<float>(s.batch * s.height * s.width * s.channels, 1);
  const Buffer<float> filter =
      random_buffer<float>(columns * s.kernel_h * s.kernel_w * s.channels / s.groups, 2);
  const Buffer<float> bias = random_buffer<float>(columns, 3, 50, 60);
  Buffer<float> result(rows * columns), activated(rows * columns);
  const TileProgram epilogue = bias_relu<float>(table, rows, columns, bias.data(), activated.data(), columns);
  const FloatKernels& kernels = table.float32;
  ConvForwardArgs args;
  args.shape = s;
  args.input = input.data();
  args.filter = filter.data();
  args.output = result.data();
  args.algorithm = algorithm;
  if (with_epilogue) args.epilogue = &epilogue;
  Buffer<float>& values = with_epilogue ? activated : result;

  ColumnStatistics statistics;
  statistics.columns = columns;
  statistics.pieces = kernels.conv_forward_pieces(args);
  ASSERT_GT(statistics.pieces, 0);
  Buffer<double> partials(partials_of(statistics.pieces, columns));
  statistics.values = values.data();
  statistics.partials = partials.data();
  args.statistics = &statistics;
  Buffer<std::byte> workspace(static_cast<std::int64_t>(kernels.conv_forward_workspace(args)));
  args.workspace = workspace.data();
  run_same_bits(table, kernels.conv_forward, args, {values.memory(), partials.memory()},
                {workspace.memory()});

  Buffer<float> mean(columns), variance(columns);
  const CombineMomentsArgs combine{columns, statistics.pieces, partials.data(), mean.data(), variance.data()};
  run_same_bits(table, kernels.combine_moments, combine, {mean.memory(), variance.memory()}, {});
  std::vector<double> expected_mean(columns), expected_variance(columns);
  for (std::int64_t c = 0; c < columns; ++c) {
    double sum = 0, square = 0;
    for (std::int64_t r = 0; r < rows; ++r) sum += static_cast<double>(values[r * columns + c]);
    expected_mean[c] = sum / static_cast<double>(rows);
    for (std::int64_t r = 0; r < rows; ++r) {
      const double deviation = static_cast<double>(values[r * columns + c]) - expected_mean[c];
      square += deviation * deviation;
    }
    expected_variance[c] = square / static_cast<double>(rows);
  }
  constexpr double eps = 6e-8;
  const double widest = *std::max_element(expected_variance.begin(), expected_variance.end());
  expect_close(mean, expected_mean, eps, 2 * eps * std::sqrt(widest), "mean");
  expect_close(variance, expected_variance, 30 * eps, 0, "variance");
}

TEST(ConvStatistics, OfTheResultAndOfTheEpilogue) {
  constexpr Axis same{3, 1, 1, 1}, strided{3, 2, 1, 1}, dilated{3, 1, 2, 2}, five{5, 1, 2, 1};
  on_every_isa([&](const KernelTable& table) {
    for (const bool with_epilogue : {false, true}) {
      const auto winograd = [&](const ConvShape& s, ConvAlgorithm algorithm) {
        check_gathered(table, s, algorithm, with_epilogue);
      };
      winograd(shape_of(3, 14, 14, 5, 17, 1, same, same), ConvAlgorithm::winograd_4x4);
      winograd(shape_of(2, 33, 18, 16, 70, 1, same, same), ConvAlgorithm::winograd_4x4);
      winograd(shape_of(2, 9, 9, 3, 33, 1, same, same), ConvAlgorithm::winograd_2x2);
      winograd(shape_of(1, 5, 300, 2, 8, 1, same, same), ConvAlgorithm::winograd_2x2);  // parts of a row
      winograd(shape_of(9, 4, 4, 300, 260, 1, same, same), ConvAlgorithm::winograd_4x4);
      winograd(shape_of(2, 15, 13, 16, 20, 2, same, same), ConvAlgorithm::winograd_4x4);
      winograd(shape_of(2, 15, 13, 6, 20, 1, strided, strided), ConvAlgorithm::winograd_4x4);
      winograd(shape_of(2, 15, 13, 6, 20, 1, dilated, dilated), ConvAlgorithm::winograd_4x4);
      winograd(shape_of(2, 15, 13, 6, 20, 1, five, five), ConvAlgorithm::winograd_4x4);
      check_gathered(table, shape_of(2, 30, 41, 3, 19, 1, same, same), ConvAlgorithm::direct, with_epilogue);
      check_gathered(table, shape_of(3, 28, 28, 1, 32, 1, same, strided), ConvAlgorithm::direct,
                     with_epilogue);
    }
  });
}

// What no kernel gathers is told so.
TEST(ConvStatistics, NoneWhereTheWorkIsCutByTheTeam) {
  on_every_isa([](const KernelTable& table) {
    ConvForwardArgs args;
    args.shape = shape_of(2, 8, 8, 16, 8, 1, {3, 1, 1, 1}, {3, 1, 1, 1});
    EXPECT_EQ(table.float32.conv_forward_pieces(args), 0);
    args.shape = shape_of(2, 8, 8, 3, 8, 1, {3, 1, 1, 1}, {3, 1, 1, 1});
    EXPECT_GT(table.float32.conv_forward_pieces(args), 0);
    EXPECT_EQ(table.float64.conv_forward_pieces(args), 0);
  });
}

}  // namespace
}  // namespace ravine::testing
