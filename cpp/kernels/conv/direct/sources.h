// Operands of a convolution as GEMM sees them (implicit GEMM): the patches of an image, gathered while
// packing, and the filter, for each of the three passes. NHWC; a patch is [tap_y][tap_x][channel].
#pragma once

#include "kernels/api/conv.h"
#include "kernels/gemm/blocked.h"

namespace ravine::kernels::RAVINE_ISA {

// The patches of all positions (batch, position_y, position_x): the pixel of a tap is at
// y = position_y * y_step + y_first + tap_y * tap_y_step (x alike), 0 outside of the image.
template <class T>
struct Patches {
  const T* image;  // [batch][height][width][image_channels], from the first channel that is used
  std::int64_t height, width, image_channels;
  std::int64_t channels;  // used
  std::int64_t positions_y, positions_x;
  std::int64_t y_step, y_first, x_step, x_first;
  std::int64_t taps_y, taps_x, tap_y_step, tap_x_step;

  std::int64_t patch_size() const { return taps_y * taps_x * channels; }
  // The pixels of a row of taps lie side by side in memory.
  bool adjacent_taps() const { return tap_x_step == 1 && image_channels == channels; }
};

// The patches that a convolution's outputs read, from its input.
template <class T>
Patches<T> patches_of(const ConvShape& s, const T* input) {
  return {input,        s.height,    s.width,    s.channels,   s.channels / s.groups,
          s.out_height, s.out_width, s.stride_h, -s.pad_h,     s.stride_w,
          -s.pad_w,     s.kernel_h,  s.kernel_w, s.dilation_h, s.dilation_w};
}

// Every output reads one pixel, its own: the patches are the input as it lies.
inline bool is_pointwise(const ConvShape& s) {
  return s.kernel_h == 1 && s.kernel_w == 1 && s.stride_h == 1 && s.stride_w == 1 && s.pad_h == 0 &&
         s.pad_w == 0 && s.out_height == s.height && s.out_width == s.width;
}

// Walks over positions; (y, x) is where tap (0, 0) falls.
template <class T>
struct PatchPosition {
  const T* image;
  std::int64_t position_y, position_x, y, x;

  PatchPosition(const Patches<T>& patches, std::int64_t index) {
    const std::int64_t row = index / patches.positions_x;
    position_x = index - row * patches.positions_x;
    const std::int64_t sample = row / patches.positions_y;
    position_y = row - sample * patches.positions_y;
    image = patches.image + sample * patches.height * patches.width * patches.image_channels;
    y = position_y * patches.y_step + patches.y_first;
    x = position_x * patches.x_step + patches.x_first;
  }
  void advance(const Patches<T>& patches) { advance_row(patches, 1); }
  // By positions of the same row.
  void advance_row(const Patches<T>& patches, std::int64_t count) {
    x += count * patches.x_step;
    position_x += count;
    if (position_x < patches.positions_x) return;
    position_x = 0;
    x = patches.x_first;
    y += patches.y_step;
    if (++position_y < patches.positions_y) return;
    position_y = 0;
    y = patches.y_first;
    image += patches.height * patches.width * patches.image_channels;
  }
};

// A part of a patch whose pixels lie side by side: within one tap, or in a row of adjacent taps.
struct PatchRun {
  std::int64_t tap_y, tap_x, channel;  // where it begins
  std::int64_t taps;                   // that it touches
  std::int64_t size;
};

// Runs over several taps stay this short, as those that straddle the image's border are put together in a
// buffer.
inline constexpr std::int64_t max_merged_run = 64;

// f(run, element of the patch) for the runs that cover `elements` of a patch, in order; over several taps
// only if `merge`.
template <class T, class F>
RAVINE_INLINE void for_each_patch_run(const Patches<T>& patches, Range elements, bool merge, F f) {
  if (elements.size() <= 0) return;
  const std::int64_t tap = elements.begin / patches.channels;
  PatchRun run;
  run.channel = elements.begin - tap * patches.channels;
  run.tap_y = tap / patches.taps_x;
  run.tap_x = tap - run.tap_y * patches.taps_x;
  merge = merge && patches.adjacent_taps();
  for (std::int64_t p = elements.begin; p < elements.end;) {
    const std::int64_t left = elements.end - p;
    run.taps = 1;
    run.size = smaller(patches.channels - run.channel, left);
    const std::int64_t merged = smaller((patches.taps_x - run.tap_x) * patches.channels - run.channel, left);
    if (merge && merged <= max_merged_run) {
      run.size = merged;
      run.taps = ceil_div(run.channel + merged, patches.channels);
    }
    f(run, p);
    p += run.size;
    run.channel = 0;
    run.tap_x += run.taps;
    if (run.tap_x == patches.taps_x) {
      run.tap_x = 0;
      ++run.tap_y;
    }
  }
}

// The elements of a run whose first pixel, at column x, or last one may lie outside of the image: `from` is
// where the first would lie. Runs of one tap are then all zero.
template <class T>
void put_together(const Patches<T>& patches, const PatchRun& run, const T* from, std::int64_t x,
                  T (&buffer)[max_merged_run]) {
  const std::int64_t begin = smaller(larger(-x * patches.channels - run.channel, 0), run.size);
  const std::int64_t end =
      larger(smaller((patches.width - x) * patches.channels - run.channel, run.size), begin);
  for (std::int64_t e = 0; e < begin; ++e) buffer[e] = T{0};
  for (std::int64_t e = begin; e < end; ++e) buffer[e] = from[e];
  for (std::int64_t e = end; e < run.size; ++e) buffer[e] = T{0};
}

// The positions of one panel's rows, side by side so that the tests for the border are vector instructions.
template <class T>
struct PanelPositions {
  const T* origin[micro_rows];  // of tap (0, 0), even where that is outside of the image
  std::int64_t y[micro_rows], x[micro_rows];

