// Winograd convolution, forward and gradient to the input, which is the convolution of the output's gradient
// with the filter turned by half a circle and its channels exchanged.
//
// The transformed filter lies in the workspace, in panels for the products. Tiles go block by block: the
// transformed pixels, the products of all points for some columns (output channels) and the transform to the
// outputs follow one another while they are in L2. Where many channels would leave a block too few tiles to
// use what it reads of the filter, pixels are transformed by the team into the workspace, a wave of blocks at
// a time.
#include "kernels/winograd.h"

#include "kernels/elementwise.h"
#include "kernels/scratch.h"
#include "kernels/statistics.h"
#include "kernels/winograd_product.h"
#include "kernels/winograd_tiles.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

using T = float;
constexpr std::int64_t n_lanes = lanes<T>;
constexpr std::int64_t scratch_elements = scratch_bytes / sizeof(T);
// Rows of points lie this much more than their size apart, lest all points of a tile share a set of the
// caches.
constexpr std::int64_t stagger = n_lanes;
// A panel of the transformed filter this deep stays in L1.
constexpr std::int64_t product_depth = 128;
constexpr std::int64_t max_block_columns = 64;

// A convolution as both passes see it.
struct Problem {
  TiledImages images;
  std::int64_t groups;
  std::int64_t batch, out_height, out_width, out_channels;
  const T *input, *filter;
  bool turned;       // the filter, for the gradient to the input
  bool transformed;  // the filter is as transform_filter leaves it
  const T* scale;    // of the filter, for each of its output channels, or null
  T* output;
  const TileProgram* epilogue;
  const ColumnStatistics* statistics;
  T* workspace;
};

template <class F>
Problem problem_of(const ConvForwardArgs& args) {
  const ConvShape& s = args.shape;
  const TiledImages images{s.height,
                           s.width,
                           s.channels,
                           tiles_of(s.out_height, F::outputs, s.dilation_h),
                           tiles_of(s.out_width, F::outputs, s.dilation_w),
                           s.pad_h,
                           s.pad_w,
                           s.dilation_h,
                           s.dilation_w};
  return {images,
          s.groups,
          s.batch,
          s.out_height,
          s.out_width,
          s.out_channels,
          static_cast<const T*>(args.input),
          static_cast<const T*>(args.filter),
          false,
          args.filter_is_transformed,
          nullptr,
          static_cast<T*>(args.output),
          args.epilogue,
          args.statistics,
          static_cast<T*>(args.workspace)};
}
template <class F>
Problem problem_of(const ConvGradInputArgs& args) {
  const ConvShape& s = args.shape;
  // Of a strided convolution's tile the first pixel meets the first of its outputs by the middle tap.
  const bool strided = s.stride_h > 1;
  const TiledImages images{s.out_height,
                           s.out_width,
                           s.out_channels,
                           tiles_of(s.height, F::outputs, s.dilation_h),
                           tiles_of(s.width, F::outputs, s.dilation_w),
                           strided ? 0 : (s.kernel_h - 1) * s.dilation_h - s.pad_h,
                           strided ? 0 : (s.kernel_w - 1) * s.dilation_w - s.pad_w,
                           s.dilation_h,
                           s.dilation_w};
  return {images,
          s.groups,
          s.batch,
          s.height,
          s.width,
          s.channels,
          static_cast<const T*>(args.grad_output),
          static_cast<const T*>(args.filter),
          true,
          false,
          nullptr,
          static_cast<T*>(args.grad_input),
          args.epilogue,
          nullptr,
          static_cast<T*>(args.workspace)};
}
// A convolution of no images that has the filter.
template <class F>
Problem problem_of(const WinogradFilterArgs& args) {
  Problem p{};
  p.images.channels = args.channels * args.groups;
  p.groups = args.groups;
  p.out_channels = args.out_channels;
  p.filter = static_cast<const T*>(args.filter);
  p.transformed = true;
  p.scale = static_cast<const T*>(args.scale);
  return p;
}

