// Whether a graph is well formed: for tests, and between passes under RAVINE_VERIFY=1.
#pragma once

#include "graph/passes/rewrite.h"

namespace ravine {

// Every input comes from this graph and before its user; every operation, fused steps included, accepts its
// inputs and gives the types that the node states. RuntimeError naming the pass, the node and what was
// expected.
void verify(const Unit& unit, const char* pass);

// RAVINE_VERIFY=1
bool verifies();

}  // namespace ravine
