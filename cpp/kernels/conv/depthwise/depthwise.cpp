// Depthwise convolution, directly over vectors of channels. With a multiplier m = out_channels / channels,
// output channel o belongs to input channel o / m.
#include "kernels/conv/depthwise/depthwise.h"

#include "kernels/conv/depthwise/3x3.h"
#include "kernels/conv/depthwise/tiles.h"
#include "kernels/conv/direct/phase.h"
#include "kernels/gemm/blocked.h"
#include "kernels/tile/elementwise.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

// filter [out_channels][taps] to [taps][out_channels], by the team.
template <class T>
void repack_filter(const T* filter, T* packed, const ConvShape& s, const Team& team) {
  const std::int64_t taps = s.kernel_h * s.kernel_w;
  const Pieces pieces = pieces_of(s.out_channels, team);
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    for (std::int64_t o = pieces.begin; o < pieces.end; ++o)
      packed[tap * s.out_channels + o] = filter[o * taps + tap];
  }
}

// Up to a vector of channels, where every input channel has several outputs.
template <class T>
struct Channels {
  std::int64_t first, multiplier, count;

  RAVINE_INLINE Vec<T> at(const T* from) const { return load(from + first, count); }
  RAVINE_INLINE void put(T* to, Vec<T> value) const { store(to + first, value, count); }
  // Of a pixel of input channels, those that these output channels belong to.
  RAVINE_INLINE Vec<T> inputs_at(const T* pixel) const {
    T values[lanes<T>] = {};
    for (std::int64_t l = 0; l < count; ++l) values[l] = pixel[(first + l) / multiplier];
    return load(values);
  }
  // Of a pixel of output channels, output `which` of each of these input channels.
  RAVINE_INLINE Vec<T> outputs_at(const T* pixel, std::int64_t which) const {
    T values[lanes<T>] = {};
    for (std::int64_t l = 0; l < count; ++l) values[l] = pixel[(first + l) * multiplier + which];
    return load(values);
  }
};

// f(Channels) for all of them.
template <class T, class F>
RAVINE_INLINE void for_each_block(std::int64_t channels, std::int64_t multiplier, F f) {
  for (std::int64_t c = 0; c < channels; c += lanes<T>)
    f(Channels<T>{c, multiplier, smaller(channels - c, lanes<T>)});
}

// The kernel positions of one axis that fall inside of the input, where position 0 falls on `first`.
RAVINE_INLINE Range taps_inside(std::int64_t first, std::int64_t kernel, std::int64_t dilation,
                                std::int64_t extent) {
  if (first >= 0 && first + (kernel - 1) * dilation < extent) return {0, kernel};
  return {first >= 0 ? 0 : ceil_div(-first, dilation),
          first >= extent ? 0 : smaller(kernel, ceil_div(extent - first, dilation))};
}

// Both passes have blocks for 3x3: `width` of what they write.
bool has_3x3_blocks(const ConvShape& s, std::int64_t width) {
  return s.kernel_h == 3 && s.kernel_w == 3 && s.dilation_h == 1 && s.dilation_w == 1 &&
         s.channels == s.out_channels && width >= block_3x3_positions;
}

}  // namespace

std::int64_t depthwise_filter_elements(const ConvShape& s) {
  return s.kernel_h * s.kernel_w * s.out_channels;
}

