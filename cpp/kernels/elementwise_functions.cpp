#include "kernels/elementwise.h"

namespace ravine::kernels::RAVINE_ISA {

TileFunction tile_function(TileOp, DType, DType) { return nullptr; }

}  // namespace ravine::kernels::RAVINE_ISA
