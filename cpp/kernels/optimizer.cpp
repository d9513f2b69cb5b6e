#include "kernels/optimizer.h"

#include "kernels/table.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

template <class T>
void sgd(const OptimizerArgs&, const Team&) {}
template void sgd<float>(const OptimizerArgs&, const Team&);
template void sgd<double>(const OptimizerArgs&, const Team&);
template <class T>
void adam(const OptimizerArgs&, const Team&) {}
template void adam<float>(const OptimizerArgs&, const Team&);
template void adam<double>(const OptimizerArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
