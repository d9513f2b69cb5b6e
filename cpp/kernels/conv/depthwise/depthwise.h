// Depthwise convolution: one input channel per group. Internal to conv/.
#pragma once

#include "kernels/api/conv.h"

namespace ravine::kernels::RAVINE_ISA {

inline bool is_depthwise(const ConvShape& s) { return s.groups == s.channels && s.channels > 1; }

template <class T>
void depthwise_forward(const ConvForwardArgs& args, const Team& team);
template <class T>
void depthwise_grad_input(const ConvGradInputArgs& args, const Team& team);
template <class T>
void depthwise_grad_filter(const ConvGradFilterArgs& args, const Team& team);

// Elements of workspace.
std::int64_t depthwise_filter_elements(const ConvShape& shape);       // forward, gradient to the input
std::int64_t depthwise_grad_filter_elements(const ConvShape& shape);  // gradient to the filter

}  // namespace ravine::kernels::RAVINE_ISA
