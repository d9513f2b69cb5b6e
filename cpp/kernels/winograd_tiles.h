// The tiles of images, and their transforms, for the passes of Winograd convolution. Channels are the vector.
#pragma once

#include "kernels/gemm_pack.h"
#include "kernels/winograd_transforms.h"

namespace ravine::kernels::RAVINE_ISA {

// Images [batch][height][width][channels] cut into square tiles, `step` apart, the first `pad` before the
// image's first pixel.
struct TiledImages {
  std::int64_t height, width, channels;
  std::int64_t tiles_y, tiles_x;
  std::int64_t step, pad_y, pad_x;
};

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

// Transforms one tile's channels [0, channels): pixel(i, j) is the address of its first channel, for the
// first `count` channels of which whole vectors may be read but for the last.
template <class T, int size, int points, class Transform, class Pixel>
RAVINE_INLINE void transform_tile(Transform transform, Pixel pixel, std::int64_t channels, T* to,
                                  std::int64_t point_stride) {
  constexpr int n = lanes<T>;
  for (std::int64_t c = 0; c < channels; c += n) {
    const std::int64_t count = channels - c;
    const auto put = [&](int i, int j, Vec<T> value)
                         RAVINE_INLINE_LAMBDA { store(to + (i * points + j) * point_stride + c, value); };
    if (count >= n) {
      transform_square<T, size, points>(
          transform, [&](int i, int j) RAVINE_INLINE_LAMBDA { return load(pixel(i, j) + c); }, put);
    } else {
      transform_square<T, size, points>(
          transform, [&](int i, int j) RAVINE_INLINE_LAMBDA { return load(pixel(i, j) + c, count); }, put);
    }
  }
}

// Transforms `count` channels from `from` on of `tiles` into `to`. What lies outside of the images is 0.
template <class T, int size, int points, class Transform>
[[gnu::noinline]] void transform_tiles(Transform transform, const TiledImages& images, const T* from,
                                       std::int64_t count, Range tiles, T* to,
                                       const TransformedTiles& layout) {
  TilePosition at(images, tiles.begin);
  const std::int64_t row_stride = images.width * images.channels;
  for (std::int64_t tile = tiles.begin; tile < tiles.end;
       ++tile, at.advance(images), to += layout.tile_stride) {
    const std::int64_t y = at.tile_y * images.step - images.pad_y;
    const std::int64_t x = at.tile_x * images.step - images.pad_x;
    const T* const origin = from + (at.image * images.height + y) * row_stride + x * images.channels;
    if (y >= 0 && x >= 0 && y + size <= images.height && x + size <= images.width) {
      transform_tile<T, size, points>(
          transform,
          [&](int i, int j) RAVINE_INLINE_LAMBDA { return origin + i * row_stride + j * images.channels; },
          count, to, layout.point_stride);
      continue;
    }
    for (std::int64_t c = 0; c < count; c += max_block_depth) {  // as long as `zeros` is
      const T* pixels[size][size];
      for (int i = 0; i < size; ++i)
        for (int j = 0; j < size; ++j) {
          const bool inside = static_cast<std::uint64_t>(y + i) < static_cast<std::uint64_t>(images.height) &&
                              static_cast<std::uint64_t>(x + j) < static_cast<std::uint64_t>(images.width);
          pixels[i][j] = inside ? origin + i * row_stride + j * images.channels + c : zeros<T>;
        }
      transform_tile<T, size, points>(
          transform, [&](int i, int j) RAVINE_INLINE_LAMBDA { return pixels[i][j]; },
          smaller(count - c, max_block_depth), to + c, layout.point_stride);
    }
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