  PanelPositions(const Patches<T>& patches, std::int64_t first, int rows) {
    PatchPosition<T> at(patches, first);
    for (int i = 0; i < micro_rows; ++i) {
      y[i] = i < rows ? at.y
                      : -patches.taps_y * larger(patches.tap_y_step, 1) - patches.height;  // always outside
      x[i] = at.x;
      origin[i] = at.image + (at.y * patches.width + at.x) * patches.image_channels;
      if (i + 1 < rows) at.advance(patches);
    }
  }
  // Addresses of a run that lies within one tap.
  RAVINE_INLINE void point(const Patches<T>& patches, const PatchRun& run, const T** to) const {
    const std::int64_t dy = run.tap_y * patches.tap_y_step, dx = run.tap_x * patches.tap_x_step;
    const std::int64_t offset = (dy * patches.width + dx) * patches.image_channels + run.channel;
    const auto height = static_cast<std::uint64_t>(patches.height),
               width = static_cast<std::uint64_t>(patches.width);
    for (int i = 0; i < micro_rows; ++i) {
      const bool inside =
          (static_cast<std::uint64_t>(y[i] + dy) < height) & (static_cast<std::uint64_t>(x[i] + dx) < width);
      to[i] = inside ? origin[i] + offset : zeros<T>;
    }
  }
  // Of any run; where it straddles the image's left or right border, its elements are put together in a
  // buffer.
  RAVINE_INLINE void point_merged(const Patches<T>& patches, const PatchRun& run, const T** to,
                                  T (&buffers)[micro_rows][max_merged_run]) const {
    const std::int64_t dy = run.tap_y * patches.tap_y_step, dx = run.tap_x * patches.tap_x_step;
    const std::int64_t offset = (dy * patches.width + dx) * patches.image_channels + run.channel;
    const auto height = static_cast<std::uint64_t>(patches.height);
    for (int i = 0; i < micro_rows; ++i) {
      if (static_cast<std::uint64_t>(y[i] + dy) >= height) {
        to[i] = zeros<T>;
      } else if (x[i] + dx >= 0 && x[i] + dx + run.taps <= patches.width) {
        to[i] = origin[i] + offset;
      } else {
        put_together(patches, run, origin[i] + offset, x[i] + dx, buffers[i]);
        to[i] = buffers[i];
      }
    }
  }
};

// A with adjacent elements in its rows, of so many bytes that it comes from memory: touched in order before
// it is read in that of the micro-kernel, which the hardware does not foresee.
template <class T>
struct StreamedA : MatrixA<T> {
  std::int64_t rows, depth;

