// Winograd gradient to the filter: with V the transformed tiles of the input and W those of the output's
// gradient, the sums over all tiles of W^T V, a matrix [out_channels, channels] for each point of the filter,
// transformed to its taps.
//
// The sums are cut into pieces of some out_channels (rows) and one panel of channels. Where all sums are
// small, tiles are cut into splits with sums of their own, and a thread transforms a block of tiles into its
// scratch and adds their products. Else the team transforms a wave of tiles into the workspace; if one wave
// is all, a piece's sums stay in scratch.
#include "kernels/base/scratch.h"
#include "kernels/conv/winograd/product.h"
#include "kernels/conv/winograd/tiles.h"
#include "kernels/conv/winograd/winograd.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

using T = float;
constexpr std::int64_t n_lanes = lanes<T>;
constexpr std::int64_t scratch_elements = scratch_bytes / sizeof(T);
// Points lie this much more than their size apart, lest all of a tile share a set of the caches.
constexpr std::int64_t stagger = n_lanes;
// Tiles in a product: the panel of V stays in L1.
constexpr std::int64_t product_depth = 128;

// Transformed tiles of one operand: panels of channels of one group, [group][panel][point][tile][width].
struct Operand {
  TiledImages images;
  std::int64_t channels;  // of a group
  std::int64_t width;     // of a group's panels but the last, whose rows are whole vectors
  std::int64_t group_panels, panels;
  std::int64_t padded_channels;  // of all groups

  Operand(const TiledImages& tiled, std::int64_t groups, std::int64_t most_width)
      : images(tiled),
        channels(tiled.channels / groups),
        width(larger(round_up(ceil_div(channels, larger(ceil_div(channels, most_width), 1)), n_lanes), 1)),
        group_panels(ceil_div(channels, width)),
        panels(groups * group_panels),
        padded_channels(groups * round_up(channels, n_lanes)) {}
  Range channels_of(std::int64_t panel) const {
    const std::int64_t first = panel / group_panels * channels, in_group = panel % group_panels;
    return {first + in_group * width, first + smaller((in_group + 1) * width, channels)};
  }
  std::int64_t row_of(std::int64_t panel) const { return round_up(channels_of(panel).size(), n_lanes); }
};

TiledImages tiled_input(const ConvShape& s, std::int64_t outputs) {
  return {s.height,
          s.width,
          s.channels,
          tiles_of(s.out_height, outputs, s.dilation_h),
          tiles_of(s.out_width, outputs, s.dilation_w),
          s.pad_h,
          s.pad_w,
          s.dilation_h,
          s.dilation_w};
}
TiledImages tiled_grad(const ConvShape& s, std::int64_t outputs) {
  TiledImages images = tiled_input(s, outputs);
  images.height = s.out_height;
  images.width = s.out_width;
  images.channels = s.out_channels;
  images.pad_y = images.pad_x = 0;
  return images;
}

template <class F>
struct Plan {
  static constexpr int points = F::points, all_points = points * points;
  static constexpr int filter_points = F::filter_points * F::filter_points;
  static constexpr std::int64_t rows_of_piece = 48;

  Operand input, grad;
  std::int64_t tiles, pieces;
  std::int64_t splits;                   // 0: waves
  std::int64_t block_tiles, wave_tiles;  // of which transformed tiles are held
  bool sums_in_scratch;

  explicit Plan(const ConvShape& s)
      : input(tiled_input(s, F::outputs), s.groups, product_vectors * n_lanes),
        grad(tiled_grad(s, F::outputs), s.groups, rows_of_piece) {
    tiles = s.batch * input.images.tiles_y * input.images.tiles_x;
    pieces = grad.panels * input.group_panels;
    const std::int64_t sums = sum_elements();
    constexpr std::int64_t small = 160 << 10, most_tiles = 32;
    splits = 0;
    block_tiles = wave_tiles = 0;
    sums_in_scratch = false;
    const std::int64_t tile_elements = all_points * (input.padded_channels + grad.padded_channels);
    if (sums <= small) {
      const std::int64_t room = scratch_elements - all_points * stagger * (input.panels + grad.panels);
      block_tiles = smaller(smaller(room / larger(tile_elements, 1), most_tiles), tiles);
      splits = smaller(sums <= small / 4 ? 16 : 8, ceil_div(tiles, larger(block_tiles, 1)));
      return;
    }
    constexpr std::int64_t one_wave = 6 << 20, wave = 3 << 19;  // elements of transformed tiles
    wave_tiles = tiles * tile_elements <= one_wave
                     ? tiles
                     : smaller(larger(wave / tile_elements / product_depth, 1) * product_depth, tiles);
    sums_in_scratch = wave_tiles == tiles && pieces >= 16;
    static_assert(filter_points * (rows_of_piece * product_vectors * n_lanes + stagger) <= scratch_elements);
  }

