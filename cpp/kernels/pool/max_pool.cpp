// The largest value of each window, and its gradient.
#include "kernels/api/table.h"
#include "kernels/pool/narrow.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

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
              L::take_larger(pixels.get(input + index * s.channels + c, c, n),
                             L::every_number(By::number(index, h * window_w + w)), best, where);
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
  const bool many_channels = s.channels >= lanes<T>;
  // The window's part in the image, of side x side taps where the compiler shall know it.
  const auto pool = [&](const Window& rows, const Window& columns, const T* input, std::int64_t pixel,
                        std::int64_t begin, std::int64_t end, auto side) RAVINE_INLINE_LAMBDA {
    const std::int64_t column_count = side > 0 ? side : columns.count, row_count = side > 0 ? side
                                                                                   : column_count > 0
                                                                                       ? rows.count
                                                                                       : 0;
    const std::int64_t row_step = rows.dilation * s.width * s.channels,
                       column_step = columns.dilation * s.channels;
    const std::int64_t first = rows.first * s.width + columns.first;
    const std::int64_t first_offset = rows.skipped * s.kernel_w + columns.skipped;
    L::for_each(begin, end, [&](std::int64_t c, auto n) RAVINE_INLINE_LAMBDA {
      typename L::Value best = L::every(-__builtin_inf());
      typename L::Numbers where = L::every_number(By::number(-1, 0));  // of a window without a pixel
      // The best of each row first: the rows' chains of comparisons run side by side.
#pragma GCC unroll 3
      for (std::int64_t kh = 0; kh < row_count; ++kh) {
        const T* const row = input + first * s.channels + c + kh * row_step;
        const std::int64_t index = first + kh * rows.dilation * s.width;
        const std::int64_t offset = first_offset + kh * s.kernel_w;
        typename L::Value best_in_row = pixels.get(row, c, n);
        typename L::Numbers where_in_row = L::every_number(By::number(index, offset));
#pragma GCC unroll 3
        for (std::int64_t kw = 1; kw < column_count; ++kw)
          L::take_larger(pixels.get(row + kw * column_step, c, n),
                         L::every_number(By::number(index + kw * columns.dilation, offset + kw)), best_in_row,
                         where_in_row);
        if (kh > 0) {
          L::take_larger(best_in_row, where_in_row, best, where);
        } else {  // an image of -inf has a maximum that lies in it
          best = best_in_row;
          where = where_in_row;
        }
      }
      L::put(static_cast<T*>(args.output) + pixel + c, best, n);
      if (numbers != nullptr) L::put_numbers(numbers + pixel + c, where, n);
    });
  };
  for_each_pixel_row(
      s, s.out_height, team, [&](std::int64_t image, std::int64_t oh, std::int64_t begin, std::int64_t end) {
        const Window rows = window_of(row_axis, oh);
        const T* input = static_cast<const T*>(args.input) + image * s.height * s.width * s.channels;
        for (std::int64_t ow = 0; ow < s.out_width; ++ow) {
          const Window columns = window_of(column_axis, ow);
          const std::int64_t pixel = ((image * s.out_height + oh) * s.out_width + ow) * s.channels;
          if (many_channels)  // the rows that the row of outputs before did not read
            for (std::int64_t kh = larger(0, rows.count - s.stride_h); kh < rows.count; ++kh)
              ask_for_pixels(
                  input + ((rows.first + kh * rows.dilation) * s.width + columns.first) * s.channels,
                  s.stride_w * s.channels);
          if (rows.count == 3 && columns.count == 3)
            pool(rows, columns, input, pixel, begin, end, std::integral_constant<int, 3>{});
          else pool(rows, columns, input, pixel, begin, end, std::integral_constant<int, 0>{});
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

template <class T, class L, class By>
void max_pool_grad_rows(const MaxPoolGradArgs& args, const Team& team) {
  const PoolShape s = args.shape;
  const Axis row_axis = rows_of(s), column_axis = columns_of(s);
  const T* grad_output = static_cast<const T*>(args.grad_output);
  const typename By::Number* const numbers = By::of(args);
  T* const grad_input = static_cast<T*>(args.grad_input);
  // The windows that reach a pixel, their numbers where the compiler shall know them.
  const auto gather = [&](const Taps& rows, const Taps& columns, std::int64_t image, std::int64_t here,
                          std::int64_t begin, std::int64_t end, auto row_count,
                          auto column_count) RAVINE_INLINE_LAMBDA {
    const std::int64_t first =
        ((image * s.out_height + rows.begin) * s.out_width + columns.begin) * s.channels;
    const std::int64_t row_step = rows.step * s.out_width * s.channels,
                       column_step = columns.step * s.channels;
    const std::int64_t first_tap = rows.tap * s.kernel_w + columns.tap;
    T* const to = grad_input + (image * s.height * s.width + here) * s.channels;
    L::for_each(begin, end, [&](std::int64_t c, auto n) RAVINE_INLINE_LAMBDA {
      typename L::Value sum{};
      for (std::int64_t row = 0; row < row_count; ++row)
        for (std::int64_t column = 0; column < column_count; ++column) {
          const std::int64_t output = first + row * row_step + column * column_step + c;
          const std::int64_t tap = first_tap - row * rows.tap_step * s.kernel_w - column * columns.tap_step;
          const auto mine = L::get_numbers(numbers + output, n) == L::every_number(By::number(here, tap));
          sum += mine ? L::get(grad_output + output, n) : typename L::Value{};
        }
      L::put(to + c, sum, n);
    });
  };
  constexpr std::integral_constant<int, 1> one;
  constexpr std::integral_constant<int, 2> two;
  for_each_pixel_row(s, s.height, team,
                     [&](std::int64_t image, std::int64_t ih, std::int64_t begin, std::int64_t end) {
                       const Taps rows = taps_of(row_axis, ih);
                       const std::int64_t row_count = rows.count();
                       for (std::int64_t iw = 0; iw < s.width; ++iw) {
                         const Taps columns = taps_of(column_axis, iw);
                         const std::int64_t column_count = columns.count(), here = ih * s.width + iw;
                         const auto gather_from = [&](auto n_rows, auto n_columns) RAVINE_INLINE_LAMBDA {
                           gather(rows, columns, image, here, begin, end, n_rows, n_columns);
                         };
                         if (row_count == 2 && column_count == 2) gather_from(two, two);
                         else if (row_count == 2 && column_count == 1) gather_from(two, one);
                         else if (row_count == 1 && column_count == 2) gather_from(one, two);
                         else if (row_count == 1 && column_count == 1) gather_from(one, one);
                         else gather_from(row_count, column_count);
                       }
                     });
}

template <class T, class L, class By>
void max_pool_grad_by(const MaxPoolGradArgs& args, const Tiles& tiles, const Team& team) {
  if (tiles.apply) max_pool_grad_tiles<T, L, By>(args, tiles, team);
  else max_pool_grad_rows<T, L, By>(args, team);
}

template <class T>
void max_pool_grad_narrow(const MaxPoolGradArgs& args, const Team& team) {
  using L = VectorLanes<T>;
  const PoolShape s = args.shape;
  narrow_gradient<T, true>(s, static_cast<T*>(args.grad_input), team,
                           [&](std::int64_t image, std::int64_t oh, T* values, Index<T>* numbers) {
                             const std::int64_t row = (image * s.out_height + oh) * s.out_width * s.channels;
                             for_each_vector<T>(s.out_width * s.channels, [&](std::int64_t i, auto n) {
                               store(values + i, load(static_cast<const T*>(args.grad_output) + row + i, n),
                                     n);
                               store(numbers + i, L::get_numbers(args.offsets + row + i, n), n);
                             });
                           });
}

}  // namespace

template <class T>
void max_pool(const MaxPoolArgs& args, const Team& team) {
  if (args.indices == nullptr && args.scale == nullptr && is_narrow<T>(args.shape)) {
    max_pool_narrow<T>(args, team);
    return;
  }
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
  if (args.offsets != nullptr && is_narrow<T>(args.shape)) {
    max_pool_grad_narrow<T>(args, team);
    return;
  }
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