  std::int64_t point(const T** to, std::int64_t* run_depths, std::int64_t first_row, int n_rows,
                     Range range) const {
    constexpr std::int64_t cache_line = 64 / sizeof(T), cached = (8 << 20) / sizeof(T);
    for (std::int64_t i = first_row; rows * depth > cached && i < first_row + n_rows; ++i)
      for (std::int64_t p = range.begin; p < range.end; p += cache_line)
        asm volatile("" ::"r"(*this->at(i, p)));
    return MatrixA<T>::point(to, run_depths, first_row, n_rows, range);
  }
};

// A [positions, patch].
template <class T>
struct PatchesA {
  Patches<T> patches;

  // Runs of few channels are better put together while packing.
  AAccess access() const { return patches.channels >= min_run ? AAccess::by_rows : AAccess::packed; }
  [[gnu::noinline]] std::int64_t point(const T** to, std::int64_t* run_depths, std::int64_t first_row,
                                       int rows, Range depth) const {
    const PanelPositions<T> positions(patches, first_row, rows);
    std::int64_t runs = 0;
    for_each_patch_run(patches, depth, false, [&](const PatchRun& run, std::int64_t) RAVINE_INLINE_LAMBDA {
      positions.point(patches, run, to + runs * micro_rows);
      run_depths[runs++] = run.size;
    });
    return runs;
  }
  [[gnu::noinline]] void pack(T* to, std::int64_t first_row, int rows, Range depth) const {
    const T* row[micro_rows];
    const PanelPositions<T> positions(patches, first_row, rows);
    if (patches.channels >= min_run) {
      for_each_patch_run(patches, depth, false,
                         [&](const PatchRun& run, std::int64_t p) RAVINE_INLINE_LAMBDA {
                           positions.point(patches, run, row);
                           pack_a_rows<T>(to + (p - depth.begin) * micro_rows, row, run.size);
                         });
      return;
    }
    T buffers[micro_rows][max_merged_run];
    for_each_patch_run(patches, depth, true, [&](const PatchRun& run, std::int64_t p) RAVINE_INLINE_LAMBDA {
      positions.point_merged(patches, run, row, buffers);
      pack_a_rows<T>(to + (p - depth.begin) * micro_rows, row, run.size);
    });
  }
};

// B [positions, patch].
template <class T>
struct PatchesB {
  Patches<T> patches;

  bool in_place() const { return false; }
  // Every vector of a panel is of one pixel.
  bool gathers() const { return patches.channels % lanes<T> == 0; }
  // For the panel from column `first` on, where each vector is at every position; the addresses of vectors of
  // the same pixel are the same but for their place in the panel.
  [[gnu::noinline]] void gather(const T* const* (&vectors)[micro_vectors],
                                const T* (&addresses)[micro_vectors][max_run_depth + gather_ahead],
                                std::int64_t first, Range depth) const {
    int v = 0;
    for_each_patch_run(patches, {first, first + panel_columns<T>}, false,
                       [&](const PatchRun& run, std::int64_t) {
                         const T** const to = addresses[v];
                         point(to, run, v * lanes<T>, depth);
                         for (std::int64_t i = 0; i < gather_ahead; ++i)
                           to[depth.size() + i] = to[depth.size() - 1];
                         for (const int end = v + static_cast<int>(run.size / lanes<T>); v < end; ++v)
                           vectors[v] = to;
                       });
  }
  [[gnu::noinline]] void pack(T* to, Range columns, Range depth) const {
    if (depth.size() <= 0) return;
    for_each_panel<T>(columns, [&](std::int64_t j, std::int64_t count, std::int64_t width) {
      pack_panel(to + (j - columns.begin) * depth.size(), width, j, count, depth);
    });
  }

