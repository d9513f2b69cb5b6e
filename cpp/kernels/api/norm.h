// Normalisation: statistics and the sums of the backward pass. Applying them is a tile program.
#pragma once

#include "kernels/api/tile.h"

namespace ravine::kernels {

// Per column of dense [rows, columns] (BatchNorm over NHWC): mean and biased variance, without cancellation;
// NaN where there are no rows.
struct ColumnMomentsArgs {
  std::int64_t rows = 0, columns = 0;
  const void* input = nullptr;
  void* mean = nullptr;      // [columns]
  void* variance = nullptr;  // [columns]
  void* workspace = nullptr;
};

// Per column: sum_grad = sum dy; sum_grad_xhat = sum dy (x - mean) rstd, with rstd = 1 / sqrt(variance +
// eps). Where ReLU follows, dy is the gradient of its result and counts where x scale + shift > 0.
struct ColumnGradSumsArgs {
  std::int64_t rows = 0, columns = 0;
  const void* input = nullptr;
  const void* grad_output = nullptr;
  const void* mean = nullptr;
  const void* rstd = nullptr;
  void* sum_grad = nullptr;
  void* sum_grad_xhat = nullptr;
  void* workspace = nullptr;
  const void* scale = nullptr;  // [columns], and
  const void* shift = nullptr;  // [columns]: both or none
};

// The moments of a result's columns, gathered by the kernel that computes it while each block is in the
// cache. The kernel cuts its rows into pieces by shape alone; combining the pieces is a call of its own.
struct ColumnStatistics {
  std::int64_t columns = 0, pieces = 0;
  const void* values = nullptr;  // dense [rows, columns]: the kernel's result, or an output of its epilogue
  // [pieces][2][columns]: means and sums of squared deviations; then the number of rows of each piece.
  double* partials = nullptr;
};
constexpr std::int64_t partials_of(std::int64_t pieces, std::int64_t columns) {
  return pieces * (2 * columns + 1);
}

struct CombineMomentsArgs {
  std::int64_t columns = 0, pieces = 0;
  const double* partials = nullptr;
  void* mean = nullptr;      // [columns]; NaN where there are no rows
  void* variance = nullptr;  // [columns]
};

// GroupNorm of images, dense [samples, positions, channels]: y = (x - mean) rstd gamma + beta with the
// moments of each sample's groups of channels / groups channels; gamma and beta [channels] or null; keeps
// mean and biased variance [samples, groups]. No extent but `samples` is 0, and a group has channels / groups
// of them.
struct GroupNormArgs {
  std::int64_t samples = 0, positions = 1, channels = 1, groups = 1;
  double eps = 1e-5;
  const void* input = nullptr;
  const void* gamma = nullptr;
  const void* beta = nullptr;
  void* output = nullptr;  // may be the input
  void* mean = nullptr;
  void* variance = nullptr;
  const TileProgram* epilogue = nullptr;  // on [samples * positions, channels]
  void* workspace = nullptr;
};

// dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dy gamma and means over a sample's group; dgamma = sum
// dy xhat and dbeta = sum dy over samples and positions, or null.
struct GroupNormGradArgs {
  std::int64_t samples = 0, positions = 1, channels = 1, groups = 1;
  double eps = 1e-5;
  const void* input = nullptr;
  const void* grad_output = nullptr;
  const void* gamma = nullptr;
  const void* mean = nullptr;
  const void* variance = nullptr;
  void* grad_input = nullptr;  // may be the output's gradient
  void* grad_gamma = nullptr;
  void* grad_beta = nullptr;
  const TileProgram* epilogue = nullptr;  // of grad_input
  void* workspace = nullptr;
};

// LayerNorm over dense rows: y = (x - mean) rstd gamma + beta; gamma and beta [columns] or null; keeps mean
// and rstd [rows].
struct LayerNormArgs {
  std::int64_t rows = 0, columns = 0;
  double eps = 1e-5;
  const void* input = nullptr;
  const void* gamma = nullptr;
  const void* beta = nullptr;
  void* output = nullptr;
  void* mean = nullptr;
  void* rstd = nullptr;
};

// dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dy gamma; dgamma = sum dy xhat and dbeta = sum dy, or
// null.
struct LayerNormGradArgs {
  std::int64_t rows = 0, columns = 0;
  const void* input = nullptr;
  const void* grad_output = nullptr;
  const void* gamma = nullptr;
  const void* mean = nullptr;
  const void* rstd = nullptr;
  void* grad_input = nullptr;
  void* grad_gamma = nullptr;
  void* grad_beta = nullptr;
  void* workspace = nullptr;
};

}  // namespace ravine::kernels
