// The random numbers of programs: which seed, and which run.
#pragma once

#include "core/fork.h"
#include "kernels/api/tile.h"

namespace ravine {

// Programs that share it draw one after the other; so does who changes it while one of them may run.
struct RandomState : kernels::RandomState {
  Mutex mutex;
};

}  // namespace ravine
