// Winograd convolution, forward and both gradients, on every ISA.
#include "conv_test.h"
#include "ops/conv_choice.h"

namespace ravine::testing {
namespace {

ConvShape same_size(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t channels,
                    std::int64_t out_channels, std::int64_t pad = 1) {
  return shape_of(batch, height, width, channels, out_channels, 1, {3, 1, pad, 1}, {3, 1, pad, 1});
}

// Each shape by every Winograd that applies, of which there must be one.
void check_winograd(const std::vector<ConvShape>& shapes) {
  on_every_isa([&](const KernelTable& table) {
    for (const ConvShape& s : shapes)
      for (const ConvAlgorithm algorithm : {ConvAlgorithm::winograd_2x2, ConvAlgorithm::winograd_4x4}) {
        if (!applies(algorithm, s, DType::float32)) {
          ASSERT_TRUE(s.kernel_h == 5 || s.stride_h == 2) << describe(s);
          continue;
        }
        check<float>(table, s, algorithm);
        if (::testing::Test::HasFailure()) return;
      }
  });
}

TEST(Winograd, Channels) {
  std::vector<ConvShape> shapes;
  for (std::int64_t channels : {1, 3, 16, 17, 70})
    for (std::int64_t out_channels : {1, 7, 32, 50, 97})
      shapes.push_back(same_size(2, 6, 9, channels, out_channels));
  check_winograd(shapes);
}

TEST(Winograd, SizesAndPadding) {
  std::vector<ConvShape> shapes;
  for (std::int64_t height : {3, 4, 5, 8, 11})
    for (std::int64_t width : {3, 7, 8, 10})
      for (std::int64_t pad : {0, 1, 2, 4}) shapes.push_back(same_size(3, height, width, 5, 6, pad));
  shapes.push_back(same_size(2, 1, 1, 6, 9));
  shapes.push_back(same_size(2, 2, 1, 6, 9));
  shapes.push_back(shape_of(2, 7, 12, 8, 9, 1, {3, 1, 0, 1}, {3, 1, 2, 1}));
  check_winograd(shapes);
}

// Several blocks of tiles; rows of tiles longer than a block; the last block shorter.
TEST(Winograd, ManyTiles) {
  check_winograd({same_size(3, 41, 38, 18, 20), same_size(1, 7, 250, 20, 33), same_size(1, 5, 421, 3, 4)});
}

// Channels beyond one run of depth, one block of columns, and what leaves pixels in a thread's scratch.
TEST(Winograd, ManyChannels) {
  check_winograd({same_size(3, 9, 8, 210, 205), same_size(1, 5, 6, 520, 30), same_size(2, 20, 22, 260, 24)});
}

// Gradients to filters whose sums are too large for splits: waves of tiles, the last one shorter.
TEST(Winograd, LargeSumsOfManyTiles) {
  check_winograd({same_size(3, 33, 32, 70, 50), same_size(1, 56, 55, 640, 2), same_size(1, 49, 50, 1160, 1),
                  shape_of(1, 56, 57, 640, 2, 1, {3, 2, 1, 1}, {3, 2, 1, 1})});
}

// The layers of ResNet-18, whose errors are bounded relative to the largest result.
TEST(Winograd, LayersOfResNet18) {
  check_winograd({same_size(1, 32, 32, 64, 64), same_size(2, 16, 16, 128, 128), same_size(3, 8, 8, 256, 256),
                  same_size(4, 4, 4, 512, 512)});
}

TEST(Winograd, FiveByFive) {
  std::vector<ConvShape> shapes;
  for (std::int64_t channels : {1, 17, 40})
    for (std::int64_t out_channels : {3, 50})
      for (std::int64_t pad : {0, 2, 5})
        shapes.push_back(shape_of(2, 6, 9, channels, out_channels, 1, {5, 1, pad, 1}, {5, 1, 2, 1}));
  shapes.push_back(shape_of(3, 14, 14, 32, 64, 1, {5, 1, 2, 1}, {5, 1, 2, 1}));
  shapes.push_back(shape_of(2, 11, 13, 140, 70, 1, {5, 1, 2, 1}, {5, 1, 1, 1}));
  shapes.push_back(shape_of(1, 7, 250, 20, 33, 1, {5, 1, 2, 1}, {5, 1, 2, 1}));
  shapes.push_back(shape_of(1, 5, 6, 520, 530, 1, {5, 1, 2, 1}, {5, 1, 2, 1}));
  check_winograd(shapes);
}

TEST(Winograd, Stride) {
  const Axis axis{3, 2, 1, 1};
  std::vector<ConvShape> shapes;
  for (std::int64_t height : {1, 2, 7, 8, 16})
    for (std::int64_t width : {3, 8, 9, 18})
      shapes.push_back(shape_of(2, height, width, 5, 6, 1, axis, axis));
  for (std::int64_t channels : {1, 17, 64})
    for (std::int64_t out_channels : {7, 32, 100})
      shapes.push_back(shape_of(2, 9, 12, channels, out_channels, 1, axis, axis));
  shapes.push_back(shape_of(3, 16, 16, 128, 256, 1, axis, axis));
  shapes.push_back(shape_of(9, 8, 8, 256, 140, 1, axis, axis));
  shapes.push_back(shape_of(1, 7, 500, 20, 33, 1, axis, axis));
  shapes.push_back(shape_of(1, 21, 18, 300, 230, 1, axis, axis));  // a filter too large to be read often
  check_winograd(shapes);
}

// Phases of unlike sizes, some empty; rows of tiles longer than a block.
TEST(Winograd, Dilation) {
  std::vector<ConvShape> shapes;
  for (const auto& [dilation_y, dilation_x] : {std::array<std::int64_t, 2>{1, 2}, {2, 1}, {2, 2}, {3, 7}})
    for (std::int64_t kernel : {3, 5})
      for (std::int64_t pad : {0, 2, 5})
        shapes.push_back(shape_of(2, 17, 15 + 2 * dilation_x, 18, 7, 1, {kernel, 1, pad, dilation_y},
                                  {kernel, 1, dilation_x, dilation_x}));
  shapes.push_back(shape_of(2, 3, 4, 5, 6, 1, {3, 1, 6, 6}, {3, 1, 6, 6}));
  shapes.push_back(shape_of(1, 7, 421, 20, 33, 1, {3, 1, 2, 2}, {3, 1, 3, 3}));
  shapes.push_back(shape_of(2, 32, 32, 33, 70, 1, {3, 1, 2, 2}, {3, 1, 2, 2}));
  check_winograd(shapes);
}

TEST(Winograd, Groups) {
  std::vector<ConvShape> shapes;
  for (const auto& [channels, out_channels, groups] : {std::array<std::int64_t, 3>{4, 6, 2},
                                                       {51, 9, 3},
                                                       {34, 66, 2},
                                                       {128, 128, 4},
                                                       {20, 120, 5},
                                                       {270, 20, 2}}) {
    shapes.push_back(shape_of(2, 7, 8, channels, out_channels, groups, {3, 1, 1, 1}, {3, 1, 1, 1}));
    shapes.push_back(shape_of(2, 7, 8, channels, out_channels, groups, {5, 1, 2, 1}, {5, 1, 2, 1}));
    shapes.push_back(shape_of(2, 9, 8, channels, out_channels, groups, {3, 2, 1, 1}, {3, 2, 1, 1}));
  }
  shapes.push_back(shape_of(3, 40, 31, 34, 66, 2, {3, 1, 2, 2}, {3, 1, 1, 1}));
  check_winograd(shapes);
}

TEST(Winograd, EmptyBatchAndEmptyOutput) {
  check_winograd({same_size(0, 5, 5, 3, 4), shape_of(2, 2, 5, 3, 4, 1, {3, 1, 0, 1}, {3, 1, 0, 1}),
                  shape_of(0, 5, 5, 3, 4, 1, {3, 2, 1, 1}, {3, 2, 1, 1}),
                  shape_of(2, 4, 9, 4, 4, 2, {5, 1, 0, 1}, {5, 1, 0, 1})});
}

// A filter that was transformed once, with and without a scale of its output channels, serves as the filter
// itself.
TEST(Winograd, TransformedFilter) {
  on_every_isa([](const KernelTable& table) {
    for (const ConvShape& s :
         {same_size(2, 6, 9, 3, 7), same_size(3, 41, 38, 18, 20), same_size(1, 5, 421, 3, 4),
          same_size(3, 9, 8, 210, 205), same_size(2, 4, 4, 512, 512), same_size(0, 5, 5, 3, 4),
          shape_of(2, 9, 8, 20, 50, 1, {3, 2, 1, 1}, {3, 2, 1, 1}),
          shape_of(2, 9, 8, 20, 50, 1, {5, 1, 2, 1}, {5, 1, 2, 1}),
          shape_of(2, 9, 8, 34, 66, 2, {3, 1, 2, 2}, {3, 1, 2, 2})})
      for (const ConvAlgorithm algorithm : {ConvAlgorithm::winograd_2x2, ConvAlgorithm::winograd_4x4})
        for (const bool scaled : {false, true}) {
          if (!applies(algorithm, s, DType::float32)) continue;
          SCOPED_TRACE(describe(s) + " algorithm " + std::to_string(static_cast<int>(algorithm)));
          const std::int64_t inputs = s.batch * s.height * s.width * s.channels;
          const std::int64_t outputs = s.batch * s.out_height * s.out_width * s.out_channels;
          const Buffer<float> input = random_buffer<float>(inputs, 1);
          const Buffer<float> filter =
              random_buffer<float>(s.out_channels * s.kernel_h * s.kernel_w * s.channels / s.groups, 2);
          const Buffer<float> scale = random_buffer<float>(s.out_channels, 3);
          kernels::WinogradFilterArgs transform{s.out_channels, s.channels / s.groups, filter.data(),
                                                scaled ? scale.data() : nullptr};
          transform.algorithm = algorithm;
          transform.kernel = s.kernel_h;
          transform.stride = s.stride_h;
          transform.groups = s.groups;
          Buffer<float> transformed(table.winograd_filter_elements(transform));
          transform.output = transformed.data();
          run_same_bits(table, table.winograd_filter, transform, {transformed.memory()});

          Buffer<float> result(outputs);
          ConvForwardArgs args{s,
                               input.data(),
                               transformed.data(),
                               result.data(),
                               nullptr,
                               nullptr,
                               algorithm,
                               /*filter_is_transformed=*/true};
          Buffer<std::uint8_t> workspace(
              static_cast<std::int64_t>(table.float32.conv_forward_workspace(args)));
          args.workspace = workspace.data();
          run_same_bits(table, table.float32.conv_forward, args, {result.memory()}, {workspace.memory()});

          std::vector<double> expected(outputs), grad_input(input.size()), grad_filter(filter.size());
          add_convolution(s, input.data(), filter.data(), result.data(), expected.data(), grad_input.data(),
                          grad_filter.data());
          if (scaled)
            for (std::int64_t o = 0; o < outputs; ++o) expected[o] *= scale[o % s.out_channels];
          double largest = 1;
          for (const double value : expected) largest = std::max(largest, std::abs(value));
          expect_close(result, expected, 0, 2e-5 * largest, "forward");
          if (::testing::Test::HasFailure()) return;
        }
  });
}

}  // namespace
}  // namespace ravine::testing