// How a problem is cut up, by its shape alone.
template <class F>
struct Plan {
  static constexpr int points = F::points, all_points = points * points;
  static constexpr int filter_points = F::filter_points * F::filter_points;

  std::int64_t groups, channels, columns;  // channels and columns (output channels) of a group
  std::int64_t tiles;
  std::int64_t vectors, panel_vectors;        // of a group's columns
  std::int64_t block_columns, column_blocks;  // whole panels, blocks of a group
  std::int64_t block_tiles, blocks;           // at most block_tiles each
  std::int64_t row_parts, block_rows;         // parts of a row of tiles, or rows of tiles, in a block
  bool shared;                                // transformed pixels go to the workspace
  bool fresh;                                 // the filter is transformed where it is used, once
  std::int64_t runs;                          // of product_depth channels
  std::int64_t wave_blocks, buffers;
  TransformedTiles pixels;                  // of a block
  std::int64_t product_row, product_point;  // strides of a block's products

  explicit Plan(const Problem& p) {
    groups = p.groups;
    channels = p.images.channels / groups;
    columns = p.out_channels / groups;
    const std::int64_t tile_rows = p.batch * p.images.tiles_y, tiles_x = p.images.tiles_x;
    tiles = tile_rows * tiles_x;
    vectors = divide_up(columns, n_lanes);
    runs = larger(divide_up(channels, product_depth), 1);

    // Few tiles use a large filter once: it is then transformed part by part into L2 and never to memory.
    constexpr std::int64_t room = scratch_elements / all_points - 2 * stagger, large = 1 << 20;
    constexpr std::int64_t fresh_vectors = smaller(product_vectors, 2);
    fresh = !p.transformed && groups == 1 && tiles <= room / (fresh_vectors * n_lanes) - product_depth &&
            filter_points * channels * vectors * n_lanes > large;
    const std::int64_t panels = divide_up(vectors, fresh ? fresh_vectors : product_vectors);
    panel_vectors = divide_up(vectors, larger(panels, 1));
    const std::int64_t panel = larger(panel_vectors, 1) * n_lanes;
    block_columns = fresh ? panel : smaller(larger(max_block_columns / panel, 1) * panel, vectors * n_lanes);
    column_blocks = divide_up(columns, larger(block_columns, 1));

    constexpr std::int64_t least = points == 9 ? 16 : 32, most = points > 4 ? 48 : 96;
    const std::int64_t tile_elements = round_up(p.images.channels, n_lanes);
    std::int64_t cap = room / larger(tile_elements + block_columns, 1);
    shared = fresh || cap < least;
    if (shared) cap = room / larger(block_columns, 1);
    constexpr std::int64_t fewest = 12, tasks = 16;  // blocks small enough for a team
    cap = fresh
              ? tiles
              : smaller(smaller(cap, most), larger(fewest, divide_up(tiles * groups * column_blocks, tasks)));
    row_parts = block_rows = 1;
    if (tiles == 0) {
      block_tiles = blocks = 0;
    } else if (tiles_x > cap) {
      row_parts = divide_up(tiles_x, cap);
      block_tiles = divide_up(tiles_x, row_parts);
      blocks = tile_rows * row_parts;
    } else {
      block_rows = divide_up(tile_rows, divide_up(tile_rows, cap / tiles_x));
      block_tiles = block_rows * tiles_x;
      blocks = divide_up(tile_rows, block_rows);
    }
    pixels = {tile_elements, block_tiles * tile_elements + stagger};
    product_row = block_columns;
    product_point = block_tiles * product_row + stagger;

    constexpr std::int64_t one_wave = 4 << 20, wave = 1 << 20;  // elements of transformed pixels
    wave_blocks = blocks;
    buffers = 1;
    if (shared && blocks * pixel_elements() > one_wave) {
      wave_blocks = smaller(larger(wave / pixel_elements(), 4), blocks);
      buffers = 2;
    }
  }

