// 2-D convolution (cross-correlation), as nn.Conv2d: images NHWC, filters [out][kernel_h][kernel_w][in /
// groups], dense.
#pragma once

#include "kernels/api/norm.h"
#include "kernels/api/tile.h"

namespace ravine::kernels {

struct ConvShape {
  std::int64_t batch = 0, height = 0, width = 0, channels = 0;
  std::int64_t out_height = 0, out_width = 0, out_channels = 0;
  std::int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  std::int64_t pad_h = 0, pad_w = 0;  // top and left; bottom and right follow from the output's size
  std::int64_t dilation_h = 1, dilation_w = 1;
  std::int64_t groups = 1;  // groups == channels is depthwise (out_channels may be a multiple)
};

// How a convolution is computed.
enum class ConvAlgorithm : std::uint8_t {
  direct,  // implicit GEMM; depthwise has loops of its own
  // Minimal filtering, float32, not depthwise:
  // 3x3 kernels of stride 1, or of stride 2 with padding 1 and dilation 1.
  winograd_2x2,  // of tiles of 2x2 outputs; 5x5 kernels of stride 1 too
  winograd_4x4,  // of 4x4 outputs
};

struct ConvForwardArgs {
  ConvShape shape;
  const void* input = nullptr;
  const void* filter = nullptr;
  void* output = nullptr;
  const TileProgram* epilogue = nullptr;  // [batch * out_height * out_width, out_channels]
  void* workspace = nullptr;
  ConvAlgorithm algorithm = ConvAlgorithm::direct;
  bool filter_is_transformed = false;            // it is the output of winograd_filter for this algorithm
  const ColumnStatistics* statistics = nullptr;  // of the epilogue's rows and columns
  // 2: the output, and what the epilogue gets, are the maxima of windows of 2x2 outputs side by side, as
  // those of MaxPoolArgs. Only where KernelTable::conv_can_pool.
  std::int64_t pool = 1;
  // By Winograd, where a thread goes over the images once: from the last to the first. What the call before
  // has written last is then read while it is in the cache.
  bool backwards = false;
};

// A filter as Winograd's products read it, for many forward convolutions with the same one.
struct WinogradFilterArgs {
  std::int64_t out_channels = 0, channels = 0;  // channels of a group
  const void* filter = nullptr;                 // [out_channels][kernel][kernel][channels]
  const void* scale = nullptr;                  // [out_channels] multiplies the filter; null: 1
  void* output = nullptr;                       // winograd_filter_elements of them
  ConvAlgorithm algorithm = ConvAlgorithm::winograd_4x4;
  std::int64_t kernel = 3, stride = 1, groups = 1;
};

struct ConvGradInputArgs {
  ConvShape shape;
  const void* grad_output = nullptr;
  const void* filter = nullptr;
  void* grad_input = nullptr;
  const TileProgram* epilogue = nullptr;  // [batch * height * width, channels]
  void* workspace = nullptr;
  ConvAlgorithm algorithm = ConvAlgorithm::direct;
};

struct ConvGradFilterArgs {
  ConvShape shape;
  const void* input = nullptr;
  const void* grad_output = nullptr;
  void* grad_filter = nullptr;
  void* workspace = nullptr;
  ConvAlgorithm algorithm = ConvAlgorithm::direct;
};

}  // namespace ravine::kernels
