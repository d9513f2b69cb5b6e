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
  std::int64_t batch, out_height, out_width, out_channels;
  const T *input, *filter;
  bool turned;       // the filter, for the gradient to the input
  bool transformed;  // the filter is as transform_filter leaves it
  const T* scale;    // of the filter, for each of its output channels, or null
  T* output;
  const TileProgram* epilogue;
  T* workspace;
};

template <int outputs>
TiledImages tiled(std::int64_t height, std::int64_t width, std::int64_t channels, std::int64_t out_height,
                  std::int64_t out_width, std::int64_t pad_y, std::int64_t pad_x) {
  return {height,  width, channels, divide_up(out_height, outputs), divide_up(out_width, outputs),
          outputs, pad_y, pad_x};
}

template <int outputs>
Problem problem_of(const ConvForwardArgs& args) {
  const ConvShape& s = args.shape;
  return {tiled<outputs>(s.height, s.width, s.channels, s.out_height, s.out_width, s.pad_h, s.pad_w),
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
          static_cast<T*>(args.workspace)};
}
template <int outputs>
Problem problem_of(const ConvGradInputArgs& args) {
  const ConvShape& s = args.shape;
  return {
      tiled<outputs>(s.out_height, s.out_width, s.out_channels, s.height, s.width, 2 - s.pad_h, 2 - s.pad_w),
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
      static_cast<T*>(args.workspace)};
}
// A convolution of no images that has the filter.
template <int outputs>
Problem problem_of(const WinogradFilterArgs& args) {
  return {tiled<outputs>(0, 0, args.channels, 0, 0, 0, 0),
          0,
          0,
          0,
          args.out_channels,
          nullptr,
          static_cast<const T*>(args.filter),
          false,
          true,
          static_cast<const T*>(args.scale),
          nullptr,
          nullptr,
          nullptr};
}

// How a problem is cut up, by its shape alone.
template <int outputs>
struct Plan {
  static constexpr int points = Winograd<T, outputs>::points, all_points = points * points;

  std::int64_t channels, tiles;
  std::int64_t vectors, panel_vectors;        // of output channels
  std::int64_t block_columns, column_blocks;  // whole panels
  std::int64_t block_tiles, blocks;           // at most block_tiles each
  std::int64_t row_parts, block_rows;         // parts of a row of tiles, or rows of tiles, in a block
  bool shared;                                // transformed pixels go to the workspace
  bool fresh;                                 // the filter is transformed where it is used, once
  std::int64_t runs;                          // of product_depth channels
  std::int64_t wave_blocks, buffers;
  TransformedTiles pixels;                  // of a block
  std::int64_t product_row, product_point;  // strides of a block's products

