// Windows over NHWC images, for pooling: a pixel's channels are the lanes. Gradients gather per input pixel,
// so that every element is written once and its windows add in the order of the output.
#pragma once

#include "kernels/api/pool.h"
#include "kernels/base/vector_loop.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

inline constexpr std::int64_t channel_block =
    256;  // a thread's share of a pixel row, so that few rows still divide well

// One axis of the windows.
struct Axis {
  std::int64_t in, out, kernel, stride, pad, dilation;
  bool adaptive;
};

RAVINE_INLINE Axis rows_of(const PoolShape& s) {
  return {s.height, s.out_height, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h, s.adaptive};
}
RAVINE_INLINE Axis columns_of(const PoolShape& s) {
  return {s.width, s.out_width, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w, s.adaptive};
}

// Input positions first, first + dilation, ... (count of them lie in the image, after `skipped` in the
// padding); `padded` counts those in the padding as well, up to in + pad.
struct Window {
  std::int64_t first, count, dilation, padded, skipped;
};

RAVINE_INLINE Window window_of(const Axis& axis, std::int64_t output) {
  if (axis.adaptive) {
    const std::int64_t begin = output * axis.in / axis.out, end = ceil_div((output + 1) * axis.in, axis.out);
    return {begin, end - begin, 1, end - begin, 0};
  }
  const std::int64_t start = output * axis.stride - axis.pad;
  // How many of the positions start, start + dilation, ... come before start + length.
  const auto positions = [&](std::int64_t length) {
    return length <= 0 ? 0 : axis.dilation == 1 ? length : ceil_div(length, axis.dilation);
  };
  const std::int64_t skipped = positions(-start);
  const std::int64_t until_in = positions(axis.in - start), until_pad = positions(axis.in + axis.pad - start);
  const std::int64_t end = smaller(axis.kernel, until_in);
  return {start + skipped * axis.dilation, larger(0, end - skipped), axis.dilation,
          smaller(axis.kernel, until_pad), skipped};
}

// Outputs [begin, end) whose windows may reach this input position; with a dilation not all of them do.
struct Reach {
  std::int64_t begin, end;
};

RAVINE_INLINE Reach reach_of(const Axis& axis, std::int64_t input) {
  if (axis.adaptive) return {input * axis.out / axis.in, ceil_div((input + 1) * axis.out, axis.in)};
  const std::int64_t last = input + axis.pad, lowest = last - (axis.kernel - 1) * axis.dilation;
  return {lowest <= 0 ? 0 : ceil_div(lowest, axis.stride), smaller(axis.out, last / axis.stride + 1)};
}

RAVINE_INLINE bool reaches(const Axis& axis, std::int64_t output, std::int64_t input) {
  return axis.adaptive || axis.dilation == 1 ||
         (input + axis.pad - output * axis.stride) % axis.dilation == 0;
}

// The windows that reach an input position: outputs begin, begin + step, ... before end, which see it as
// their tap number `tap`, tap - tap_step, ...
struct Taps {
  std::int64_t begin, end, step, tap, tap_step;
  RAVINE_INLINE std::int64_t count() const {
    return begin >= end ? 0 : step == 1 ? end - begin : ceil_div(end - begin, step);
  }
};

RAVINE_INLINE Taps taps_of(const Axis& axis, std::int64_t input) {
  const Reach reach = reach_of(axis, input);
  Taps taps{reach.begin, reach.end, 1, input + axis.pad - reach.begin * axis.stride, axis.stride};
  if (axis.dilation == 1) return taps;
  while (taps.begin < taps.end && !reaches(axis, taps.begin, input)) ++taps.begin;
  while (taps.step * axis.stride % axis.dilation != 0) ++taps.step;
  taps.tap = (input + axis.pad - taps.begin * axis.stride) / axis.dilation;
  taps.tap_step = taps.step * axis.stride / axis.dilation;
  return taps;
}

RAVINE_INLINE std::int64_t divisor_of(const PoolShape& s, const Window& rows, const Window& columns) {
  return s.count_include_pad ? rows.padded * columns.padded : rows.count * columns.count;
}

// ---- lanes

// A pixel is worked on by vectors, or, if it has very few channels, one by one; a formula below is written
// once and takes its lanes from V: Vec<T> or T. The index of a lane is as wide as its value.

template <class T>
struct IndexOf {
  using type = std::int64_t;
};
template <>
struct IndexOf<float> {
  using type = std::int32_t;
};
template <class T>
using Index = typename IndexOf<T>::type;

