// One axis of the gradient to a convolution's input: pixels fall into classes modulo the stride, and a class
// meets only some kernel positions, so no product with a zero that a stride would insert is ever computed.
#pragma once

#include "kernels/base/vector_loop.h"

namespace ravine::kernels::RAVINE_ISA {

// The class of pixels at `phase` modulo the stride: pixel phase + stride v meets output v + output_first +
// tap output_step by kernel position kernel_first + tap kernel_step, for 0 <= tap < taps.
struct PhaseTaps {
  std::int64_t pixels;  // of the class
  std::int64_t taps, kernel_first, kernel_step;
  std::int64_t output_first, output_step;
};

inline std::int64_t greatest_common_divisor(std::int64_t a, std::int64_t b) {
  while (b != 0) {
    const std::int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

inline PhaseTaps taps_of_phase(std::int64_t extent, std::int64_t phase, std::int64_t kernel,
                               std::int64_t stride, std::int64_t pad, std::int64_t dilation) {
  PhaseTaps taps{};
  taps.pixels = extent > phase ? ceil_div(extent - phase, stride) : 0;
  taps.kernel_step = stride / greatest_common_divisor(stride, dilation);
  taps.output_step = -(taps.kernel_step * dilation / stride);
  for (std::int64_t k = 0; k < smaller(kernel, taps.kernel_step); ++k) {
    if ((phase + pad - k * dilation) % stride != 0) continue;
    taps.kernel_first = k;
    taps.taps = ceil_div(kernel - k, taps.kernel_step);
    taps.output_first = (phase + pad - k * dilation) / stride;
    break;
  }
  return taps;
}

}  // namespace ravine::kernels::RAVINE_ISA
