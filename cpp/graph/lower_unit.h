// From a unit, after all passes, to a schedule of kernel calls.
#pragma once

#include <memory>

#include "graph/passes/rewrite.h"
#include "graph/schedule/schedule.h"

namespace ravine {

Schedule lower_unit(const Unit& unit, const kernels::KernelTable& kernels,
                    std::shared_ptr<RandomState> random);

}  // namespace ravine
