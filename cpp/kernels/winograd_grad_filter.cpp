// Winograd gradient to the filter: with V the transformed tiles of the input and W those of the output's
// gradient, the sums over all tiles of W^T V, a matrix [out_channels, channels] for each point, transformed
// to 3x3.
//
// The sums are cut into pieces of some out_channels (rows) and one panel of channels. Where all sums are
// small, tiles are cut into splits with sums of their own, and a thread transforms a block of tiles into its
// scratch and adds their products. Else the team transforms a wave of tiles into the workspace; if one wave
// is all, a piece's sums stay in scratch.
#include "kernels/scratch.h"
#include "kernels/winograd.h"
#include "kernels/winograd_product.h"
#include "kernels/winograd_tiles.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

using T = float;
constexpr std::int64_t n_lanes = lanes<T>;
constexpr std::int64_t scratch_elements = scratch_bytes / sizeof(T);
// Points lie this much more than their size apart, lest all of a tile share a set of the caches.
constexpr std::int64_t stagger = n_lanes;
// Tiles in a product: the panel of V stays in L1.
constexpr std::int64_t product_depth = 128;

// Transformed tiles of one operand: panels of channels, [panel][point][tile][width].
struct Operand {
  TiledImages images;
  std::int64_t width;  // of all panels but the last, whose rows are whole vectors
  std::int64_t panels, padded_channels;

  Operand(const TiledImages& tiled, std::int64_t most_width)
      : images(tiled),
        width(larger(
            round_up(divide_up(tiled.channels, larger(divide_up(tiled.channels, most_width), 1)), n_lanes),
            1)),
        panels(divide_up(tiled.channels, width)),
        padded_channels(round_up(tiled.channels, n_lanes)) {}
  Range channels_of(std::int64_t panel) const {
    return {panel * width, smaller((panel + 1) * width, images.channels)};
  }
  std::int64_t row_of(std::int64_t panel) const { return round_up(channels_of(panel).size(), n_lanes); }
};

template <int outputs>
struct Plan {
  static constexpr int points = Winograd<T, outputs>::points, all_points = points * points;
  static constexpr std::int64_t rows_of_piece = 48;

  Operand input, grad;
  std::int64_t tiles, pieces;
  std::int64_t splits;                   // 0: waves
  std::int64_t block_tiles, wave_tiles;  // of which transformed tiles are held
  bool sums_in_scratch;

  explicit Plan(const ConvShape& s)
      : input({s.height, s.width, s.channels, divide_up(s.out_height, outputs),
               divide_up(s.out_width, outputs), outputs, s.pad_h, s.pad_w},
              product_vectors * n_lanes),
        grad({s.out_height, s.out_width, s.out_channels, input.images.tiles_y, input.images.tiles_x, outputs,
              0, 0},
             rows_of_piece) {
    tiles = s.batch * input.images.tiles_y * input.images.tiles_x;
    pieces = grad.panels * input.panels;
    const std::int64_t sums = sum_elements();
    constexpr std::int64_t small = 160 << 10, most_tiles = 32;
    splits = 0;
    block_tiles = wave_tiles = 0;
    sums_in_scratch = false;
    const std::int64_t tile_elements = all_points * (input.padded_channels + grad.padded_channels);
    if (sums <= small) {
      const std::int64_t room = scratch_elements - all_points * stagger * (input.panels + grad.panels);
      block_tiles = smaller(smaller(room / larger(tile_elements, 1), most_tiles), tiles);
      splits = smaller(sums <= small / 4 ? 16 : 8, divide_up(tiles, larger(block_tiles, 1)));
      return;
    }
    constexpr std::int64_t one_wave = 6 << 20, wave = 3 << 19;  // elements of transformed tiles
    wave_tiles = tiles * tile_elements <= one_wave
                     ? tiles
                     : smaller(larger(wave / tile_elements / product_depth, 1) * product_depth, tiles);
    sums_in_scratch = wave_tiles == tiles && pieces >= 16;
    static_assert(all_points * (rows_of_piece * product_vectors * n_lanes + stagger) <= scratch_elements);
  }