  // A piece is a panel of the gradient and one of the input, of the same group.
  std::int64_t grad_panel(std::int64_t piece) const { return piece / input.group_panels; }
  std::int64_t input_panel(std::int64_t piece) const {
    return grad_panel(piece) / grad.group_panels * input.group_panels + piece % input.group_panels;
  }
  // Of the sums, [piece][filter point][row][channel].
  std::int64_t sum_elements() const { return pieces * piece_elements(); }
  std::int64_t piece_elements() const { return filter_points * sum_point(); }
  std::int64_t sum_point() const { return grad.width * input.width + stagger; }
  // Of all products over so many tiles.
  std::int64_t steps(std::int64_t n_tiles) const {
    return pieces * all_points * product_steps(grad.width, input.width / n_lanes, n_tiles);
  }
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

// A panel of transformed tiles, held `held` at a time: [point][tile][row]. All panels of a group but its last
// are as wide.
template <class F>
std::int64_t panel_offset(const Operand& operand, std::int64_t panel, std::int64_t held) {
  const std::int64_t group = panel / operand.group_panels, in_group = panel % operand.group_panels;
  const std::int64_t columns = group * round_up(operand.channels, n_lanes) + in_group * operand.width;
  return Plan<F>::all_points * (held * columns + panel * stagger);
}
RAVINE_INLINE std::int64_t point_stride(const Operand& operand, std::int64_t panel, std::int64_t held) {
  return held * operand.row_of(panel) + stagger;
}

// Transforms `tiles` of panel `panel` of the two operands, the input's first, to the places from `first` on
// of what is held at `to`.
template <class F>
void transform_any_panel(const ConvGradFilterArgs& args, const Plan<F>& plan, std::int64_t panel, Range tiles,
                         std::int64_t first, std::int64_t held, T* to) {
  const bool of_input = panel < plan.input.panels;
  const Operand& operand = of_input ? plan.input : plan.grad;
  if (!of_input) {
    panel -= plan.input.panels;
    to += plan.operand_elements(plan.input, held);
  }
  const Range channels = operand.channels_of(panel);
  const std::int64_t row = operand.row_of(panel);
  const TransformedTiles layout{row, point_stride(operand, panel, held)};
  to += panel_offset<F>(operand, panel, held) + first * row;
  if (of_input) {
    transform_input<F>(operand.images, static_cast<const T*>(args.input) + channels.begin, channels.size(),
                       tiles, to, layout);
  } else {
    transform_tiles<T, F::outputs, F::points>(
        [](const auto& d, auto& v) RAVINE_INLINE_LAMBDA { F::grad_output(d, v); }, operand.images, F::outputs,
        static_cast<const T*>(args.grad_output) + channels.begin, channels.size(), tiles, to, layout);
  }
}

// sums (+)= W^T V at one point of the filter for one piece, over `n_tiles` of those held: the products of all
// points that meet it.
template <class F>
void multiply_point(const Plan<F>& plan, std::int64_t piece, int filter_point, const T* held_tiles,
                    std::int64_t held, std::int64_t n_tiles, T* sums, bool accumulate, LookAhead& ahead) {
  const std::int64_t grad_panel = plan.grad_panel(piece), input_panel = plan.input_panel(piece);
  const std::int64_t row = plan.input.row_of(input_panel), grad_row = plan.grad.row_of(grad_panel);
  const T* const v = held_tiles + panel_offset<F>(plan.input, input_panel, held);
  const T* const w =
      held_tiles + plan.operand_elements(plan.input, held) + panel_offset<F>(plan.grad, grad_panel, held);
  ProductArgs<T> args;
  args.a_stride = grad_row;
  args.b_stride = row;
  args.c = sums + filter_point * plan.sum_point();
  args.c_stride = row;
  for (int y = 0; y < F::points; ++y) {
    if (F::filter_point(y) != filter_point / F::filter_points) continue;
    for (int x = 0; x < F::points; ++x) {
      if (F::filter_point(x) != filter_point % F::filter_points) continue;
      const int point = y * F::points + x;
      for (std::int64_t tile = 0; tile < n_tiles; tile += product_depth) {
        args.a = w + point * point_stride(plan.grad, grad_panel, held) + tile * grad_row;
        args.b = v + point * point_stride(plan.input, input_panel, held) + tile * row;
        args.depth = smaller(product_depth, n_tiles - tile);
        args.accumulate = accumulate;
        multiply_panel<T, ProductLayout::by_columns>(args, plan.grad.channels_of(grad_panel).size(),
                                                     row / n_lanes, ahead);
        accumulate = true;
      }
    }
  }
}
// How many points meet one of the filter.
template <class F>
int points_of(int filter_point) {
  int along_y = 0, along_x = 0;
  for (int i = 0; i < F::points; ++i) {
    along_y += F::filter_point(i) == filter_point / F::filter_points;
    along_x += F::filter_point(i) == filter_point % F::filter_points;
  }
  return along_y * along_x;
}

// The gradients of one piece's filters from its sums, added over `parts` of them that lie `stride` apart.
template <class F>
void transform_sums(const ConvGradFilterArgs& args, const Plan<F>& plan, std::int64_t piece, const T* sums,
                    std::int64_t parts, std::int64_t stride) {
  constexpr int points = F::filter_points, taps = F::taps;
  const std::int64_t input_panel = plan.input_panel(piece), channels = plan.input.channels;
  const std::int64_t row = plan.input.row_of(input_panel);
  const std::int64_t first_column = (input_panel % plan.input.group_panels) * plan.input.width;
  const Range rows = plan.grad.channels_of(plan.grad_panel(piece)),
              columns{first_column, first_column + plan.input.channels_of(input_panel).size()};
  for (std::int64_t i = rows.begin; i < rows.end; ++i)
    for (std::int64_t j = columns.begin; j < columns.end; j += n_lanes) {
      const T* const from = sums + (i - rows.begin) * row + (j - columns.begin);
      T* const to = static_cast<T*>(args.grad_filter) + i * taps * taps * channels + j;
      const std::int64_t count = smaller(columns.end - j, n_lanes);
      transform_square<T, points, taps>([](const auto& p, auto& dw)
                                            RAVINE_INLINE_LAMBDA { F::grad_filter(p, dw); },
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
#pragma GCC unroll 5
                                          for (int x = 0; x < taps; ++x)
                                            store(to + (y * taps + x) * channels, values[x], count);
                                        });
    }
}

