// Pooling over dense NHWC images.
#pragma once

#include "kernels/tile.h"

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

struct MaxPoolArgs {
  PoolShape shape;
  const void* input = nullptr;
  void* output = nullptr;
  std::int64_t* indices =
      nullptr;  // [N, out_h, out_w, C]: h * width + w of the maximum (first of equals; a NaN wins); or null
  // [channels] both or null: the images are relu(input scale + shift), as BatchNorm and ReLU make them.
  const void* scale = nullptr;
  const void* shift = nullptr;
};

// grad_input = sum over windows whose maximum lies there; overlapping windows add in a fixed order.
struct MaxPoolGradArgs {
  PoolShape shape;
  const void* grad_output = nullptr;
  const std::int64_t* indices = nullptr;
  void* grad_input = nullptr;
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