template <class T>
struct VectorLanes {
  using Value = Vec<T>;
  using Numbers = Vec<Index<T>>;
  static constexpr std::int64_t width = lanes<T>;
  static constexpr bool is_float = sizeof(T) == 4;
  template <class Count>
  RAVINE_INLINE static Value get(const T* from, Count n) {
    return load(from, n);
  }
  template <class Count>
  RAVINE_INLINE static void put(T* to, Value value, Count n) {
    store(to, value, n);
  }
  RAVINE_INLINE static Value every(T value) { return splat(value); }
  // x, and its number, in place of the best so far where it is larger, or the first NaN.
  RAVINE_INLINE static void take_larger(Value x, Numbers number, Value& best, Numbers& where) {
#if defined(__AVX512F__)  // GCC 12 takes masks through vectors
    if constexpr (is_float) {
      const __mmask16 wins =
          _kand_mask16(_mm512_cmp_ps_mask(x, best, _CMP_NLE_UQ), _mm512_cmp_ps_mask(best, best, _CMP_ORD_Q));
      best = _mm512_mask_mov_ps(best, wins, x);
      where = (Numbers)_mm512_mask_mov_epi32((__m512i)where, wins, (__m512i)number);
      return;
    }
#endif
    const auto wins = ~(x <= best) & (best == best);
    best = wins ? x : best;
    where = wins ? number : where;
  }
  RAVINE_INLINE static Numbers every_number(std::int64_t value) {
    return splat(static_cast<Index<T>>(value));
  }
  // Indices lie in memory as int64: two vectors for one of int32.
  template <class Count>
  RAVINE_INLINE static void put_numbers(std::int64_t* to, Numbers numbers, Count n) {
    if constexpr (is_float) {
      VecN<Index<T>, width / 2> low, high;
      split(numbers, low, high);
      store(to, convert<std::int64_t>(low), first_half(n));
      store(to + width / 2, convert<std::int64_t>(high), second_half(n));
    } else {
      store(to, numbers, n);
    }
  }
  template <class Count>
  RAVINE_INLINE static Numbers get_numbers(const std::int64_t* from, Count n) {
    if constexpr (is_float)
      return join<Numbers>(convert<Index<T>>(load(from, first_half(n))),
                           convert<Index<T>>(load(from + width / 2, second_half(n))));
    else return load(from, n);
  }
  // Offsets as bytes.
  template <class Count>
  RAVINE_INLINE static void put_numbers(std::uint8_t* to, Numbers numbers, Count n) {
    const Bytes bytes = convert<std::uint8_t>(numbers);
    std::memcpy(to, &bytes, count_of(n));
  }
  template <class Count>
  RAVINE_INLINE static Numbers get_numbers(const std::uint8_t* from, Count n) {
    Bytes bytes{};
    std::memcpy(&bytes, from, count_of(n));
    return convert<Index<T>>(bytes);
  }
  // body(channel, count) for the channels [begin, end).
  template <class Body>
  RAVINE_INLINE static void for_each(std::int64_t begin, std::int64_t end, Body body) {
    for_each_vector<T>(end - begin, [&](std::int64_t i, auto n) { body(begin + i, n); });
  }

 private:
  using Bytes = VecN<std::uint8_t, width>;
  RAVINE_INLINE static constexpr std::size_t count_of(All) { return width; }
  RAVINE_INLINE static std::size_t count_of(std::int64_t n) { return static_cast<std::size_t>(n); }
  RAVINE_INLINE static All first_half(All) { return {}; }
  RAVINE_INLINE static All second_half(All) { return {}; }
  RAVINE_INLINE static std::int64_t first_half(std::int64_t n) { return smaller(n, width / 2); }
  RAVINE_INLINE static std::int64_t second_half(std::int64_t n) { return larger(n - width / 2, 0); }
};

template <class T>
struct ScalarLanes {
  using Value = T;
  using Numbers = Index<T>;
  RAVINE_INLINE static Value get(const T* from, All) { return *from; }
  RAVINE_INLINE static void put(T* to, Value value, All) { *to = value; }
  RAVINE_INLINE static Value every(T value) { return value; }
  RAVINE_INLINE static void take_larger(Value x, Numbers number, Value& best, Numbers& where) {
    if (x <= best || best != best) return;
    best = x;
    where = number;
  }
  RAVINE_INLINE static Numbers every_number(std::int64_t value) { return static_cast<Index<T>>(value); }
  template <class Stored>
  RAVINE_INLINE static void put_numbers(Stored* to, Numbers number, All) {
    *to = static_cast<Stored>(number);
  }
  template <class Stored>
  RAVINE_INLINE static Numbers get_numbers(const Stored* from, All) {
    return static_cast<Index<T>>(*from);
  }
  template <class Body>
  RAVINE_INLINE static void for_each(std::int64_t begin, std::int64_t end, Body body) {
    for (std::int64_t channel = begin; channel < end; ++channel) body(channel, All{});
  }
};

