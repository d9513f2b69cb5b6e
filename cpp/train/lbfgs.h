// L-BFGS on mini-batches, as a stage: the gradient times an inverse Hessian made of the last steps.
#pragma once

#include "train/stages.h"

namespace ravine::train {

// Schraudolph, Yu and Günter 2007, https://proceedings.mlr.press/v2/schraudolph07a.html: y compares gradients
// of the same mini-batch, here at the present parameters and at those before the last update.
Values lbfgs(StageScope& scope, Values gradients);

}  // namespace ravine::train
