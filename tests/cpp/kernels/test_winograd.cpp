// Winograd convolution, forward and both gradients, on every ISA.
#include "conv_test.h"

namespace ravine::testing {
namespace {

ConvShape same_size(std::int64_t batch, std::int64_t height, std::int64_t width, std::int64_t channels,
                    std::int64_t out_channels, std::int64_t pad = 1) {
  return shape_of(batch, height, width, channels, out_channels, 1, {3, 1, pad, 1}, {3, 1, pad, 1});
}

void check_winograd(const std::vector<ConvShape>& shapes) {
  on_every_isa([&](const KernelTable& table) {
    for (const ConvShape& s : shapes)
      for (const ConvAlgorithm algorithm : {ConvAlgorithm::winograd_2x2, ConvAlgorithm::winograd_4x4}) {
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

// The layers of ResNet-18, whose errors are bounded relative to the largest result.
TEST(Winograd, LayersOfResNet18) {
  check_winograd({same_size(1, 32, 32, 64, 64), same_size(2, 16, 16, 128, 128), same_size(3, 8, 8, 256, 256),
                  same_size(4, 4, 4, 512, 512)});
}

TEST(Winograd, EmptyBatchAndEmptyOutput) {
  check_winograd({same_size(0, 5, 5, 3, 4), shape_of(2, 2, 5, 3, 4, 1, {3, 1, 0, 1}, {3, 1, 0, 1})});
}

}  // namespace
}  // namespace ravine::testing