  std::int64_t pixel_elements() const { return all_points * pixels.point_stride; }  // of a block
  // The transformed filter is [group][run][panel][point][channel][column].
  std::int64_t panel_elements() const {
    return filter_points * (smaller(channels, product_depth) * panel_vectors * n_lanes + stagger);
  }
  std::int64_t run_elements() const {
    return divide_up(vectors, larger(panel_vectors, 1)) * panel_elements();
  }
  std::int64_t group_elements() const { return runs * run_elements(); }
  std::int64_t filter_elements() const { return fresh ? 0 : groups * group_elements(); }
  // The workspace holds the filter, unless it is there already, and shared pixels behind it.
  std::int64_t pixels_begin(const Problem& p) const { return p.transformed ? 0 : filter_elements(); }
  std::int64_t workspace_elements(const Problem& p) const {
    return pixels_begin(p) + (shared ? buffers * wave_blocks * pixel_elements() : 0);
  }
  Range tiles_of(const TiledImages& images, std::int64_t block) const {
    if (row_parts == 1) return {block * block_tiles, smaller((block + 1) * block_tiles, tiles)};
    const std::int64_t row = block / row_parts, part = block % row_parts, first = row * images.tiles_x;
    return {first + smaller(part * block_tiles, images.tiles_x),
            first + smaller((part + 1) * block_tiles, images.tiles_x)};
  }

  // Of the panel that begins at a vector of columns.
  std::int64_t panel_width(std::int64_t vector) const {
    return smaller(panel_vectors, vectors - vector) * n_lanes;
  }
  Range channels_of(std::int64_t run) const {
    return {run * product_depth, smaller((run + 1) * product_depth, channels)};
  }
};

// ---- the filter
// --------------------------------------------------------------------------------------------------

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
[[gnu::noinline]] void transform_filter_block(const Problem& p, const Plan<F>& plan, std::int64_t group,
                                              std::int64_t vector, std::int64_t row, Range depth, T* panel) {
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
  const std::int64_t row_pieces = divide_up(plan.channels, n_lanes), of_group = plan.vectors * row_pieces;
  const Pieces pieces = pieces_of(plan.groups * of_group, team);
  for (std::int64_t piece = pieces.begin; piece < pieces.end; ++piece) {
    const std::int64_t group = piece / of_group, in_group = piece % of_group;
    const std::int64_t vector = in_group / row_pieces, row = in_group % row_pieces * n_lanes;
    const std::int64_t run = row / product_depth, panel = vector / plan.panel_vectors;
    transform_filter_block<F>(
        p, plan, group, vector, row, plan.channels_of(run),
        to + group * plan.group_elements() + run * plan.run_elements() + panel * plan.panel_elements());
  }
}

// ---- a block
// -----------------------------------------------------------------------------------------------------

// products[point] (+)= pixels[point] filter[point] for runs of channels and the columns of one block, both of
// one group, whose first panel is at `filter` for the first run.
template <class F>
void multiply_points(const Plan<F>& plan, const T* pixels, const T* filter, Range runs, Range columns,
                     std::int64_t n_tiles, T* products) {
  const std::int64_t panel = plan.panel_vectors * n_lanes;
  for (int point = 0; point < Plan<F>::all_points; ++point) {
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
        multiply_panel<T, ProductLayout::by_rows>(args, n_tiles, width / n_lanes);
      }
    }
  }
}

