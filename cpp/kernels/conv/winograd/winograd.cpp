// Winograd convolution, forward and gradient to the input, which is the convolution of the output's gradient
// with the filter turned by half a circle and its channels exchanged.
//
// The transformed filter lies in the workspace, in panels for the products. Tiles go block by block: the
// transformed pixels, the products of all points for some columns (output channels) and the transform to the
// outputs follow one another while they are in L2. Where many channels would leave a block too few tiles to
// use what it reads of the filter, pixels are transformed by the team into the workspace, a wave of blocks at
// a time.
#include "kernels/conv/winograd/winograd.h"

#include "kernels/conv/winograd/outputs.h"
#include "kernels/conv/winograd/plan.h"
#include "kernels/conv/winograd/product.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

using namespace winograd;

// ---- the filter

// Transforms one vector of columns for `rows` channels; tap(t, i) is tap t of channel i of these.
template <class F, class Tap>
RAVINE_INLINE void transform_filter_rows(T* to, std::int64_t rows, std::int64_t width,
                                         std::int64_t point_stride, Tap tap) {
  constexpr int taps = F::taps, points = F::filter_points;
  for (std::int64_t i = 0; i < rows; ++i)
    transform_square<T, taps, points>([](const auto& g, auto& u) RAVINE_INLINE_LAMBDA { F::filter(g, u); },
                                      [&](int x, auto& column) RAVINE_INLINE_LAMBDA {
#pragma GCC unroll 5
                                        for (int y = 0; y < taps; ++y) column[y] = tap(y * taps + x, i);
                                      },
                                      [&](int y, const auto& row) RAVINE_INLINE_LAMBDA {
                                        store_points<T>(to + y * points * point_stride + i * width,
                                                        point_stride, row);
                                      });
}

// Transforms one vector of columns and as many channels, from `row` on, of a group's filter into a panel that
// begins at its channel `first`: the filter is [out_channels][taps][channels] of the forward pass, and with
// the channels' roles exchanged for the gradient to the input.
template <class F>
[[gnu::noinline, gnu::noclone]] void transform_filter_block(const Problem& p, const FilterPanels& plan,
                                                            std::int64_t group, std::int64_t vector,
                                                            std::int64_t row, Range depth, T* panel) {
  constexpr int taps = F::taps * F::taps;
  const T* const filter = p.filter + group * plan.columns * plan.channels * taps;
  const T* const scales = p.scale == nullptr ? nullptr : p.scale + group * plan.columns;
  const std::int64_t column = vector * n_lanes, in_panel = vector % plan.panel_vectors;
  const std::int64_t width = plan.panel_width(vector - in_panel);
  const std::int64_t rows = smaller(n_lanes, depth.end - row);
  const std::int64_t columns = smaller(n_lanes, plan.columns - column);
  const std::int64_t point_stride = depth.size() * width + stagger;
  T* const to = panel + (row - depth.begin) * width + in_panel * n_lanes;
  if (p.turned) {
    const T* const from = filter + row * taps * plan.columns + column;
    transform_filter_rows<F>(to, rows, width, point_stride, [&](int t, std::int64_t i) RAVINE_INLINE_LAMBDA {
      return load(from + (i * taps + (taps - 1 - t)) * plan.columns, columns);
    });
    return;
  }
  const Vec<T> scale = scales == nullptr ? Vec<T>{} + T{1} : load(scales + column, columns);
  Vec<T> of_taps[taps][n_lanes];
  for (int t = 0; t < taps; ++t) {
    const T* const from = filter + (column * taps + t) * plan.channels + row;
    Vec<T> block[n_lanes];
    for (int i = 0; i < n_lanes; ++i)
      block[i] = i < columns ? load(from + i * taps * plan.channels, rows) : Vec<T>{};
    transpose<T, n_lanes>(block);
    for (int i = 0; i < n_lanes; ++i) of_taps[t][i] = scale * block[i];
  }
  transform_filter_rows<F>(to, rows, width, point_stride,
                           [&](int t, std::int64_t i) RAVINE_INLINE_LAMBDA { return of_taps[t][i]; });
}