template <class T>
void depthwise_forward(const ConvForwardArgs& args, const Team& team) {
  const ConvShape s = args.shape;
  const std::int64_t multiplier = s.out_channels / s.channels;
  T* const filter = static_cast<T*>(args.workspace);
  repack_filter(static_cast<const T*>(args.filter), filter, s, team);
  team.barrier();
  const Pieces lines = pieces_of(s.batch * s.out_height, team);
  const auto complete = [&](std::int64_t line, std::int64_t count) {
    if (args.epilogue == nullptr) return;
    run_epilogue(*args.epilogue, static_cast<T*>(args.output) + line * s.out_width * s.out_channels,
                 s.out_channels, line * s.out_width, count * s.out_width, 0, s.out_channels);
  };
  if (has_3x3_blocks(s, s.out_width) && s.stride_h == s.stride_w && s.stride_h <= 2) {
    const Depthwise3x3<T> conv{s,
                               static_cast<const T*>(args.input),
                               static_cast<T*>(args.output),
                               filter,
                               s.channels,
                               comes_from_memory<T>(s)};
    const Range range{lines.begin, lines.end};
    if (s.stride_h == 1) depthwise_3x3_lines<1>(conv, range, complete);
    else depthwise_3x3_lines<2>(conv, range, complete);
    return;
  }
  for (std::int64_t line = lines.begin; line < lines.end; ++line) {
    const std::int64_t sample = line / s.out_height, first_y = line % s.out_height * s.stride_h - s.pad_h;
    const Range taps_y = taps_inside(first_y, s.kernel_h, s.dilation_h, s.height);
    const T* const image = static_cast<const T*>(args.input) + sample * s.height * s.width * s.channels;
    T* const output = static_cast<T*>(args.output) + line * s.out_width * s.out_channels;
    if (multiplier == 1) {
      DepthwiseTile<T> tile;
      tile.pixel_step = s.stride_w * s.channels;
      tile.tap_y_step = s.dilation_h * s.width * s.channels;
      tile.tap_x_step = s.dilation_w * s.channels;
      tile.weight_y_step = s.kernel_w * s.channels;
      tile.weight_x_step = tile.output_step = tile.channels = s.channels;
      tile.taps_y = larger(taps_y.size(), 0);
      tile.row_step = s.width * s.channels;
      if (const std::int64_t last = first_y + (taps_y.end - 1) * s.dilation_h;
          comes_from_memory<T>(s) && last + s.stride_h < s.height) {
        tile.ahead = ((taps_y.end - 1 - taps_y.begin) * s.dilation_h + 1) * tile.row_step;
        tile.ahead_rows = s.stride_h;
      }
      for_each_run(
          s.out_width, s.kernel_w, -s.pad_w, s.stride_w, s.dilation_w, s.width,
          [&](Range positions, Range taps_x) {
            const std::int64_t x = positions.begin * s.stride_w - s.pad_w + taps_x.begin * s.dilation_w;
            tile.taps_x = taps_x.size();
            tile.pixel = image + ((first_y + taps_y.begin * s.dilation_h) * s.width + x) * s.channels;
            tile.weights = filter + (taps_y.begin * s.kernel_w + taps_x.begin) * s.channels;
            tile.output = output + positions.begin * s.channels;
            depthwise_positions_of(tile, positions.size());
          });
    }
    for (std::int64_t out_x = 0; multiplier > 1 && out_x < s.out_width; ++out_x) {
      const std::int64_t first_x = out_x * s.stride_w - s.pad_w;
      const Range taps_x = taps_inside(first_x, s.kernel_w, s.dilation_w, s.width);
      for_each_block<T>(s.out_channels, multiplier, [&](const Channels<T>& block) RAVINE_INLINE_LAMBDA {
        Vec<T> sum{};
        for (std::int64_t ky = taps_y.begin; ky < taps_y.end; ++ky) {
          const T* const row = image + (first_y + ky * s.dilation_h) * s.width * s.channels;
          const T* const weights = filter + ky * s.kernel_w * s.out_channels;
          for (std::int64_t kx = taps_x.begin; kx < taps_x.end; ++kx) {
            const T* const pixel = row + (first_x + kx * s.dilation_w) * s.channels;
            sum += block.inputs_at(pixel) * block.at(weights + kx * s.out_channels);
          }
        }
        block.put(output + out_x * s.out_channels, sum);
      });
    }
    complete(line, 1);
  }
}
template void depthwise_forward<float>(const ConvForwardArgs&, const Team&);
template void depthwise_forward<double>(const ConvForwardArgs&, const Team&);

