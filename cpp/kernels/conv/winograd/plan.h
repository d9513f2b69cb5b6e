// A Winograd convolution as both of its passes see it, and how it is cut up.
#pragma once

#include "kernels/api/conv.h"
#include "kernels/base/scratch.h"
#include "kernels/conv/winograd/product.h"
#include "kernels/conv/winograd/tiles.h"
#include "kernels/tile/sum_epilogue.h"

namespace ravine::kernels::RAVINE_ISA::winograd {

using T = float;
constexpr std::int64_t n_lanes = lanes<T>;
constexpr std::int64_t scratch_elements = scratch_bytes / sizeof(T);
// Rows of points lie this much more than their size apart, lest all points of a tile share a set of the
// caches.
constexpr std::int64_t stagger = n_lanes;
// A panel of the transformed filter this deep stays in L1.
constexpr std::int64_t product_depth = 128;
constexpr std::int64_t max_block_columns = 64;

// A convolution as both passes see it.
struct Problem {
  TiledImages images;
  std::int64_t groups;
  std::int64_t batch, out_height, out_width, out_channels;
  const T *input, *filter;
  bool turned;       // the filter, for the gradient to the input
  bool transformed;  // the filter is as transform_filter leaves it
  const T* scale;    // of the filter, for each of its output channels, or null
  T* output;
  const TileProgram* epilogue;
  const ColumnStatistics* statistics;
  T* workspace;
  std::int64_t pool = 1;  // the output has the maxima of windows of this size
  bool backwards = false;
  bool summed = false;  // the epilogue is `sum`, of the output in place
  SumEpilogue<T> sum{};

  void find_sum() {
    summed = epilogue != nullptr && is_sum(*epilogue, out_channels, sum) && sum.output == output;
    if (pool > 1 && sum.whole != nullptr) summed = false;
    if (summed) epilogue = nullptr;
  }
};

template <class F>
Problem problem_of(const ConvForwardArgs& args) {
  const ConvShape& s = args.shape;
  const TiledImages images{s.height,
                           s.width,
                           s.channels,
                           tiles_of(s.out_height, F::outputs, s.dilation_h),
                           tiles_of(s.out_width, F::outputs, s.dilation_w),
                           s.pad_h,
                           s.pad_w,
                           s.dilation_h,
                           s.dilation_w};
  return {images,
          s.groups,
          s.batch,
          s.out_height,
          s.out_width,
          s.out_channels,
          static_cast<const T*>(args.input),
          static_cast<const T*>(args.filter),
          false,
          args.filter_is_transformed,
          nullptr,
          static_cast<T*>(args.output),
          args.epilogue,
          args.statistics,
          static_cast<T*>(args.workspace),
          args.pool,
          args.backwards};
}
template <class F>
Problem problem_of(const ConvGradInputArgs& args) {
  const ConvShape& s = args.shape;
  // Of a strided convolution's tile the first pixel meets the first of its outputs by the middle tap.
  const bool strided = s.stride_h > 1;
  const TiledImages images{s.out_height,
                           s.out_width,
                           s.out_channels,
                           tiles_of(s.height, F::outputs, s.dilation_h),
                           tiles_of(s.width, F::outputs, s.dilation_w),
                           strided ? 0 : (s.kernel_h - 1) * s.dilation_h - s.pad_h,
                           strided ? 0 : (s.kernel_w - 1) * s.dilation_w - s.pad_w,
                           s.dilation_h,
                           s.dilation_w};
  return {images,
          s.groups,
          s.batch,
          s.height,
          s.width,
          s.channels,
          static_cast<const T*>(args.grad_output),
          static_cast<const T*>(args.filter),
          true,
          false,
          nullptr,
          static_cast<T*>(args.grad_input),
          args.epilogue,
          nullptr,
          static_cast<T*>(args.workspace)};
}
// A convolution of no images that has the filter.
template <class F>
Problem problem_of(const WinogradFilterArgs& args) {
  Problem p{};
  p.images.channels = args.channels * args.groups;
  p.groups = args.groups;
  p.out_channels = args.out_channels;
  p.filter = static_cast<const T*>(args.filter);
  p.transformed = true;
  p.scale = static_cast<const T*>(args.scale);
  return p;
}

// The panels of vectors of columns (output channels) that a group's transformed filter lies in.
struct FilterPanels {
  std::int64_t channels, columns;       // of a group
  std::int64_t vectors, panel_vectors;  // of a group's columns

  // Of the panel that begins at a vector of columns.
  std::int64_t panel_width(std::int64_t vector) const {
    return smaller(panel_vectors, vectors - vector) * n_lanes;
  }
};

// How a problem is cut up, by its shape alone.
template <class F>
struct Plan : FilterPanels {
  static constexpr int points = F::points, all_points = points * points;
  static constexpr int filter_points = F::filter_points * F::filter_points;

  std::int64_t groups, tiles;
  std::int64_t block_columns, column_blocks;  // whole panels, blocks of a group
  std::int64_t block_tiles, blocks;           // at most block_tiles each
  std::int64_t row_parts, block_rows;         // parts of a row of tiles, or rows of tiles, in a block
  bool shared;                                // transformed pixels go to the workspace
  bool fresh;                                 // the filter is transformed where it is used, once
  std::int64_t runs;                          // of product_depth channels
  std::int64_t wave_blocks, buffers;
  TransformedTiles pixels;                  // of a block
  std::int64_t product_row, product_point;  // strides of a block's products

