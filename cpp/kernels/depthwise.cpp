// Depthwise convolution, directly over vectors of channels. With a multiplier m = out_channels / channels,
// output channel o belongs to input channel o / m.
#include "kernels/depthwise.h"

#include "kernels/conv_phase.h"
#include "kernels/elementwise.h"

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

// A block of channels: whole vectors, enough independent sums to hide the latency of an FMA, or one counted
// vector.
template <class T, int n_vectors>
struct Channels {
  static constexpr int vectors = n_vectors;
  std::int64_t first, multiplier;
  std::int64_t count = lanes<T>;  // used lanes of each vector

  RAVINE_INLINE Vec<T> at(const T* from, int v) const {
    from += first + v * lanes<T>;
    if constexpr (vectors > 1) return load(from);
    else return load(from, count);
  }
  RAVINE_INLINE void put(T* to, int v, Vec<T> value) const {
    to += first + v * lanes<T>;
    if constexpr (vectors > 1) store(to, value);
    else store(to, value, count);
  }
  // Of a pixel of input channels, those that these output channels belong to.
  RAVINE_INLINE Vec<T> inputs_at(const T* pixel, int v) const {
    if constexpr (vectors > 1) return at(pixel, v);
    if (multiplier == 1) return at(pixel, v);
    T values[lanes<T>] = {};
    for (std::int64_t l = 0; l < count; ++l) values[l] = pixel[(first + l) / multiplier];
    return load(values);
  }
  // Of a pixel of output channels, output `which` of each of these input channels.
  RAVINE_INLINE Vec<T> outputs_at(const T* pixel, int v, std::int64_t which) const {
    if constexpr (vectors > 1) return at(pixel, v);
    if (multiplier == 1) return at(pixel, v);
    T values[lanes<T>] = {};
    for (std::int64_t l = 0; l < count; ++l) values[l] = pixel[(first + l) * multiplier + which];
    return load(values);
  }
};

// f(Channels) for all of them, blocks of several vectors first; with a multiplier only single vectors.
template <class T, class F>
RAVINE_INLINE void for_each_block(std::int64_t channels, std::int64_t multiplier, F f) {
  std::int64_t c = 0;
  if (multiplier == 1) {
    for (; c + 4 * lanes<T> <= channels; c += 4 * lanes<T>) f(Channels<T, 4>{c, 1});
  }
  for (; c < channels; c += lanes<T>) f(Channels<T, 1>{c, multiplier, smaller(channels - c, lanes<T>)});
}

