// Winograd convolution of what ConvAlgorithm says. Internal to conv/ and table.cpp.
#pragma once

#include "kernels/api/conv.h"

namespace ravine::kernels::RAVINE_ISA {

inline bool is_winograd(ConvAlgorithm algorithm) { return algorithm != ConvAlgorithm::direct; }

void winograd_forward(const ConvForwardArgs& args, const Team& team);
void winograd_grad_input(const ConvGradInputArgs& args, const Team& team);
void winograd_grad_filter(const ConvGradFilterArgs& args, const Team& team);

void winograd_filter(const WinogradFilterArgs& args, const Team& team);
std::int64_t winograd_filter_elements(const WinogradFilterArgs& args);

bool winograd_can_pool(const ConvForwardArgs& args);
std::int64_t winograd_forward_pieces(const ConvForwardArgs& args);

std::size_t winograd_forward_workspace(const ConvForwardArgs& args);
std::size_t winograd_grad_input_workspace(const ConvGradInputArgs& args);
std::size_t winograd_grad_filter_workspace(const ConvGradFilterArgs& args);

}  // namespace ravine::kernels::RAVINE_ISA