template <class T>
void depthwise_grad_input(const ConvGradInputArgs& args, const Team& team) {
  const ConvShape s = args.shape;
  const std::int64_t multiplier = s.out_channels / s.channels;
  T* const filter = static_cast<T*>(args.workspace);
  repack_filter(static_cast<const T*>(args.filter), filter, s, team);
  team.barrier();
  const Pieces lines = pieces_of(s.batch * s.height, team);
  if (has_3x3_blocks(s, s.width) && s.stride_h == 1 && s.stride_w == 1) {
    // The forward pass of the output's gradient with the filter turned around.
    ConvShape turned = s;
    turned.height = s.out_height;
    turned.width = s.out_width;
    turned.out_height = s.height;
    turned.out_width = s.width;
    turned.pad_h = 2 - s.pad_h;
    turned.pad_w = 2 - s.pad_w;
    const Depthwise3x3<T> conv{turned,
                               static_cast<const T*>(args.grad_output),
                               static_cast<T*>(args.grad_input),
                               filter + 8 * s.channels,
                               -s.channels,
                               comes_from_memory<T>(s)};
    return depthwise_3x3_lines<1>(conv, {lines.begin, lines.end}, [](std::int64_t, std::int64_t) {});
  }
  // A vector is a whole line of the caches only where vectors are longest.
  const bool streams =
      vector_bytes == 64 && multiplier == 1 && args.epilogue == nullptr &&
      should_stream(static_cast<const T*>(args.grad_input), s.batch * s.height * s.width, s.channels, team);
  for (std::int64_t line = lines.begin; line < lines.end; ++line) {
    const std::int64_t sample = line / s.height, y = line % s.height;
    const PhaseTaps taps_y =
        taps_of_phase(s.height, y % s.stride_h, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h);
    const std::int64_t first_y = y / s.stride_h + taps_y.output_first;
    const T* const grad =
        static_cast<const T*>(args.grad_output) + sample * s.out_height * s.out_width * s.out_channels;
    T* const result = static_cast<T*>(args.grad_input) + line * s.width * s.channels;
    for (std::int64_t phase_x = 0; phase_x < s.stride_w; ++phase_x) {
      const PhaseTaps taps_x = taps_of_phase(s.width, phase_x, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w);
      if (multiplier == 1) {
        DepthwiseTile<T> tile;
        tile.pixel_step = tile.channels = s.channels;
        tile.tap_y_step = taps_y.output_step * s.out_width * s.channels;
        tile.tap_x_step = taps_x.output_step * s.channels;
        tile.weight_y_step = taps_y.kernel_step * s.kernel_w * s.channels;
        tile.weight_x_step = taps_x.kernel_step * s.channels;
        tile.output_step = s.stride_w * s.channels;
        tile.streams = streams;
        Range rows{0, 0};  // the line's taps, of which those inside are one run
        for_each_run(1, taps_y.taps, first_y, 1, taps_y.output_step, s.out_height,
                     [&](Range, Range taps) { rows = taps; });
        tile.taps_y = rows.size();
        tile.row_step = tile.ahead = s.out_width * s.channels;
        if (comes_from_memory<T>(s) && y % s.stride_h == 0 &&
            first_y + rows.begin * taps_y.output_step + 1 < s.out_height)
          tile.ahead_rows = 1;
        for_each_run(taps_x.pixels, taps_x.taps, taps_x.output_first, 1, taps_x.output_step, s.out_width,
                     [&](Range positions, Range taps) {
                       const std::int64_t out_y = first_y + rows.begin * taps_y.output_step;
                       const std::int64_t out_x =
                           positions.begin + taps_x.output_first + taps.begin * taps_x.output_step;
                       const std::int64_t ky = taps_y.kernel_first + rows.begin * taps_y.kernel_step;
                       const std::int64_t kx = taps_x.kernel_first + taps.begin * taps_x.kernel_step;
                       tile.taps_x = taps.size();
                       tile.pixel = grad + (out_y * s.out_width + out_x) * s.channels;
                       tile.weights = filter + (ky * s.kernel_w + kx) * s.channels;
                       tile.output = result + (phase_x + positions.begin * s.stride_w) * s.channels;
                       depthwise_positions_of(tile, positions.size());
                     });
        continue;
      }
      for (std::int64_t u = 0; u < taps_x.pixels; ++u) {
        T* const to = result + (phase_x + u * s.stride_w) * s.channels;
        for_each_block<T>(s.channels, multiplier, [&](const Channels<T>& block) RAVINE_INLINE_LAMBDA {
          Vec<T> sum{};
          for (std::int64_t ty = 0; ty < taps_y.taps; ++ty) {
            const std::int64_t out_y = first_y + ty * taps_y.output_step;
            if (out_y < 0 || out_y >= s.out_height) continue;
            const std::int64_t ky = taps_y.kernel_first + ty * taps_y.kernel_step;
            for (std::int64_t tx = 0; tx < taps_x.taps; ++tx) {
              const std::int64_t out_x = u + taps_x.output_first + tx * taps_x.output_step;
              if (out_x < 0 || out_x >= s.out_width) continue;
              const std::int64_t kx = taps_x.kernel_first + tx * taps_x.kernel_step;
              const T* const pixel = grad + (out_y * s.out_width + out_x) * s.out_channels;
              const T* const weights = filter + (ky * s.kernel_w + kx) * s.out_channels;
              for (std::int64_t which = 0; which < multiplier; ++which)
                sum += block.outputs_at(pixel, which) * block.outputs_at(weights, which);
            }
          }
          block.put(to, sum);
        });
      }
    }
  }
  if (streams) finish_streams();
}
template void depthwise_grad_input<float>(const ConvGradInputArgs&, const Team&);
template void depthwise_grad_input<double>(const ConvGradInputArgs&, const Team&);

