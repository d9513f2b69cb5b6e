// What follows the products of a block of tiles: the transform to the outputs, and the epilogue.
#pragma once

#include "kernels/conv/winograd/plan.h"
#include "kernels/norm/statistics.h"
#include "kernels/tile/elementwise.h"

namespace ravine::kernels::RAVINE_ISA::winograd {

// The outputs of a block's tiles from their products; finish(values, their place, column, count) is stored.
template <class F, class Finish>
void transform_products(const Problem& p, const Plan<F>& plan, const T* products, Range tiles, Range columns,
                        const Finish& finish) {
  constexpr int points = F::points, outputs = F::outputs;
  const std::int64_t line = p.out_width * p.out_channels;
  const std::int64_t row = p.images.dilation_y * line, pixel = p.images.dilation_x * p.out_channels;
  TilePosition at(p.images, tiles.begin);
  for (std::int64_t tile = tiles.begin; tile < tiles.end; ++tile, at.advance(p.images)) {
    const T* const from = products + (tile - tiles.begin) * plan.product_row;
    const std::int64_t y = first_of_tile(at.tile_y, outputs, p.images.dilation_y);
    const std::int64_t x = first_of_tile(at.tile_x, outputs, p.images.dilation_x);
    T* const to = p.output + (at.image * p.out_height + y) * line + x * p.out_channels;
    const bool whole = y + (outputs - 1) * p.images.dilation_y < p.out_height &&
                       x + (outputs - 1) * p.images.dilation_x < p.out_width;
    for (std::int64_t j = columns.begin; j < columns.end; j += n_lanes) {
      const std::int64_t count = columns.end - j;
      const auto product = [&](int v, auto& column) RAVINE_INLINE_LAMBDA {
        const T* const first = opaque(from + v * plan.product_point + (j - columns.begin));
#pragma GCC unroll 9
        for (int u = 0; u < points; ++u) column[u] = load(first + u * points * plan.product_point);
      };
      const auto transform = [](const auto& m, auto& result) RAVINE_INLINE_LAMBDA { F::output(m, result); };
      if (whole && count >= n_lanes) {
        transform_square<T, points, outputs>(transform, product,
                                             [&](int u, const auto& values) RAVINE_INLINE_LAMBDA {
                                               T* const first = opaque(to + F::place(u) * row + j);
#pragma GCC unroll 8
                                               for (int v = 0; v < outputs; ++v) {
                                                 T* const at = first + F::place(v) * pixel;
                                                 store(at, finish(values[v], at, j, All{}));
                                               }
                                             });
      } else {
        transform_square<T, points, outputs>(
            transform, product, [&](int u, const auto& values) RAVINE_INLINE_LAMBDA {
              if (y + F::place(u) * p.images.dilation_y >= p.out_height) return;
#pragma GCC unroll 8
              for (int v = 0; v < outputs; ++v) {
                if (x + F::place(v) * p.images.dilation_x >= p.out_width) continue;
                T* const at = to + F::place(u) * row + F::place(v) * pixel + j;
                const std::int64_t stored = smaller(count, n_lanes);
                store(at, finish(values[v], at, j, stored), stored);
              }
            });
      }
    }
  }
}

// Whether a convolution by this filtering can pool windows of 2x2 outputs.
template <class F>
inline constexpr bool can_pool = F::outputs == F::step&& F::outputs % 2 == 0;

// The same, of the maxima of windows of 2x2 outputs. Rows of a tile come with the upper of a window's first.
template <class F, class Finish>
void transform_pooled(const Problem& p, const Plan<F>& plan, const T* products, Range tiles, Range columns,
                      const Finish& finish) {
  constexpr int points = F::points, outputs = F::outputs, windows = outputs / 2;
  const std::int64_t height = p.out_height / 2, width = p.out_width / 2, line = width * p.out_channels;
  TilePosition at(p.images, tiles.begin);
  for (std::int64_t tile = tiles.begin; tile < tiles.end; ++tile, at.advance(p.images)) {
    const T* const from = products + (tile - tiles.begin) * plan.product_row;
    const std::int64_t rows = height - at.tile_y * windows, pixels = width - at.tile_x * windows;
    T* const to =
        p.output + (at.image * height + at.tile_y * windows) * line + at.tile_x * windows * p.out_channels;
    for (std::int64_t j = columns.begin; j < columns.end; j += n_lanes) {
      const std::int64_t count = smaller(columns.end - j, n_lanes);
      Vec<T> upper[windows][windows];
      transform_square<T, points, outputs>(
          [](const auto& m, auto& result) RAVINE_INLINE_LAMBDA { F::output(m, result); },
          [&](int v, auto& column) RAVINE_INLINE_LAMBDA {
            const T* const first = opaque(from + v * plan.product_point + (j - columns.begin));
#pragma GCC unroll 6
            for (int u = 0; u < points; ++u) column[u] = load(first + u * points * plan.product_point);
          },
          [&](int u, const auto& values) RAVINE_INLINE_LAMBDA {
#pragma GCC unroll 2
            for (int v = 0; v < windows; ++v) {
              const Vec<T> pair = larger_of(values[2 * v], values[2 * v + 1]);
              if (u % 2 == 0) {
                upper[u / 2][v] = pair;
              } else if (u / 2 < rows && v < pixels) {
                T* const place = to + u / 2 * line + v * p.out_channels + j;
                const Vec<T> best = larger_of(upper[u / 2][v], pair);
                if (count == n_lanes) store(place, finish(best, place, j, All{}));
                else store(place, finish(best, place, j, count), count);
              }
            }
          });
    }
  }
}

template <class F>
void compute_outputs(const Problem& p, const Plan<F>& plan, const T* products, Range tiles, Range columns) {
  if constexpr (can_pool<F>)
    if (p.pool > 1) {
      if (p.summed) transform_pooled(p, plan, products, tiles, columns, Summed<T, false>(p.sum));
      else transform_pooled(p, plan, products, tiles, columns, AsComputed<T>{});
      return;
    }
  if (!p.summed) transform_products(p, plan, products, tiles, columns, AsComputed<T>{});
  else if (p.sum.whole == nullptr)
    transform_products(p, plan, products, tiles, columns, Summed<T, false>(p.sum));
  else transform_products(p, plan, products, tiles, columns, Summed<T, true>(p.sum));
}

// Runs the epilogue where a block's outputs are complete; a block is a piece of the statistics.
template <class F>
void complete(const Problem& p, const Plan<F>& plan, std::int64_t block, Range tiles, Range columns) {
  if (p.epilogue == nullptr && p.statistics == nullptr) return;
  const std::int64_t outputs = F::outputs / p.pool;  // of a tile, as they are stored
  const std::int64_t out_height = p.out_height / p.pool, out_width = p.out_width / p.pool;
  std::int64_t gathered = 0;  // rows
  const auto run = [&](std::int64_t first, std::int64_t last) {
    if (p.epilogue != nullptr)
      run_epilogue(*p.epilogue, p.output + first * p.out_channels + columns.begin, p.out_channels, first,
                   last - first, columns.begin, columns.size());
    gather_statistics<T>(p.statistics, block, gathered, {first, last}, columns);
    gathered += last - first;
  };
  if (tiles.size() <= 0) return gather_statistics<T>(p.statistics, block, 0, {0, 0}, columns);
  const TilePosition begin(p.images, tiles.begin), last(p.images, tiles.end - 1);
  const std::int64_t dilation_y = p.images.dilation_y, dilation_x = p.images.dilation_x;
  if (plan.row_parts == 1 && dilation_y == 1) {  // whole rows of tiles: their outputs follow each other
    const auto line = [&](const TilePosition& at, std::int64_t y) {
      return at.image * out_height + smaller(at.tile_y * outputs + y, out_height);
    };
    run(line(begin, 0) * out_width, line(last, outputs) * out_width);
    return;
  }
  // Row by row of tiles: whole lines, or a part, in which every dilation_x-th output may be of other tiles.
  TilePosition at = begin;
  for (std::int64_t tile = tiles.begin; tile < tiles.end;) {
    const std::int64_t count = smaller(p.images.tiles_x - at.tile_x, tiles.end - tile);
    const std::int64_t y = first_of_tile(at.tile_y, outputs, dilation_y);
    for (std::int64_t i = 0; i < outputs && y + i * dilation_y < out_height; ++i) {
      const std::int64_t first = (at.image * out_height + y + i * dilation_y) * out_width;
      if (count == p.images.tiles_x) {
        run(first, first + out_width);
      } else if (dilation_x == 1) {
        run(first + at.tile_x * outputs, first + smaller((at.tile_x + count) * outputs, out_width));
      } else {
        for (std::int64_t t = at.tile_x; t < at.tile_x + count; ++t)
          for (std::int64_t v = 0; v < outputs; ++v) {
            const std::int64_t x = first_of_tile(t, outputs, dilation_x) + v * dilation_x;
            if (x < out_width) run(first + x, first + x + 1);
          }
      }
    }
    tile += count;
    at = TilePosition(p.images, tile);
  }
}

}  // namespace ravine::kernels::RAVINE_ISA::winograd
