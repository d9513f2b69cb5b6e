// Pooling of images with fewer channels than a vector has lanes: lanes run over the pixels of a row. Pixels
// that lie a stride apart are put side by side first, as rows of their own: what all windows of a row see at
// one of their taps then lies on end.
#pragma once

#include "kernels/base/scratch.h"
#include "kernels/pool/windows.h"

namespace ravine::kernels::RAVINE_ISA {

inline constexpr std::int64_t max_narrow_kernel = 16;

// How a row of pixels lies in scratch: pixel stride q + phase - pad is the q-th of its phase, whose row has
// `length` elements.
struct NarrowRows {
  std::int64_t channels, width, pad, phases, shifts, pixels, length;

  // All phases.
  RAVINE_INLINE std::int64_t elements() const { return phases * length; }
};

template <class T>
RAVINE_INLINE NarrowRows narrow_rows_of(const PoolShape& s) {
  NarrowRows rows{s.channels, s.width, s.pad_w, s.stride_w, ceil_div(s.kernel_w, s.stride_w), 0, 0};
  rows.pixels = larger((s.width - 1 + s.pad_w) / s.stride_w + 1, s.out_width + rows.shifts);
  rows.length = ceil_div((rows.pixels + rows.shifts) * s.channels + 2 * lanes<T>, 16) * 16;
  return rows;
}

template <class T>
RAVINE_INLINE bool is_narrow(const PoolShape& s) {
  if (s.channels >= lanes<T> || s.adaptive || s.dilation_h != 1 || s.dilation_w != 1 ||
      s.kernel_h > max_narrow_kernel || s.kernel_w > max_narrow_kernel)
    return false;
  const std::int64_t rows = s.kernel_h + 2;  // of two arrays
  return rows * narrow_rows_of<T>(s).elements() * 16 <= static_cast<std::int64_t>(scratch_bytes);
}

template <class T>
RAVINE_INLINE void fill(T* to, T value, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = value;
}

// body(pixel, q-th pixel's first element of its phase, copy) for the pixels of a row in their order;
// copy(to, from) copies a pixel, and perhaps what lies behind it: that is then written later, or read within
// the row.
template <class T, class Body>
RAVINE_INLINE void for_each_narrow_pixel(const NarrowRows& rows, Body body) {
  constexpr std::int64_t at_once = 16 / sizeof(T);
  const std::int64_t channels = rows.channels, loose = rows.width - at_once * rows.phases;
  std::int64_t phase = rows.pad % rows.phases, q = rows.pad / rows.phases;
  for (std::int64_t pixel = 0; pixel < rows.width; ++pixel) {
    const std::int64_t place = phase * rows.length + q * channels;
    if (pixel < loose)
      body(pixel, place, [&](T* to, const T* from) RAVINE_INLINE_LAMBDA {
        for (std::int64_t c = 0; c < channels; c += at_once) std::memcpy(to + c, from + c, 16);
      });
    else
      body(pixel, place, [&](T* to, const T* from) RAVINE_INLINE_LAMBDA {
        for (std::int64_t c = 0; c < channels; ++c) to[c] = from[c];
      });
    if (++phase == rows.phases) {
      phase = 0;
      ++q;
    }
  }
}

template <class T>
RAVINE_INLINE void split_row(const NarrowRows& rows, const T* row, T* phases) {
  if (rows.phases == 1) {
    for_each_vector<T>(rows.width * rows.channels, [&](std::int64_t i, auto n) {
      store(phases + rows.pad * rows.channels + i, load(row + i, n), n);
    });
    return;
  }
  for_each_narrow_pixel<T>(rows, [&](std::int64_t pixel, std::int64_t place, auto copy) {
    copy(phases + place, row + pixel * rows.channels);
  });
}

template <class T>
RAVINE_INLINE void join_row(const NarrowRows& rows, const T* phases, T* row) {
  if (rows.phases == 1) {
    for_each_vector<T>(rows.width * rows.channels, [&](std::int64_t i, auto n) {
      store(row + i, load(phases + rows.pad * rows.channels + i, n), n);
    });
    return;
  }
  for_each_narrow_pixel<T>(rows, [&](std::int64_t pixel, std::int64_t place, auto copy) {
    copy(row + pixel * rows.channels, phases + place);
  });
}

// Maxima, with offsets or without. Rows of the images stay in scratch while windows need them.
template <class T>
void max_pool_narrow(const MaxPoolArgs& args, const Team& team) {
  using L = VectorLanes<T>;
  const PoolShape s = args.shape;
  const NarrowRows narrow = narrow_rows_of<T>(s);
  const Axis row_axis = rows_of(s), column_axis = columns_of(s);
  T* const slots = reinterpret_cast<T*>(team.scratch);
  fill(slots, static_cast<T>(-__builtin_inf()), s.kernel_h * narrow.elements());  // padding stays so
  std::int64_t held[max_narrow_kernel], tap_at[max_narrow_kernel];
  fill(held, std::int64_t{-1}, max_narrow_kernel);
  for (std::int64_t kw = 0; kw < s.kernel_w; ++kw)
    tap_at[kw] = kw % s.stride_w * narrow.length + kw / s.stride_w * s.channels;
  // The first tap that lies in the image, for every output of a row.
  auto* const first_tap = reinterpret_cast<Index<T>*>(slots + s.kernel_h * narrow.elements());
  fill(first_tap, Index<T>{0}, narrow.length);
  for (std::int64_t ow = 0; ow < s.out_width; ++ow)
    fill(first_tap + ow * s.channels, static_cast<Index<T>>(window_of(column_axis, ow).skipped), s.channels);

  for_each_pixel_row(
      s, s.out_height, team, [&](std::int64_t image, std::int64_t oh, std::int64_t, std::int64_t) {
        const Window rows = window_of(row_axis, oh);
        const T* taps[max_narrow_kernel];
        for (std::int64_t kh = 0; kh < rows.count; ++kh) {
          const std::int64_t ih = rows.first + kh, row = image * s.height + ih, slot = ih % s.kernel_h;
          T* const phases = slots + slot * narrow.elements();
          taps[kh] = phases;
          if (held[slot] == row) continue;
          held[slot] = row;
          split_row(narrow, static_cast<const T*>(args.input) + row * s.width * s.channels, phases);
        }
        const std::int64_t output = (image * s.out_height + oh) * s.out_width * s.channels;
        for_each_vector<T>(s.out_width * s.channels, [&](std::int64_t i, auto n) RAVINE_INLINE_LAMBDA {
          const typename L::Value lowest = L::every(-__builtin_inf());
          typename L::Value best = lowest;
          typename L::Numbers where{};
          for (std::int64_t kh = 0; kh < rows.count; ++kh) {
            const std::int64_t offset = (rows.skipped + kh) * s.kernel_w;
            typename L::Value best_in_row = lowest;
            typename L::Numbers where_in_row = load(first_tap + i) + L::every_number(offset);
            for (std::int64_t kw = 0; kw < s.kernel_w; ++kw)
              L::take_larger(load(taps[kh] + tap_at[kw] + i), L::every_number(offset + kw), best_in_row,
                             where_in_row);
            if (kh > 0) {
              L::take_larger(best_in_row, where_in_row, best, where);
            } else {
              best = best_in_row;
              where = where_in_row;
            }
          }
          store(static_cast<T*>(args.output) + output + i, best, n);
          if (args.offsets != nullptr) L::put_numbers(args.offsets + output + i, where, n);
        });
      });
}

// Gradients to the images: expand(image, oh, values, numbers) makes what a row of outputs hands on, and
// `by_number` the taps that it goes to; else all get it.
template <class T, bool by_number, class Expand>
RAVINE_INLINE void narrow_gradient(const PoolShape s, T* grad_input, const Team& team, Expand expand) {
  using L = VectorLanes<T>;
  const NarrowRows narrow = narrow_rows_of<T>(s);
  const Axis row_axis = rows_of(s);
  const std::int64_t slots = ceil_div(s.kernel_h, s.stride_h), begin = narrow.shifts * s.channels;
  T* const values = reinterpret_cast<T*>(team.scratch);
  auto* const numbers = reinterpret_cast<Index<T>*>(values + slots * narrow.length);
  T* const phases = reinterpret_cast<T*>(numbers + slots * narrow.length);
  fill(values, T{0}, slots * narrow.length);  // outputs that do not exist hand on nothing, and to no tap
  if constexpr (by_number) fill(numbers, Index<T>{-1}, slots * narrow.length);
  std::int64_t held[max_narrow_kernel];
  fill(held, std::int64_t{-1}, max_narrow_kernel);

  for_each_pixel_row(s, s.height, team, [&](std::int64_t image, std::int64_t ih, std::int64_t, std::int64_t) {
    const Taps rows = taps_of(row_axis, ih);
    const std::int64_t count = rows.count();
    std::int64_t places[max_narrow_kernel];
    for (std::int64_t r = 0; r < count; ++r) {
      const std::int64_t oh = rows.begin + r, row = image * s.out_height + oh, slot = oh % slots;
      places[r] = slot * narrow.length + begin;
      if (held[slot] == row) continue;
      held[slot] = row;
      expand(image, oh, values + places[r], numbers + places[r]);
    }
    for (std::int64_t phase = 0; phase < narrow.phases; ++phase) {
      T* const to = phases + phase * narrow.length;
      const std::int64_t shifts = phase < s.kernel_w ? ceil_div(s.kernel_w - phase, s.stride_w) : 0;
      for (std::int64_t i = 0; i < narrow.pixels * s.channels; i += lanes<T>) {
        Vec<T> sum{};
        for (std::int64_t r = 0; r < count; ++r) {
          // The outputs in their order: the first sees the pixel at its last tap.
          std::int64_t at = places[r] + i - (shifts - 1) * s.channels;
          std::int64_t tap = (rows.tap - r * rows.tap_step) * s.kernel_w + phase + (shifts - 1) * s.stride_w;
          for (std::int64_t output = 0; output < shifts; ++output) {
            if constexpr (by_number) {
              const auto mine = load(numbers + at) == L::every_number(tap);
              sum += mine ? load(values + at) : Vec<T>{};
            } else {
              sum += load(values + at);
            }
            at += s.channels;
            tap -= s.stride_w;
          }
        }
        store(to + i, sum);
      }
    }
    join_row(narrow, phases, grad_input + (image * s.height + ih) * s.width * s.channels);
  });
}

}  // namespace ravine::kernels::RAVINE_ISA
