#include "ops/conv_choice.h"

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "core/error.h"

namespace ravine {
namespace {

using kernels::ConvAlgorithm;
using kernels::ConvShape;

constexpr ConvAlgorithm algorithms[] = {ConvAlgorithm::direct, ConvAlgorithm::winograd_2x2,
                                        ConvAlgorithm::winograd_4x4};

std::atomic<ConvPrecision> precision{ConvPrecision::fast};

// Whether RAVINE_CONV leaves the choice of this algorithm. ValueError where it has no value that it may have.
bool allowed(ConvAlgorithm algorithm) {
  const char* value = std::getenv("RAVINE_CONV");
  const std::string_view wanted = value == nullptr ? "" : value;
  if (wanted.empty()) return true;
  if (wanted == "direct") return algorithm == ConvAlgorithm::direct;
  if (wanted == "winograd") return algorithm != ConvAlgorithm::direct;
  if (wanted == "winograd_2x2") return algorithm == ConvAlgorithm::winograd_2x2;
  if (wanted == "winograd_4x4") return algorithm == ConvAlgorithm::winograd_4x4;
  fail<ValueError>("RAVINE_CONV: expected 'direct', 'winograd', 'winograd_2x2' or 'winograd_4x4', got '",
                   wanted, "'");
}

double vectors(std::int64_t channels, double lanes) {
  return static_cast<double>((channels + static_cast<std::int64_t>(lanes) - 1) /
                             static_cast<std::int64_t>(lanes));
}

// What a product of matrices gets of the two multiply-adds a cycle: short rows of C spend more time around
// the inner loop.
double efficiency(std::int64_t columns) {
  const double n = static_cast<double>(columns);
  return 0.85 * n / (n + 8);
}

// A tile of Winograd: its outputs, its points and those of the filter along an axis, and the cycles of the
// transforms for each vector of channels: of a tile of the input and of the output, and of one row of the
// filter. Measured on a Zen 5 with vectors of 64 bytes; loads and stores are part of them. Where a tile has
// many points, few fit in L2, and each block of them reads the whole filter: the products take 1 + crowding +
// filter / spill times as long. The gradient to the filter reads none; but where the transformed tiles of
// both operands are too many for the caches, it takes `waves` times as long.
struct Tile {
  std::int64_t outputs, points, filter_points;
  double input, output, filter;
  double crowding = 0, spill = 1e9;  // spill: channels * out_channels
  double waves = 1;
};
constexpr Tile tile_2x2{2, 4, 4, 55, 50, 160}, tile_4x4{4, 6, 6, 160, 110, 430};
constexpr Tile tile_5x5{2, 6, 6, 160, 90, 700};  // of a 5x5 kernel
constexpr Tile tile_strided{4, 9, 6, 300, 250, 430, 0.15, 2e5, 1.5},
    tile_transposed{8, 9, 6, 180, 300, 430, 0.2, 6e4};
constexpr Tile tile_strided_2x2{2, 5, 4, 80, 60, 160, 0.15, 1e6, 1.5},
    tile_transposed_2x2{4, 5, 4, 60, 90, 160, 0.15, 1e6};
// Of a large filter the sums are finished piece by piece, which leaves the caches to the tiles; those of a
// small one are in L2 beside a few tiles, whatever their number.
constexpr std::int64_t large_filter = 1 << 17;
constexpr double small_sums = 160 << 10;
constexpr double wave_elements = 2 << 20, wave_elements_of_large_filter = 6 << 20;

Tile tile_of(ConvAlgorithm algorithm, ConvPass pass, const ConvShape& s) {
  const bool twos = algorithm == ConvAlgorithm::winograd_2x2;
  if (s.stride_h == 2 && pass == ConvPass::grad_input) return twos ? tile_transposed_2x2 : tile_transposed;
  if (s.stride_h == 2) return twos ? tile_strided_2x2 : tile_strided;
  if (s.kernel_h == 5) return tile_5x5;
  return twos ? tile_2x2 : tile_4x4;
}

std::int64_t tiles_of(std::int64_t extent, std::int64_t outputs, std::int64_t dilation) {
  const std::int64_t own = (extent + dilation - 1) / dilation;
  return dilation * ((own + outputs - 1) / outputs);
}

double winograd_cycles(ConvAlgorithm algorithm, ConvPass pass, const ConvShape& s, double lanes) {
  const Tile tile = tile_of(algorithm, pass, s);
  const bool backward = pass == ConvPass::grad_input;
  const std::int64_t height = backward ? s.height : s.out_height, width = backward ? s.width : s.out_width;
  const double tiles = static_cast<double>(s.batch * tiles_of(height, tile.outputs, s.dilation_h) *
                                           tiles_of(width, tile.outputs, s.dilation_w));
  const std::int64_t channels = s.channels / s.groups, out_channels = s.out_channels / s.groups;
  const std::int64_t columns = backward || pass == ConvPass::grad_filter ? channels : out_channels;
  const double rows = static_cast<double>(channels + out_channels - columns);
  const double points = static_cast<double>(tile.points * tile.points);
  const double groups = static_cast<double>(s.groups);
  double crowding = 1 + tile.crowding;
  const double filter_size = static_cast<double>(channels * out_channels);
  if (pass != ConvPass::grad_filter) {
    crowding += filter_size / tile.spill;
  } else if (groups * filter_size * static_cast<double>(tile.filter_points * tile.filter_points) <=
             small_sums) {
    crowding = 1;
  } else if (tiles * points * static_cast<double>(s.channels + s.out_channels) >
             (channels * out_channels < large_filter ? wave_elements : wave_elements_of_large_filter)) {
    crowding *= tile.waves;
  }
  const double products =
      crowding * groups * tiles * points * rows * vectors(columns, lanes) / 2 / efficiency(columns);
  // Around each tile and each call of a product's inner loop.
  const double calls = 60 + 5 * groups * points * vectors(columns, 4 * lanes);
  // What the pass transforms: the input or its place's taker, and the output or its.
  const std::int64_t read = backward ? s.out_channels : s.channels;
  const std::int64_t written = s.channels + s.out_channels - read;
  return products + tiles * calls + tiles * vectors(read, lanes) * tile.input +
         tiles * vectors(written, lanes) * tile.output +
         groups * rows * vectors(columns, lanes) * tile.filter;
}

double direct_cycles(ConvPass pass, const ConvShape& s, double lanes) {
  const double positions = static_cast<double>(s.batch * s.out_height * s.out_width);
  const std::int64_t channels = s.channels / s.groups, out_channels = s.out_channels / s.groups;
  const double taps = static_cast<double>(s.kernel_h * s.kernel_w);
  constexpr std::int64_t few_channels = 4;  // for which there are kernels that never pack patches
  if (s.channels <= few_channels && s.groups == 1) {
    const double in = static_cast<double>(s.channels);
    if (pass == ConvPass::grad_input)
      return positions * taps * (in / 1.8 + 0.5) * vectors(s.out_channels, lanes);
    return positions * (taps * in / 1.8 + 1) * vectors(s.out_channels, lanes);
  }
  if (pass == ConvPass::grad_filter) {  // its columns are those of whole patches, which are packed
    const std::int64_t patch = s.kernel_h * s.kernel_w * channels;
    const bool whole_vectors = channels % static_cast<std::int64_t>(lanes) == 0;
    const double packing = static_cast<double>(s.groups) * (whole_vectors ? 3 : 6);
    return positions * vectors(patch, lanes) *
           (static_cast<double>(s.out_channels) / 2 / efficiency(patch) + packing);
  }
  const std::int64_t columns = pass == ConvPass::forward ? out_channels : channels;
  const double rows = static_cast<double>(channels + out_channels - columns);
  return positions * taps * rows * vectors(columns, lanes) * static_cast<double>(s.groups) / 2 /
         efficiency(columns);
}

}  // namespace

void set_conv_precision(ConvPrecision value) { precision.store(value, std::memory_order_relaxed); }
ConvPrecision conv_precision() { return precision.load(std::memory_order_relaxed); }

const char* name_of(ConvAlgorithm algorithm) {
  switch (algorithm) {
    case ConvAlgorithm::direct:
      return "direct";
    case ConvAlgorithm::winograd_2x2:
      return "winograd 2x2";
    case ConvAlgorithm::winograd_4x4:
      return "winograd 4x4";
  }
  return "";
}

bool applies(ConvAlgorithm algorithm, const ConvShape& s, DType dtype) {
  if (algorithm == ConvAlgorithm::direct) return true;
  if (dtype != DType::float32 || s.kernel_h != s.kernel_w || s.stride_h != s.stride_w) return false;
  if (s.groups > 1 && s.groups == s.channels) return false;  // depthwise
  const bool fours = algorithm == ConvAlgorithm::winograd_4x4;
  if (s.kernel_h == 5) return s.stride_h == 1 && !fours;
  if (s.kernel_h != 3) return false;
  const bool strided =
      s.stride_h == 2 && s.pad_h == 1 && s.pad_w == 1 && s.dilation_h == 1 && s.dilation_w == 1;
  return s.stride_h == 1 || strided;
}

double conv_cycles(ConvAlgorithm algorithm, ConvPass pass, const ConvShape& shape, DType dtype,
                   int vector_bytes) {
  const double lanes = static_cast<double>(vector_bytes) / static_cast<double>(size_of(dtype));
  if (algorithm == ConvAlgorithm::direct) return direct_cycles(pass, shape, lanes);
  return winograd_cycles(algorithm, pass, shape, lanes);
}

namespace {

bool eligible(ConvAlgorithm algorithm, const ConvShape& shape, DType dtype) {
  return allowed(algorithm) && applies(algorithm, shape, dtype) &&
         (algorithm == ConvAlgorithm::direct || conv_precision() == ConvPrecision::fast);
}

// Of the algorithms that apply and are not ruled out the one of the least cost(algorithm); direct where
// nothing else is allowed, or what is allowed does not apply.
template <class Cost>
ConvAlgorithm cheapest(const ConvShape& shape, DType dtype, Cost cost) {
  ConvAlgorithm best = ConvAlgorithm::direct;
  double least = std::numeric_limits<double>::infinity();
  for (const ConvAlgorithm algorithm : algorithms) {
    if (!eligible(algorithm, shape, dtype)) continue;
    const double cycles = cost(algorithm);
    if (cycles >= least) continue;
    least = cycles;
    best = algorithm;
  }
  return best;
}

// Reading a filter takes a core this many cycles a byte where it comes from memory, as it does where the net
// before it has gone through the caches.
constexpr double cycles_per_byte = 0.08;

}  // namespace

ConvAlgorithm choose_conv(ConvPass pass, const ConvShape& shape, DType dtype, int vector_bytes) {
  return cheapest(shape, dtype, [&](ConvAlgorithm algorithm) {
    return conv_cycles(algorithm, pass, shape, dtype, vector_bytes);
  });
}

std::string describe_choice(ConvPass pass, const ConvShape& shape, DType dtype, int vector_bytes) {
  std::string costs;
  int choices = 0;
  for (const ConvAlgorithm algorithm : algorithms) {
    if (!eligible(algorithm, shape, dtype)) continue;
    const double thousands = conv_cycles(algorithm, pass, shape, dtype, vector_bytes) / 1e3;
    costs += str(choices++ == 0 ? "" : ", ", name_of(algorithm), ' ', std::llround(thousands));
  }
  return choices > 1 ? str("kcycles: ", costs) : "";
}

ConvAlgorithm choose_conv_with_kept_filter(const ConvShape& s, DType dtype, int vector_bytes) {
  const double lanes = static_cast<double>(vector_bytes) / static_cast<double>(size_of(dtype));
  return cheapest(s, dtype, [&](ConvAlgorithm algorithm) {
    const double cycles = conv_cycles(algorithm, ConvPass::forward, s, dtype, vector_bytes);
    const double weights = static_cast<double>(s.channels / s.groups) * static_cast<double>(s.out_channels) *
                           static_cast<double>(size_of(dtype));
    if (algorithm == ConvAlgorithm::direct)
      return cycles + static_cast<double>(s.kernel_h * s.kernel_w) * weights * cycles_per_byte;
    const Tile tile = tile_of(algorithm, ConvPass::forward, s);
    const double points = static_cast<double>(tile.filter_points * tile.filter_points);
    const double rows = static_cast<double>(s.channels);  // of all groups
    return cycles - rows * vectors(s.out_channels / s.groups, lanes) * tile.filter +
           points * weights * cycles_per_byte;
  });
}

}  // namespace ravine
