// The gradient to images of few channels: as columns of a product they would fill few of a vector's lanes.
// Lanes are output channels here. A pixel has a vector for each of its channels, to which every tap adds, and
// the sum of its lanes is the result; the output's gradient is read where it lies.
#include "kernels/conv/shallow/shallow.h"

#include "kernels/base/scratch.h"
#include "kernels/conv/direct/phase.h"
#include "kernels/gemm/dot.h"
#include "kernels/tile/elementwise.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

using T = float;
constexpr std::int64_t n_lanes = lanes<T>;

// Pixels of a tile in registers, by their channels: sums in whole or half groups of as many as a vector has
// lanes.
#if defined(__AVX512F__)
constexpr int tile_pixels[max_few_channels] = {8, 8, 8, 6};
#else
constexpr int tile_pixels[max_few_channels] = {8, 6, 4, 2};
#endif
constexpr int most_pixels = tile_pixels[0];

// One class of pixels along x or y (direct/phase.h), taps in the order in which their outputs lie: pixel
// phase + stride v meets outputs v + first + tap * step by kernel positions kernel_first - tap * kernel_step.
struct RisingTaps {
  std::int64_t pixels, taps, first, step, kernel_first, kernel_step;

  explicit RisingTaps(const PhaseTaps& phase)
      : pixels(phase.pixels),
        taps(phase.taps),
        first(phase.output_first + (phase.taps - 1) * phase.output_step),
        step(-phase.output_step),
        kernel_first(phase.kernel_first + (phase.taps - 1) * phase.kernel_step),
        kernel_step(phase.kernel_step) {}
  // Outputs between the first and the last that a pixel meets.
  std::int64_t reach() const { return taps > 0 ? (taps - 1) * step : 0; }
};
RisingTaps rows_of_phase(const ConvShape& s, std::int64_t phase) {
  return RisingTaps(taps_of_phase(s.height, phase, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h));
}
RisingTaps columns_of_phase(const ConvShape& s, std::int64_t phase) {
  return RisingTaps(taps_of_phase(s.width, phase, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w));
}

std::int64_t padded_out_channels(const ConvShape& s) { return round_up(s.out_channels, n_lanes); }
// Of a tap in the packed filter.
std::int64_t tap_elements(const ConvShape& s) { return padded_out_channels(s) * s.channels; }
// Of all taps, those of a class one behind the other.
std::int64_t filter_elements(const ConvShape& s) { return s.kernel_h * s.kernel_w * tap_elements(s); }
// Addresses of the outputs that a row of pixels may meet, for one row of taps.
std::int64_t row_addresses(const ConvShape& s) {
  return ceil_div(s.width, s.stride_w) + (s.kernel_w - 1) * s.dilation_w + most_pixels;
}

// Rows of an image that a thread computes one after the other.
constexpr std::int64_t band_rows = 8;

// [tap_y][tap_x][vector of out_channels][channel][lane], zeros behind the last of out_channels.
void pack_filter(const ConvShape& s, const RisingTaps& y, const RisingTaps& x, const T* filter, T* to) {
  const std::int64_t out_stride = s.kernel_h * s.kernel_w * s.channels;
  for (std::int64_t tap_y = 0; tap_y < y.taps; ++tap_y)
    for (std::int64_t tap_x = 0; tap_x < x.taps; ++tap_x) {
      const std::int64_t kernel_y = y.kernel_first - tap_y * y.kernel_step;
      const std::int64_t kernel_x = x.kernel_first - tap_x * x.kernel_step;
      const T* const tap = filter + (kernel_y * s.kernel_w + kernel_x) * s.channels;
      for (std::int64_t k = 0; k < padded_out_channels(s); k += n_lanes)
        for (std::int64_t c = 0; c < s.channels; ++c)
          for (std::int64_t lane = 0; lane < n_lanes; ++lane)
            *to++ = k + lane < s.out_channels ? tap[(k + lane) * out_stride + c] : T{0};
    }
}

struct TileArgs {
  // Where the outputs of the first pixel begin that tap (y, x) meets: columns[y * row_step + x * tap_step];
  // those of the next pixel are the next.
  const T* const* columns;
  std::int64_t row_step, tap_step;
  std::int64_t taps_y, taps_x, out_channels;
  const T* filter;
  T* sums;  // [tile_pixels][channels]
};

