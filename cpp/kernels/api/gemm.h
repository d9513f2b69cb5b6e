// Matrix product: C[b] = epilogue(A[b] B[b] (+ C[b])).
#pragma once

#include "kernels/api/tile.h"

namespace ravine::kernels {

// A batch of matrices with any strides (in elements), so that a transpose is a swap of strides.
struct GemmOperand {
  void* data = nullptr;
  std::int64_t row_stride = 0, column_stride = 1;
  std::int64_t batch_strides[max_rank] = {};  // 0 where the batch axis broadcasts
};

struct GemmArgs {
  std::int64_t m = 0, n = 0,
               k = 0;  // A is [m, k], B is [k, n], C is [m, n]; any may be 0 (k = 0 gives zeros)
  int batch_rank = 0;
  std::int64_t batch_extents[max_rank] = {};
  GemmOperand a, b, c;      // c.column_stride is 1
  bool accumulate = false;  // add to what C holds
  // Of one product (batch_rank 0) with n > 0: [m], the sums of A's rows, made while A is read. If A is the
  // transposed gradient of a linear layer's output and B its input, C is the weight's gradient and this the
  // bias's.
  void* row_sums = nullptr;
  const TileProgram* epilogue =
      nullptr;  // rows are batch * m; runs on blocks of C when complete, before the kernel returns
  void* workspace = nullptr;  // shared by the team, workspace_bytes(args) large
};

}  // namespace ravine::kernels
