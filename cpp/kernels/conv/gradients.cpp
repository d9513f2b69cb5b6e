// Gradients of a convolution as implicit GEMMs.
#include "kernels/api/table.h"
#include "kernels/conv/depthwise/depthwise.h"
#include "kernels/conv/direct/phase.h"
#include "kernels/conv/direct/sources.h"
#include "kernels/conv/shallow/shallow.h"
#include "kernels/conv/winograd/winograd.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

// All pixels are of one class: blocks of them are blocks of the image.
bool has_one_class(const ConvShape& s) { return s.stride_h == 1 && s.stride_w == 1; }

// The pixels of one class (no multiplication by zeros that a stride would insert), this thread's share of
// them.
template <class T>
void grad_input_of_class(const ConvGradInputArgs& args, const PhaseTaps& y, const PhaseTaps& x,
                         std::int64_t phase_y, std::int64_t phase_x, const Team& team) {
  const ConvShape& s = args.shape;
  const std::int64_t channels = s.channels / s.groups, out_channels = s.out_channels / s.groups;
  const std::int64_t depth = y.taps * x.taps * out_channels;
  const TileProgram* const epilogue = has_one_class(s) ? args.epilogue : nullptr;
  const Share mine = share<T>(s.groups, s.batch * y.pixels * x.pixels, channels, team);
  for (std::int64_t group = mine.products.begin; group < mine.products.end; ++group) {
    const T* const grad_output = static_cast<const T*>(args.grad_output) + group * out_channels;
    const T* const filter =
        static_cast<const T*>(args.filter) + group * out_channels * s.kernel_h * s.kernel_w * channels;
    T* const grad_input = static_cast<T*>(args.grad_input) + group * channels;
    if (is_pointwise(s)) {
      const std::int64_t pixels = s.batch * y.pixels * x.pixels;
      MatrixC<T> rows{grad_input, s.channels, epilogue, 0, group * channels};
      rows.streams =
          s.groups == 1 && epilogue == nullptr && should_stream<T>(grad_input, pixels, channels, team);
      multiply<T>(StreamedA<T>{{grad_output, s.out_channels, 1}, pixels, depth},
                  MatrixB<T>{filter, channels, 1}, rows, mine.rows, mine.columns, Range{0, depth}, false,
                  team.scratch);
      continue;
    }
    const PatchesA<T> patches{{grad_output, s.out_height, s.out_width, s.out_channels, out_channels, y.pixels,
                               x.pixels, 1, y.output_first, 1, x.output_first, y.taps, x.taps, y.output_step,
                               x.output_step}};
    const FilterB<T> taps{filter, out_channels,   channels,      s.kernel_h,     s.kernel_w,
                          x.taps, y.kernel_first, y.kernel_step, x.kernel_first, x.kernel_step};
    const PixelsC<T> pixels{grad_input, s.height, s.width,    s.channels, y.pixels, x.pixels,
                            s.stride_h, phase_y,  s.stride_w, phase_x,    epilogue, group * channels};
    multiply<T>(patches, taps, pixels, mine.rows, mine.columns, Range{0, depth}, false, team.scratch);
  }
}

std::int64_t filter_elements(const ConvShape& s) {
  return s.out_channels * s.kernel_h * s.kernel_w * (s.channels / s.groups);
}

// A filter of fewer channels than a panel is wide has its gradient computed transposed, [channels,
// out_channels] = patches^T grad_output, which fills panels with the output channels.
template <class T>
bool is_transposed(const ConvShape& s) {
  const std::int64_t channels = s.channels / s.groups;
  return is_pointwise(s) && channels < panel_columns<T> && channels < s.out_channels / s.groups;
}

