#include "kernels/api/tile.h"

namespace ravine::kernels {

const char* name_of(TileOp op) {
  static constexpr const char* names[] = {
#define RAVINE_NAME(name) #name,
      RAVINE_ELEMENTWISE_OPS(RAVINE_NAME)
#undef RAVINE_NAME
  };
  return names[static_cast<int>(op)];
}

int arity_of(TileOp op) {
  static constexpr int arities[] = {
#define RAVINE_ONE(name) 1,
#define RAVINE_TWO(name) 2,
#define RAVINE_THREE(name) 3,
      RAVINE_UNARY_FLOAT_OPS(RAVINE_ONE) RAVINE_UNARY_ARITHMETIC_OPS(RAVINE_ONE) RAVINE_CLIP_OPS(RAVINE_ONE)
          RAVINE_BINARY_FLOAT_OPS(RAVINE_TWO) RAVINE_BINARY_ARITHMETIC_OPS(RAVINE_TWO)
              RAVINE_TERNARY_FLOAT_OPS(RAVINE_THREE) RAVINE_TERNARY_OPS(RAVINE_THREE)
                  RAVINE_COMPARE_OPS(RAVINE_TWO) RAVINE_LOGICAL_OPS(RAVINE_TWO)
      /* logical_not, where, cast, uniform */ 1,
      3,
      1,
      0,
#undef RAVINE_ONE
#undef RAVINE_TWO
#undef RAVINE_THREE
  };
  return arities[static_cast<int>(op)];
}

}  // namespace ravine::kernels