// body(lanes) with the lanes that suit the number of channels.
template <class T, class Body>
RAVINE_INLINE void with_lanes(const PoolShape& s, Body body) {
  if (s.channels < 4) body(ScalarLanes<T>{});
  else body(VectorLanes<T>{});
}

// body(image, row, first_channel, end_channel): this thread's share of batch x rows x channel blocks.
template <class Body>
RAVINE_INLINE void for_each_pixel_row(const PoolShape& s, std::int64_t rows, const Team& team, Body body) {
  const std::int64_t blocks = ceil_div(s.channels, channel_block);
  const Pieces mine = pieces_of(s.batch * rows * blocks, team);
  for (std::int64_t piece = mine.begin; piece < mine.end; ++piece) {
    const std::int64_t first = piece % blocks * channel_block, pixel_row = piece / blocks;
    body(pixel_row / rows, pixel_row % rows, first, smaller(first + channel_block, s.channels));
  }
}

// Asks for what lies ahead of these numbers: comparing keeps the processor too busy to see the next pixels by
// itself.
template <class T>
RAVINE_INLINE void ask_for_pixels(const T* numbers, std::int64_t count) {
  constexpr std::int64_t ahead = 4096 / sizeof(T), line = 64 / sizeof(T);
  for (std::int64_t i = 0; i < count; i += line) __builtin_prefetch(numbers + ahead + i);
}

// ---- windows side by side
// The usual case: windows that neither overlap nor leave gaps nor reach into padding. Each input belongs to
// one of them, or lies behind the last.

struct Tiles {
  bool apply;
  std::int64_t height, width;  // of a window
};
RAVINE_INLINE Tiles tiles_of(const PoolShape& s) {
  if (s.out_height == 0 || s.out_width == 0) return {false, 0, 0};
  if (s.adaptive)
    return {s.height % s.out_height == 0 && s.width % s.out_width == 0, s.height / s.out_height,
            s.width / s.out_width};
  const bool side_by_side = s.kernel_h == s.stride_h && s.kernel_w == s.stride_w && s.pad_h == 0 &&
                            s.pad_w == 0 && s.dilation_h == 1 && s.dilation_w == 1;
  const bool inside = s.out_height <= s.height / s.kernel_h && s.out_width <= s.width / s.kernel_w;
  return {side_by_side && inside, s.kernel_h, s.kernel_w};
}

// body(image, output row, output column, first channel, end channel)
template <class Body>
RAVINE_INLINE void for_each_tile(const PoolShape& s, const Team& team, Body body) {
  for_each_pixel_row(s, s.out_height, team,
                     [&](std::int64_t image, std::int64_t oh, std::int64_t begin, std::int64_t end) {
                       for (std::int64_t ow = 0; ow < s.out_width; ++ow) body(image, oh, ow, begin, end);
                     });
}

// Gradients to the input: value_at(load_output(element of the output, count), index of the input within its
// image, its offset in the window), and 0 for inputs behind the last windows.
template <class T, class L, class Load, class ValueAt>
RAVINE_INLINE void spread_tiles(const PoolShape s, const Tiles& tiles, T* grad_input, const Team& team,
                                Load load_output, ValueAt value_at) {
  const auto clear = [&](T* pixel, std::int64_t begin, std::int64_t end) {
    L::for_each(begin, end, [&](std::int64_t c, auto n) { L::put(pixel + c, typename L::Value{}, n); });
  };
  for_each_tile(
      s, team,
      [&](std::int64_t image, std::int64_t oh, std::int64_t ow, std::int64_t begin, std::int64_t end) {
        T* to = grad_input + image * s.height * s.width * s.channels;
        const std::int64_t pixel = ((image * s.out_height + oh) * s.out_width + ow) * s.channels;
        const std::int64_t first = oh * tiles.height * s.width + ow * tiles.width;
        L::for_each(begin, end, [&](std::int64_t c, auto n) {
          const auto output = load_output(pixel + c, n);
          for (std::int64_t h = 0; h < tiles.height; ++h)
            for (std::int64_t w = 0; w < tiles.width; ++w) {
              const std::int64_t index = first + h * s.width + w;
              L::put(to + index * s.channels + c, value_at(output, index, h * tiles.width + w), n);
            }
        });
        const bool last_column = ow + 1 == s.out_width, last_row = oh + 1 == s.out_height;
        if (last_column)
          for (std::int64_t h = oh * tiles.height; h < (oh + 1) * tiles.height; ++h)
            for (std::int64_t w = s.out_width * tiles.width; w < s.width; ++w)
              clear(to + (h * s.width + w) * s.channels, begin, end);
        if (last_column && last_row)
          for (std::int64_t i = s.out_height * tiles.height * s.width; i < s.height * s.width; ++i)
            clear(to + i * s.channels, begin, end);
      });
}

}  // namespace ravine::kernels::RAVINE_ISA