// Parts of the positions, whose sums are added up. A small filter has several even where it is work enough
// for a team: threads that share the filter's rows would each gather all patches.
template <class T>
std::int64_t filter_splits(const ConvShape& s) {
  const std::int64_t positions = s.batch * s.out_height * s.out_width;
  const std::int64_t out_channels = s.out_channels / s.groups;
  const std::int64_t patch_size = s.kernel_h * s.kernel_w * (s.channels / s.groups);
  const bool transposed = is_transposed<T>(s);
  const std::int64_t splits = depth_splits<T>(s.groups, transposed ? patch_size : out_channels,
                                              transposed ? out_channels : patch_size, positions);
  constexpr std::int64_t small = (512 << 10) / sizeof(T), most = 16;
  if (filter_elements(s) > small) return splits;
  return larger(splits, smaller(positions / max_run_depth, most));
}
template <class T>
bool has_parts(const ConvShape& s) {
  return is_transposed<T>(s) || filter_splits<T>(s) > 1;
}

// The filter's elements of these rows [out_channels][channels], each the sum of its parts
// [splits][group][channels][out_channels of the group].
template <class T>
void add_transposed_splits(T* filter, const T* parts, const ConvShape& s, std::int64_t splits, Range rows) {
  const std::int64_t channels = s.channels / s.groups, out_channels = s.out_channels / s.groups;
  const std::int64_t elements = s.out_channels * channels;
  for (std::int64_t row = rows.begin; row < rows.end;) {
    const std::int64_t group = row / out_channels, o = row % out_channels;
    const std::int64_t count = smaller(smaller(out_channels - o, rows.end - row), lanes<T>);
    for (std::int64_t c = 0; c < channels; ++c) {
      const T* from = parts + (group * channels + c) * out_channels + o;
      Vec<T> sum = load(from, count);
      for (std::int64_t split = 1; split < splits; ++split) sum += load(from += elements, count);
      for (std::int64_t l = 0; l < count; ++l) filter[(row + l) * channels + c] = sum[l];
    }
    row += count;
  }
}

}  // namespace

template <class T>
void conv_grad_input(const ConvGradInputArgs& args, const Team& team) {
  const ConvShape& s = args.shape;
  if constexpr (std::is_same_v<T, float>) {
    if (is_winograd(args.algorithm)) return winograd_grad_input(args, team);
    if (has_few_channels_to_grad(s)) return few_channels_grad_input(args, team);
  }
  if (is_depthwise(s)) {
    depthwise_grad_input<T>(args, team);
  } else {
    for (std::int64_t phase_y = 0; phase_y < s.stride_h; ++phase_y) {
      const PhaseTaps y = taps_of_phase(s.height, phase_y, s.kernel_h, s.stride_h, s.pad_h, s.dilation_h);
      for (std::int64_t phase_x = 0; phase_x < s.stride_w; ++phase_x) {
        const PhaseTaps x = taps_of_phase(s.width, phase_x, s.kernel_w, s.stride_w, s.pad_w, s.dilation_w);
        grad_input_of_class<T>(args, y, x, phase_y, phase_x, team);
      }
    }
    if (has_one_class(s)) return;  // the epilogue ran block by block
  }
  if (args.epilogue == nullptr) return;
  team.barrier();
  constexpr std::int64_t piece = 16;
  const Range rows = share_of(s.batch * s.height * s.width, piece, team.rank, team.size);
  run_epilogue(*args.epilogue, static_cast<T*>(args.grad_input) + rows.begin * s.channels, s.channels,
               rows.begin, rows.size(), 0, s.channels);
}
template void conv_grad_input<float>(const ConvGradInputArgs&, const Team&);
template void conv_grad_input<double>(const ConvGradInputArgs&, const Team&);

template <class T>
std::size_t conv_grad_input_workspace(const ConvGradInputArgs& args) {
  if constexpr (std::is_same_v<T, float>)
    if (is_winograd(args.algorithm)) return winograd_grad_input_workspace(args);
  if (!is_depthwise(args.shape)) return 0;
  return static_cast<std::size_t>(depthwise_filter_elements(args.shape)) * sizeof(T);
}
template std::size_t conv_grad_input_workspace<float>(const ConvGradInputArgs&);
template std::size_t conv_grad_input_workspace<double>(const ConvGradInputArgs&);