  // Of the sums, [piece][point][row][channel].
  std::int64_t sum_elements() const { return pieces * piece_elements(); }
  std::int64_t piece_elements() const { return all_points * sum_point(); }
  std::int64_t sum_point() const { return grad.width * input.width + stagger; }
  // Of transformed tiles, held `held` at a time.
  std::int64_t operand_elements(const Operand& operand, std::int64_t held) const {
    return all_points * (held * operand.padded_channels + operand.panels * stagger);
  }
  std::int64_t held_elements(std::int64_t held) const {
    return operand_elements(input, held) + operand_elements(grad, held);
  }
  std::int64_t buffers() const { return wave_tiles < tiles ? 2 : 1; }
  std::int64_t workspace_elements() const {
    if (splits > 0) return splits * sum_elements();
    return (sums_in_scratch ? 0 : sum_elements()) + buffers() * held_elements(wave_tiles);
  }
};

// A panel of transformed tiles, held `held` at a time: [point][tile][row].
template <int outputs>
std::int64_t panel_offset(const Operand& operand, std::int64_t panel, std::int64_t held) {
  return panel * Plan<outputs>::all_points * (held * operand.width + stagger);
}
RAVINE_INLINE std::int64_t point_stride(const Operand& operand, std::int64_t panel, std::int64_t held) {
  return held * operand.row_of(panel) + stagger;
}

// Transforms `tiles` of one panel to the places from `first` on of what is held at `to`.
template <int outputs, int size, class Transform>
void transform_panel(Transform transform, const Operand& operand, const void* from, std::int64_t panel,
                     Range tiles, std::int64_t first, std::int64_t held, T* to) {
  const Range channels = operand.channels_of(panel);
  const std::int64_t row = operand.row_of(panel);
  transform_tiles<T, size, Plan<outputs>::points>(
      transform, operand.images, static_cast<const T*>(from) + channels.begin, channels.size(), tiles,
      to + panel_offset<outputs>(operand, panel, held) + first * row,
      {row, point_stride(operand, panel, held)});
}
// Panel `panel` of the two operands, the input's first.
template <int outputs>
void transform_any_panel(const ConvGradFilterArgs& args, const Plan<outputs>& plan, std::int64_t panel,
                         Range tiles, std::int64_t first, std::int64_t held, T* to) {
  if (panel < plan.input.panels) {
    transform_panel<outputs, outputs + 2>([](const auto& d, auto& v)
                                              RAVINE_INLINE_LAMBDA { Winograd<T, outputs>::input(d, v); },
                                          plan.input, args.input, panel, tiles, first, held, to);
  } else {
    transform_panel<outputs, outputs>([](const auto& d, auto& v)
                                          RAVINE_INLINE_LAMBDA { Winograd<T, outputs>::grad_output(d, v); },
                                      plan.grad, args.grad_output, panel - plan.input.panels, tiles, first,
                                      held, to + plan.operand_elements(plan.input, held));
  }
}

// sums (+)= W^T V at one point of one piece, over `n_tiles` of those held.
template <int outputs>
void multiply_point(const Plan<outputs>& plan, std::int64_t piece, int point, const T* held_tiles,
                    std::int64_t held, std::int64_t n_tiles, T* sums, bool accumulate) {
  const std::int64_t grad_panel = piece / plan.input.panels, input_panel = piece % plan.input.panels;
  const std::int64_t row = plan.input.row_of(input_panel), grad_row = plan.grad.row_of(grad_panel);
  const T* const v = held_tiles + panel_offset<outputs>(plan.input, input_panel, held) +
                     point * point_stride(plan.input, input_panel, held);
  const T* const w = held_tiles + plan.operand_elements(plan.input, held) +
                     panel_offset<outputs>(plan.grad, grad_panel, held) +
                     point * point_stride(plan.grad, grad_panel, held);
  ProductArgs<T> args;
  args.a_stride = grad_row;
  args.b_stride = row;
  args.c = sums + point * plan.sum_point();
  args.c_stride = row;
  for (std::int64_t tile = 0; tile < n_tiles; tile += product_depth) {
    args.a = w + tile * grad_row;
    args.b = v + tile * row;
    args.depth = smaller(product_depth, n_tiles - tile);
    args.accumulate = accumulate || tile > 0;
    multiply_panel<T, ProductLayout::by_columns>(args, plan.grad.channels_of(grad_panel).size(),
                                                 row / n_lanes);
  }
}

