// Convolutions by implicit GEMM and depthwise, forward and both gradients, on every ISA.
#include "conv_test.h"
#include "core/caches.h"

namespace ravine::testing {
namespace {

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
  for (const Axis& axis :
       {Axis{3, 1, 1, 1}, Axis{3, 2, 1, 1}, Axis{4, 1, 5, 2}, Axis{7, 3, 2, 1}, Axis{1, 2, 0, 1}})
    shapes.push_back(shape_of(2, 8, 47, 37, 37, 37, {3, 2, 1, 1}, axis));
  check_both(shapes);
}

// Depthwise by 3x3: blocks of lines and of positions, at every border; images that come from memory.
TEST(Conv, Depthwise3x3) {
  std::vector<ConvShape> shapes;
  for (std::int64_t stride : {1, 2})
    for (std::int64_t pad : {0, 1, 2, 4})
      for (const auto& [height, width] : {std::array<std::int64_t, 2>{7, 13}, {4, 9}, {3, 4}, {10, 6}})
        shapes.push_back(shape_of(3, height, width, 21, 21, 21, {3, stride, pad, 1},
                                  {3, stride, std::min<std::int64_t>(pad, 2), 1}));
  for (std::int64_t stride : {1, 2})
    shapes.push_back(shape_of(2, 75, 61, 120, 120, 120, {3, stride, 1, 1}, {3, stride, 1, 1}));
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

// Several bands of rows, the last shorter; more columns than one pass of a tile; a kernel with many taps.
TEST(Conv, FewChannels) {
  check_both({shape_of(2, 61, 70, 4, 20, 1, {5, 1, 2, 1}, {5, 1, 2, 1}),
              shape_of(1, 90, 83, 3, 100, 1, {7, 2, 3, 1}, {7, 2, 3, 1}),
              shape_of(3, 40, 150, 1, 33, 1, {3, 1, 1, 2}, {3, 3, 0, 3}),
              shape_of(1, 3, 1300, 2, 18, 1, {2, 1, 1, 1}, {9, 1, 4, 1}),
              shape_of(2, 30, 30, 4, 5, 1, {12, 2, 4, 1}, {11, 1, 5, 1}),
              // Pixels that no output reads; a class of pixels narrower than a tile; taps that skip outputs.
              shape_of(2, 19, 21, 4, 70, 1, {2, 3, 0, 1}, {2, 5, 0, 1}),
              shape_of(2, 10, 5, 2, 35, 1, {3, 4, 2, 3}, {3, 2, 4, 3}),
              // More output channels than the gradient's kernel takes.
              shape_of(1, 6, 9, 3, 1030, 1, {3, 1, 1, 1}, {3, 2, 1, 1})});
}

// 1x1 kernels of few channels: the gradient to the filter is computed transposed, from several parts too.
TEST(Conv, PointwiseFromFewChannels) {
  check_both({shape_of(2, 9, 7, 5, 17, 1, {1, 1, 0, 1}, {1, 1, 0, 1}),
              shape_of(3, 5, 6, 12, 70, 2, {1, 1, 0, 1}, {1, 1, 0, 1}),
              shape_of(3, 29, 27, 16, 96, 1, {1, 1, 0, 1}, {1, 1, 0, 1}),
              shape_of(2, 33, 32, 21, 75, 3, {1, 1, 0, 1}, {1, 1, 0, 1})});
}

// Patches whose vectors each belong to one pixel are read where they lie: the first panel of rows packs them.
TEST(Conv, PatchesOfWholeVectors) {
  const std::vector<ConvShape> shapes{shape_of(2, 19, 23, 48, 70, 1, {3, 2, 1, 1}, {3, 3, 2, 1}),
                                      shape_of(3, 23, 20, 64, 40, 2, {3, 1, 2, 2}, {2, 1, 1, 1}),
                                      shape_of(1, 33, 35, 16, 25, 1, {5, 1, 2, 1}, {5, 1, 2, 1}),
                                      shape_of(2, 9, 12, 96, 18, 1, {1, 2, 0, 1}, {1, 2, 0, 1})};
  check_both(shapes);
  const Caches here = caches();
  set_caches({1, 1});  // several blocks of rows
  check_both(shapes);
  set_caches(here);
}

// Results that do not fit into the caches are written past them.
TEST(Conv, ResultsBeyondTheCaches) {
  const Caches here = caches();
  set_caches({256 << 10, 1 << 10});
  check_both({shape_of(2, 10, 11, 7, 96, 1, {1, 1, 0, 1}, {1, 1, 0, 1}),
              shape_of(2, 10, 11, 64, 7, 1, {1, 1, 0, 1}, {1, 1, 0, 1}),
              shape_of(2, 9, 11, 20, 64, 1, {3, 2, 1, 1}, {3, 2, 1, 1}),
              shape_of(2, 9, 23, 48, 48, 48, {3, 2, 1, 1}, {3, 2, 1, 1}),
              shape_of(1, 7, 5, 130, 32, 1, {3, 1, 1, 1}, {3, 1, 1, 1})});
  set_caches(here);
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
