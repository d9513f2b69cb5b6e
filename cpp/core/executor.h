// Threads of the host in the place of our own.
#pragma once

#include <functional>
#include <memory>

namespace ravine {

// Gives a job to the host's pool, which runs it once on one of its threads, soon or late. From any thread.
using Executor = std::function<void(std::function<void()> job)>;

// Runs of more than one thread ask the host for the others from now on; an empty one: they use our own
// threads again. A run takes those that come at once and never waits for others, so that a pool that is busy,
// or has a single thread, makes it slower and nothing else.
void set_executor(Executor executor);
// The one that is set, or null.
std::shared_ptr<const Executor> host_executor();

}  // namespace ravine