// The kernel positions of one axis that fall inside of the input, where position 0 falls on `first`.
RAVINE_INLINE Range taps_inside(std::int64_t first, std::int64_t kernel, std::int64_t dilation,
                                std::int64_t extent) {
  if (first >= 0 && first + (kernel - 1) * dilation < extent) return {0, kernel};
  return {first >= 0 ? 0 : divide_up(-first, dilation),
          first >= extent ? 0 : smaller(kernel, divide_up(extent - first, dilation))};
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
  for (std::int64_t line = lines.begin; line < lines.end; ++line) {
    const std::int64_t sample = line / s.out_height, first_y = line % s.out_height * s.stride_h - s.pad_h;
    const Range taps_y = taps_inside(first_y, s.kernel_h, s.dilation_h, s.height);
    const T* const image = static_cast<const T*>(args.input) + sample * s.height * s.width * s.channels;
    T* const output = static_cast<T*>(args.output) + line * s.out_width * s.out_channels;
    for (std::int64_t out_x = 0; out_x < s.out_width; ++out_x) {
      const std::int64_t first_x = out_x * s.stride_w - s.pad_w;
      const Range taps_x = taps_inside(first_x, s.kernel_w, s.dilation_w, s.width);
      for_each_block<T>(s.out_channels, multiplier, [&](auto block) RAVINE_INLINE_LAMBDA {
        constexpr int vectors = decltype(block)::vectors;
        Vec<T> sums[vectors] = {};
        for (std::int64_t ky = taps_y.begin; ky < taps_y.end; ++ky) {
          const T* const row = image + (first_y + ky * s.dilation_h) * s.width * s.channels;
          const T* const weights = filter + ky * s.kernel_w * s.out_channels;
          for (std::int64_t kx = taps_x.begin; kx < taps_x.end; ++kx) {
            const T* const pixel = row + (first_x + kx * s.dilation_w) * s.channels;
            for (int v = 0; v < vectors; ++v) {
              sums[v] += block.inputs_at(pixel, v) * block.at(weights + kx * s.out_channels, v);
            }
          }
        }
        for (int v = 0; v < vectors; ++v) block.put(output + out_x * s.out_channels, v, sums[v]);
      });
    }
    if (args.epilogue != nullptr) {
      run_epilogue(*args.epilogue, output, s.out_channels, line * s.out_width, s.out_width, 0,
                   s.out_channels);
    }
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
      for (std::int64_t u = 0; u < taps_x.pixels; ++u) {
        T* const to = result + (phase_x + u * s.stride_w) * s.channels;
        for_each_block<T>(s.channels, multiplier, [&](auto block) RAVINE_INLINE_LAMBDA {
          constexpr int vectors = decltype(block)::vectors;
          Vec<T> sums[vectors] = {};
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
              for (std::int64_t which = 0; which < block.multiplier; ++which) {
                for (int v = 0; v < vectors; ++v) {
                  sums[v] += block.outputs_at(pixel, v, which) * block.outputs_at(weights, v, which);
                }
              }
            }
          }
          for (int v = 0; v < vectors; ++v) block.put(to, v, sums[v]);
        });
      }
    }
  }
}
template void depthwise_grad_input<float>(const ConvGradInputArgs&, const Team&);
template void depthwise_grad_input<double>(const ConvGradInputArgs&, const Team&);

namespace {
// Lines of output are cut into so many parts, each summed on its own; by shape only.
std::int64_t line_parts(const ConvShape& s) { return larger(smaller(s.batch * s.out_height, 64), 1); }
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
      for (std::int64_t ky = taps_y.begin; ky < taps_y.end; ++ky) {
        const std::int64_t y = first_y + ky * s.dilation_h;
        const T* const row =
            static_cast<const T*>(args.input) + (sample * s.height + y) * s.width * s.channels;
        for (std::int64_t kx = 0; kx < s.kernel_w; ++kx) {
          // Outputs whose tap kx lies inside: 0 <= out_x * stride + offset < width.
          const std::int64_t offset = kx * s.dilation_w - s.pad_w;
          const std::int64_t begin = offset >= 0 ? 0 : divide_up(-offset, s.stride_w);
          const std::int64_t end =
              offset >= s.width ? 0 : smaller(s.out_width, divide_up(s.width - offset, s.stride_w));
          T* const to = sum + (ky * s.kernel_w + kx) * s.out_channels;
          for_each_block<T>(s.out_channels, multiplier, [&](auto block) RAVINE_INLINE_LAMBDA {
            constexpr int vectors = decltype(block)::vectors;
            Vec<T> totals[vectors];
            for (int v = 0; v < vectors; ++v) totals[v] = block.at(to, v);
            for (std::int64_t out_x = begin; out_x < end; ++out_x) {
              const T* const pixel = row + (out_x * s.stride_w + offset) * s.channels;
              for (int v = 0; v < vectors; ++v) {
                totals[v] += block.inputs_at(pixel, v) * block.at(grad + out_x * s.out_channels, v);
              }
            }
            for (int v = 0; v < vectors; ++v) block.put(to, v, totals[v]);
          });
        }
      }
    }
  }
  team.barrier();
  const Pieces outputs = pieces_of(s.out_channels, team);
  T* const result = static_cast<T*>(args.grad_filter);  // [out_channels][taps]
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    for (std::int64_t o = outputs.begin; o < outputs.end; ++o) {
      T total = sums[tap * s.out_channels + o];
      for (std::int64_t part = 1; part < parts; ++part)
        total += sums[part * elements + tap * s.out_channels + o];
      result[o * taps + tap] = total;
    }
  }
}
template void depthwise_grad_filter<float>(const ConvGradFilterArgs&, const Team&);
template void depthwise_grad_filter<double>(const ConvGradFilterArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
