// Convolutions of images with few channels: packing patches would cost as much as their products. The rows of
// the input that a band of output rows reads are copied with their padding into scratch; there an element of
// the patch (a tap's channel) is at the same offset from every position, and positions are equal steps apart.
#include "kernels/conv/shallow/shallow.h"

#include "kernels/base/scratch.h"
#include "kernels/gemm/pack.h"
#include "kernels/norm/statistics.h"
#include "kernels/tile/elementwise.h"
#include "kernels/tile/sum_epilogue.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

using T = float;
constexpr std::int64_t n_lanes = lanes<T>;
constexpr std::int64_t max_elements = 512;
constexpr std::int64_t scratch_elements = scratch_bytes / sizeof(T);

// Positions (forward) or elements of a patch (gradient) of a tile in registers, by its vectors of
// out_channels.
#if defined(__AVX512F__)
constexpr int tile_vectors = 4;
constexpr int tile_positions[tile_vectors] = {12, 12, 8, 6};
constexpr int gradient_vectors = 3, gradient_elements = 9;
// All elements of a patch of 3x3 pixels of three channels, for one vector of out_channels.
constexpr int gradient_rows = 3, gradient_patch = 27;
#else
constexpr int tile_vectors = 2;
constexpr int tile_positions[tile_vectors] = {8, 5};
constexpr int gradient_vectors = 2, gradient_elements = 5;
#endif

struct Plan {
  std::int64_t elements;                 // of a patch
  std::int64_t padded_out_channels;      // whole vectors
  std::int64_t band_width, band_height;  // pixels of the input that a band of outputs reads
  std::int64_t out_rows;                 // of the output that are computed
  std::int64_t band_rows, bands;         // of these in a band, bands in an image
  std::int64_t step;                     // from position to position in a band, in elements

  // pool: a band has whole windows of the output.
  explicit Plan(const ConvShape& s, std::int64_t pool = 1) {
    elements = s.kernel_h * s.kernel_w * s.channels;
    padded_out_channels = round_up(s.out_channels, n_lanes);
    step = s.stride_w * s.channels;
    band_width = (s.out_width - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1;
    const std::int64_t reach = (s.kernel_h - 1) * s.dilation_h + 1;
    // A few rows in L1, but several times what neighbouring bands both copy.
    constexpr std::int64_t band_elements = 6 << 10;
    const std::int64_t input_rows = larger(band_elements / larger(band_width * s.channels, 1), 2 * reach);
    out_rows = s.out_height / pool * pool;
    const std::int64_t most_rows = larger((input_rows - reach) / s.stride_h + 1, 1);
    band_rows = smaller(larger(most_rows / pool, 1) * pool, out_rows);
    bands = ceil_div(out_rows, larger(band_rows, 1));
    band_height = (band_rows - 1) * s.stride_h + reach;
  }
  std::int64_t band_elements(const ConvShape& s) const {
    return round_up(band_width * band_height * s.channels, n_lanes);
  }
  Range rows_of(std::int64_t band) const {
    return {band * band_rows, smaller((band + 1) * band_rows, out_rows)};
  }
};

// The offset of every element of a patch from the position's first pixel, in a band.
void set_offsets(const ConvShape& s, const Plan& plan, std::int64_t* offsets) {
  for (std::int64_t y = 0; y < s.kernel_h; ++y)
    for (std::int64_t x = 0; x < s.kernel_w; ++x)
      for (std::int64_t c = 0; c < s.channels; ++c)
        *offsets++ = (y * s.dilation_h * plan.band_width + x * s.dilation_w) * s.channels + c;
}

// The band of the input that output rows from `row` on read, with zeros outside of the image.
void copy_band(const ConvShape& s, const Plan& plan, const T* image, std::int64_t row, T* to) {
  const std::int64_t width = plan.band_width * s.channels, image_width = s.width * s.channels;
  const std::int64_t left = smaller(s.pad_w * s.channels, width);
  const std::int64_t inside = smaller(image_width, width - left);
  for (std::int64_t i = 0; i < plan.band_height; ++i, to += width) {
    const std::int64_t y = row * s.stride_h - s.pad_h + i;
    const bool in_image = y >= 0 && y < s.height;
    const T* const from = image + y * image_width;
    for (std::int64_t j = 0; j < left; ++j) to[j] = 0;
    for (std::int64_t j = 0; j < inside; ++j) to[left + j] = in_image ? from[j] : 0;
    for (std::int64_t j = left + inside; j < width; ++j) to[j] = 0;
  }
}

// ---- forward

struct TileArgs {
  const T* band;  // the first position
  std::int64_t step;
  const std::int64_t* offsets;
  std::int64_t elements;
  const T* filter;  // [element][filter_stride]
  std::int64_t filter_stride;
  T* output;
  std::int64_t output_stride;
  std::int64_t last;  // out_channels in the last vector
  const T* bias;      // of the tile's first out_channel, or null
  T floor;            // with a bias: what is less becomes this
};

template <int positions, int vectors>
[[gnu::noinline]] void multiply_tile(const TileArgs& args) {
  Vec<T> sums[positions][vectors];
#pragma GCC unroll 12
  for (int i = 0; i < positions; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      sums[i][v] = Vec<T>{};
      // By the end of the sum the output is in L1.
      __builtin_prefetch(args.output + i * args.output_stride + v * n_lanes, 1);
    }
  const std::int64_t step = args.step;
  const T* filter = args.filter;
  for (std::int64_t e = 0; e < args.elements; ++e, filter += args.filter_stride) {
    const T* const at = args.band + args.offsets[e];
    Vec<T> row[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) row[v] = load(filter + v * n_lanes);
#pragma GCC unroll 12
    for (int i = 0; i < positions; ++i) {
      const Vec<T> pixel = splat<T>(at[i * step]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[i][v] += pixel * row[v];
    }
  }
  if (args.bias != nullptr) {
    const Vec<T> floor = splat(args.floor);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      const Vec<T> bias = load(args.bias + v * n_lanes, v < vectors - 1 ? n_lanes : args.last);
#pragma GCC unroll 12
      for (int i = 0; i < positions; ++i) {
        const Vec<T> sum = sums[i][v] + bias;
        sums[i][v] = sum < floor ? floor : sum;
      }
    }
  }
  T* to = args.output;
#pragma GCC unroll 12
  for (int i = 0; i < positions; ++i, to += args.output_stride)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      if (v < vectors - 1 || args.last == n_lanes) store(to + v * n_lanes, sums[i][v]);
      else store(to + v * n_lanes, sums[i][v], args.last);
    }
}

