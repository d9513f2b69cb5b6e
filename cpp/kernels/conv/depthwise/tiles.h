// The inner loops of depthwise convolution with as many outputs as inputs: a tile is some positions of a row,
// for all channels, a vector of channels at a time.
#pragma once

#include "kernels/api/conv.h"
#include "kernels/base/vector_loop.h"

namespace ravine::kernels::RAVINE_ISA {

// Positions of a tile: independent sums that hide the latency of a multiply-add.
inline constexpr int depthwise_positions = 8;

// An image that fits no L2 is asked for ahead of its use.
template <class T>
RAVINE_INLINE bool comes_from_memory(const ConvShape& s) {
  constexpr std::int64_t enough = 4 << 20;
  return s.batch * s.height * s.width * s.channels * static_cast<std::int64_t>(sizeof(T)) > enough;
}

// output[position] = the sum over the taps of pixel[position + tap] * weights[tap]. All taps are inside of
// the image. Steps in elements.
template <class T>
struct DepthwiseTile {
  const T* pixel;  // of the first position and the first tap
  std::int64_t pixel_step, tap_y_step, tap_x_step;
  const T* weights;  // of the first tap
  std::int64_t weight_y_step, weight_x_step;
  std::int64_t taps_y, taps_x;
  T* output;
  std::int64_t output_step;
  std::int64_t channels;
  // What the next line of outputs reads first is asked for: so many rows from pixel + ahead on.
  std::int64_t ahead = 0, ahead_rows = 0, row_step = 0;
  bool streams = false;  // whole aligned vectors of output go to memory past the caches
};

template <class T, int positions>
[[gnu::noinline]] void depthwise_tile(const DepthwiseTile<T>& tile) {
  constexpr int n = lanes<T>;
  const std::int64_t pixel_step = tile.pixel_step;
  const auto run = [&](std::int64_t c, auto load_vector, auto store_vector) RAVINE_INLINE_LAMBDA {
    Vec<T> sums[positions];
#pragma GCC unroll 8
    for (int i = 0; i < positions; ++i) sums[i] = Vec<T>{};
    for (std::int64_t row = 0; row < tile.ahead_rows; ++row) {
      const T* const ahead = tile.pixel + tile.ahead + row * tile.row_step + c;
      for (std::int64_t e = 0; e < positions * pixel_step; e += tile.channels) __builtin_prefetch(ahead + e);
    }
    for (std::int64_t ty = 0; ty < tile.taps_y; ++ty) {
      const T* pixel = tile.pixel + ty * tile.tap_y_step + c;
      const T* weights = tile.weights + ty * tile.weight_y_step + c;
      for (std::int64_t tx = 0; tx < tile.taps_x; ++tx) {
        const Vec<T> weight = load_vector(weights);
#pragma GCC unroll 8
        for (int i = 0; i < positions; ++i) sums[i] += load_vector(pixel + i * pixel_step) * weight;
        pixel += tile.tap_x_step;
        weights += tile.weight_x_step;
      }
    }
    T* to = tile.output + c;
#pragma GCC unroll 8
    for (int i = 0; i < positions; ++i, to += tile.output_step) store_vector(to, sums[i]);
  };
  std::int64_t c = 0;
  if (tile.streams) {
    for (; c < tile.channels; c += n)
      run(
          c, [](const T* from) RAVINE_INLINE_LAMBDA { return load(from); },
          [](T* to, Vec<T> value) RAVINE_INLINE_LAMBDA { stream(to, value); });
    return;
  }
  for (; c + n <= tile.channels; c += n)
    run(
        c, [](const T* from) RAVINE_INLINE_LAMBDA { return load(from); },
        [](T* to, Vec<T> value) RAVINE_INLINE_LAMBDA { store(to, value); });
  if (const std::int64_t rest = tile.channels - c; rest > 0)
    run(
        c, [rest](const T* from) RAVINE_INLINE_LAMBDA { return load(from, rest); },
        [rest](T* to, Vec<T> value) RAVINE_INLINE_LAMBDA { store(to, value, rest); });
}

// `positions` of them, the tile's pointers at the first.
template <class T>
void depthwise_positions_of(DepthwiseTile<T> tile, std::int64_t positions) {
  for (; positions >= depthwise_positions; positions -= depthwise_positions) {
    depthwise_tile<T, depthwise_positions>(tile);
    tile.pixel += depthwise_positions * tile.pixel_step;
    tile.output += depthwise_positions * tile.output_step;
  }
  if (positions >= depthwise_positions / 2) {
    depthwise_tile<T, depthwise_positions / 2>(tile);
    tile.pixel += depthwise_positions / 2 * tile.pixel_step;
    tile.output += depthwise_positions / 2 * tile.output_step;
    positions -= depthwise_positions / 2;
  }
  for (; positions > 0; --positions) {
    depthwise_tile<T, 1>(tile);
    tile.pixel += tile.pixel_step;
    tile.output += tile.output_step;
  }
}

// A row of positions 0 <= position < count of which tap t of an axis meets the pixel at first + position *
// position_step + t * tap_step, if that is in [0, extent). Calls f(positions, taps) for runs of positions
// that meet the same taps.
template <class F>
RAVINE_INLINE void for_each_run(std::int64_t count, std::int64_t taps, std::int64_t first,
                                std::int64_t position_step, std::int64_t tap_step, std::int64_t extent, F f) {
  const auto inside = [&](std::int64_t position) {
    Range range{0, taps};
    const auto meets = [&](std::int64_t tap) {
      const std::int64_t at = first + position * position_step + tap * tap_step;
      return at >= 0 && at < extent;
    };
    while (range.begin < range.end && !meets(range.begin)) ++range.begin;
    while (range.end > range.begin && !meets(range.end - 1)) --range.end;
    return range;
  };
  // Positions whose taps are all inside: the pixels of the first and of the last tap are.
  const std::int64_t reach = (taps - 1) * tap_step;
  const std::int64_t low = smaller(first, first + reach), high = larger(first, first + reach);
  const std::int64_t begin = low >= 0 ? 0 : smaller(ceil_div(-low, position_step), count);
  const std::int64_t end =
      high >= extent ? begin : larger(smaller(ceil_div(extent - high, position_step), count), begin);
  for (std::int64_t i = 0; i < begin; ++i) f(Range{i, i + 1}, inside(i));
  if (begin < end) f(Range{begin, end}, Range{0, taps});
  for (std::int64_t i = end; i < count; ++i) f(Range{i, i + 1}, inside(i));
}

// sums[tap] += pixel[position + tap] * grad[position], summed over positions: even ones, odd ones, and both.
template <class T>
struct DepthwiseGradTile {
  const T* pixel;  // of the first position and the first tap
  std::int64_t pixel_step, tap_step;
  const T* grad;
  std::int64_t grad_step, positions;
  T* sums;
  std::int64_t sums_step;
  std::int64_t channels;
};

template <class T, int taps>
[[gnu::noinline]] void depthwise_grad_tile(const DepthwiseGradTile<T>& tile) {
  constexpr int n = lanes<T>;
  const auto run = [&](std::int64_t c, auto load_vector, auto store_vector) RAVINE_INLINE_LAMBDA {
    Vec<T> even[taps], odd[taps];
#pragma GCC unroll 3
    for (int t = 0; t < taps; ++t) {
      even[t] = load_vector(tile.sums + t * tile.sums_step + c);
      odd[t] = Vec<T>{};
    }
    const T *pixel = tile.pixel + c, *grad = tile.grad + c;
    const auto add = [&](Vec<T>(&sums)[taps]) RAVINE_INLINE_LAMBDA {
      const Vec<T> value = load_vector(grad);
#pragma GCC unroll 3
      for (int t = 0; t < taps; ++t) sums[t] += load_vector(pixel + t * tile.tap_step) * value;
      pixel += tile.pixel_step;
      grad += tile.grad_step;
    };
    std::int64_t left = tile.positions;
    for (; left >= 2; left -= 2) {
      add(even);
      add(odd);
    }
    if (left > 0) add(even);
#pragma GCC unroll 3
    for (int t = 0; t < taps; ++t) store_vector(tile.sums + t * tile.sums_step + c, even[t] + odd[t]);
  };
  std::int64_t c = 0;
  for (; c + n <= tile.channels; c += n)
    run(
        c, [](const T* from) RAVINE_INLINE_LAMBDA { return load(from); },
        [](T* to, Vec<T> value) RAVINE_INLINE_LAMBDA { store(to, value); });
  if (const std::int64_t rest = tile.channels - c; rest > 0)
    run(
        c, [rest](const T* from) RAVINE_INLINE_LAMBDA { return load(from, rest); },
        [rest](T* to, Vec<T> value) RAVINE_INLINE_LAMBDA { store(to, value, rest); });
}

// sums[tap_y][tap_x] += pixel * grad over a row of positions, for three taps a row; of which some may lie
// outside of the image at the row's ends.
template <class T>
struct DepthwiseGradRow {
  const T* pixel;  // of position 0 and the first tap, inside or not
  std::int64_t pixel_step, tap_y_step, tap_x_step;
  const T* grad;
  std::int64_t positions;
  Range inside;               // positions whose taps are all inside
  std::int64_t x, x_step;     // where tap 0 of position 0 falls, and from position to position
  std::int64_t tap_x, width;  // columns from tap to tap, and of the image
  T* sums;
  std::int64_t channels;
  std::int64_t pixel_ahead, grad_ahead;  // from what is read to what the next line will
};

template <class T, int taps_y>
[[gnu::noinline]] void depthwise_grad_row(const DepthwiseGradRow<T>& row) {
  constexpr int n = lanes<T>;
  const auto run = [&](std::int64_t c, auto load_vector, auto store_vector) RAVINE_INLINE_LAMBDA {
    Vec<T> sums[taps_y][3];
#pragma GCC unroll 3
    for (int ty = 0; ty < taps_y; ++ty)
#pragma GCC unroll 3
      for (int tx = 0; tx < 3; ++tx) sums[ty][tx] = load_vector(row.sums + (ty * 3 + tx) * row.channels + c);
    const auto add_at_border = [&](std::int64_t first, std::int64_t last) RAVINE_INLINE_LAMBDA {
      for (std::int64_t i = first; i < last; ++i) {
        const Vec<T> value = load_vector(row.grad + i * row.channels + c);
        const T* const pixel = row.pixel + i * row.pixel_step + c;
#pragma GCC unroll 3
        for (int tx = 0; tx < 3; ++tx) {
          const std::int64_t x = row.x + i * row.x_step + tx * row.tap_x;
          if (x < 0 || x >= row.width) continue;
#pragma GCC unroll 3
          for (int ty = 0; ty < taps_y; ++ty)
            sums[ty][tx] += load_vector(pixel + ty * row.tap_y_step + tx * row.tap_x_step) * value;
        }
      }
    };
    add_at_border(0, row.inside.begin);
    const T* pixel = row.pixel + row.inside.begin * row.pixel_step + c;
    const T* grad = row.grad + row.inside.begin * row.channels + c;
    for (std::int64_t i = row.inside.size(); i > 0; --i, pixel += row.pixel_step, grad += row.channels) {
      __builtin_prefetch(pixel + row.pixel_ahead);
      __builtin_prefetch(grad + row.grad_ahead);
      const Vec<T> value = load_vector(grad);
#pragma GCC unroll 3
      for (int ty = 0; ty < taps_y; ++ty)
#pragma GCC unroll 3
        for (int tx = 0; tx < 3; ++tx)
          sums[ty][tx] += load_vector(pixel + ty * row.tap_y_step + tx * row.tap_x_step) * value;
    }
    add_at_border(row.inside.end, row.positions);
#pragma GCC unroll 3
    for (int ty = 0; ty < taps_y; ++ty)
#pragma GCC unroll 3
      for (int tx = 0; tx < 3; ++tx) store_vector(row.sums + (ty * 3 + tx) * row.channels + c, sums[ty][tx]);
  };
  std::int64_t c = 0;
  for (; c + n <= row.channels; c += n)
    run(
        c, [](const T* from) RAVINE_INLINE_LAMBDA { return load(from); },
        [](T* to, Vec<T> value) RAVINE_INLINE_LAMBDA { store(to, value); });
  if (const std::int64_t rest = row.channels - c; rest > 0)
    run(
        c, [rest](const T* from) RAVINE_INLINE_LAMBDA { return load(from, rest); },
        [rest](T* to, Vec<T> value) RAVINE_INLINE_LAMBDA { store(to, value, rest); });
}

}  // namespace ravine::kernels::RAVINE_ISA
