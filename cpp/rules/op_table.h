// Every operation of cpp/ops with the passes that graphs of them go through: what a Graph is made with.
#pragma once

#include "graph/graph.h"

namespace ravine {

const OpTable& op_table();

}  // namespace ravine
