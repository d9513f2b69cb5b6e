// Depthwise convolution, directly over vectors of channels. With a multiplier m = out_channels / channels,
// output channel o belongs to input channel o / m; every loop runs over output channels, or over input
// channels and their m outputs.
#include "kernels/depthwise.h"

#include "kernels/elementwise.h"
#include "kernels/gemm_pack.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

// Vectors of channels computed side by side: enough independent sums to hide the latency of an FMA.
constexpr int block_vectors = 4;

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

// Lanes of `from` at channels (first + l) / multiplier: the inputs of `count` output channels from `first`
// on.
template <class T>
RAVINE_INLINE Vec<T> load_repeated(const T* from, std::int64_t first, std::int64_t multiplier,
                                   std::int64_t count) {
  T values[lanes<T>] = {};
  for (std::int64_t l = 0; l < count; ++l) values[l] = from[(first + l) / multiplier];
  return load(values);
}
// Every multiplier-th element: output `which` of each of `count` input channels.
template <class T>
RAVINE_INLINE Vec<T> load_strided(const T* from, std::int64_t multiplier, std::int64_t count) {
  T values[lanes<T>] = {};
  for (std::int64_t l = 0; l < count; ++l) values[l] = from[l * multiplier];
  return load(values);
}

// The kernel positions of one axis that fall inside the input, for output position `at`.
RAVINE_INLINE Range taps_inside(std::int64_t at, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                                std::int64_t dilation, std::int64_t extent) {
  const std::int64_t first = at * stride - pad;
  const std::int64_t begin = first >= 0 ? 0 : divide_up(-first, dilation);
  const std::int64_t end = first >= extent ? 0 : smaller(kernel, divide_up(extent - first, dilation));
  return {begin, end};
}

// A number that a generic lambda can use as a constant.
template <int n>
struct Number {
  static constexpr int value = n;
};

// f(channel, vectors, count): blocks of channels, `count` of them in `vectors` vectors (a compile-time
// number).
template <class T, class F>
RAVINE_INLINE void for_channel_blocks(std::int64_t channels, F f) {
  std::int64_t c = 0;
  for (; c + block_vectors * lanes<T> <= channels; c += block_vectors * lanes<T>) {
    f(c, Number<block_vectors>{}, std::int64_t{lanes<T>});
  }
  for (; c < channels; c += lanes<T>) f(c, Number<1>{}, smaller(channels - c, lanes<T>));
}

}  // namespace

std::int64_t depthwise_filter_elements(const ConvShape& s) {
  return s.kernel_h * s.kernel_w * s.out_channels;
}

