// The largest value of each window, and its gradient.
#include "kernels/pool_windows.h"
#include "kernels/table.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

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

// What tells a maximum: `index` in its image, or `offset` in its window.
struct ByIndex {
  using Number = std::int64_t;
  RAVINE_INLINE static std::int64_t* of(const MaxPoolArgs& args) { return args.indices; }
  RAVINE_INLINE static const std::int64_t* of(const MaxPoolGradArgs& args) { return args.indices; }
  RAVINE_INLINE static std::int64_t number(std::int64_t index, std::int64_t) { return index; }
};
struct ByOffset {
  using Number = std::uint8_t;
  RAVINE_INLINE static std::uint8_t* of(const MaxPoolArgs& args) { return args.offsets; }
  RAVINE_INLINE static const std::uint8_t* of(const MaxPoolGradArgs& args) { return args.offsets; }
  RAVINE_INLINE static std::int64_t number(std::int64_t, std::int64_t offset) { return offset; }
};

// `side` of square windows where the compiler shall know it, or 0.
template <class T, class L, class Pixels, class By, int side>
void max_pool_tiles(const MaxPoolArgs& args, const Tiles& tiles, const Team& team) {
  const Pixels pixels(args);
  const PoolShape s = args.shape;
  typename By::Number* const numbers = By::of(args);
  const std::int64_t window_h = side > 0 ? side : tiles.height, window_w = side > 0 ? side : tiles.width;
  for_each_tile(
      s, team,
      [&](std::int64_t image, std::int64_t oh, std::int64_t ow, std::int64_t begin, std::int64_t end) {
        const T* input = static_cast<const T*>(args.input) + image * s.height * s.width * s.channels;
        const std::int64_t pixel = ((image * s.out_height + oh) * s.out_width + ow) * s.channels;
        const std::int64_t first = oh * window_h * s.width + ow * window_w;
        L::for_each(begin, end, [&](std::int64_t c, auto n) {
          typename L::Value best = pixels.get(input + first * s.channels + c, c, n);
          typename L::Numbers where = L::every_number(By::number(first, 0));
          for (std::int64_t h = 0; h < window_h; ++h)
            for (std::int64_t w = 0; w < window_w; ++w) {
              if (h == 0 && w == 0) continue;
              const std::int64_t index = first + h * s.width + w;
              const typename L::Value x = pixels.get(input + index * s.channels + c, c, n);
              const auto wins = replaces(x, best);
              best = wins ? x : best;
              where = wins ? L::every_number(By::number(index, h * window_w + w)) : where;
            }
          L::put(static_cast<T*>(args.output) + pixel + c, best, n);
          if (numbers != nullptr) L::put_numbers(numbers + pixel + c, where, n);
        });
      });
}

// What a gradient needs of an output.
template <class L>
struct Chosen {
  typename L::Value grad;
  typename L::Numbers number;
};
template <class T, class L, class By>
void max_pool_grad_tiles(const MaxPoolGradArgs& args, const Tiles& tiles, const Team& team) {
  spread_tiles<T, L>(
      args.shape, tiles, static_cast<T*>(args.grad_input), team,
      [&](std::int64_t at, auto n) {
        return Chosen<L>{L::get(static_cast<const T*>(args.grad_output) + at, n),
                         L::get_numbers(By::of(args) + at, n)};
      },
      [](const Chosen<L>& output, std::int64_t index, std::int64_t offset) {
        return output.number == L::every_number(By::number(index, offset)) ? output.grad
                                                                           : typename L::Value{};
      });
}

template <class T, class L, class Pixels, class By>
void max_pool_rows(const MaxPoolArgs& args, const Team& team) {
  const Pixels pixels(args);
  typename By::Number* const numbers = By::of(args);
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
            const std::int64_t first_offset = rows.skipped * s.kernel_w + columns.skipped;
            typename L::Numbers where = L::every_number(By::number(first, first_offset));
            const T* row = input + first * s.channels + c;
            for (std::int64_t kh = 0; kh < rows.count; ++kh, row += row_step) {
              const T* from = row;
              std::int64_t index = first + kh * rows.dilation * s.width;
              const std::int64_t offset = first_offset + kh * s.kernel_w;
              for (std::int64_t kw = 0; kw < columns.count;
                   ++kw, from += column_step, index += columns.dilation) {
                const typename L::Value x = pixels.get(from, c, n);
                const auto wins = replaces(x, best);
                best = wins ? x : best;
                where = wins ? L::every_number(By::number(index, offset + kw)) : where;
              }
            }
            L::put(static_cast<T*>(args.output) + pixel + c, best, n);
            if (numbers != nullptr) L::put_numbers(numbers + pixel + c, where, n);
          });
        }
      });
}

template <class T, class L, class Pixels, class By>
void max_pool_by(const MaxPoolArgs& args, const Team& team) {
  const Tiles tiles = tiles_of(args.shape);
  if (tiles.apply && tiles.height == 2 && tiles.width == 2)
    max_pool_tiles<T, L, Pixels, By, 2>(args, tiles, team);
  else if (tiles.apply) max_pool_tiles<T, L, Pixels, By, 0>(args, tiles, team);
  else max_pool_rows<T, L, Pixels, By>(args, team);
}

template <class T, class L, class Pixels>
void max_pool_of(const MaxPoolArgs& args, const Team& team) {
  if (args.offsets != nullptr) max_pool_by<T, L, Pixels, ByOffset>(args, team);
  else max_pool_by<T, L, Pixels, ByIndex>(args, team);
}

// A distance in a window, a multiple of the dilation, in taps; a division takes as long as the rest.
RAVINE_INLINE std::int64_t taps_of(const Axis& axis, std::int64_t distance) {
  return axis.dilation == 1 ? distance : distance / axis.dilation;
}

template <class T, class L, class By>
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
            for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
              if (!reaches(row_axis, oh, ih)) continue;
              const std::int64_t row = taps_of(row_axis, ih + s.pad_h - oh * s.stride_h);  // of the window
              for (std::int64_t ow = columns.begin; ow < columns.end; ++ow) {
                if (!reaches(column_axis, ow, iw)) continue;
                const std::int64_t column = taps_of(column_axis, iw + s.pad_w - ow * s.stride_w);
                const std::int64_t number = By::number(here, row * s.kernel_w + column);
                const std::int64_t pixel = ((image * s.out_height + oh) * s.out_width + ow) * s.channels + c;
                const auto mine = L::get_numbers(By::of(args) + pixel, n) == L::every_number(number);
                sum += mine ? L::get(grad_output + pixel, n) : typename L::Value{};
              }
            }
            L::put(to + c, sum, n);
          });
        }
      });
}

template <class T, class L, class By>
void max_pool_grad_by(const MaxPoolGradArgs& args, const Tiles& tiles, const Team& team) {
  if (tiles.apply) max_pool_grad_tiles<T, L, By>(args, tiles, team);
  else max_pool_grad_rows<T, L, By>(args, team);
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
    using L = decltype(l);
    if (args.offsets != nullptr) max_pool_grad_by<T, L, ByOffset>(args, tiles, team);
    else max_pool_grad_by<T, L, ByIndex>(args, tiles, team);
  });
}
template void max_pool_grad<float>(const MaxPoolGradArgs&, const Team&);
template void max_pool_grad<double>(const MaxPoolGradArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