  explicit Plan(const Problem& p) {
    channels = p.images.channels;
    const std::int64_t tile_rows = p.batch * p.images.tiles_y, tiles_x = p.images.tiles_x;
    tiles = tile_rows * tiles_x;
    vectors = divide_up(p.out_channels, n_lanes);
    runs = larger(divide_up(channels, product_depth), 1);

    // Few tiles use a large filter once: it is then transformed part by part into L2 and never to memory.
    constexpr std::int64_t room = scratch_elements / all_points - 2 * stagger, large = 1 << 20;
    constexpr std::int64_t fresh_vectors = smaller(product_vectors, 2);
    fresh = !p.transformed && tiles <= room / (fresh_vectors * n_lanes) - product_depth &&
            all_points * channels * vectors * n_lanes > large;
    const std::int64_t panels = divide_up(vectors, fresh ? fresh_vectors : product_vectors);
    panel_vectors = divide_up(vectors, larger(panels, 1));
    const std::int64_t panel = larger(panel_vectors, 1) * n_lanes;
    block_columns = fresh ? panel : smaller(larger(max_block_columns / panel, 1) * panel, vectors * n_lanes);
    column_blocks = divide_up(p.out_channels, larger(block_columns, 1));

    constexpr std::int64_t least = 32, most = outputs == 4 ? 48 : 96;
    const std::int64_t tile_elements = round_up(channels, n_lanes);
    std::int64_t cap = room / larger(tile_elements + block_columns, 1);
    shared = fresh || cap < least;
    if (shared) cap = room / larger(block_columns, 1);
    constexpr std::int64_t fewest = 12, tasks = 16;  // blocks small enough for a team
    cap =
        fresh ? tiles : smaller(smaller(cap, most), larger(fewest, divide_up(tiles * column_blocks, tasks)));
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
  // The transformed filter is [run][panel][point][channel][column].
  std::int64_t panel_elements() const {
    return all_points * (smaller(channels, product_depth) * panel_vectors * n_lanes + stagger);
  }
  std::int64_t run_elements() const {
    return divide_up(vectors, larger(panel_vectors, 1)) * panel_elements();
  }
  std::int64_t filter_elements() const { return fresh ? 0 : runs * run_elements(); }
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
template <int outputs, class Tap>
RAVINE_INLINE void transform_filter_rows(T* to, std::int64_t rows, std::int64_t width,
                                         std::int64_t point_stride, Tap tap) {
  constexpr int points = Plan<outputs>::points;
  for (std::int64_t i = 0; i < rows; ++i)
    transform_square<T, 3, points>(
        [](const auto& g, auto& u) RAVINE_INLINE_LAMBDA { Winograd<T, outputs>::filter(g, u); },
        [&](int x, auto& column) RAVINE_INLINE_LAMBDA {
#pragma GCC unroll 3
          for (int y = 0; y < 3; ++y) column[y] = tap(y * 3 + x, i);
        },
        [&](int y, const auto& row) RAVINE_INLINE_LAMBDA {
          store_points<T>(to + y * points * point_stride + i * width, point_stride, row);
        });
}

// Transforms one vector of columns and as many channels, from `row` on, of the filter into a panel that
// begins at its channel `first`: the filter is [out_channels][9][channels] of the forward pass, and with the
// channels' roles exchanged for the gradient to the input.
template <int outputs>
[[gnu::noinline]] void transform_filter_block(const Problem& p, const Plan<outputs>& plan,
                                              std::int64_t vector, std::int64_t row, Range depth, T* panel) {
  const std::int64_t column = vector * n_lanes, in_panel = vector % plan.panel_vectors;
  const std::int64_t width = plan.panel_width(vector - in_panel);
  const std::int64_t rows = smaller(n_lanes, depth.end - row);
  const std::int64_t columns = smaller(n_lanes, p.out_channels - column);
  const std::int64_t point_stride = depth.size() * width + stagger;
  T* const to = panel + (row - depth.begin) * width + in_panel * n_lanes;
  if (p.turned) {
    const T* const from = p.filter + row * 9 * p.out_channels + column;
    transform_filter_rows<outputs>(to, rows, width, point_stride,
                                   [&](int t, std::int64_t i) RAVINE_INLINE_LAMBDA {
                                     return load(from + (i * 9 + 8 - t) * p.out_channels, columns);
                                   });
    return;
  }
  const Vec<T> scale = p.scale == nullptr ? Vec<T>{} + T{1} : load(p.scale + column, columns);
  Vec<T> taps[9][n_lanes];
  for (int t = 0; t < 9; ++t) {
    const T* const from = p.filter + (column * 9 + t) * plan.channels + row;
    Vec<T> block[n_lanes];
    for (int i = 0; i < n_lanes; ++i)
      block[i] = i < columns ? load(from + i * 9 * plan.channels, rows) : Vec<T>{};
    transpose<T, n_lanes>(block);
    for (int i = 0; i < n_lanes; ++i) taps[t][i] = scale * block[i];
  }
  transform_filter_rows<outputs>(to, rows, width, point_stride,
                                 [&](int t, std::int64_t i) RAVINE_INLINE_LAMBDA { return taps[t][i]; });
}

// The whole filter, by the team.
template <int outputs>
void transform_filter(const Problem& p, const Plan<outputs>& plan, T* to, const Team& team) {
  const std::int64_t row_pieces = divide_up(plan.channels, n_lanes);
  const Pieces pieces = pieces_of(plan.vectors * row_pieces, team);
  for (std::int64_t piece = pieces.begin; piece < pieces.end; ++piece) {
    const std::int64_t vector = piece / row_pieces, row = piece % row_pieces * n_lanes;
    const std::int64_t run = row / product_depth, panel = vector / plan.panel_vectors;
    transform_filter_block<outputs>(p, plan, vector, row, plan.channels_of(run),
                                    to + run * plan.run_elements() + panel * plan.panel_elements());
  }
}

// ---- a block
// -----------------------------------------------------------------------------------------------------

// products[point] (+)= pixels[point] filter[point] for runs of channels and the columns of one block, whose
// first panel is at `filter` for the first run.
template <int outputs>
void multiply_points(const Plan<outputs>& plan, const T* pixels, const T* filter, Range runs, Range columns,
                     std::int64_t n_tiles, T* products) {
  const std::int64_t panel = plan.panel_vectors * n_lanes;
  for (int point = 0; point < Plan<outputs>::all_points; ++point)
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
        args.b = first + (run - runs.begin) * plan.run_elements() + point * (depth.size() * width + stagger);
        args.depth = depth.size();
        args.accumulate = run > 0;
        multiply_panel<T, ProductLayout::by_rows>(args, n_tiles, width / n_lanes);
      }
    }
}

