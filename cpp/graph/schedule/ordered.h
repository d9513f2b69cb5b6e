// Whether the calls of a program may run as they are scheduled: for tests, and under RAVINE_VERIFY=1.
#pragma once

#include <span>

#include "graph/schedule/schedule.h"

namespace ravine {

// Between two calls that touch the same bytes, one of them writing, there is a barrier; no call reads bytes
// of the arena that another storage has taken over; effects begin behind a barrier. RuntimeError naming both
// calls.
void expect_ordered(std::span<const KernelCall> calls, std::span<const Storage> storages);

}  // namespace ravine