template <class T>
void depthwise_forward(const ConvForwardArgs& args, const Team& team) {
  const ConvShape& s = args.shape;
  const std::int64_t multiplier = s.out_channels / s.channels;
  T* const filter = static_cast<T*>(args.workspace);
  repack_filter(static_cast<const T*>(args.filter), filter, s, team);
  team.barrier();
  const Pieces lines = pieces_of(s.batch * s.out_height, team);
  for (std::int64_t line = lines.begin; line < lines.end; ++line) {
    const std::int64_t sample = line / s.out_height, out_y = line % s.out_height;
    const Range taps_y = taps_inside(out_y, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h, s.height);
    const T* const image = static_cast<const T*>(args.input) + sample * s.height * s.width * s.channels;
    T* const output = static_cast<T*>(args.output) + line * s.out_width * s.out_channels;
    for (std::int64_t out_x = 0; out_x < s.out_width; ++out_x) {
      const Range taps_x = taps_inside(out_x, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w, s.width);
      for_channel_blocks<T>(
          s.out_channels, [&](std::int64_t o, auto number, std::int64_t count) RAVINE_INLINE_LAMBDA {
            constexpr int vectors = decltype(number)::value;
            Vec<T> sums[vectors] = {};
            for (std::int64_t ky = taps_y.begin; ky < taps_y.end; ++ky) {
              const std::int64_t y = out_y * s.stride_h - s.pad_h + ky * s.dilation_h;
              for (std::int64_t kx = taps_x.begin; kx < taps_x.end; ++kx) {
                const std::int64_t x = out_x * s.stride_w - s.pad_w + kx * s.dilation_w;
                const T* const pixel = image + (y * s.width + x) * s.channels;
                const T* const weights = filter + (ky * s.kernel_w + kx) * s.out_channels + o;
                for (int v = 0; v < vectors; ++v) {
                  const Vec<T> values = multiplier == 1
                                            ? load(pixel + o + v * lanes<T>, count)
                                            : load_repeated(pixel, o + v * lanes<T>, multiplier, count);
                  sums[v] += values * load(weights + v * lanes<T>, count);
                }
              }
            }
            for (int v = 0; v < vectors; ++v)
              store(output + out_x * s.out_channels + o + v * lanes<T>, sums[v], count);
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

// A pixel gathers from the outputs it contributed to: those kernel positions whose distance the stride
// divides.
template <class T>
void depthwise_grad_input(const ConvGradInputArgs& args, const Team& team) {
  const ConvShape& s = args.shape;
  const std::int64_t multiplier = s.out_channels / s.channels;
  T* const filter = static_cast<T*>(args.workspace);
  repack_filter(static_cast<const T*>(args.filter), filter, s, team);
  team.barrier();
  const Pieces lines = pieces_of(s.batch * s.height, team);
  for (std::int64_t line = lines.begin; line < lines.end; ++line) {
    const std::int64_t sample = line / s.height, y = line % s.height;
    const T* const grad =
        static_cast<const T*>(args.grad_output) + sample * s.out_height * s.out_width * s.out_channels;
    T* const result = static_cast<T*>(args.grad_input) + line * s.width * s.channels;
    for (std::int64_t x = 0; x < s.width; ++x) {
      for_channel_blocks<T>(
          s.channels, [&](std::int64_t c, auto number, std::int64_t count) RAVINE_INLINE_LAMBDA {
            constexpr int vectors = decltype(number)::value;
            Vec<T> sums[vectors] = {};
            for (std::int64_t ky = 0; ky < s.kernel_h; ++ky) {
              const std::int64_t from_y = y + s.pad_h - ky * s.dilation_h, out_y = from_y / s.stride_h;
              if (from_y < 0 || out_y >= s.out_height || out_y * s.stride_h != from_y) continue;
              for (std::int64_t kx = 0; kx < s.kernel_w; ++kx) {
                const std::int64_t from_x = x + s.pad_w - kx * s.dilation_w, out_x = from_x / s.stride_w;
                if (from_x < 0 || out_x >= s.out_width || out_x * s.stride_w != from_x) continue;
                const T* const pixel = grad + (out_y * s.out_width + out_x) * s.out_channels;
                const T* const weights = filter + (ky * s.kernel_w + kx) * s.out_channels;
                for (int v = 0; v < vectors; ++v) {
                  const std::int64_t first = (c + v * lanes<T>)*multiplier;
                  if (multiplier == 1) {
                    sums[v] += load(pixel + first, count) * load(weights + first, count);
                  } else {
                    for (std::int64_t q = 0; q < multiplier; ++q) {
                      sums[v] += load_strided(pixel + first + q, multiplier, count) *
                                 load_strided(weights + first + q, multiplier, count);
                    }
                  }
                }
              }
            }
            for (int v = 0; v < vectors; ++v)
              store(result + x * s.channels + c + v * lanes<T>, sums[v], count);
          });
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
  const ConvShape& s = args.shape;
  const std::int64_t multiplier = s.out_channels / s.channels, taps = s.kernel_h * s.kernel_w;
  const std::int64_t parts = line_parts(s), elements = depthwise_filter_elements(s);
  T* const sums = static_cast<T*>(args.workspace);  // [parts][taps][out_channels]
  const Pieces mine = pieces_of(parts, team);
  for (std::int64_t part = mine.begin; part < mine.end; ++part) {
    T* const sum = sums + part * elements;
    for (std::int64_t e = 0; e < elements; ++e) sum[e] = T{0};
    const Range lines = share_of(s.batch * s.out_height, 1, static_cast<int>(part), static_cast<int>(parts));
    for (std::int64_t line = lines.begin; line < lines.end; ++line) {
      const std::int64_t sample = line / s.out_height, out_y = line % s.out_height;
      const Range taps_y = taps_inside(out_y, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h, s.height);
      const T* const grad = static_cast<const T*>(args.grad_output) + line * s.out_width * s.out_channels;
      for (std::int64_t ky = taps_y.begin; ky < taps_y.end; ++ky) {
        const std::int64_t y = out_y * s.stride_h - s.pad_h + ky * s.dilation_h;
        const T* const row =
            static_cast<const T*>(args.input) + (sample * s.height + y) * s.width * s.channels;
        for (std::int64_t kx = 0; kx < s.kernel_w; ++kx) {
          // Outputs whose tap kx lies inside: 0 <= out_x * stride + offset < width.
          const std::int64_t offset = kx * s.dilation_w - s.pad_w;
          const std::int64_t begin = offset >= 0 ? 0 : divide_up(-offset, s.stride_w);
          const std::int64_t end =
              offset >= s.width ? 0 : smaller(s.out_width, divide_up(s.width - offset, s.stride_w));
          T* const to = sum + (ky * s.kernel_w + kx) * s.out_channels;
          for_channel_blocks<T>(
              s.out_channels, [&](std::int64_t o, auto number, std::int64_t count) RAVINE_INLINE_LAMBDA {
                constexpr int vectors = decltype(number)::value;
                Vec<T> totals[vectors];
                for (int v = 0; v < vectors; ++v) totals[v] = load(to + o + v * lanes<T>, count);
                for (std::int64_t out_x = begin; out_x < end; ++out_x) {
                  const T* const pixel = row + (out_x * s.stride_w + offset) * s.channels;
                  const T* const from = grad + out_x * s.out_channels + o;
                  for (int v = 0; v < vectors; ++v) {
                    const Vec<T> values = multiplier == 1
                                              ? load(pixel + o + v * lanes<T>, count)
                                              : load_repeated(pixel, o + v * lanes<T>, multiplier, count);
                    totals[v] += values * load(from + v * lanes<T>, count);
                  }
                }
                for (int v = 0; v < vectors; ++v) store(to + o + v * lanes<T>, totals[v], count);
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