// The pixels of tiles, of both operands, asked for by the products of those before. Tiles share the images
// evenly; those of a row read all of its lines, and some more of the input.
template <class F>
LookAhead ahead_of(const ConvGradFilterArgs& args, const Plan<F>& plan, Range tiles, std::int64_t steps) {
  const auto window = [&](const void* images, const TiledImages& tiled, std::int64_t reach) {
    const std::int64_t line = tiled.width * tiled.channels;
    return Window::share(static_cast<const T*>(images), args.shape.batch * tiled.height * line, tiles,
                         plan.tiles, reach * line);
  };
  return {window(args.input, plan.input.images, F::pixels - plan.input.images.pad_y),
          window(args.grad_output, plan.grad.images, F::outputs), steps};
}

template <class F>
void add_in_splits(const ConvGradFilterArgs& args, const Plan<F>& plan, const Team& team) {
  T *const all_sums = static_cast<T*>(args.workspace), *const held = reinterpret_cast<T*>(team.scratch);
  const Pieces mine = pieces_of(plan.splits, team);
  for (std::int64_t split = mine.begin; split < mine.end; ++split) {
    T* const sums = all_sums + split * plan.sum_elements();
    const Range range =
        share_of(plan.tiles, plan.block_tiles, static_cast<int>(split), static_cast<int>(plan.splits));
    for (std::int64_t tile = range.begin; tile < range.end; tile += plan.block_tiles) {
      const Range tiles{tile, smaller(tile + plan.block_tiles, range.end)};
      for (std::int64_t panel = 0; panel < plan.input.panels + plan.grad.panels; ++panel)
        transform_any_panel<F>(args, plan, panel, tiles, 0, plan.block_tiles, held);
      LookAhead ahead = ahead_of<F>(args, plan, {tiles.end, smaller(tiles.end + plan.block_tiles, range.end)},
                                    plan.steps(tiles.size()));
      for (std::int64_t piece = 0; piece < plan.pieces; ++piece)
        for (int point = 0; point < Plan<F>::filter_points; ++point)
          multiply_point<F>(plan, piece, point, held, plan.block_tiles, tiles.size(),
                            sums + piece * plan.piece_elements(), tile > range.begin, ahead);
    }
  }
  team.barrier();
  const Pieces pieces = pieces_of(plan.pieces, team);
  for (std::int64_t piece = pieces.begin; piece < pieces.end; ++piece)
    transform_sums<F>(args, plan, piece, all_sums + piece * plan.piece_elements(), plan.splits,
                      plan.sum_elements());
}