// The outputs of a block's tiles from their products.
template <int outputs>
void transform_products(const Problem& p, const Plan<outputs>& plan, const T* products, Range tiles,
                        Range columns) {
  constexpr int points = Plan<outputs>::points;
  const std::int64_t pixel = p.out_channels, row = p.out_width * pixel;
  TilePosition at(p.images, tiles.begin);
  for (std::int64_t tile = tiles.begin; tile < tiles.end; ++tile, at.advance(p.images)) {
    const T* const from = products + (tile - tiles.begin) * plan.product_row;
    const std::int64_t y = at.tile_y * outputs, x = at.tile_x * outputs;
    const std::int64_t height = smaller(outputs, p.out_height - y), width = smaller(outputs, p.out_width - x);
    T* const to = p.output + (at.image * p.out_height + y) * row + x * pixel;
    const bool whole = height == outputs && width == outputs;
    for (std::int64_t j = columns.begin; j < columns.end; j += n_lanes) {
      const std::int64_t count = columns.end - j;
      const auto product = [&](int v, auto& column) RAVINE_INLINE_LAMBDA {
        const T* const first = opaque(from + v * plan.product_point + (j - columns.begin));
#pragma GCC unroll 6
        for (int u = 0; u < points; ++u) column[u] = load(first + u * points * plan.product_point);
      };
      const auto transform = [](const auto& m, auto& result)
                                 RAVINE_INLINE_LAMBDA { Winograd<T, outputs>::output(m, result); };
      if (whole && count >= n_lanes) {
        transform_square<T, points, outputs>(transform, product,
                                             [&](int u, const auto& values) RAVINE_INLINE_LAMBDA {
                                               store_points<T>(to + u * row + j, pixel, values);
                                             });
      } else {
        transform_square<T, points, outputs>(
            transform, product, [&](int u, const auto& values) RAVINE_INLINE_LAMBDA {
              if (u >= height) return;
#pragma GCC unroll 4
              for (int v = 0; v < outputs; ++v)
                if (v < width) store(to + u * row + v * pixel + j, values[v], smaller(count, n_lanes));
            });
      }
    }
  }
}

// Runs the epilogue where a block's outputs are complete.
template <int outputs>
void complete(const Problem& p, const Plan<outputs>& plan, Range tiles, Range columns) {
  if (p.epilogue == nullptr || tiles.size() <= 0) return;
  const auto run = [&](std::int64_t first, std::int64_t last) {
    run_epilogue(*p.epilogue, p.output + first * p.out_channels + columns.begin, p.out_channels, first,
                 last - first, columns.begin, columns.size());
  };
  const TilePosition begin(p.images, tiles.begin), last(p.images, tiles.end - 1);
  const auto line = [&](const TilePosition& at, std::int64_t y) {
    return at.image * p.out_height + smaller(at.tile_y * outputs + y, p.out_height);
  };
  if (plan.row_parts == 1) {  // whole rows of tiles: their outputs follow each other
    run(line(begin, 0) * p.out_width, line(last, outputs) * p.out_width);
    return;
  }
  for (std::int64_t y = line(begin, 0); y < line(begin, outputs); ++y)
    run(y * p.out_width + begin.tile_x * outputs,
        y * p.out_width + smaller((last.tile_x + 1) * outputs, p.out_width));
}

template <int outputs>
void run_columns(const Problem& p, const Plan<outputs>& plan, const T* pixels, const T* filter, Range tiles,
                 std::int64_t column_block, T* scratch) {
  const Range columns{column_block * plan.block_columns,
                      smaller((column_block + 1) * plan.block_columns, p.out_channels)};
  if (plan.fresh) {  // a block is one panel
    T* const panel = scratch;
    scratch += plan.panel_elements();
    for (std::int64_t run = 0; run < plan.runs; ++run) {
      const Range depth = plan.channels_of(run);
      for (std::int64_t vector = columns.begin / n_lanes; vector * n_lanes < columns.end; ++vector)
        for (std::int64_t row = depth.begin; row < depth.end; row += n_lanes)
          transform_filter_block<outputs>(p, plan, vector, row, depth, panel);
      multiply_points<outputs>(plan, pixels, panel, {run, run + 1}, columns, tiles.size(), scratch);
    }
  } else {
    const std::int64_t panels = plan.block_columns / (plan.panel_vectors * n_lanes);
    multiply_points<outputs>(plan, pixels, filter + column_block * panels * plan.panel_elements(),
                             {0, plan.runs}, columns, tiles.size(), scratch);
  }
  transform_products<outputs>(p, plan, scratch, tiles, columns);
  complete<outputs>(p, plan, tiles, columns);
}

