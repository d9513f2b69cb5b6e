#include "ops/windows.h"

#include "core/error.h"

namespace ravine {

Dims pair_attr(const Node& node, const char* name, const Dims& otherwise, std::int64_t least) {
  Dims pair = node.attrs.dims(name, otherwise);
  if (pair.rank() == 1) pair.push_back(pair[0]);
  check<ValueError>(pair.rank() == 2, node.op->name, ": ", name, " must be one integer or two, got ", pair);
  check<ValueError>(pair[0] >= least && pair[1] >= least, node.op->name, ": ", name, " must be at least ",
                    least, ", got ", pair);
  constexpr std::int64_t limit = std::int64_t{1} << 31;  // sums and products of these cannot overflow
  check<ValueError>(pair[0] < limit && pair[1] < limit, node.op->name, ": ", name, " ", pair,
                    " is too large");
  return pair;
}

Windows normalize_windows(Node& node, const Dims& kernel, const Dims& default_stride, bool with_dilation) {
  node.attrs.set("stride", pair_attr(node, "stride", default_stride, 1));
  node.attrs.set("padding", pair_attr(node, "padding", {0, 0}, 0));
  if (with_dilation) node.attrs.set("dilation", pair_attr(node, "dilation", {1, 1}, 1));
  return windows_of(node, kernel);
}

Windows windows_of(const Node& node, const Dims& kernel) {
  const Dims stride = node.attrs.dims("stride"), padding = node.attrs.dims("padding"),
             dilation = node.attrs.dims("dilation", {1, 1});
  const bool ceil = node.attrs.flag("ceil_mode", false);
  return {{kernel[0], stride[0], padding[0], dilation[0], ceil},
          {kernel[1], stride[1], padding[1], dilation[1], ceil}};
}

Shape window_outputs(const Node& node, const Windows& windows, const Shape& images, std::int64_t channels) {
  check<ValueError>(windows.h.fits(images[2]) && windows.w.fits(images[3]), node.op->name, ": a kernel of ",
                    windows.h.reach(), " x ", windows.w.reach(),
                    " (dilation included) is larger than the images of ", images[2], " x ", images[3],
                    " (shape ", images, ") with padding (", windows.h.padding, ", ", windows.w.padding, ")");
  return {images[0], channels, windows.h.outputs(images[2]), windows.w.outputs(images[3])};
}

void expect_images(const Node& node, int input) {
  check<ValueError>(node.input_shape(input).rank() == 4, node.op->name,
                    ": expected images [N, C, H, W], got shape ", node.input_shape(input));
}

}  // namespace ravine
