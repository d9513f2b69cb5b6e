#include "kernels/softmax.h"

#include "kernels/table.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

template <class T>
void softmax(const SoftmaxArgs&, const Team&) {}
template void softmax<float>(const SoftmaxArgs&, const Team&);
template void softmax<double>(const SoftmaxArgs&, const Team&);
template <class T>
void softmax_grad(const SoftmaxGradArgs&, const Team&) {}
template void softmax_grad<float>(const SoftmaxGradArgs&, const Team&);
template void softmax_grad<double>(const SoftmaxGradArgs&, const Team&);
template <class T>
void cross_entropy(const CrossEntropyArgs&, const Team&) {}
template void cross_entropy<float>(const CrossEntropyArgs&, const Team&);
template void cross_entropy<double>(const CrossEntropyArgs&, const Team&);
template <class T>
void cross_entropy_grad(const CrossEntropyGradArgs&, const Team&) {}
template void cross_entropy_grad<float>(const CrossEntropyGradArgs&, const Team&);
template void cross_entropy_grad<double>(const CrossEntropyGradArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