// The gradients of one piece's filters from its sums, added over `parts` of them that lie `stride` apart.
template <int outputs>
void transform_sums(const ConvGradFilterArgs& args, const Plan<outputs>& plan, std::int64_t piece,
                    const T* sums, std::int64_t parts, std::int64_t stride) {
  constexpr int points = Plan<outputs>::points;
  const std::int64_t grad_panel = piece / plan.input.panels, input_panel = piece % plan.input.panels;
  const std::int64_t row = plan.input.row_of(input_panel), channels = plan.input.images.channels;
  const Range rows = plan.grad.channels_of(grad_panel), columns = plan.input.channels_of(input_panel);
  for (std::int64_t i = rows.begin; i < rows.end; ++i)
    for (std::int64_t j = columns.begin; j < columns.end; j += n_lanes) {
      const T* const from = sums + (i - rows.begin) * row + (j - columns.begin);
      T* const to = static_cast<T*>(args.grad_filter) + i * 9 * channels + j;
      const std::int64_t count = smaller(columns.end - j, n_lanes);
      transform_square<T, points, 3>([](const auto& p, auto& dw)
                                         RAVINE_INLINE_LAMBDA { Winograd<T, outputs>::grad_filter(p, dw); },
                                     [&](int x, auto& column) RAVINE_INLINE_LAMBDA {
#pragma GCC unroll 6
                                       for (int y = 0; y < points; ++y) {
                                         const T* at = from + (y * points + x) * plan.sum_point();
                                         column[y] = load(at);
                                         for (std::int64_t part = 1; part < parts; ++part)
                                           column[y] += load(at += stride);
                                       }
                                     },
                                     [&](int y, const auto& values) RAVINE_INLINE_LAMBDA {
#pragma GCC unroll 3
                                       for (int x = 0; x < 3; ++x)
                                         store(to + (y * 3 + x) * channels, values[x], count);
                                     });
    }
}

template <int outputs>
void add_in_splits(const ConvGradFilterArgs& args, const Plan<outputs>& plan, const Team& team) {
  T *const all_sums = static_cast<T*>(args.workspace), *const held = reinterpret_cast<T*>(team.scratch);
  const Pieces mine = pieces_of(plan.splits, team);
  for (std::int64_t split = mine.begin; split < mine.end; ++split) {
    T* const sums = all_sums + split * plan.sum_elements();
    const Range range =
        share_of(plan.tiles, plan.block_tiles, static_cast<int>(split), static_cast<int>(plan.splits));
    for (std::int64_t tile = range.begin; tile < range.end; tile += plan.block_tiles) {
      const Range tiles{tile, smaller(tile + plan.block_tiles, range.end)};
      for (std::int64_t panel = 0; panel < plan.input.panels + plan.grad.panels; ++panel)
        transform_any_panel<outputs>(args, plan, panel, tiles, 0, plan.block_tiles, held);
      for (std::int64_t piece = 0; piece < plan.pieces; ++piece)
        for (int point = 0; point < Plan<outputs>::all_points; ++point)
          multiply_point<outputs>(plan, piece, point, held, plan.block_tiles, tiles.size(),
                                  sums + piece * plan.piece_elements(), tile > range.begin);
    }
  }
  team.barrier();
  const Pieces pieces = pieces_of(plan.pieces, team);
  for (std::int64_t piece = pieces.begin; piece < pieces.end; ++piece)
    transform_sums<outputs>(args, plan, piece, all_sums + piece * plan.piece_elements(), plan.splits,
                            plan.sum_elements());
}

