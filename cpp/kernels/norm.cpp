#include "kernels/norm.h"

#include "kernels/table.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

template <class T>
void column_moments(const ColumnMomentsArgs&, const Team&) {}
template void column_moments<float>(const ColumnMomentsArgs&, const Team&);
template void column_moments<double>(const ColumnMomentsArgs&, const Team&);
template <class T>
std::size_t column_moments_workspace(const ColumnMomentsArgs&) { return 0; }
template std::size_t column_moments_workspace<float>(const ColumnMomentsArgs&);
template std::size_t column_moments_workspace<double>(const ColumnMomentsArgs&);
template <class T>
void column_grad_sums(const ColumnGradSumsArgs&, const Team&) {}
template void column_grad_sums<float>(const ColumnGradSumsArgs&, const Team&);
template void column_grad_sums<double>(const ColumnGradSumsArgs&, const Team&);
template <class T>
std::size_t column_grad_sums_workspace(const ColumnGradSumsArgs&) { return 0; }
template std::size_t column_grad_sums_workspace<float>(const ColumnGradSumsArgs&);
template std::size_t column_grad_sums_workspace<double>(const ColumnGradSumsArgs&);
template <class T>
void layer_norm(const LayerNormArgs&, const Team&) {}
template void layer_norm<float>(const LayerNormArgs&, const Team&);
template void layer_norm<double>(const LayerNormArgs&, const Team&);
template <class T>
void layer_norm_grad(const LayerNormGradArgs&, const Team&) {}
template void layer_norm_grad<float>(const LayerNormGradArgs&, const Team&);
template void layer_norm_grad<double>(const LayerNormGradArgs&, const Team&);
template <class T>
std::size_t layer_norm_grad_workspace(const LayerNormGradArgs&) { return 0; }
template std::size_t layer_norm_grad_workspace<float>(const LayerNormGradArgs&);
template std::size_t layer_norm_grad_workspace<double>(const LayerNormGradArgs&);

}  // namespace ravine::kernels::RAVINE_ISA