namespace {
// Lines of output are cut into so many parts, each summed on its own; by shape only.
std::int64_t line_parts(const ConvShape& s) { return larger(smaller(s.batch * s.out_height / 4, 64), 1); }

// One row of the kernel on one line of outputs, up to three taps at a time where they are all inside.
template <class T, class OutputsOf>
void add_row_of_taps(const ConvShape& s, const T* row, const T* grad, T* sums, OutputsOf outputs_of) {
  const auto add = [&](std::int64_t kx, int taps, Range outputs) {
    if (outputs.size() <= 0) return;
    const DepthwiseGradTile<T> tile{
        row + (outputs.begin * s.stride_w + kx * s.dilation_w - s.pad_w) * s.channels,
        s.stride_w * s.channels,
        s.dilation_w * s.channels,
        grad + outputs.begin * s.channels,
        s.channels,
        outputs.size(),
        sums + kx * s.channels,
        s.channels,
        s.channels};
    if (taps == 3) depthwise_grad_tile<T, 3>(tile);
    else depthwise_grad_tile<T, 1>(tile);
  };
  for (std::int64_t kx = 0; kx < s.kernel_w;) {
    const int taps = s.kernel_w - kx >= 3 ? 3 : 1;
    Range all = outputs_of(kx);
    for (int t = 1; t < taps; ++t) {
      const Range own = outputs_of(kx + t);
      all = {larger(all.begin, own.begin), smaller(all.end, own.end)};
    }
    if (all.size() <= 0) all = {0, 0};
    add(kx, taps, all);
    for (int t = 0; taps > 1 && t < taps; ++t) {
      const Range own = outputs_of(kx + t);
      if (all.size() == 0) {
        add(kx + t, 1, own);
      } else {
        add(kx + t, 1, {own.begin, all.begin});
        add(kx + t, 1, {all.end, own.end});
      }
    }
    kx += taps;
  }
}

// One line of outputs, of a kernel 3x3 of which `taps_y` rows are inside, the first on `row`.
template <class T>
void add_line_3x3(const ConvShape& s, const T* row, const T* grad, int taps_y, bool goes_on, T* sums) {
  DepthwiseGradRow<T> line;
  line.pixel = row - s.pad_w * s.channels;
  line.pixel_step = s.stride_w * s.channels;
  line.tap_y_step = s.dilation_h * s.width * s.channels;
  line.tap_x_step = s.dilation_w * s.channels;
  line.grad = grad;
  line.positions = s.out_width;
  line.x = -s.pad_w;
  line.x_step = s.stride_w;
  line.tap_x = s.dilation_w;
  line.width = s.width;
  const std::int64_t begin = smaller(ceil_div(s.pad_w, s.stride_w), s.out_width);
  const std::int64_t last = s.width - 1 + s.pad_w - 2 * s.dilation_w;  // position * stride of the last inside
  line.inside = {begin, last < 0 ? begin : larger(smaller(last / s.stride_w + 1, s.out_width), begin)};
  line.sums = sums;
  line.channels = s.channels;
  line.pixel_ahead = goes_on ? taps_y * line.tap_y_step : 0;
  line.grad_ahead = goes_on ? s.out_width * s.channels : 0;
  if (taps_y == 3) depthwise_grad_row<T, 3>(line);
  else if (taps_y == 2) depthwise_grad_row<T, 2>(line);
  else depthwise_grad_row<T, 1>(line);
}
}  // namespace

