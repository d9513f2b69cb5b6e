// Sliding windows over images, for convolution and pooling: attributes, their checks, the output's extents.
#pragma once

#include <cstdint>

#include "graph/graph.h"

namespace ravine {

// Of one image axis.
struct Window {
  std::int64_t kernel = 1, stride = 1, padding = 0, dilation = 1;
  bool ceil = false;  // another window takes what is left, if it starts in the image or in the padding before
  std::int64_t reach() const { return (kernel - 1) * dilation + 1; }  // from the first tap to the last
  bool fits(std::int64_t extent) const { return reach() <= extent + 2 * padding + (ceil ? stride - 1 : 0); }
  std::int64_t outputs(std::int64_t extent) const {  // where it fits
    const std::int64_t steps = (extent + 2 * padding - reach() + (ceil ? stride - 1 : 0)) / stride;
    return ceil && steps * stride >= extent + padding ? steps : steps + 1;
  }
};

struct Windows {
  Window h, w;
};

// A pair of integers; one integer stands for both. ValueError naming the operation below `least`.
Dims pair_attr(const Node& node, const char* name, const Dims& otherwise, std::int64_t least);

// Reads stride, padding and dilation (where the operation has one) and writes them back as pairs. An absent
// stride is `default_stride`. A pooling's ceil_mode is read by windows_of.
Windows normalize_windows(Node& node, const Dims& kernel, const Dims& default_stride, bool with_dilation);
// Of attributes that are pairs already.
Windows windows_of(const Node& node, const Dims& kernel);

// [N, channels, out_h, out_w] of windows over images [N, C, H, W]; ValueError where no window fits.
Shape window_outputs(const Node& node, const Windows& windows, const Shape& images, std::int64_t channels);

// ValueError unless the input has the four axes [N, C, H, W].
void expect_images(const Node& node, int input);

}  // namespace ravine
