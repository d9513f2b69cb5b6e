// A program that runs right after another, in its critical section: what a step does to weights that its
// update has moved.
#pragma once

#include <memory>

#include "graph/graph.h"
#include "graph/program.h"

namespace ravine {

// Records that `next`, which has no inputs and no outputs, runs after each run whose effects took place,
// before anything else that shares an effect's target may run.
void run_afterwards(Graph& graph, std::shared_ptr<Program> next);

}  // namespace ravine