// The whole filter, by the team.
template <class F>
void transform_filter(const Problem& p, const Plan<F>& plan, T* to, const Team& team) {
  const std::int64_t row_pieces = ceil_div(plan.channels, n_lanes), of_group = plan.vectors * row_pieces;
  const Pieces pieces = pieces_of(plan.groups * of_group, team);
  for (std::int64_t piece = pieces.begin; piece < pieces.end; ++piece) {
    const std::int64_t group = piece / of_group, in_group = piece % of_group;
    const std::int64_t vector = in_group / row_pieces, row = in_group % row_pieces * n_lanes;
    const std::int64_t run = row / product_depth, panel = vector / plan.panel_vectors;
    transform_filter_block<typename F::Filter>(
        p, plan, group, vector, row, plan.channels_of(run),
        to + group * plan.group_elements() + run * plan.run_elements() + panel * plan.panel_elements());
  }
}

// ---- a block

// products[point] (+)= pixels[point] filter[point] for runs of channels and the columns of one block, both of
// one group, whose first panel is at `filter` for the first run.
template <class F>
void multiply_points(const Plan<F>& plan, const T* pixels, const T* filter, Range runs, Range columns,
                     std::int64_t n_tiles, T* products, LookAhead& ahead) {
  const std::int64_t panel = plan.panel_vectors * n_lanes;
  for (int point = 0; point < Plan<F>::all_points; ++point) {
    // Shared pixels are in L3, or in another thread's L2.
    if (plan.shared && !plan.fresh && point + 1 < Plan<F>::all_points)
      ahead = {{pixels + (point + 1) * plan.pixels.point_stride, n_tiles * plan.pixels.tile_stride},
               {},
               plan.steps(n_tiles, columns.size())};
    const std::int64_t filter_point =
        F::filter_point(point / F::points) * F::filter_points + F::filter_point(point % F::points);
    for (std::int64_t j = columns.begin; j < columns.end; j += panel) {
      const std::int64_t width = plan.panel_width(j / n_lanes);
      const T* const first = filter + (j - columns.begin) / panel * plan.panel_elements();
      ProductArgs<T> args;
      args.a_stride = plan.pixels.tile_stride;
      args.b_stride = width;
      args.c = products + point * plan.product_point + (j - columns.begin);
      args.c_stride = plan.product_row;
      for (std::int64_t run = runs.begin; run < runs.end; ++run) {
        const Range depth = plan.channels_of(run);
        args.a = pixels + point * plan.pixels.point_stride + depth.begin;
        args.b = first + (run - runs.begin) * plan.run_elements() +
                 filter_point * (depth.size() * width + stagger);
        args.depth = depth.size();
        args.accumulate = run > 0;
        multiply_panel<T, ProductLayout::by_rows>(args, n_tiles, width / n_lanes, ahead);
      }
    }
  }
}

// The columns of one block of them, which belong to one group, for the tiles of one block.
template <class F>
void run_columns(const Problem& p, const Plan<F>& plan, const T* pixels, const T* filter, std::int64_t block,
                 std::int64_t column_block, T* scratch, LookAhead& ahead) {
  const Range tiles = plan.tiles_of(p.images, block);
  const std::int64_t group = column_block / plan.column_blocks, in_group = column_block % plan.column_blocks;
  const Range columns{in_group * plan.block_columns,
                      smaller((in_group + 1) * plan.block_columns, plan.columns)};
  if (plan.fresh) {  // a block is one panel
    T* const panel = scratch;
    scratch += plan.panel_elements();
    for (std::int64_t run = 0; run < plan.runs; ++run) {
      const Range depth = plan.channels_of(run);
      for (std::int64_t vector = columns.begin / n_lanes; vector * n_lanes < columns.end; ++vector)
        for (std::int64_t row = depth.begin; row < depth.end; row += n_lanes)
          transform_filter_block<typename F::Filter>(p, plan, 0, vector, row, depth, panel);
      multiply_points<F>(plan, pixels, panel, {run, run + 1}, columns, tiles.size(), scratch, ahead);
    }
  } else {
    const std::int64_t panels = plan.block_columns / (plan.panel_vectors * n_lanes);
    multiply_points<F>(plan, pixels + group * plan.channels,
                       filter + group * plan.group_elements() + in_group * panels * plan.panel_elements(),
                       {0, plan.runs}, columns, tiles.size(), scratch, ahead);
  }
  const Range of_output{group * plan.columns + columns.begin, group * plan.columns + columns.end};
  compute_outputs<F>(p, plan, scratch, tiles, of_output);
  complete<F>(p, plan, block, tiles, of_output);
}