 private:
  // Of a run within one pixel, at every position, the address less `before` elements; outside of the image
  // that of zeros, as they are enough.
  void point(const T** to, const PatchRun& run, std::int64_t before, Range depth) const {
    const std::int64_t dy = run.tap_y * patches.tap_y_step, dx = run.tap_x * patches.tap_x_step;
    const std::int64_t x_step = patches.x_step, pixel_step = x_step * patches.image_channels;
    const T* const outside = zeros<T>;
    PatchPosition<T> at(patches, depth.begin);
    for (std::int64_t p = depth.begin; p < depth.end;) {
      const std::int64_t count = smaller(patches.positions_x - at.position_x, depth.end - p);
      const std::int64_t y = at.y + dy, x = at.x + dx;
      const T* const from = at.image + (y * patches.width + x) * patches.image_channels + run.channel;
      const bool inside = y >= 0 && y < patches.height;
      for (std::int64_t k = 0; k < count; ++k) {
        const std::int64_t column = x + k * x_step;
        *to++ = inside && column >= 0 && column < patches.width ? from + k * pixel_step - before : outside;
      }
      p += count;
      at.advance_row(patches, count);
    }
  }

  void pack_panel(T* to, std::int64_t width, std::int64_t first_column, std::int64_t columns,
                  Range depth) const {
    // A run writes whole vectors: what is too much the next run overwrites, or it is the panel's padding.
    for_each_patch_run(patches, {first_column, first_column + columns}, true,
                       [&](const PatchRun& run, std::int64_t column) {
                         const std::int64_t j = column - first_column;
                         copy_run(to + j, run, width, width - j, depth);
                       });
  }

  // The run's elements at every position of `depth`, to rows `width` apart of which `room` elements may be
  // written.
  void copy_run(T* to, const PatchRun& run, std::int64_t width, std::int64_t room, Range depth) const {
    switch (run.size / lanes<T>) {
      case 0:
        return copy_run_of<0>(to, run, width, room, depth);
      case 1:
        return copy_run_of<1>(to, run, width, room, depth);
      case 2:
        return copy_run_of<2>(to, run, width, room, depth);
      default:
        return copy_run_of<3>(to, run, width, room, depth);
    }
  }
  static_assert(micro_vectors <= 3);

