// Pooling over NHWC: a pixel's channels are the lanes. Gradients gather per input pixel, so that every
// element is written once and its windows add in the order of the output.
#include "kernels/pool.h"

#include "kernels/table.h"
#include "kernels/vector_loop.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

constexpr std::int64_t channel_block =
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

// Input positions first, first + dilation, ... (count of them lie in the image); `padded` counts those in the
// padding as well, up to in + pad.
struct Window {
  std::int64_t first, count, dilation, padded;
};

RAVINE_INLINE Window window_of(const Axis& axis, std::int64_t output) {
  if (axis.adaptive) {
    const std::int64_t begin = output * axis.in / axis.out, end = ceil_div((output + 1) * axis.in, axis.out);
    return {begin, end - begin, 1, end - begin};
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
          smaller(axis.kernel, until_pad)};
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

RAVINE_INLINE std::int64_t divisor_of(const PoolShape& s, const Window& rows, const Window& columns) {
  return s.count_include_pad ? rows.padded * columns.padded : rows.count * columns.count;
}

// ---- lanes
// ----------------------------------------------------------------------------------------------------- A
// pixel is worked on by vectors, or where it has very few channels one by one; a formula below is written
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
  // body(channel, count) for the channels [begin, end).
  template <class Body>
  RAVINE_INLINE static void for_each(std::int64_t begin, std::int64_t end, Body body) {
    for_each_vector<T>(end - begin, [&](std::int64_t i, auto n) { body(begin + i, n); });
  }

 private:
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
  RAVINE_INLINE static Numbers every_number(std::int64_t value) { return static_cast<Index<T>>(value); }
  RAVINE_INLINE static void put_numbers(std::int64_t* to, Numbers number, All) { *to = number; }
  RAVINE_INLINE static Numbers get_numbers(const std::int64_t* from, All) {
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

// ---- windows side by side -----------------------------------------------------------------------
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
// image), and 0 for inputs behind the last windows.
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
              L::put(to + index * s.channels + c, value_at(output, index), n);
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

// ---- maximum
// ---------------------------------------------------------------------------------------------------

// x is larger than the best so far, or the first NaN.
template <class V>
RAVINE_INLINE auto replaces(V x, V best) {
  if constexpr (std::is_arithmetic_v<V>) return !(x <= best) && best == best;
  else return ~(x <= best) & (best == best);
}

// The pixels that are pooled: as they lie in memory, or what BatchNorm and ReLU make of them.
template <class T, class L>
struct PlainPixels {
  explicit PlainPixels(const MaxPoolArgs&) {}
  template <class Count>
  RAVINE_INLINE typename L::Value get(const T* from, std::int64_t, Count n) const {
    return L::get(from, n);
  }
};
template <class T, class L>
struct NormalizedPixels {
  const T *scale, *shift;
  explicit NormalizedPixels(const MaxPoolArgs& args)
      : scale(static_cast<const T*>(args.scale)), shift(static_cast<const T*>(args.shift)) {}
  template <class Count>
  RAVINE_INLINE typename L::Value get(const T* from, std::int64_t channel, Count n) const {
    const typename L::Value x = L::get(from, n) * L::get(scale + channel, n) + L::get(shift + channel, n);
    return x < T(0) ? typename L::Value{} : x;  // a NaN stays
  }
};

// `side` of square windows where the compiler shall know it, or 0.
template <class T, class L, class Pixels, int side>
void max_pool_tiles(const MaxPoolArgs& args, const Tiles& tiles, const Team& team) {
  const Pixels pixels(args);
  const PoolShape s = args.shape;
  const std::int64_t window_h = side > 0 ? side : tiles.height, window_w = side > 0 ? side : tiles.width;
  for_each_tile(
      s, team,
      [&](std::int64_t image, std::int64_t oh, std::int64_t ow, std::int64_t begin, std::int64_t end) {
        const T* input = static_cast<const T*>(args.input) + image * s.height * s.width * s.channels;
        const std::int64_t pixel = ((image * s.out_height + oh) * s.out_width + ow) * s.channels;
        const std::int64_t first = oh * window_h * s.width + ow * window_w;
        L::for_each(begin, end, [&](std::int64_t c, auto n) {
          typename L::Value best = pixels.get(input + first * s.channels + c, c, n);
          typename L::Numbers where = L::every_number(first);
          for (std::int64_t h = 0; h < window_h; ++h)
            for (std::int64_t w = 0; w < window_w; ++w) {
              if (h == 0 && w == 0) continue;
              const std::int64_t index = first + h * s.width + w;
              const typename L::Value x = pixels.get(input + index * s.channels + c, c, n);
              const auto wins = replaces(x, best);
              best = wins ? x : best;
              where = wins ? L::every_number(index) : where;
            }
          L::put(static_cast<T*>(args.output) + pixel + c, best, n);
          if (args.indices != nullptr) L::put_numbers(args.indices + pixel + c, where, n);
        });
      });
}

// What a gradient needs of an output.
template <class L>
struct Chosen {
  typename L::Value grad;
  typename L::Numbers index;
};
template <class T, class L>
void max_pool_grad_tiles(const MaxPoolGradArgs& args, const Tiles& tiles, const Team& team) {
  spread_tiles<T, L>(
      args.shape, tiles, static_cast<T*>(args.grad_input), team,
      [&](std::int64_t at, auto n) {
        return Chosen<L>{L::get(static_cast<const T*>(args.grad_output) + at, n),
                         L::get_numbers(args.indices + at, n)};
      },
      [](const Chosen<L>& output, std::int64_t index) {
        return output.index == L::every_number(index) ? output.grad : typename L::Value{};
      });
}

template <class T, class L, class Pixels>
void max_pool_rows(const MaxPoolArgs& args, const Team& team) {
  const Pixels pixels(args);
  const PoolShape s =
      args.shape;  // a copy: stores into images could change the original, for all the compiler knows
  const Axis row_axis = rows_of(s), column_axis = columns_of(s);
  for_each_pixel_row(
      s, s.out_height, team, [&](std::int64_t image, std::int64_t oh, std::int64_t begin, std::int64_t end) {
        const Window rows = window_of(row_axis, oh);
        const T* input = static_cast<const T*>(args.input) + image * s.height * s.width * s.channels;
        for (std::int64_t ow = 0; ow < s.out_width; ++ow) {
          const Window columns = window_of(column_axis, ow);
          const std::int64_t pixel = ((image * s.out_height + oh) * s.out_width + ow) * s.channels;
          const std::int64_t row_step = rows.dilation * s.width * s.channels,
                             column_step = columns.dilation * s.channels;
          const bool empty = rows.count == 0 || columns.count == 0;
          L::for_each(begin, end, [&](std::int64_t c, auto n) {
            // Starting with the first element itself, an image of -inf has a maximum that lies in it.
            const std::int64_t first = empty ? -1 : rows.first * s.width + columns.first;
            typename L::Value best =
                empty ? L::every(-__builtin_inf()) : pixels.get(input + first * s.channels + c, c, n);
            typename L::Numbers where = L::every_number(first);
            const T* row = input + first * s.channels + c;
            for (std::int64_t kh = 0; kh < rows.count; ++kh, row += row_step) {
              const T* from = row;
              std::int64_t index = first + kh * rows.dilation * s.width;
              for (std::int64_t kw = 0; kw < columns.count;
                   ++kw, from += column_step, index += columns.dilation) {
                const typename L::Value x = pixels.get(from, c, n);
                const auto wins = replaces(x, best);
                best = wins ? x : best;
                where = wins ? L::every_number(index) : where;
              }
            }
            L::put(static_cast<T*>(args.output) + pixel + c, best, n);
            if (args.indices != nullptr) L::put_numbers(args.indices + pixel + c, where, n);
          });
        }
      });
}

template <class T, class L, class Pixels>
void max_pool_of(const MaxPoolArgs& args, const Team& team) {
  const Tiles tiles = tiles_of(args.shape);
  if (tiles.apply && tiles.height == 2 && tiles.width == 2)
    max_pool_tiles<T, L, Pixels, 2>(args, tiles, team);
  else if (tiles.apply) max_pool_tiles<T, L, Pixels, 0>(args, tiles, team);
  else max_pool_rows<T, L, Pixels>(args, team);
}

template <class T, class L>
void max_pool_grad_rows(const MaxPoolGradArgs& args, const Team& team) {
  const PoolShape s = args.shape;
  const Axis row_axis = rows_of(s), column_axis = columns_of(s);
  const T* grad_output = static_cast<const T*>(args.grad_output);
  for_each_pixel_row(
      s, s.height, team, [&](std::int64_t image, std::int64_t ih, std::int64_t begin, std::int64_t end) {
        const Reach rows = reach_of(row_axis, ih);
        for (std::int64_t iw = 0; iw < s.width; ++iw) {
          const Reach columns = reach_of(column_axis, iw);
          const std::int64_t here = ih * s.width + iw;
          T* to = static_cast<T*>(args.grad_input) + (image * s.height * s.width + here) * s.channels;
          L::for_each(begin, end, [&](std::int64_t c, auto n) {
            typename L::Value sum{};
            for (std::int64_t oh = rows.begin; oh < rows.end; ++oh)
              for (std::int64_t ow = columns.begin; ow < columns.end; ++ow) {
                const std::int64_t pixel = ((image * s.out_height + oh) * s.out_width + ow) * s.channels + c;
                const auto mine = L::get_numbers(args.indices + pixel, n) == L::every_number(here);
                sum += mine ? L::get(grad_output + pixel, n) : typename L::Value{};
              }
            L::put(to + c, sum, n);
          });
        }
      });
}

// ---- average
// ---------------------------------------------------------------------------------------------------

template <class T, class L>
void avg_pool_rows(const AvgPoolArgs& args, const Team& team) {
  const PoolShape s = args.shape;
  const Axis row_axis = rows_of(s), column_axis = columns_of(s);
  for_each_pixel_row(
      s, s.out_height, team, [&](std::int64_t image, std::int64_t oh, std::int64_t begin, std::int64_t end) {
        const Window rows = window_of(row_axis, oh);
        const T* input = static_cast<const T*>(args.input) + image * s.height * s.width * s.channels;
        for (std::int64_t ow = 0; ow < s.out_width; ++ow) {
          const Window columns = window_of(column_axis, ow);
          const typename L::Value divisor = L::every(static_cast<T>(divisor_of(s, rows, columns)));
          T* to =
              static_cast<T*>(args.output) + ((image * s.out_height + oh) * s.out_width + ow) * s.channels;
          L::for_each(begin, end, [&](std::int64_t c, auto n) {
            typename L::Value
                sum{};  // of sums over window rows: the error grows with the window's side, not its area
            for (std::int64_t kh = 0; kh < rows.count; ++kh) {
              const T* row =
                  input + ((rows.first + kh * rows.dilation) * s.width + columns.first) * s.channels + c;
              typename L::Value row_sum{};
              for (std::int64_t kw = 0; kw < columns.count; ++kw)
                row_sum += L::get(row + kw * columns.dilation * s.channels, n);
              sum += row_sum;
            }
            L::put(to + c, sum / divisor, n);
          });
        }
      });
}

template <class T, class L>
void avg_pool_grad_tiles(const AvgPoolGradArgs& args, const Tiles& tiles, const Team& team) {
  const typename L::Value divisor = L::every(static_cast<T>(tiles.height * tiles.width));
  spread_tiles<T, L>(
      args.shape, tiles, static_cast<T*>(args.grad_input), team,
      [&](std::int64_t at, auto n) {
        return L::get(static_cast<const T*>(args.grad_output) + at, n) / divisor;
      },
      [](typename L::Value share, std::int64_t) { return share; });
}

template <class T, class L>
void avg_pool_grad_rows(const AvgPoolGradArgs& args, const Team& team) {
  const PoolShape s = args.shape;
  const Axis row_axis = rows_of(s), column_axis = columns_of(s);
  const T* grad_output = static_cast<const T*>(args.grad_output);
  for_each_pixel_row(
      s, s.height, team, [&](std::int64_t image, std::int64_t ih, std::int64_t begin, std::int64_t end) {
        const Reach rows = reach_of(row_axis, ih);
        for (std::int64_t iw = 0; iw < s.width; ++iw) {
          const Reach columns = reach_of(column_axis, iw);
          T* to = static_cast<T*>(args.grad_input) + ((image * s.height + ih) * s.width + iw) * s.channels;
          alignas(64) T sums[channel_block];
          L::for_each(begin, end,
                      [&](std::int64_t c, auto n) { L::put(sums + (c - begin), typename L::Value{}, n); });
          for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
            if (!reaches(row_axis, oh, ih)) continue;
            const Window window_rows = window_of(row_axis, oh);
            for (std::int64_t ow = columns.begin; ow < columns.end; ++ow) {
              if (!reaches(column_axis, ow, iw)) continue;
              const std::int64_t count = divisor_of(s, window_rows, window_of(column_axis, ow));
              const typename L::Value divisor = L::every(static_cast<T>(count));
              const T* from = grad_output + ((image * s.out_height + oh) * s.out_width + ow) * s.channels;
              L::for_each(begin, end, [&](std::int64_t c, auto n) {
                T* sum = sums + (c - begin);
                L::put(sum, L::get(sum, n) + L::get(from + c, n) / divisor, n);
              });
            }
          }
          L::for_each(begin, end,
                      [&](std::int64_t c, auto n) { L::put(to + c, L::get(sums + (c - begin), n), n); });
        }
      });
}

}  // namespace