// ---- the kernel

template <class F>
void transform_pixels(const Problem& p, const Plan<F>& plan, Range tiles, T* to) {
  transform_input<F>(p.images, p.input, p.images.channels, tiles, to, plan.pixels);
}

// The pixels and the outputs of a block, asked for by the products of the one before. Blocks share the arrays
// evenly; a block's tiles reach some lines further than its share.
template <class F>
LookAhead ahead_of(const Problem& p, const Plan<F>& plan, std::int64_t block) {
  const std::int64_t line = p.images.width * p.images.channels, lines = p.batch * p.images.height;
  const std::int64_t reach = F::pixels - F::step - p.images.pad_y + (plan.row_parts > 1 ? F::step : 0);
  const std::int64_t outputs = p.batch * (p.out_height / p.pool) * (p.out_width / p.pool) * p.out_channels;
  const Range part{block, block + 1};
  return {
      Window::share(p.input, lines * line, part, plan.blocks, (p.backwards ? -p.images.pad_y : reach) * line),
      Window::share(p.output, outputs, part, plan.blocks, 0),
      plan.groups * Plan<F>::all_points * plan.steps(plan.block_tiles, plan.columns)};
}

template <class F>
void convolve(const Problem& p, const Team& team) {
  const Plan<F> plan(p);
  T* const scratch = reinterpret_cast<T*>(team.scratch);
  const std::int64_t column_blocks = plan.groups * plan.column_blocks;
  if (!plan.fresh && !p.transformed) transform_filter<F>(p, plan, p.workspace, team);
  const T* const filter = p.transformed ? p.filter : p.workspace;
  if (!plan.shared) {
    if (!p.transformed) team.barrier();
    const Pieces pieces = pieces_of(plan.blocks, team);
    for (std::int64_t piece = pieces.begin; piece < pieces.end; ++piece) {
      const std::int64_t block = p.backwards ? pieces.begin + pieces.end - 1 - piece : piece;
      const Range tiles = plan.tiles_of(p.images, block);
      transform_pixels<F>(p, plan, tiles, scratch);
      LookAhead ahead;
      if (piece + 1 < pieces.end) ahead = ahead_of<F>(p, plan, p.backwards ? block - 1 : block + 1);
      for (std::int64_t column_block = 0; column_block < column_blocks; ++column_block)
        run_columns<F>(p, plan, scratch, filter, block, column_block, scratch + plan.pixel_elements(), ahead);
    }
    return;
  }
  T* const pixels = p.workspace + plan.pixels_begin(p);
  std::int64_t wave = 0;
  for (std::int64_t first = 0; first < plan.blocks; first += plan.wave_blocks, ++wave) {
    const std::int64_t blocks = smaller(plan.wave_blocks, plan.blocks - first);
    T* const buffer = pixels + wave % plan.buffers * plan.wave_blocks * plan.pixel_elements();
    const Pieces transforms = pieces_of(blocks * plan.block_tiles, team);
    for (std::int64_t tile = transforms.begin; tile < transforms.end;) {
      const std::int64_t block = tile / plan.block_tiles, in_block = tile % plan.block_tiles;
      const Range tiles = plan.tiles_of(p.images, first + block);
      const std::int64_t end = smaller(plan.block_tiles, transforms.end - block * plan.block_tiles);
      transform_pixels<F>(p, plan,
                          {smaller(tiles.begin + in_block, tiles.end), smaller(tiles.begin + end, tiles.end)},
                          buffer + block * plan.pixel_elements() + in_block * plan.pixels.tile_stride);
      tile = block * plan.block_tiles + end;
    }
    team.barrier();
    const Pieces tasks = pieces_of(blocks * column_blocks, team);
    for (std::int64_t task = tasks.begin; task < tasks.end; ++task) {
      const std::int64_t block = task % blocks;
      LookAhead ahead;
      run_columns<F>(p, plan, buffer + block * plan.pixel_elements(), filter, first + block, task / blocks,
                     scratch, ahead);
    }
  }
}

