#include "kernels/gemm.h"

#include "kernels/table.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

template <class T>
void gemm(const GemmArgs&, const Team&) {}
template void gemm<float>(const GemmArgs&, const Team&);
template void gemm<double>(const GemmArgs&, const Team&);
template <class T>
std::size_t gemm_workspace(const GemmArgs&) { return 0; }
template std::size_t gemm_workspace<float>(const GemmArgs&);
template std::size_t gemm_workspace<double>(const GemmArgs&);

}  // namespace ravine::kernels::RAVINE_ISA
