// The machine: threads, instruction set, version.
#pragma once

#include <functional>

#include "ravine/error.h"

namespace ravine {
#pragma GCC visibility push(default)
namespace v1 {

// How many threads a step or prediction may use: set_num_threads, else RAVINE_NUM_THREADS, else
// OMP_NUM_THREADS, else the smallest of affinity, control groups and physical cores. No result depends on it.
int num_threads();
void set_num_threads(int threads);  // Error outside 1 to 1024

// Gives a job to a pool of yours, which runs it once, on a thread of its own and when it can, and returns
// without waiting for it.
using Executor = std::function<void(std::function<void()> job)>;
// Steps and predictions run on threads of yours from now on, in the place of Ravine's; an empty one ends
// that. They ask for num_threads() - 1 jobs and go on with those that come within microseconds: a pool that
// is busy makes them slower, and changes no result.
void set_executor(Executor executor);

const char* version();          // "0.1.0"
const char* instruction_set();  // that kernels run on: "generic", "x86_64_v3", "x86_64_v4"

}  // namespace v1
#pragma GCC visibility pop
}  // namespace ravine