// to[i] = the sum of the lanes of v[i].
template <int count>
RAVINE_INLINE void sum_lanes(Vec<T>* v, T* to) {
  if constexpr (count >= n_lanes) {
    Vec<T> group[n_lanes];
#pragma GCC unroll 16
    for (int i = 0; i < n_lanes; ++i) group[i] = v[i];
    store(to, sum_each<T>(group));
    if constexpr (count > n_lanes) sum_lanes<count - n_lanes>(v + n_lanes, to + n_lanes);
  } else {
    static_assert(2 * count == n_lanes);
    Vec<T> group[count];
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i) group[i] = v[i];
    const Vec<T> halves = sum_each<T>(group);
    for (int i = 0; i < count; ++i) to[i] = halves[i] + halves[i + count];
  }
}

// A value that is not loaded again for each of its uses, as GCC would.
RAVINE_INLINE Vec<T> in_register(Vec<T> value) {
#if defined(__SSE__)
  asm("" : "+v"(value));
#endif
  return value;
}

template <int channels>
[[gnu::noinline]] void add_taps(const TileArgs& args) {
  constexpr int pixels = tile_pixels[channels - 1];
  Vec<T> sums[pixels * channels];
#pragma GCC unroll 32
  for (int i = 0; i < pixels * channels; ++i) sums[i] = Vec<T>{};
  const std::int64_t whole = args.out_channels / n_lanes * n_lanes, rest = args.out_channels - whole;
  const T* filter = args.filter;
  for (std::int64_t y = 0; y < args.taps_y; ++y)
    for (std::int64_t x = 0; x < args.taps_x; ++x) {
      const T* grad[pixels];
#pragma GCC unroll 8
      for (int i = 0; i < pixels; ++i) grad[i] = args.columns[y * args.row_step + x * args.tap_step + i];
      const auto add = [&](auto load_grad) RAVINE_INLINE_LAMBDA {
        Vec<T> weights[channels];
#pragma GCC unroll 4
        for (int c = 0; c < channels; ++c) weights[c] = load(filter + c * n_lanes);
#pragma GCC unroll 8
        for (int i = 0; i < pixels; ++i) {
          const Vec<T> value = channels > 1 ? in_register(load_grad(grad[i])) : load_grad(grad[i]);
#pragma GCC unroll 4
          for (int c = 0; c < channels; ++c) sums[i * channels + c] += value * weights[c];
        }
        filter += channels * n_lanes;
      };
      for (std::int64_t k = 0; k < whole; k += n_lanes)
        add([k](const T* from) RAVINE_INLINE_LAMBDA { return load(from + k); });
      if (rest > 0) add([&](const T* from) RAVINE_INLINE_LAMBDA { return load(from + whole, rest); });
    }
  sum_lanes<pixels * channels>(sums, args.sums);
}
constexpr void (*tile_kernels[max_few_channels])(const TileArgs&) = {add_taps<1>, add_taps<2>, add_taps<3>,
                                                                     add_taps<4>};

