#include "kernels/pool.h"

#include "kernels/table.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

template <class T>
void max_pool(const MaxPoolArgs&, const Team&) {}
template void max_pool<float>(const MaxPoolArgs&, const Team&);
template void max_pool<double>(const MaxPoolArgs&, const Team&);
template <class T>
void max_pool_grad(const MaxPoolGradArgs&, const Team&) {}
template void max_pool_grad<float>(const MaxPoolGradArgs&, const Team&);
template void max_pool_grad<double>(const MaxPoolGradArgs&, const Team&);
template <class T>
void avg_pool(const AvgPoolArgs&, const Team&) {}
template void avg_pool<float>(const AvgPoolArgs&, const Team&);
template void avg_pool<double>(const AvgPoolArgs&, const Team&);
template <class T>
void avg_pool_grad(const AvgPoolGradArgs&, const Team&) {}
template void avg_pool_grad<float>(const AvgPoolGradArgs&, const Team&);
template void avg_pool_grad<double>(const AvgPoolGradArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