// f(filtering, problem) for the filtering that the algorithm is for this kernel and stride.
template <class Args, class Run>
auto choose(const Args& args, ConvAlgorithm algorithm, std::int64_t kernel, std::int64_t stride, Run run) {
  const auto with = [&]<class F>(F filtering) { return run(filtering, problem_of<F>(args)); };
  const bool twos = algorithm == ConvAlgorithm::winograd_2x2;
  if (stride == 2) {
    if constexpr (std::is_same_v<Args, ConvGradInputArgs>)
      return twos ? with(TransposedWinograd<T, 2>{}) : with(TransposedWinograd<T, 4>{});
    else return twos ? with(StridedWinograd<T, 2>{}) : with(StridedWinograd<T, 4>{});
  }
  if (kernel == 5) return with(Winograd<T, 2, 5>{});
  if (twos) return with(Winograd<T, 2, 3>{});
  return with(Winograd<T, 4, 3>{});
}

template <class Args>
void run(const Args& args, const Team& team) {
  choose(args, args.algorithm, args.shape.kernel_h, args.shape.stride_h, [&]<class F>(F, Problem p) {
    p.find_sum();
    convolve<F>(p, team);
  });
}

template <class Args>
std::size_t workspace(const Args& args) {
  return choose(args, args.algorithm, args.shape.kernel_h, args.shape.stride_h,
                []<class F>(F, const Problem& p) {
                  return static_cast<std::size_t>(Plan<F>(p).workspace_elements(p)) * sizeof(T);
                });
}

}  // namespace

void winograd_filter(const WinogradFilterArgs& args, const Team& team) {
  choose(args, args.algorithm, args.kernel, args.stride, [&]<class F>(F, const Problem& p) {
    transform_filter<F>(p, Plan<F>(p), static_cast<T*>(args.output), team);
  });
}
std::int64_t winograd_filter_elements(const WinogradFilterArgs& args) {
  return choose(args, args.algorithm, args.kernel, args.stride,
                []<class F>(F, const Problem& p) { return Plan<F>(p).filter_elements(); });
}

void winograd_forward(const ConvForwardArgs& args, const Team& team) { run(args, team); }
void winograd_grad_input(const ConvGradInputArgs& args, const Team& team) { run(args, team); }
bool winograd_can_pool(const ConvForwardArgs& args) {
  const ConvShape& s = args.shape;
  return s.dilation_h == 1 && s.dilation_w == 1 &&
         choose(args, args.algorithm, s.kernel_h, s.stride_h,
                []<class F>(F, const Problem&) { return can_pool<F>; });
}
std::int64_t winograd_forward_pieces(const ConvForwardArgs& args) {
  return choose(args, args.algorithm, args.shape.kernel_h, args.shape.stride_h,
                []<class F>(F, const Problem& p) { return Plan<F>(p).blocks; });
}
std::size_t winograd_forward_workspace(const ConvForwardArgs& args) { return workspace(args); }
std::size_t winograd_grad_input_workspace(const ConvGradInputArgs& args) { return workspace(args); }

}  // namespace ravine::kernels::RAVINE_ISA
