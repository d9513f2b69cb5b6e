// Forward convolution as implicit GEMM: C [positions, out_channels] = patches [positions, taps x channels]
// filter^T.
#include "kernels/api/conv.h"

#include "kernels/api/table.h"
#include "kernels/conv/depthwise/depthwise.h"
#include "kernels/conv/direct/sources.h"
#include "kernels/conv/shallow/shallow.h"
#include "kernels/conv/winograd/winograd.h"

namespace ravine::kernels::RAVINE_ISA {

template <class T>
void conv_forward(const ConvForwardArgs& args, const Team& team) {
  const ConvShape& s = args.shape;
  if constexpr (std::is_same_v<T, float>) {
    if (is_winograd(args.algorithm)) return winograd_forward(args, team);
    if (has_few_channels(s)) return few_channels_forward(args, team);
  }
  if (is_depthwise(s)) return depthwise_forward<T>(args, team);
  const std::int64_t channels = s.channels / s.groups, out_channels = s.out_channels / s.groups;
  const std::int64_t positions = s.batch * s.out_height * s.out_width;
  const std::int64_t patch_size = s.kernel_h * s.kernel_w * channels;
  const bool pointwise = is_pointwise(s);
  const bool streams = s.groups == 1 && args.epilogue == nullptr &&
                       should_stream(static_cast<const T*>(args.output), positions, out_channels, team);

  const Share mine = share<T>(s.groups, positions, out_channels, team);
  for (std::int64_t group = mine.products.begin; group < mine.products.end; ++group) {
    const T* const input = static_cast<const T*>(args.input) + group * channels;
    const MatrixB<T> filter{static_cast<const T*>(args.filter) + group * out_channels * patch_size, 1,
                            patch_size};
    MatrixC<T> output{static_cast<T*>(args.output) + group * out_channels, s.out_channels, args.epilogue, 0,
                      group * out_channels};
    output.streams = streams;
    const auto run = [&](const auto& patches) RAVINE_INLINE_LAMBDA {
      multiply<T>(patches, filter, output, mine.rows, mine.columns, Range{0, patch_size}, false,
                  team.scratch);
    };
    if (pointwise) run(StreamedA<T>{{input, s.channels, 1}, positions, patch_size});
    else run(PatchesA<T>{patches_of(s, input)});
  }
}
template void conv_forward<float>(const ConvForwardArgs&, const Team&);
template void conv_forward<double>(const ConvForwardArgs&, const Team&);

bool conv_can_pool(const ConvForwardArgs& args) {
  if (is_winograd(args.algorithm)) return winograd_can_pool(args);
  return has_few_channels(args.shape) && few_channels_can_pool(args);
}

template <class T>
std::int64_t conv_forward_pieces(const ConvForwardArgs& args) {
  if constexpr (std::is_same_v<T, float>) {
    if (is_winograd(args.algorithm)) return winograd_forward_pieces(args);
    if (has_few_channels(args.shape)) return few_channels_forward_pieces(args);
  }
  return 0;
}
template std::int64_t conv_forward_pieces<float>(const ConvForwardArgs&);
template std::int64_t conv_forward_pieces<double>(const ConvForwardArgs&);

template <class T>
std::size_t conv_forward_workspace(const ConvForwardArgs& args) {
  if constexpr (std::is_same_v<T, float>)
    if (is_winograd(args.algorithm)) return winograd_forward_workspace(args);
  if (!is_depthwise(args.shape)) return 0;
  return static_cast<std::size_t>(depthwise_filter_elements(args.shape)) * sizeof(T);
}
template std::size_t conv_forward_workspace<float>(const ConvForwardArgs&);
template std::size_t conv_forward_workspace<double>(const ConvForwardArgs&);

}  // namespace ravine::kernels::RAVINE_ISA