struct TileKernels {
  void (*of[tile_vectors][tile_positions[0]])(const TileArgs&);  // [vectors - 1][positions - 1]

  template <int vectors, int positions>
  constexpr void fill() {
    of[vectors - 1][positions - 1] = multiply_tile<positions, vectors>;
    if constexpr (positions < tile_positions[vectors - 1]) fill<vectors, positions + 1>();
    else if constexpr (vectors < tile_vectors) fill<vectors + 1, 1>();
  }
  constexpr TileKernels() : of{} { fill<1, 1>(); }
};
constexpr TileKernels tile_kernels{};

// The maxima of windows of 2x2 pixels of two rows.
void pool_rows(const T* upper, const T* lower, std::int64_t windows, std::int64_t channels, T* to) {
  for (; windows > 0; --windows, upper += 2 * channels, lower += 2 * channels, to += channels)
    for_each_vector<T>(channels, [&](std::int64_t c, auto n) RAVINE_INLINE_LAMBDA {
      store(to + c,
            larger_of(larger_of(load(upper + c, n), load(upper + channels + c, n)),
                      larger_of(load(lower + c, n), load(lower + channels + c, n))),
            n);
    });
}

// filter[element][out_channel], zeros behind the last.
void transpose_filter(const ConvShape& s, const Plan& plan, const T* filter, T* to) {
  for (std::int64_t j = 0; j < plan.padded_out_channels; j += n_lanes)
    pack_b_columns(to + j, plan.padded_out_channels, filter + j * plan.elements, plan.elements,
                   static_cast<int>(smaller(s.out_channels - j, n_lanes)), plan.elements);
}

// ---- gradient to the filter

// sums[element][out_channel] += the products over a row of positions.
struct GradientArgs {
  const T* band;
  std::int64_t step;
  const std::int64_t* offsets;  // of this tile's elements
  const T* grad;                // the first position
  std::int64_t grad_stride, positions;
  std::int64_t last;
  T* sums;
  std::int64_t sums_stride;
  // What will be read soon, from memory to L2: a cache line a position.
  const T* ahead;
  std::int64_t ahead_step;
};