template <class F>
void add_in_waves(const ConvGradFilterArgs& args, const Plan<F>& plan, const Team& team) {
  constexpr int all_points = Plan<F>::all_points, filter_points = Plan<F>::filter_points;
  T* const sums = static_cast<T*>(args.workspace);
  T* const buffers = sums + (plan.sums_in_scratch ? 0 : plan.sum_elements());
  std::int64_t wave = 0;
  for (std::int64_t first = 0; first < plan.tiles; first += plan.wave_tiles, ++wave) {
    T* const held = buffers + wave % plan.buffers() * plan.held_elements(plan.wave_tiles);
    const std::int64_t n_tiles = smaller(plan.wave_tiles, plan.tiles - first);
    const std::int64_t panels = plan.input.panels + plan.grad.panels;
    constexpr std::int64_t at_once = 8;  // tiles that a thread transforms panel by panel
    const std::int64_t groups = ceil_div(n_tiles, at_once);
    const Pieces transforms = pieces_of(groups * panels, team);
    for (std::int64_t index = transforms.begin; index < transforms.end; ++index) {
      const std::int64_t begin = index / panels * at_once;
      const Range tiles{first + begin, first + smaller(begin + at_once, n_tiles)};
      transform_any_panel<F>(args, plan, index % panels, tiles, begin, plan.wave_tiles, held);
    }
    team.barrier();
    const std::int64_t next = first + n_tiles;
    const Range of_next = share_of(smaller(plan.wave_tiles, plan.tiles - next), 1, team.rank, team.size);
    LookAhead ahead =
        ahead_of<F>(args, plan, {next + of_next.begin, next + of_next.end}, plan.steps(n_tiles) / team.size);
    if (plan.sums_in_scratch) {
      T* const scratch = reinterpret_cast<T*>(team.scratch);
      const Pieces pieces = pieces_of(plan.pieces, team);
      for (std::int64_t piece = pieces.begin; piece < pieces.end; ++piece) {
        for (int point = 0; point < filter_points; ++point)
          multiply_point<F>(plan, piece, point, held, plan.wave_tiles, n_tiles, scratch, false, ahead);
        transform_sums<F>(args, plan, piece, scratch, 1, 0);
      }
      return;
    }
    // Cut by products, as points of the filter have unlike numbers of them.
    const Pieces products = pieces_of(plan.pieces * all_points, team);
    for (std::int64_t piece = products.begin / all_points; piece * all_points < products.end; ++piece) {
      std::int64_t index = piece * all_points;
      for (int point = 0; point < filter_points; index += points_of<F>(point++)) {
        if (index < products.begin || index >= products.end) continue;
        multiply_point<F>(plan, piece, point, held, plan.wave_tiles, n_tiles,
                          sums + piece * plan.piece_elements(), wave > 0, ahead);
      }
    }
  }
  team.barrier();
  const Pieces pieces = pieces_of(plan.pieces, team);
  for (std::int64_t piece = pieces.begin; piece < pieces.end; ++piece)
    transform_sums<F>(args, plan, piece, sums + piece * plan.piece_elements(), 1, 0);
}

template <class F>
void add(const ConvGradFilterArgs& args, const Team& team) {
  const Plan<F> plan(args.shape);
  const ConvShape& s = args.shape;
  if (plan.tiles == 0) {
    const std::int64_t elements = s.out_channels * F::taps * F::taps * (s.channels / s.groups);
    const Range range = share_of(elements, n_lanes, team.rank, team.size);
    for (std::int64_t i = range.begin; i < range.end; ++i) static_cast<T*>(args.grad_filter)[i] = 0;
  } else if (plan.splits > 0) {
    add_in_splits<F>(args, plan, team);
  } else {
    add_in_waves<F>(args, plan, team);
  }
}

// f(filtering) for the filtering that the algorithm is for this kernel and stride.
template <class Run>
auto choose(const ConvGradFilterArgs& args, Run run) {
  const bool twos = args.algorithm == ConvAlgorithm::winograd_2x2;
  if (args.shape.stride_h == 2) return twos ? run(StridedWinograd<T, 2>{}) : run(StridedWinograd<T, 4>{});
  if (args.shape.kernel_h == 5) return run(Winograd<T, 2, 5>{});
  if (twos) return run(Winograd<T, 2, 3>{});
  return run(Winograd<T, 4, 3>{});
}

}  // namespace

void winograd_grad_filter(const ConvGradFilterArgs& args, const Team& team) {
  choose(args, [&]<class F>(F) { add<F>(args, team); });
}
std::size_t winograd_grad_filter_workspace(const ConvGradFilterArgs& args) {
  return choose(args, [&]<class F>(F) {
    return static_cast<std::size_t>(Plan<F>(args.shape).workspace_elements()) * sizeof(T);
  });
}

}  // namespace ravine::kernels::RAVINE_ISA
