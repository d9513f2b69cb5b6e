// Random changes of images while batches are assembled. Each image draws from a stream of its own, a function
// of the seed and the image's number, so the results do not depend on who makes which image.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/dtype.h"

namespace ravine::host {

// What is done to an image, with its numbers; draws u0, u1, ... are uniform in [0, 1).
enum class Change : std::uint8_t {
  flip,  // left and right if u0 < n0, up and down if u1 < n1
  crop,  // a window n2 x n3 of the image with n0 rows and n1 columns around it, filled with n4; n5: a Border
  affine,  // about the centre: up to n0 degrees, shifts n1 (of the width) and n2 (height), scale n3..n4,
           // shear n5 degrees; outside it is n6
  cutout,  // if u0 < n2, a rectangle n0 x n1 about a random pixel becomes n3
  jitter,  // brightness n0, contrast n1, saturation n2, hue n3 (in turns); values lie in [0, n4]
  noise,   // normal numbers of standard deviation n0 are added
};
enum class Border : std::uint8_t { constant, edge, reflect };
Change change_named(std::string_view name);  // KeyError

struct ImageChange {
  Change kind = Change::flip;
  std::array<double, 7> numbers = {};
};

struct AugmentArgs {
  DType dtype = DType::uint8;  // or float32, float64
  std::int64_t channels = 0, height = 0, width = 0;
  std::int64_t out_height = 0, out_width = 0;  // behind all crops
  const void* images = nullptr;                // dense [any, channels, height, width]
  const std::int64_t* rows = nullptr;          // [count], the images that are taken
  void* output = nullptr;                      // dense [count, channels, out_height, out_width]
  std::span<const ImageChange> changes = {};
  std::uint64_t seed = 0;
  std::int64_t first = 0;  // number of the first image taken, in the stream of images
  std::byte* workspace = nullptr;
};
// Bytes of the workspace, for one call at a time.
std::int64_t augment_workspace(const AugmentArgs& args);
// Images [begin, end) of the output. uint8 is computed in float32, rounded to the nearest, and kept in
// 0..255.
void augment(const AugmentArgs& args, std::int64_t begin, std::int64_t end);

// Each image with a part of another of the same batch: shares[i] of itself and the rest of its partner or,
// with boxes {top, left, bottom, right}, its partner's pixels inside of its box.
struct MixArgs {
  DType dtype = DType::uint8;
  std::int64_t channels = 0, height = 0, width = 0;
  const void* images = nullptr;            // dense [count, channels, height, width]
  const std::int64_t* partners = nullptr;  // [count]
  const double* shares = nullptr;          // [count]
  const std::int64_t* boxes = nullptr;     // [count, 4], or null
  void* output = nullptr;                  // dense, as the images
};
void mix(const MixArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace ravine::host
