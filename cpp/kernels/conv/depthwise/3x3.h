// Depthwise convolution by 3x3 with stride 1 or 2 and as many outputs as inputs. A block is two lines (or
// one) of four positions, a vector of channels at a time: a pixel is loaded once for all taps that meet it.
// Every output's sum runs over its taps in order, whichever block it falls to.
#pragma once

#include "kernels/api/conv.h"
#include "kernels/base/vector_loop.h"

namespace ravine::kernels::RAVINE_ISA {

inline constexpr int block_3x3_positions = 4;

template <class T>
struct DepthwiseBlock {
  const T* pixel;  // of the first position and the first tap, inside of the image or not
  std::int64_t row_step;
  Range inside_y, inside_x;  // of the block's pixels, those inside of the image
  const T* weights;          // [3][3][channels], from the first tap on
  std::int64_t weight_step;
  T* output;
  std::int64_t output_row_step;
  std::int64_t channels;
  std::int64_t ahead_rows;  // so many rows below the block's pixels are asked for, for the next lines
};

template <class T, int stride, int lines, bool at_border>
[[gnu::noinline]] void depthwise_block(const DepthwiseBlock<T>& block) {
  constexpr int n = lanes<T>, positions = block_3x3_positions;
  constexpr int height = (lines - 1) * stride + 3, width = (positions - 1) * stride + 3;
  const auto run = [&](std::int64_t c, auto load_vector, auto store_vector) RAVINE_INLINE_LAMBDA {
    Vec<T> weights[9];
#pragma GCC unroll 9
    for (int tap = 0; tap < 9; ++tap) weights[tap] = load_vector(block.weights + tap * block.weight_step + c);
    for (std::int64_t y = 0; y < block.ahead_rows; ++y) {
      const T* const ahead = block.pixel + (height + y) * block.row_step + c;
#pragma GCC unroll 8
      for (int x = 0; x < positions * stride; ++x) __builtin_prefetch(ahead + x * block.channels);
    }
    Vec<T> sums[lines][positions];
#pragma GCC unroll 2
    for (int line = 0; line < lines; ++line)
#pragma GCC unroll 4
      for (int i = 0; i < positions; ++i) sums[line][i] = Vec<T>{};
#pragma GCC unroll 5
    for (int y = 0; y < height; ++y) {
      if (at_border && (y < block.inside_y.begin || y >= block.inside_y.end)) continue;
      const T* const row = block.pixel + y * block.row_step + c;
#pragma GCC unroll 9
      for (int x = 0; x < width; ++x) {
        if (at_border && (x < block.inside_x.begin || x >= block.inside_x.end)) continue;
        const Vec<T> pixel = load_vector(row + x * block.channels);
#pragma GCC unroll 2
        for (int line = 0; line < lines; ++line) {
          const int tap_y = y - line * stride;
#pragma GCC unroll 4
          for (int i = 0; i < positions; ++i) {
            const int tap_x = x - i * stride;
            if (tap_y >= 0 && tap_y < 3 && tap_x >= 0 && tap_x < 3)
              sums[line][i] += pixel * weights[tap_y * 3 + tap_x];
          }
        }
      }
    }
#pragma GCC unroll 2
    for (int line = 0; line < lines; ++line)
#pragma GCC unroll 4
      for (int i = 0; i < positions; ++i)
        store_vector(block.output + line * block.output_row_step + i * block.channels + c, sums[line][i]);
  };
  std::int64_t c = 0;
  for (; c + n <= block.channels; c += n)
    run(
        c, [](const T* from) RAVINE_INLINE_LAMBDA { return load(from); },
        [](T* to, Vec<T> value) RAVINE_INLINE_LAMBDA { store(to, value); });
  if (const std::int64_t rest = block.channels - c; rest > 0)
    run(
        c, [rest](const T* from) RAVINE_INLINE_LAMBDA { return load(from, rest); },
        [rest](T* to, Vec<T> value) RAVINE_INLINE_LAMBDA { store(to, value, rest); });
}

// A convolution as both passes that use these blocks see it.
template <class T>
struct Depthwise3x3 {
  ConvShape shape;   // with padding of either sign
  const T* input;    // [batch][height][width][channels]
  T* output;         // [batch][out_height][out_width][channels]
  const T* weights;  // [3][3][channels], from the first tap on
  std::int64_t weight_step;
  bool from_memory;  // the input is no longer in the caches
};

// `lines` lines of outputs of one image, from `line` on, of those of all images.
template <int stride, int lines, class T>
void depthwise_3x3_lines_of(const Depthwise3x3<T>& conv, std::int64_t line) {
  const ConvShape& s = conv.shape;
  constexpr int height = (lines - 1) * stride + 3, width = (block_3x3_positions - 1) * stride + 3;
  const auto inside = [](std::int64_t first, std::int64_t size, std::int64_t extent) RAVINE_INLINE_LAMBDA {
    return Range{smaller(larger(-first, 0), size), larger(smaller(extent - first, size), 0)};
  };
  const std::int64_t sample = line / s.out_height;
  const std::int64_t y = line % s.out_height * stride - s.pad_h;
  DepthwiseBlock<T> block;
  block.row_step = s.width * s.channels;
  block.inside_y = inside(y, height, s.height);
  block.weights = conv.weights;
  block.weight_step = conv.weight_step;
  block.output_row_step = s.out_width * s.channels;
  block.channels = s.channels;
  block.ahead_rows =
      conv.from_memory && y >= 0 ? larger(smaller(lines * stride, s.height - y - height), 0) : 0;
  for (std::int64_t i = 0; i < s.out_width; i += block_3x3_positions) {
    // The last block may compute again what the one before has.
    const std::int64_t first = smaller(i, s.out_width - block_3x3_positions);
    const std::int64_t x = first * stride - s.pad_w;
    block.inside_x = inside(x, width, s.width);
    block.pixel = conv.input + ((sample * s.height + y) * s.width + x) * s.channels;
    block.output = conv.output + (line * s.out_width + first) * s.channels;
    if (block.inside_y.size() == height && block.inside_x.size() == width)
      depthwise_block<T, stride, lines, false>(block);
    else depthwise_block<T, stride, lines, true>(block);
  }
}

// The lines of all images in this range; then done(line, lines) for each one or two of them.
template <int stride, class T, class Done>
void depthwise_3x3_lines(const Depthwise3x3<T>& conv, Range range, Done done) {
  for (std::int64_t line = range.begin; line < range.end;) {
    const bool two = line + 1 < range.end && (line + 1) % conv.shape.out_height != 0;
    if (two) depthwise_3x3_lines_of<stride, 2>(conv, line);
    else depthwise_3x3_lines_of<stride, 1>(conv, line);
    done(line, std::int64_t{two ? 2 : 1});
    line += two ? 2 : 1;
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