// The elements lie in as many runs side by side, which spares registers of offsets.
template <int elements, int vectors, int runs = elements>
[[gnu::noinline]] void add_tile(const GradientArgs& args) {
  constexpr int run = elements / runs;
  Vec<T> sums[elements][vectors];
  std::int64_t offsets[runs];
#pragma GCC unroll 9
  for (int r = 0; r < runs; ++r) offsets[r] = args.offsets[r * run];
#pragma GCC unroll 27
  for (int e = 0; e < elements; ++e) {
#pragma GCC unroll 3
    for (int v = 0; v < vectors; ++v) sums[e][v] = load(args.sums + e * args.sums_stride + v * n_lanes);
  }
  const auto add_positions = [&](auto load_last) RAVINE_INLINE_LAMBDA {
    const T *band = args.band, *grad = args.grad;
    const T* ahead = args.ahead;
    for (std::int64_t left = args.positions; left > 0;
         --left, band += args.step, grad += args.grad_stride, ahead += args.ahead_step) {
      // A run of one vector reads as much as L1 gives already.
      if constexpr (run == 1) __builtin_prefetch(ahead, 0, 2);
      Vec<T> row[vectors];
#pragma GCC unroll 3
      for (int v = 0; v < vectors - 1; ++v) row[v] = load(grad + v * n_lanes);
      row[vectors - 1] = load_last(grad + (vectors - 1) * n_lanes);
#pragma GCC unroll 9
      for (int r = 0; r < runs; ++r) {
        const T* pixels = band + offsets[r];
        // One address for all of a run, not one for each.
        if constexpr (run > 1) asm("" : "+r"(pixels));
#pragma GCC unroll 9
        for (int i = 0; i < run; ++i) {
          const Vec<T> pixel = splat<T>(pixels[i]);
#pragma GCC unroll 3
          for (int v = 0; v < vectors; ++v) sums[r * run + i][v] += pixel * row[v];
        }
      }
    }
  };
  if (args.last == n_lanes) add_positions([](const T* from) RAVINE_INLINE_LAMBDA { return load(from); });
  else add_positions([&](const T* from) RAVINE_INLINE_LAMBDA { return load(from, args.last); });
#pragma GCC unroll 27
  for (int e = 0; e < elements; ++e)
#pragma GCC unroll 3
    for (int v = 0; v < vectors; ++v) store(args.sums + e * args.sums_stride + v * n_lanes, sums[e][v]);
}

struct GradientKernels {
  void (*of[gradient_vectors][gradient_elements])(const GradientArgs&);  // [vectors - 1][elements - 1]

  template <int vectors, int elements>
  constexpr void fill() {
    of[vectors - 1][elements - 1] = add_tile<elements, vectors>;
    if constexpr (elements < gradient_elements) fill<vectors, elements + 1>();
    else if constexpr (vectors < gradient_vectors) fill<vectors + 1, 1>();
  }
  constexpr GradientKernels() : of{} { fill<1, 1>(); }
};
constexpr GradientKernels gradient_kernels{};

// Adds the products of all elements of a patch.
void add_patch(const GradientArgs& row, std::int64_t elements, std::int64_t width,
               [[maybe_unused]] bool by_rows) {
#if defined(__AVX512F__)
  if (by_rows && width == 1) return add_tile<gradient_patch, 1, gradient_rows>(row);
#endif
  GradientArgs tile = row;
  for (std::int64_t e = 0; e < elements; e += gradient_elements) {
    gradient_kernels.of[width - 1][smaller(gradient_elements, elements - e) - 1](tile);
    tile.offsets += gradient_elements;
    tile.sums += gradient_elements * row.sums_stride;
    tile.ahead += tile.positions * tile.ahead_step;
  }
}

// Sums of their own for parts of the bands, so that there is work for a team.
std::int64_t gradient_splits(const ConvShape& s, const Plan& plan) {
  constexpr std::int64_t most = 16;
  return larger(smaller(s.batch * plan.bands, most), 1);
}

}  // namespace

bool has_few_channels(const ConvShape& s) {
  if (s.channels < 1 || s.channels > max_few_channels || s.groups != 1) return false;
  const Plan plan(s);
  return plan.elements <= max_elements &&
         plan.band_elements(s) + plan.elements * plan.padded_out_channels <= scratch_elements;
}