template <class T>
void max_pool(const MaxPoolArgs& args, const Team& team) {
  with_lanes<T>(args.shape, [&](auto l) {
    using L = decltype(l);
    if (args.scale != nullptr) max_pool_of<T, L, NormalizedPixels<T, L>>(args, team);
    else max_pool_of<T, L, PlainPixels<T, L>>(args, team);
  });
}
template void max_pool<float>(const MaxPoolArgs&, const Team&);
template void max_pool<double>(const MaxPoolArgs&, const Team&);

template <class T>
void max_pool_grad(const MaxPoolGradArgs& args, const Team& team) {
  const Tiles tiles = tiles_of(args.shape);
  with_lanes<T>(args.shape, [&](auto l) {
    if (tiles.apply) max_pool_grad_tiles<T, decltype(l)>(args, tiles, team);
    else max_pool_grad_rows<T, decltype(l)>(args, team);
  });
}
template void max_pool_grad<float>(const MaxPoolGradArgs&, const Team&);
template void max_pool_grad<double>(const MaxPoolGradArgs&, const Team&);

template <class T>
void avg_pool(const AvgPoolArgs& args, const Team& team) {
  with_lanes<T>(args.shape, [&](auto l) { avg_pool_rows<T, decltype(l)>(args, team); });
}
template void avg_pool<float>(const AvgPoolArgs&, const Team&);
template void avg_pool<double>(const AvgPoolArgs&, const Team&);

template <class T>
void avg_pool_grad(const AvgPoolGradArgs& args, const Team& team) {
  const Tiles tiles = tiles_of(args.shape);
  with_lanes<T>(args.shape, [&](auto l) {
    if (tiles.apply) avg_pool_grad_tiles<T, decltype(l)>(args, tiles, team);
    else avg_pool_grad_rows<T, decltype(l)>(args, team);
  });
}
template void avg_pool_grad<float>(const AvgPoolGradArgs&, const Team&);
template void avg_pool_grad<double>(const AvgPoolGradArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