std::int64_t depthwise_grad_filter_elements(const ConvShape& s) {
  return line_parts(s) * depthwise_filter_elements(s);
}

template <class T>
void depthwise_grad_filter(const ConvGradFilterArgs& args, const Team& team) {
  const ConvShape s = args.shape;
  const std::int64_t multiplier = s.out_channels / s.channels, taps = s.kernel_h * s.kernel_w;
  const std::int64_t parts = line_parts(s), elements = depthwise_filter_elements(s);
  T* const sums = static_cast<T*>(args.workspace);  // [parts][taps][out_channels]
  const Pieces mine = pieces_of(parts, team);
  for (std::int64_t part = mine.begin; part < mine.end; ++part) {
    T* const sum = sums + part * elements;
    for (std::int64_t e = 0; e < elements; ++e) sum[e] = T{0};
    const Range lines = share_of(s.batch * s.out_height, 1, static_cast<int>(part), static_cast<int>(parts));
    for (std::int64_t line = lines.begin; line < lines.end; ++line) {
      const std::int64_t sample = line / s.out_height, first_y = line % s.out_height * s.stride_h - s.pad_h;
      const Range taps_y = taps_inside(first_y, s.kernel_h, s.dilation_h, s.height);
      const T* const grad = static_cast<const T*>(args.grad_output) + line * s.out_width * s.out_channels;
      if (multiplier == 1 && s.kernel_h == 3 && s.kernel_w == 3) {
        if (taps_y.size() > 0) {
          const T* const row =
              static_cast<const T*>(args.input) +
              (sample * s.height + first_y + taps_y.begin * s.dilation_h) * s.width * s.channels;
          add_line_3x3(s, row, grad, static_cast<int>(taps_y.size()), line + 1 < lines.end,
                       sum + taps_y.begin * 3 * s.channels);
        }
        continue;
      }
      for (std::int64_t ky = taps_y.begin; ky < taps_y.end; ++ky) {
        const std::int64_t y = first_y + ky * s.dilation_h;
        const T* const row =
            static_cast<const T*>(args.input) + (sample * s.height + y) * s.width * s.channels;
        // Outputs whose tap kx lies inside: 0 <= out_x * stride + offset < width.
        const auto outputs_of = [&](std::int64_t kx) {
          const std::int64_t offset = kx * s.dilation_w - s.pad_w;
          return Range{offset >= 0 ? 0 : ceil_div(-offset, s.stride_w),
                       offset >= s.width ? 0 : smaller(s.out_width, ceil_div(s.width - offset, s.stride_w))};
        };
        T* const of_row = sum + ky * s.kernel_w * s.out_channels;
        if (multiplier == 1) {
          add_row_of_taps(s, row, grad, of_row, outputs_of);
          continue;
        }
        for (std::int64_t kx = 0; kx < s.kernel_w; ++kx) {
          const std::int64_t offset = kx * s.dilation_w - s.pad_w;
          const Range outputs = outputs_of(kx);
          T* const to = of_row + kx * s.out_channels;
          for_each_block<T>(s.out_channels, multiplier, [&](const Channels<T>& block) RAVINE_INLINE_LAMBDA {
            Vec<T> total = block.at(to);
            for (std::int64_t out_x = outputs.begin; out_x < outputs.end; ++out_x)
              total += block.inputs_at(row + (out_x * s.stride_w + offset) * s.channels) *
                       block.at(grad + out_x * s.out_channels);
            block.put(to, total);
          });
        }
      }
    }
  }
  team.barrier();
  T* const result = static_cast<T*>(args.grad_filter);  // [out_channels][taps]
  const Pieces blocks = pieces_of(ceil_div(s.out_channels, lanes<T>), team);
  for (std::int64_t block = blocks.begin; block < blocks.end; ++block) {
    const std::int64_t first = block * lanes<T>, count = smaller(s.out_channels - first, lanes<T>);
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      const T* from = sums + tap * s.out_channels + first;
      Vec<T> total = load(from, count);
      for (std::int64_t part = 1; part < parts; ++part) total += load(from += elements, count);
      for (std::int64_t l = 0; l < count; ++l) result[(first + l) * taps + tap] = total[l];
    }
  }
}
template void depthwise_grad_filter<float>(const ConvGradFilterArgs&, const Team&);
template void depthwise_grad_filter<double>(const ConvGradFilterArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
