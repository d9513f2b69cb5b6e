#include "kernels/conv.h"

#include "kernels/table.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

template <class T>
void conv_forward(const ConvForwardArgs&, const Team&) {}
template void conv_forward<float>(const ConvForwardArgs&, const Team&);
template void conv_forward<double>(const ConvForwardArgs&, const Team&);
template <class T>
std::size_t conv_forward_workspace(const ConvForwardArgs&) { return 0; }
template std::size_t conv_forward_workspace<float>(const ConvForwardArgs&);
template std::size_t conv_forward_workspace<double>(const ConvForwardArgs&);
template <class T>
void conv_grad_input(const ConvGradInputArgs&, const Team&) {}
template void conv_grad_input<float>(const ConvGradInputArgs&, const Team&);
template void conv_grad_input<double>(const ConvGradInputArgs&, const Team&);
template <class T>
std::size_t conv_grad_input_workspace(const ConvGradInputArgs&) { return 0; }
template std::size_t conv_grad_input_workspace<float>(const ConvGradInputArgs&);
template std::size_t conv_grad_input_workspace<double>(const ConvGradInputArgs&);
template <class T>
void conv_grad_filter(const ConvGradFilterArgs&, const Team&) {}
template void conv_grad_filter<float>(const ConvGradFilterArgs&, const Team&);
template void conv_grad_filter<double>(const ConvGradFilterArgs&, const Team&);
template <class T>
std::size_t conv_grad_filter_workspace(const ConvGradFilterArgs&) { return 0; }
template std::size_t conv_grad_filter_workspace<float>(const ConvGradFilterArgs&);
template std::size_t conv_grad_filter_workspace<double>(const ConvGradFilterArgs&);

}  // namespace ravine::kernels::RAVINE_ISA
