#include "kernels/gather.h"

#include "kernels/table.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

template <class T>
void scatter_add(const ScatterAddArgs&, const Team&) {}
template void scatter_add<float>(const ScatterAddArgs&, const Team&);
template void scatter_add<double>(const ScatterAddArgs&, const Team&);
Kernel<GatherArgs> gather_kernel(DType) { return nullptr; }

}  // namespace ravine::kernels::RAVINE_ISA