  [[gnu::noinline]] explicit Plan(const Problem& p) {
    groups = p.groups;
    channels = p.images.channels / groups;
    columns = p.out_channels / groups;
    const std::int64_t tile_rows = p.batch * p.images.tiles_y, tiles_x = p.images.tiles_x;
    tiles = tile_rows * tiles_x;
    vectors = ceil_div(columns, n_lanes);
    runs = larger(ceil_div(channels, product_depth), 1);

    // Few tiles use a large filter once: it is then transformed part by part into L2 and never to memory.
    constexpr std::int64_t room = scratch_elements / all_points - 2 * stagger, large = 1 << 20;
    constexpr std::int64_t fresh_vectors = smaller(product_vectors, 2);
    const std::int64_t transformed_elements = filter_points * channels * vectors * n_lanes;
    fresh = !p.transformed && groups == 1 && tiles <= room / (fresh_vectors * n_lanes) - product_depth &&
            transformed_elements > large;
    const std::int64_t panels = ceil_div(vectors, fresh ? fresh_vectors : product_vectors);
    panel_vectors = ceil_div(vectors, larger(panels, 1));
    const std::int64_t panel = larger(panel_vectors, 1) * n_lanes;
    block_columns = fresh ? panel : smaller(larger(max_block_columns / panel, 1) * panel, vectors * n_lanes);
    column_blocks = ceil_div(columns, larger(block_columns, 1));

    // Of few points many tiles fit; but a block that fills L2 leaves no room for the filter, and shared
    // pixels go over a large filter less often.
    constexpr std::int64_t least = points == 9 ? 16 : points == 5 ? 24 : 32;
    const std::int64_t tile_elements = round_up(p.images.channels, n_lanes);
    std::int64_t cap = room / larger(tile_elements + block_columns, 1);
    shared = fresh || cap < least || (points == 5 && groups == 1 && transformed_elements > large);
    const std::int64_t most = points == 5 && !shared ? 24 : points > 5 ? 48 : 96;
    if (shared) cap = room / larger(block_columns, 1);
    constexpr std::int64_t fewest = 12, tasks = 16;  // blocks small enough for a team
    cap = fresh
              ? tiles
              : smaller(smaller(cap, most), larger(fewest, ceil_div(tiles * groups * column_blocks, tasks)));
    row_parts = block_rows = 1;
    if (tiles == 0) {
      block_tiles = blocks = 0;
    } else if (tiles_x > cap) {
      row_parts = ceil_div(tiles_x, cap);
      block_tiles = ceil_div(tiles_x, row_parts);
      blocks = tile_rows * row_parts;
    } else {
      block_rows = ceil_div(tile_rows, ceil_div(tile_rows, cap / tiles_x));
      block_tiles = block_rows * tiles_x;
      blocks = ceil_div(tile_rows, block_rows);
    }
    pixels = {tile_elements, block_tiles * tile_elements + stagger};
    product_row = block_columns;
    product_point = block_tiles * product_row + stagger;

    constexpr std::int64_t one_wave = 4 << 20, wave = 1 << 20;  // elements of transformed pixels
    wave_blocks = blocks;
    buffers = 1;
    if (shared && blocks * pixel_elements() > one_wave) {
      wave_blocks = smaller(larger(wave / pixel_elements(), 4), blocks);
      buffers = 2;
    }
  }

  std::int64_t pixel_elements() const { return all_points * pixels.point_stride; }  // of a block
  // Of the products of so many tiles and columns of a group at one point.
  std::int64_t steps(std::int64_t n_tiles, std::int64_t n_columns) const {
    return ceil_div(n_columns, panel_vectors * n_lanes) * product_steps(n_tiles, panel_vectors, channels);
  }
  // The transformed filter is [group][run][panel][point][channel][column].
  std::int64_t panel_elements() const {
    return filter_points * (smaller(channels, product_depth) * panel_vectors * n_lanes + stagger);
  }
  std::int64_t run_elements() const { return ceil_div(vectors, larger(panel_vectors, 1)) * panel_elements(); }
  std::int64_t group_elements() const { return runs * run_elements(); }
  std::int64_t filter_elements() const { return fresh ? 0 : groups * group_elements(); }
  // The workspace holds the filter, unless it is there already, and shared pixels behind it.
  std::int64_t pixels_begin(const Problem& p) const { return p.transformed ? 0 : filter_elements(); }
  std::int64_t workspace_elements(const Problem& p) const {
    return pixels_begin(p) + (shared ? buffers * wave_blocks * pixel_elements() : 0);
  }
  Range tiles_of(const TiledImages& images, std::int64_t block) const {
    if (row_parts == 1) return {block * block_tiles, smaller((block + 1) * block_tiles, tiles)};
    const std::int64_t row = block / row_parts, part = block % row_parts, first = row * images.tiles_x;
    return {first + smaller(part * block_tiles, images.tiles_x),
            first + smaller((part + 1) * block_tiles, images.tiles_x)};
  }

  Range channels_of(std::int64_t run) const {
    return {run * product_depth, smaller((run + 1) * product_depth, channels)};
  }
};

}  // namespace ravine::kernels::RAVINE_ISA::winograd
