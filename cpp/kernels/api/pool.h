// Pooling over dense NHWC images.
#pragma once

#include "kernels/api/tile.h"

namespace ravine::kernels {

struct PoolShape {
  std::int64_t batch = 0, height = 0, width = 0, channels = 0, out_height = 0, out_width = 0;
  std::int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;
  bool count_include_pad =
      true;  // average only, torch's meaning (padding counts within height + pad, not beyond)
  // Adaptive average: window i covers [floor(i in / out), ceil((i + 1) in / out)) of each axis; kernel fields
  // are unused.
  bool adaptive = false;
};

// A maximum is the first of equals, and a NaN wins. It is told by its index in the image, h * width + w, or
// by its offset in the window, kernel_w * row + column of the window's own grid; for windows of at most
// max_window_offsets numbers. [N, out_h, out_w, C], one of the two or none.
inline constexpr std::int64_t max_window_offsets = 255;

struct MaxPoolArgs {
  PoolShape shape;
  const void* input = nullptr;
  void* output = nullptr;
  std::int64_t* indices = nullptr;
  // [channels] both or null: the images are relu(input scale + shift), as BatchNorm and ReLU make them.
  const void* scale = nullptr;
  const void* shift = nullptr;
  std::uint8_t* offsets = nullptr;
};

// grad_input = sum over windows whose maximum lies there; overlapping windows add in a fixed order.
struct MaxPoolGradArgs {
  PoolShape shape;
  const void* grad_output = nullptr;
  const std::int64_t* indices = nullptr;
  void* grad_input = nullptr;
  const std::uint8_t* offsets = nullptr;
};

struct AvgPoolArgs {
  PoolShape shape;
  const void* input = nullptr;
  void* output = nullptr;
};

struct AvgPoolGradArgs {
  PoolShape shape;
  const void* grad_output = nullptr;
  void* grad_input = nullptr;
};

}  // namespace ravine::kernels