  // A row of positions at a time: between its ends, where the run lies inside of the image, there is nothing
  // to test.
  template <int whole>
  [[gnu::noinline]] void copy_run_of(T* to, const PatchRun& run, std::int64_t width, std::int64_t room,
                                     Range depth) const {
    constexpr int n = lanes<T>;
    const std::int64_t dy = run.tap_y * patches.tap_y_step, dx = run.tap_x * patches.tap_x_step;
    const std::int64_t x_step = patches.x_step, pixel_step = x_step * patches.image_channels;
    const std::int64_t last_x = patches.width - run.taps;
    const std::int64_t tail = run.size - whole * n, tail_room = smaller(room - whole * n, n);
    // Pixels that lie apart come slowly from memory: those of a later row are asked for.
    constexpr std::int64_t positions_ahead = 48;
    const bool asks = x_step > 1;
    const std::int64_t ahead = ceil_div(positions_ahead, larger(patches.positions_x, 1)) * patches.y_step *
                               patches.width * patches.image_channels;
    const auto copy = [&](const T* from) RAVINE_INLINE_LAMBDA {
#pragma GCC unroll 3
      for (int v = 0; v < whole; ++v) store(to + v * n, load(from + v * n));
      if (tail > 0) store(to + whole * n, load(from + whole * n, tail), tail_room);
      to += width;
    };
    T buffer[max_merged_run];
    PatchPosition<T> at(patches, depth.begin);
    for (std::int64_t p = depth.begin; p < depth.end;) {
      const std::int64_t count = smaller(patches.positions_x - at.position_x, depth.end - p);
      const std::int64_t y = at.y + dy, x = at.x + dx;
      const T* from = at.image + (y * patches.width + x) * patches.image_channels + run.channel;
      const bool outside = y < 0 || y >= patches.height;
      // Positions of this row whose run is inside.
      const std::int64_t begin = outside ? count : x >= 0 ? 0 : smaller(ceil_div(-x, x_step), count);
      const std::int64_t end =
          outside || x > last_x ? begin : larger(smaller((last_x - x) / x_step + 1, count), begin);
      const auto copy_border = [&](std::int64_t first, std::int64_t last) RAVINE_INLINE_LAMBDA {
        for (std::int64_t k = first; k < last; ++k) {
          if (outside || run.taps == 1) {
            copy(zeros<T>);
          } else {
            put_together(patches, run, from + k * pixel_step, x + k * x_step, buffer);
            copy(buffer);
          }
        }
      };
      copy_border(0, begin);
      from += begin * pixel_step;
      for (std::int64_t k = begin; k < end; ++k, from += pixel_step) {
        if (asks) {
#pragma GCC unroll 3
          for (int v = 0; v < whole; ++v) __builtin_prefetch(from + ahead + v * n);
        }
        copy(from);
      }
      from -= end * pixel_step;
      copy_border(end, count);
      p += count;
      at.advance_row(patches, count);
    }
  }
};

// B [taps x out_channels, channels] of the gradient to the input, from a filter
// [out_channels][kernel_h][kernel_w][channels]: taps are those kernel positions first + tap * step that meet
// one class of pixels.
template <class T>
struct FilterB {
  const T* filter;
  std::int64_t out_channels, channels;
  std::int64_t kernel_h, kernel_w;
  std::int64_t taps_x, kernel_y_first, kernel_y_step, kernel_x_first, kernel_x_step;

  bool in_place() const { return false; }
  [[gnu::noinline]] void pack(T* to, Range columns, Range depth) const {
    const std::int64_t out_stride = kernel_h * kernel_w * channels;
    for (std::int64_t p = depth.begin; p < depth.end;) {
      const std::int64_t tap = p / out_channels, first = p - tap * out_channels;
      const std::int64_t kernel_y = kernel_y_first + tap / taps_x * kernel_y_step;
      const std::int64_t kernel_x = kernel_x_first + tap % taps_x * kernel_x_step;
      const T* from = filter + first * out_stride + (kernel_y * kernel_w + kernel_x) * channels;
      const std::int64_t count = smaller(out_channels - first, depth.end - p);
      for (const std::int64_t end = p + count; p < end; ++p, from += out_stride) {
        for_each_panel<T>(columns, [&](std::int64_t j, std::int64_t size,
                                       std::int64_t width) RAVINE_INLINE_LAMBDA {
          copy_padded(to + (j - columns.begin) * depth.size() + (p - depth.begin) * width, from + j, size);
        });
      }
    }
  }
};

// C rows that are the pixels (y_first + y_step v, x_first + x_step u) of an image: one class of a strided
// convolution.
template <class T>
struct PixelsC {
  T* image;  // from the first channel that is used
  std::int64_t height, width, image_channels;
  std::int64_t positions_y, positions_x;
  std::int64_t y_step, y_first, x_step, x_first;
  // Of the whole image, from its first channel on; only where the class is all pixels, whose rows follow each
  // other.
  const TileProgram* epilogue = nullptr;
  std::int64_t epilogue_column = 0;

  T* row(std::int64_t i) const {
    const std::int64_t line = i / positions_x, u = i - line * positions_x;
    const std::int64_t sample = line / positions_y, v = line - sample * positions_y;
    return image + ((sample * height + y_first + v * y_step) * width + x_first + u * x_step) * image_channels;
  }
  void complete(Range rows, Range columns) const {
    if (epilogue == nullptr) return;
    run_epilogue(*epilogue, row(rows.begin) + columns.begin, image_channels, rows.begin, rows.size(),
                 epilogue_column + columns.begin, columns.size());
  }
};

}  // namespace ravine::kernels::RAVINE_ISA