// C [out_channels, taps x channels] = grad_output^T patches, summed over all positions.
template <class T>
void conv_grad_filter(const ConvGradFilterArgs& args, const Team& team) {
  const ConvShape& s = args.shape;
  if constexpr (std::is_same_v<T, float>) {
    if (is_winograd(args.algorithm)) return winograd_grad_filter(args, team);
    if (has_few_channels(s)) return few_channels_grad_filter(args, team);
  }
  if (is_depthwise(s)) return depthwise_grad_filter<T>(args, team);
  const std::int64_t channels = s.channels / s.groups, out_channels = s.out_channels / s.groups;
  const std::int64_t positions = s.batch * s.out_height * s.out_width;
  const std::int64_t patch_size = s.kernel_h * s.kernel_w * channels;
  const std::int64_t splits = filter_splits<T>(s), elements = filter_elements(s);
  const bool transposed = is_transposed<T>(s), has_sums = has_parts<T>(s);
  T* const sums = static_cast<T*>(has_sums ? args.workspace : args.grad_filter);  // [splits][filter]

  const Share mine = transposed ? share<T>(splits * s.groups, patch_size, out_channels, team)
                                : share<T>(splits * s.groups, out_channels, patch_size, team);
  for (std::int64_t part = mine.products.begin; part < mine.products.end; ++part) {
    const std::int64_t split = part / s.groups, group = part % s.groups;
    const Range range = split_of(positions, split, splits);
    const T* const input = static_cast<const T*>(args.input) + group * channels;
    const T* const grad_output = static_cast<const T*>(args.grad_output) + group * out_channels;
    T* const sum = sums + split * elements + group * out_channels * patch_size;
    const auto run = [&](const auto& a, const auto& b, std::int64_t columns) RAVINE_INLINE_LAMBDA {
      multiply<T>(a, b, MatrixC<T>{sum, columns}, mine.rows, mine.columns, range, false, team.scratch);
    };
    const MatrixA<T> rows{grad_output, 1, s.out_channels};
    if (transposed)
      run(MatrixA<T>{input, 1, s.channels}, MatrixB<T>{grad_output, s.out_channels, 1}, out_channels);
    else if (is_pointwise(s)) run(rows, MatrixB<T>{input, s.channels, 1}, patch_size);
    else run(rows, PatchesB<T>{patches_of(s, input)}, patch_size);
  }
  if (!has_sums) return;
  team.barrier();
  T* const filter = static_cast<T*>(args.grad_filter);
  if (transposed) {
    const Range rows = share_of(s.out_channels, lanes<T>, team.rank, team.size);
    return add_transposed_splits(filter, sums, s, splits, rows);
  }
  constexpr std::int64_t piece = 1024;
  const Range range = share_of(elements, piece, team.rank, team.size);
  add_splits(filter + range.begin, sums + range.begin, elements, splits, range.size(), false);
}
template void conv_grad_filter<float>(const ConvGradFilterArgs&, const Team&);
template void conv_grad_filter<double>(const ConvGradFilterArgs&, const Team&);

template <class T>
std::size_t conv_grad_filter_workspace(const ConvGradFilterArgs& args) {
  const ConvShape& s = args.shape;
  if constexpr (std::is_same_v<T, float>) {
    if (is_winograd(args.algorithm)) return winograd_grad_filter_workspace(args);
    if (has_few_channels(s)) return few_channels_grad_filter_workspace(args);
  }
  if (is_depthwise(s)) return static_cast<std::size_t>(depthwise_grad_filter_elements(s)) * sizeof(T);
  return has_parts<T>(s) ? static_cast<std::size_t>(filter_splits<T>(s) * filter_elements(s)) * sizeof(T) : 0;
}
template std::size_t conv_grad_filter_workspace<float>(const ConvGradFilterArgs&);
template std::size_t conv_grad_filter_workspace<double>(const ConvGradFilterArgs&);

}  // namespace ravine::kernels::RAVINE_ISA
