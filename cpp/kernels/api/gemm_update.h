// A weight gradient that is no more than the update of its weight: A B is handed to the optimizer's rule
// piece by piece, while it is in cache, and never written to memory.
#pragma once

#include "kernels/api/gemm.h"
#include "kernels/api/optimizer.h"

namespace ravine::kernels {

struct GemmUpdateArgs {
  GemmArgs product;  // one product without epilogue; its c is not used
  // A [m, n] row-major parameter; segment.gradient is not used. The rule is elementwise.
  ParameterSegment segment;
  OptimizerUpdate update = nullptr;
  const OptimizerStep* step = nullptr;
  const Fault* fault = nullptr;  // nothing is changed when fault->code is set; may be null
};

}  // namespace ravine::kernels