// The outputs of a block's tiles from their products.
template <class F>
void transform_products(const Problem& p, const Plan<F>& plan, const T* products, Range tiles,
                        Range columns) {
  constexpr int points = F::points, outputs = F::outputs;
  const std::int64_t line = p.out_width * p.out_channels;
  const std::int64_t row = p.images.dilation_y * line, pixel = p.images.dilation_x * p.out_channels;
  TilePosition at(p.images, tiles.begin);
  for (std::int64_t tile = tiles.begin; tile < tiles.end; ++tile, at.advance(p.images)) {
    const T* const from = products + (tile - tiles.begin) * plan.product_row;
    const std::int64_t y = first_of_tile(at.tile_y, outputs, p.images.dilation_y);
    const std::int64_t x = first_of_tile(at.tile_x, outputs, p.images.dilation_x);
    T* const to = p.output + (at.image * p.out_height + y) * line + x * p.out_channels;
    const bool whole = y + (outputs - 1) * p.images.dilation_y < p.out_height &&
                       x + (outputs - 1) * p.images.dilation_x < p.out_width;
    for (std::int64_t j = columns.begin; j < columns.end; j += n_lanes) {
      const std::int64_t count = columns.end - j;
      const auto product = [&](int v, auto& column) RAVINE_INLINE_LAMBDA {
        const T* const first = opaque(from + v * plan.product_point + (j - columns.begin));
#pragma GCC unroll 9
        for (int u = 0; u < points; ++u) column[u] = load(first + u * points * plan.product_point);
      };
      const auto transform = [](const auto& m, auto& result) RAVINE_INLINE_LAMBDA { F::output(m, result); };
      if (whole && count >= n_lanes) {
        transform_square<T, points, outputs>(transform, product,
                                             [&](int u, const auto& values) RAVINE_INLINE_LAMBDA {
                                               T* const first = opaque(to + F::place(u) * row + j);
#pragma GCC unroll 8
                                               for (int v = 0; v < outputs; ++v)
                                                 store(first + F::place(v) * pixel, values[v]);
                                             });
      } else {
        transform_square<T, points, outputs>(
            transform, product, [&](int u, const auto& values) RAVINE_INLINE_LAMBDA {
              if (y + F::place(u) * p.images.dilation_y >= p.out_height) return;
#pragma GCC unroll 8
              for (int v = 0; v < outputs; ++v)
                if (x + F::place(v) * p.images.dilation_x < p.out_width)
                  store(to + F::place(u) * row + F::place(v) * pixel + j, values[v], smaller(count, n_lanes));
            });
      }
    }
  }
}

// Runs the epilogue where a block's outputs are complete; a block is a piece of the statistics.
template <class F>
void complete(const Problem& p, const Plan<F>& plan, std::int64_t block, Range tiles, Range columns) {
  if (p.epilogue == nullptr && p.statistics == nullptr) return;
  std::int64_t gathered = 0;  // rows
  const auto run = [&](std::int64_t first, std::int64_t last) {
    if (p.epilogue != nullptr)
      run_epilogue(*p.epilogue, p.output + first * p.out_channels + columns.begin, p.out_channels, first,
                   last - first, columns.begin, columns.size());
    gather_statistics<T>(p.statistics, block, gathered, {first, last}, columns);
    gathered += last - first;
  };
  if (tiles.size() <= 0) return gather_statistics<T>(p.statistics, block, 0, {0, 0}, columns);
  const TilePosition begin(p.images, tiles.begin), last(p.images, tiles.end - 1);
  const std::int64_t dilation_y = p.images.dilation_y, dilation_x = p.images.dilation_x;
  if (plan.row_parts == 1 && dilation_y == 1) {  // whole rows of tiles: their outputs follow each other
    const auto line = [&](const TilePosition& at, std::int64_t y) {
      return at.image * p.out_height + smaller(at.tile_y * F::outputs + y, p.out_height);
    };
    run(line(begin, 0) * p.out_width, line(last, F::outputs) * p.out_width);
    return;
  }
  // Row by row of tiles: whole lines, or a part, in which every dilation_x-th output may be of other tiles.
  TilePosition at = begin;
  for (std::int64_t tile = tiles.begin; tile < tiles.end;) {
    const std::int64_t count = smaller(p.images.tiles_x - at.tile_x, tiles.end - tile);
    const std::int64_t y = first_of_tile(at.tile_y, F::outputs, dilation_y);
    for (std::int64_t i = 0; i < F::outputs && y + i * dilation_y < p.out_height; ++i) {
      const std::int64_t first = (at.image * p.out_height + y + i * dilation_y) * p.out_width;
      if (count == p.images.tiles_x) {
        run(first, first + p.out_width);
      } else if (dilation_x == 1) {
        run(first + at.tile_x * F::outputs, first + smaller((at.tile_x + count) * F::outputs, p.out_width));
      } else {
        for (std::int64_t t = at.tile_x; t < at.tile_x + count; ++t)
          for (std::int64_t v = 0; v < F::outputs; ++v) {
            const std::int64_t x = first_of_tile(t, F::outputs, dilation_x) + v * dilation_x;
            if (x < p.out_width) run(first + x, first + x + 1);
          }
      }
    }
    tile += count;
    at = TilePosition(p.images, tile);
  }
}

