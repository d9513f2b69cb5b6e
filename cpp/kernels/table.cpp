#include "kernels/api/table.h"

#include "kernels/base/scratch.h"
#include "kernels/conv/winograd/winograd.h"
#include "kernels/tile/elementwise.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

// Defined, for float and double, by the family's source.
#define RAVINE_DECLARE_KERNEL(name, Args) \
  template <class T>                      \
  void name(const Args& args, const Team& team);
RAVINE_FLOAT_KERNELS(RAVINE_DECLARE_KERNEL)
#undef RAVINE_DECLARE_KERNEL
#define RAVINE_DECLARE_WORKSPACE(name, Args) \
  template <class T>                         \
  std::size_t name##_workspace(const Args& args);
RAVINE_WORKSPACE_KERNELS(RAVINE_DECLARE_WORKSPACE)
#undef RAVINE_DECLARE_WORKSPACE
#define RAVINE_DECLARE_PIECES(name, Args) \
  template <class T>                      \
  std::int64_t name##_pieces(const Args& args);
RAVINE_GATHERING_KERNELS(RAVINE_DECLARE_PIECES)
#undef RAVINE_DECLARE_PIECES
Kernel<ReduceArgs> reduce_kernel(Reduction reduction, DType dtype);
std::size_t reduce_workspace(Reduction reduction, DType dtype, const ReduceArgs& args);
Kernel<GatherArgs> gather_kernel(DType dtype);
bool conv_can_pool(const ConvForwardArgs& args);
OptimizerFunctions optimizer_functions(OptimizerRule rule, DType dtype);

namespace {
template <class T>
constexpr FloatKernels float_kernels() {
  FloatKernels kernels{};
#define RAVINE_SET(name, Args) kernels.name = name<T>;
  RAVINE_FLOAT_KERNELS(RAVINE_SET)
#undef RAVINE_SET
#define RAVINE_SET(name, Args) kernels.name##_workspace = name##_workspace<T>;
  RAVINE_WORKSPACE_KERNELS(RAVINE_SET)
#undef RAVINE_SET
#define RAVINE_SET(name, Args) kernels.name##_pieces = name##_pieces<T>;
  RAVINE_GATHERING_KERNELS(RAVINE_SET)
#undef RAVINE_SET
  return kernels;
}

#define RAVINE_TEXT_OF(name) #name
#define RAVINE_TEXT(name) RAVINE_TEXT_OF(name)
}  // namespace

extern constexpr KernelTable table{
    RAVINE_TEXT(RAVINE_ISA),  vector_bytes,        product_scratch_bytes, float_kernels<float>(),
    float_kernels<double>(),  elementwise,         tile_function,         reduce_kernel,
    reduce_workspace,         gather_kernel,       conv_can_pool,         winograd_filter,
    winograd_filter_elements, optimizer_functions,
};

}  // namespace ravine::kernels::RAVINE_ISA