bool few_channels_can_pool(const ConvForwardArgs& args) {
  const Plan plan(args.shape, 2);
  return plan.band_elements(args.shape) + plan.elements * plan.padded_out_channels +
             2 * args.shape.out_width * args.shape.out_channels <=
         scratch_elements;
}

void few_channels_forward(const ConvForwardArgs& args, const Team& team) {
  const ConvShape& s = args.shape;
  const std::int64_t pool = args.pool;
  const Plan plan(s, pool);
  const Pieces pieces = pieces_of(s.batch * plan.bands, team);
  if (pieces.begin == pieces.end || s.out_width <= 0 || s.out_channels <= 0) return;
  std::int64_t offsets[max_elements];
  set_offsets(s, plan, offsets);
  T* const band = reinterpret_cast<T*>(team.scratch);
  T* const filter = band + plan.band_elements(s);
  T* const window_rows = filter + plan.elements * plan.padded_out_channels;
  transpose_filter(s, plan, static_cast<const T*>(args.filter), filter);
  SumEpilogue<T> sum;
  // Pooling leaves a quarter to add to.
  const bool biased = pool == 1 && args.epilogue != nullptr && is_sum(*args.epilogue, s.out_channels, sum) &&
                      sum.output == args.output && sum.whole == nullptr;

  const std::int64_t vectors = plan.padded_out_channels / n_lanes;
  const std::int64_t panel = ceil_div(vectors, ceil_div(vectors, tile_vectors));
  TileArgs tile;
  tile.step = plan.step;
  tile.offsets = offsets;
  tile.elements = plan.elements;
  tile.filter_stride = plan.padded_out_channels;
  tile.output_stride = s.out_channels;
  tile.bias = nullptr;
  tile.floor = sum.floor;
  // A row of the band's outputs.
  const auto compute_row = [&](std::int64_t row, T* output) {
    for (std::int64_t v = 0; v < vectors; v += panel) {
      const std::int64_t width = smaller(panel, vectors - v), height = tile_positions[width - 1];
      tile.filter = filter + v * n_lanes;
      tile.last = smaller(s.out_channels - (v + width - 1) * n_lanes, n_lanes);
      if (biased) tile.bias = sum.columns + v * n_lanes;
      for (std::int64_t x = 0; x < s.out_width; x += height) {
        tile.band = band + row * s.stride_h * plan.band_width * s.channels + x * plan.step;
        tile.output = output + x * s.out_channels + v * n_lanes;
        tile_kernels.of[width - 1][smaller(height, s.out_width - x) - 1](tile);
      }
    }
  };
  const std::int64_t row_elements = s.out_width * s.out_channels;
  const std::int64_t stored_rows = plan.out_rows / pool, stored_width = s.out_width / pool;
  for (std::int64_t piece = pieces.begin; piece < pieces.end; ++piece) {
    const std::int64_t image = piece / plan.bands;
    const Range rows = plan.rows_of(piece % plan.bands);
    copy_band(s, plan, static_cast<const T*>(args.input) + image * s.height * s.width * s.channels,
              rows.begin, band);
    const std::int64_t first = (image * stored_rows + rows.begin / pool) * stored_width;
    const std::int64_t positions = rows.size() / pool * stored_width;
    T* const output = static_cast<T*>(args.output) + first * s.out_channels;
    for (std::int64_t row = 0; row < rows.size(); ++row) {
      if (pool == 1) {
        compute_row(row, output + row * row_elements);
        continue;
      }
      compute_row(row, window_rows + row % 2 * row_elements);
      if (row % 2 == 1)
        pool_rows(window_rows, window_rows + row_elements, stored_width, s.out_channels,
                  output + row / 2 * stored_width * s.out_channels);
    }
    if (args.epilogue != nullptr && !biased)
      run_epilogue(*args.epilogue, output, s.out_channels, first, positions, 0, s.out_channels);
    gather_statistics<T>(args.statistics, piece, 0, {first, first + positions}, {0, s.out_channels});
  }
}

std::int64_t few_channels_forward_pieces(const ConvForwardArgs& args) {
  return args.shape.out_width > 0 ? args.shape.batch * Plan(args.shape).bands : 0;
}