// ---- the kernel
// --------------------------------------------------------------------------------------------------

template <int outputs>
void transform_pixels(const Problem& p, const Plan<outputs>& plan, Range tiles, T* to) {
  transform_tiles<T, outputs + 2, Plan<outputs>::points>(
      [](const auto& d, auto& v) RAVINE_INLINE_LAMBDA { Winograd<T, outputs>::input(d, v); }, p.images,
      p.input, plan.channels, tiles, to, plan.pixels);
}

template <int outputs>
void convolve(const Problem& p, const Team& team) {
  const Plan<outputs> plan(p);
  T* const scratch = reinterpret_cast<T*>(team.scratch);
  if (!plan.fresh && !p.transformed) transform_filter<outputs>(p, plan, p.workspace, team);
  const T* const filter = p.transformed ? p.filter : p.workspace;
  if (!plan.shared) {
    if (!p.transformed) team.barrier();
    const Pieces pieces = pieces_of(plan.blocks, team);
    for (std::int64_t block = pieces.begin; block < pieces.end; ++block) {
      const Range tiles = plan.tiles_of(p.images, block);
      transform_pixels<outputs>(p, plan, tiles, scratch);
      for (std::int64_t column_block = 0; column_block < plan.column_blocks; ++column_block)
        run_columns<outputs>(p, plan, scratch, filter, tiles, column_block, scratch + plan.pixel_elements());
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
      transform_pixels<outputs>(
          p, plan, {smaller(tiles.begin + in_block, tiles.end), smaller(tiles.begin + end, tiles.end)},
          buffer + block * plan.pixel_elements() + in_block * plan.pixels.tile_stride);
      tile = block * plan.block_tiles + end;
    }
    team.barrier();
    const Pieces tasks = pieces_of(blocks * plan.column_blocks, team);
    for (std::int64_t task = tasks.begin; task < tasks.end; ++task) {
      const std::int64_t block = task % blocks;
      run_columns<outputs>(p, plan, buffer + block * plan.pixel_elements(), filter,
                           plan.tiles_of(p.images, first + block), task / blocks, scratch);
    }
  }
}

template <class Args>
void run(const Args& args, const Team& team) {
  if (args.algorithm == ConvAlgorithm::winograd_4x4) convolve<4>(problem_of<4>(args), team);
  else convolve<2>(problem_of<2>(args), team);
}

template <int outputs>
std::size_t workspace_of(const Problem& p) {
  return static_cast<std::size_t>(Plan<outputs>(p).workspace_elements(p)) * sizeof(T);
}

template <class Args>
std::size_t workspace(const Args& args) {
  return args.algorithm == ConvAlgorithm::winograd_4x4 ? workspace_of<4>(problem_of<4>(args))
                                                       : workspace_of<2>(problem_of<2>(args));
}

}  // namespace

void winograd_filter(const WinogradFilterArgs& args, const Team& team) {
  T* const to = static_cast<T*>(args.output);
  if (args.algorithm == ConvAlgorithm::winograd_4x4) {
    const Problem p = problem_of<4>(args);
    transform_filter<4>(p, Plan<4>(p), to, team);
  } else {
    const Problem p = problem_of<2>(args);
    transform_filter<2>(p, Plan<2>(p), to, team);
  }
}

std::int64_t winograd_filter_elements(const WinogradFilterArgs& args) {
  return args.algorithm == ConvAlgorithm::winograd_4x4 ? Plan<4>(problem_of<4>(args)).filter_elements()
                                                       : Plan<2>(problem_of<2>(args)).filter_elements();
}

void winograd_forward(const ConvForwardArgs& args, const Team& team) { run(args, team); }
void winograd_grad_input(const ConvGradInputArgs& args, const Team& team) { run(args, team); }
std::size_t winograd_forward_workspace(const ConvForwardArgs& args) { return workspace(args); }
std::size_t winograd_grad_input_workspace(const ConvGradInputArgs& args) { return workspace(args); }

}  // namespace ravine::kernels::RAVINE_ISA