template <int outputs>
void add_in_waves(const ConvGradFilterArgs& args, const Plan<outputs>& plan, const Team& team) {
  constexpr int all_points = Plan<outputs>::all_points;
  T* const sums = static_cast<T*>(args.workspace);
  T* const buffers = sums + (plan.sums_in_scratch ? 0 : plan.sum_elements());
  std::int64_t wave = 0;
  for (std::int64_t first = 0; first < plan.tiles; first += plan.wave_tiles, ++wave) {
    T* const held = buffers + wave % plan.buffers() * plan.held_elements(plan.wave_tiles);
    const std::int64_t n_tiles = smaller(plan.wave_tiles, plan.tiles - first);
    const std::int64_t panels = plan.input.panels + plan.grad.panels;
    constexpr std::int64_t at_once = 8;  // tiles that a thread transforms panel by panel
    const std::int64_t groups = divide_up(n_tiles, at_once);
    const Pieces transforms = pieces_of(groups * panels, team);
    for (std::int64_t index = transforms.begin; index < transforms.end; ++index) {
      const std::int64_t begin = index / panels * at_once;
      const Range tiles{first + begin, first + smaller(begin + at_once, n_tiles)};
      transform_any_panel<outputs>(args, plan, index % panels, tiles, begin, plan.wave_tiles, held);
    }
    team.barrier();
    if (plan.sums_in_scratch) {
      T* const scratch = reinterpret_cast<T*>(team.scratch);
      const Pieces pieces = pieces_of(plan.pieces, team);
      for (std::int64_t piece = pieces.begin; piece < pieces.end; ++piece) {
        for (int point = 0; point < all_points; ++point)
          multiply_point<outputs>(plan, piece, point, held, plan.wave_tiles, n_tiles, scratch, false);
        transform_sums<outputs>(args, plan, piece, scratch, 1, 0);
      }
      return;
    }
    const Pieces products = pieces_of(plan.pieces * all_points, team);
    for (std::int64_t index = products.begin; index < products.end; ++index) {
      const std::int64_t piece = index / all_points;
      multiply_point<outputs>(plan, piece, static_cast<int>(index % all_points), held, plan.wave_tiles,
                              n_tiles, sums + piece * plan.piece_elements(), wave > 0);
    }
  }
  team.barrier();
  const Pieces pieces = pieces_of(plan.pieces, team);
  for (std::int64_t piece = pieces.begin; piece < pieces.end; ++piece)
    transform_sums<outputs>(args, plan, piece, sums + piece * plan.piece_elements(), 1, 0);
}

template <int outputs>
void add(const ConvGradFilterArgs& args, const Team& team) {
  const Plan<outputs> plan(args.shape);
  if (plan.tiles == 0) {
    const Range range =
        share_of(args.shape.out_channels * 9 * args.shape.channels, n_lanes, team.rank, team.size);
    for (std::int64_t i = range.begin; i < range.end; ++i) static_cast<T*>(args.grad_filter)[i] = 0;
  } else if (plan.splits > 0) {
    add_in_splits<outputs>(args, plan, team);
  } else {
    add_in_waves<outputs>(args, plan, team);
  }
}

}  // namespace

void winograd_grad_filter(const ConvGradFilterArgs& args, const Team& team) {
  if (args.algorithm == ConvAlgorithm::winograd_4x4) add<4>(args, team);
  else add<2>(args, team);
}
std::size_t winograd_grad_filter_workspace(const ConvGradFilterArgs& args) {
  const std::int64_t elements = args.algorithm == ConvAlgorithm::winograd_4x4
                                    ? Plan<4>(args.shape).workspace_elements()
                                    : Plan<2>(args.shape).workspace_elements();
  return static_cast<std::size_t>(elements) * sizeof(T);
}

}  // namespace ravine::kernels::RAVINE_ISA