// The columns of one block of them, which belong to one group, for the tiles of one block.
template <class F>
void run_columns(const Problem& p, const Plan<F>& plan, const T* pixels, const T* filter, std::int64_t block,
                 std::int64_t column_block, T* scratch) {
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
          transform_filter_block<F>(p, plan, 0, vector, row, depth, panel);
      multiply_points<F>(plan, pixels, panel, {run, run + 1}, columns, tiles.size(), scratch);
    }
  } else {
    const std::int64_t panels = plan.block_columns / (plan.panel_vectors * n_lanes);
    multiply_points<F>(plan, pixels + group * plan.channels,
                       filter + group * plan.group_elements() + in_group * panels * plan.panel_elements(),
                       {0, plan.runs}, columns, tiles.size(), scratch);
  }
  const Range of_output{group * plan.columns + columns.begin, group * plan.columns + columns.end};
  transform_products<F>(p, plan, scratch, tiles, of_output);
  complete<F>(p, plan, block, tiles, of_output);
}

// ---- the kernel
// --------------------------------------------------------------------------------------------------

template <class F>
void transform_pixels(const Problem& p, const Plan<F>& plan, Range tiles, T* to) {
  transform_tiles<T, F::pixels, F::step, F::points>(
      [](const auto& d, auto& v) RAVINE_INLINE_LAMBDA { F::input(d, v); }, p.images, p.input,
      p.images.channels, tiles, to, plan.pixels);
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
    for (std::int64_t block = pieces.begin; block < pieces.end; ++block) {
      const Range tiles = plan.tiles_of(p.images, block);
      transform_pixels<F>(p, plan, tiles, scratch);
      for (std::int64_t column_block = 0; column_block < column_blocks; ++column_block)
        run_columns<F>(p, plan, scratch, filter, block, column_block, scratch + plan.pixel_elements());
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
      run_columns<F>(p, plan, buffer + block * plan.pixel_elements(), filter, first + block, task / blocks,
                     scratch);
    }
  }
}

// f(filtering, problem) for the filtering that the algorithm is for this kernel and stride.
template <class Args, class Run>
auto choose(const Args& args, ConvAlgorithm algorithm, std::int64_t kernel, std::int64_t stride, Run run) {
  const auto with = [&]<class F>(F filtering) { return run(filtering, problem_of<F>(args)); };
  if (stride == 2) {
    if constexpr (std::is_same_v<Args, ConvGradInputArgs>) return with(TransposedWinograd<T>{});
    else return with(StridedWinograd<T>{});
  }
  if (kernel == 5) return with(Winograd<T, 2, 5>{});
  if (algorithm == ConvAlgorithm::winograd_2x2) return with(Winograd<T, 2, 3>{});
  return with(Winograd<T, 4, 3>{});
}

template <class Args>
void run(const Args& args, const Team& team) {
  choose(args, args.algorithm, args.shape.kernel_h, args.shape.stride_h,
         [&]<class F>(F, const Problem& p) { convolve<F>(p, team); });
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
std::int64_t winograd_forward_pieces(const ConvForwardArgs& args) {
  return choose(args, args.algorithm, args.shape.kernel_h, args.shape.stride_h,
                []<class F>(F, const Problem& p) { return Plan<F>(p).blocks; });
}
std::size_t winograd_forward_workspace(const ConvForwardArgs& args) { return workspace(args); }
std::size_t winograd_grad_input_workspace(const ConvGradInputArgs& args) { return workspace(args); }

}  // namespace ravine::kernels::RAVINE_ISA