void few_channels_grad_filter(const ConvGradFilterArgs& args, const Team& team) {
  const ConvShape& s = args.shape;
  const Plan plan(s);
  const std::int64_t splits = gradient_splits(s, plan),
                     sum_elements = plan.elements * plan.padded_out_channels;
  T *const all_sums = static_cast<T*>(args.workspace), *const band = reinterpret_cast<T*>(team.scratch);
  std::int64_t offsets[max_elements];
  set_offsets(s, plan, offsets);

  const std::int64_t vectors = plan.padded_out_channels / n_lanes;
  const std::int64_t panel = ceil_div(vectors, larger(ceil_div(vectors, gradient_vectors), 1));
  const std::int64_t row_elements = s.out_width * s.out_channels;
  constexpr std::int64_t line_elements = 64 / sizeof(T);
  const T* const grads = static_cast<const T*>(args.grad_output);
  const T* const grads_end = grads + s.batch * s.out_height * row_elements;
  const std::int64_t element_tiles = ceil_div(plan.elements, gradient_elements),
                     row_tiles = element_tiles * ceil_div(vectors, larger(panel, 1));
  const bool by_rows = s.kernel_h == 3 && s.kernel_w == 3 && s.channels == 3 && s.dilation_w == 1;
  const Pieces mine = pieces_of(splits, team);
  for (std::int64_t split = mine.begin; split < mine.end; ++split) {
    T* const sums = all_sums + split * sum_elements;
    for (std::int64_t i = 0; i < sum_elements; i += n_lanes) store(sums + i, Vec<T>{});
    const Range bands = share_of(s.batch * plan.bands, 1, static_cast<int>(split), static_cast<int>(splits));
    for (std::int64_t piece = bands.begin; piece < bands.end; ++piece) {
      const std::int64_t image = piece / plan.bands;
      const Range rows = plan.rows_of(piece % plan.bands);
      copy_band(s, plan, static_cast<const T*>(args.input) + image * s.height * s.width * s.channels,
                rows.begin, band);
      const T* const grad = grads + (image * s.out_height + rows.begin) * row_elements;
      GradientArgs tile;
      tile.step = plan.step;
      tile.grad_stride = s.out_channels;
      tile.positions = s.out_width;
      tile.sums_stride = plan.padded_out_channels;
      for (std::int64_t row = 0; row < rows.size(); ++row) {
        // The next row is asked for evenly over all tiles of this one.
        const T* const row_grad = grad + row * row_elements;
        const bool last_row = row_grad + row_elements == grads_end;
        tile.ahead = last_row ? row_grad : row_grad + row_elements;
        tile.ahead_step = smaller(row_elements / larger(row_tiles * s.out_width, 1), line_elements);
        for (std::int64_t v = 0; v < vectors; v += panel) {
          const std::int64_t width = smaller(panel, vectors - v);
          tile.band = band + row * s.stride_h * plan.band_width * s.channels;
          tile.grad = row_grad + v * n_lanes;
          tile.last = smaller(s.out_channels - (v + width - 1) * n_lanes, n_lanes);
          tile.offsets = offsets;
          tile.sums = sums + v * n_lanes;
          add_patch(tile, plan.elements, width, by_rows);
          tile.ahead += element_tiles * s.out_width * tile.ahead_step;
        }
      }
    }
  }
  team.barrier();
  const Pieces elements = pieces_of(plan.elements, team);
  for (std::int64_t e = elements.begin; e < elements.end; ++e)
    for (std::int64_t j = 0; j < s.out_channels; j += n_lanes) {
      const T* from = all_sums + e * plan.padded_out_channels + j;
      Vec<T> sum = load(from);
      for (std::int64_t split = 1; split < splits; ++split) sum += load(from += sum_elements);
      T* const to = static_cast<T*>(args.grad_filter) + j * plan.elements + e;
      for (std::int64_t i = 0; i < smaller(n_lanes, s.out_channels - j); ++i) to[i * plan.elements] = sum[i];
    }
}

std::size_t few_channels_grad_filter_workspace(const ConvGradFilterArgs& args) {
  const Plan plan(args.shape);
  return static_cast<std::size_t>(gradient_splits(args.shape, plan) * plan.elements *
                                  plan.padded_out_channels) *
         sizeof(T);
}

}  // namespace ravine::kernels::RAVINE_ISA
