// A matrix product that is the gradient of a parameter, and the parameter's update by it, piece by piece: the
// gradient never exists as a whole.
#pragma once

#include "graph/graph.h"

namespace ravine::optim {

class Optimizer;

// (a [m, k], b [k, n]){parameter: its number in the optimizer; row_sums} -> what stands for the gradient
// among the inputs of optimizer_step, which leaves that parameter out[, the sums over each row of a]
extern const Op matmul_update_op;

// Whether an optimizer_step input is one that is done already.
bool is_updated(const Value& gradient);

// Whether the rule can update any part of a parameter as soon as its gradient is there: it looks at elements
// alone, and needs no norm of all gradients first.
bool updates_by_parts(const Optimizer& optimizer, std::size_t parameter);

}  // namespace ravine::optim
