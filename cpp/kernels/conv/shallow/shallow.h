// Convolutions of images with one to four channels, float32. Internal to conv/.
#pragma once

#include "kernels/api/conv.h"

namespace ravine::kernels::RAVINE_ISA {

inline constexpr std::int64_t max_few_channels = 4;

// Whether these kernels can compute a convolution and the gradient to its filter, which they then do faster
// than implicit GEMM.
bool has_few_channels(const ConvShape& s);
// And the gradient to its input.
bool has_few_channels_to_grad(const ConvShape& s);

void few_channels_forward(const ConvForwardArgs& args, const Team& team);
void few_channels_grad_input(const ConvGradInputArgs& args, const Team& team);
void few_channels_grad_filter(const ConvGradFilterArgs& args, const Team& team);
bool few_channels_can_pool(const ConvForwardArgs& args);
std::int64_t few_channels_forward_pieces(const ConvForwardArgs& args);
std::size_t few_channels_grad_filter_workspace(const ConvGradFilterArgs& args);

}  // namespace ravine::kernels::RAVINE_ISA