// One row of pixels, those of one class of columns. `columns` has room for addresses.
void compute_row(const ConvGradInputArgs& args, std::int64_t image, std::int64_t row, const RisingTaps& y,
                 std::int64_t phase_x, const RisingTaps& x, const T* filter, const T** columns) {
  const ConvShape& s = args.shape;
  const std::int64_t pixels = tile_pixels[s.channels - 1];
  // Taps whose row of outputs exists follow each other.
  const std::int64_t top = row / s.stride_h + y.first;
  std::int64_t first_tap = 0, end_tap = y.taps;
  while (first_tap < end_tap && top + first_tap * y.step < 0) ++first_tap;
  while (first_tap < end_tap && top + (end_tap - 1) * y.step >= s.out_height) --end_tap;
  // Pixels beyond the last make the last tile whole; their outputs are not read.
  const std::int64_t own_addresses = x.pixels + x.reach();
  const std::int64_t addresses = round_up(x.pixels, pixels) + x.reach();
  for (std::int64_t tap = first_tap; tap < end_tap; ++tap) {
    const T* const from =
        static_cast<const T*>(args.grad_output) +
        ((image * s.out_height + top + tap * y.step) * s.out_width + x.first) * s.out_channels;
    const T** const to = columns + (tap - first_tap) * addresses;
    const auto width = static_cast<std::uint64_t>(s.out_width);
    for (std::int64_t i = 0; i < addresses; ++i) {
      const bool exists = (static_cast<std::uint64_t>(x.first + i) < width) & (i < own_addresses);
      to[i] = exists ? from + i * s.out_channels : zeros<T>;
    }
  }

  T sums[most_pixels * max_few_channels];
  TileArgs tile;
  tile.row_step = addresses;
  tile.tap_step = x.step;
  tile.taps_y = end_tap - first_tap;
  tile.taps_x = x.taps;
  tile.out_channels = s.out_channels;
  tile.filter = filter + first_tap * x.taps * tap_elements(s);
  tile.sums = sums;
  T* to = static_cast<T*>(args.grad_input) + ((image * s.height + row) * s.width + phase_x) * s.channels;
  for (std::int64_t u = 0; u < x.pixels; u += pixels, to += pixels * s.stride_w * s.channels) {
    tile.columns = columns + u;
    tile_kernels[s.channels - 1](tile);
    const std::int64_t count = smaller(pixels, x.pixels - u);
    if (s.stride_w == 1) {
      for (std::int64_t i = 0; i < count * s.channels; ++i) to[i] = sums[i];
    } else {
      for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t c = 0; c < s.channels; ++c)
          to[i * s.stride_w * s.channels + c] = sums[i * s.channels + c];
    }
  }
}

}  // namespace

bool has_few_channels_to_grad(const ConvShape& s) {
  if (s.channels < 1 || s.channels > max_few_channels || s.groups != 1 || s.out_channels > max_run_depth)
    return false;
  const auto filter_bytes = static_cast<std::size_t>(filter_elements(s)) * sizeof(T);
  const auto address_bytes = static_cast<std::size_t>(s.kernel_h * row_addresses(s)) * sizeof(const T*);
  return filter_bytes + address_bytes <= scratch_bytes;
}

void few_channels_grad_input(const ConvGradInputArgs& args, const Team& team) {
  const ConvShape& s = args.shape;
  const std::int64_t bands = ceil_div(s.height, band_rows);
  const Pieces pieces = pieces_of(s.batch * bands, team);
  if (pieces.begin == pieces.end || s.width <= 0) return;
  const T** const columns = reinterpret_cast<const T**>(team.scratch);
  T* const filter = reinterpret_cast<T*>(columns + s.kernel_h * row_addresses(s));
  T* to = filter;
  for (std::int64_t phase_y = 0; phase_y < s.stride_h; ++phase_y)
    for (std::int64_t phase_x = 0; phase_x < s.stride_w; ++phase_x) {
      const RisingTaps y = rows_of_phase(s, phase_y), x = columns_of_phase(s, phase_x);
      pack_filter(s, y, x, static_cast<const T*>(args.filter), to);
      to += y.taps * x.taps * tap_elements(s);
    }

  for (std::int64_t piece = pieces.begin; piece < pieces.end; ++piece) {
    const std::int64_t image = piece / bands, first = piece % bands * band_rows;
    const std::int64_t end = smaller(first + band_rows, s.height);
    const T* of_class = filter;
    for (std::int64_t phase_y = 0; phase_y < s.stride_h; ++phase_y)
      for (std::int64_t phase_x = 0; phase_x < s.stride_w; ++phase_x) {
        const RisingTaps y = rows_of_phase(s, phase_y), x = columns_of_phase(s, phase_x);
        const std::int64_t offset = (phase_y - first % s.stride_h + s.stride_h) % s.stride_h;
        for (std::int64_t row = first + offset; row < end; row += s.stride_h)
          compute_row(args, image, row, y, phase_x, x, of_class, columns);
        of_class += y.taps * x.taps * tap_elements(s);
      }
    if (args.epilogue == nullptr) continue;
    const std::int64_t pixel = (image * s.height + first) * s.width;
    run_epilogue(*args.epilogue, static_cast<T*>(args.grad_input) + pixel * s.channels, s.channels, pixel,
                 (end - first) * s.width, 0, s.channels);
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
