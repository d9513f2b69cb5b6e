// Normalisation in other forms, for the rules that choose them.
#pragma once

#include "graph/graph.h"

namespace ravine {

// The partial moments of `pieces` pieces, as a kernel gathers them (kernels::ColumnStatistics){pieces, dtype}
// -> mean, variance
extern const Op combine_moments_op;

// (x, dy, mean, variance[, gamma, beta]){eps} -> dx[, dgamma, dbeta], where dy is the gradient of
// relu(batch_norm(x)).
extern const Op batch_norm_relu_grad_op;

}  // namespace ravine
