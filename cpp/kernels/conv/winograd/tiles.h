// The tiles of images, and their transforms, for the passes of Winograd convolution. Channels are the vector.
#pragma once

#include "kernels/conv/winograd/transforms.h"
#include "kernels/gemm/pack.h"

namespace ravine::kernels::RAVINE_ISA {

// Images [batch][height][width][channels] cut into square tiles, the first `pad` before the image's first
// pixel. With dilation d, every d-th pixel belongs to one of d images of their own, whose tiles take turns.
struct TiledImages {
  std::int64_t height, width, channels;
  std::int64_t tiles_y, tiles_x;
  std::int64_t pad_y, pad_x;
  std::int64_t dilation_y = 1, dilation_x = 1;
};

// Tiles of `size` along an axis.
RAVINE_INLINE std::int64_t tiles_of(std::int64_t extent, std::int64_t size, std::int64_t dilation) {
  return dilation * ceil_div(ceil_div(extent, dilation), size);
}
// The first of the pixels of a tile, where one image's tiles are `step` pixels of its own apart.
RAVINE_INLINE std::int64_t first_of_tile(std::int64_t tile, std::int64_t step, std::int64_t dilation) {
  if (dilation == 1) return tile * step;
  return tile / dilation * step * dilation + tile % dilation;
}

// Walks over the tiles in order.
struct TilePosition {
  std::int64_t image, tile_y, tile_x;

  TilePosition(const TiledImages& images, std::int64_t index) {
    const std::int64_t row = index / images.tiles_x;
    tile_x = index - row * images.tiles_x;
    image = row / images.tiles_y;
    tile_y = row - image * images.tiles_y;
  }
  void advance(const TiledImages& images) {
    if (++tile_x < images.tiles_x) return;
    tile_x = 0;
    if (++tile_y < images.tiles_y) return;
    tile_y = 0;
    ++image;
  }
};

// Where transformed tiles lie: element (point, tile, channel) is at point * point_stride + tile * tile_stride
// + channel, with whole vectors of channels.
struct TransformedTiles {
  std::int64_t tile_stride, point_stride;
};

// Transforms one tile's channels [0, channels): read(j, c, load_vector, column) reads column j of its pixels
// at channel c by load_vector(address of the first channel + c).
template <class T, int size, int points, class Transform, class Read>
RAVINE_INLINE void transform_tile(Transform transform, Read read, std::int64_t channels, T* to,
                                  std::int64_t point_stride) {
  constexpr int n = lanes<T>;
  const auto run = [&](std::int64_t c, auto load_vector) RAVINE_INLINE_LAMBDA {
    transform_square<T, size, points>(
        transform, [&](int j, auto& column) RAVINE_INLINE_LAMBDA { read(j, c, load_vector, column); },
        [&](int i, const auto& row)
            RAVINE_INLINE_LAMBDA { store_points<T>(to + i * points * point_stride + c, point_stride, row); });
  };
  std::int64_t c = 0;
  for (; c + n <= channels; c += n) run(c, [](const T* from) RAVINE_INLINE_LAMBDA { return load(from); });
  if (c < channels)
    run(c, [rest = channels - c](const T* from) RAVINE_INLINE_LAMBDA { return load(from, rest); });
}

// Transforms `count` channels from `from` on of `tiles`, of size x size pixels and `step` apart, into `to`.
// What lies outside of the images is 0.
template <class T, int size, int points, class Transform>
[[gnu::noinline]] void transform_tiles(Transform transform, const TiledImages& images, std::int64_t step,
                                       const T* from, std::int64_t count, Range tiles, T* to,
                                       const TransformedTiles& layout) {
  TilePosition at(images, tiles.begin);
  const std::int64_t line_stride = images.width * images.channels;
  const std::int64_t row_stride = images.dilation_y * line_stride;
  const std::int64_t column_stride = images.dilation_x * images.channels;
  for (std::int64_t tile = tiles.begin; tile < tiles.end;
       ++tile, at.advance(images), to += layout.tile_stride) {
    const std::int64_t y = first_of_tile(at.tile_y, step, images.dilation_y) - images.pad_y;
    const std::int64_t x = first_of_tile(at.tile_x, step, images.dilation_x) - images.pad_x;
    const T* const origin = from + (at.image * images.height + y) * line_stride + x * images.channels;
    if (y >= 0 && x >= 0 && y + (size - 1) * images.dilation_y < images.height &&
        x + (size - 1) * images.dilation_x < images.width) {
      transform_tile<T, size, points>(
          transform,
          [&](int j, std::int64_t c, auto load_vector, auto& column) RAVINE_INLINE_LAMBDA {
            const T* const first = opaque(origin + j * column_stride + c);
#pragma GCC unroll 9
            for (int i = 0; i < size; ++i) column[i] = load_vector(first + i * row_stride);
          },
          count, to, layout.point_stride);
      continue;
    }
    for (std::int64_t c = 0; c < count; c += max_run_depth) {  // as long as `zeros` is
      const T* pixels[size][size];                             // [column][row]
      bool row_inside[size];
#pragma GCC unroll 9
      for (int i = 0; i < size; ++i)
        row_inside[i] =
            static_cast<std::uint64_t>(y + i * images.dilation_y) < static_cast<std::uint64_t>(images.height);
      const T* column = origin + c;
#pragma GCC unroll 9
      for (int j = 0; j < size; ++j, column += column_stride) {
        const bool inside =
            static_cast<std::uint64_t>(x + j * images.dilation_x) < static_cast<std::uint64_t>(images.width);
#pragma GCC unroll 9
        for (int i = 0; i < size; ++i)
          pixels[j][i] = inside & row_inside[i] ? column + i * row_stride : zeros<T>;
      }
      transform_tile<T, size, points>(
          transform,
          [&](int j, std::int64_t at_channel, auto load_vector, auto& column) RAVINE_INLINE_LAMBDA {
#pragma GCC unroll 9
            for (int i = 0; i < size; ++i) column[i] = load_vector(pixels[j][i] + at_channel);
          },
          smaller(count - c, max_run_depth), to + c, layout.point_stride);
    }
  }
}

// Transforms `count` channels from `from` on of the pixels of `tiles`, as F::Input does. (Defined in
// input.cpp: the passes share this code, much of which is alike for several filterings.)
template <class F>
void transform_input(const TiledImages& images, const float* from, std::int64_t count, Range tiles, float* to,
                     const TransformedTiles& layout);

}  // namespace ravine::kernels::RAVINE_ISA
