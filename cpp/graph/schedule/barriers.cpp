#include "graph/schedule/steps.h"
#include "graph/schedule/touched_memory.h"

namespace ravine {

void place_barriers(Schedule& schedule) {
  TouchedMemory read(schedule.storages), written(schedule.storages);
  for (KernelCall& call : schedule.calls) {
    // Effects wait for every check before them, whatever memory it touches.
    if (call.tests_guards || written.meets(call.reads) || written.meets(call.writes) ||
        read.meets(call.writes)) {
      call.barrier_before = !(read.empty() && written.empty());
      read.clear();
      written.clear();
    }
    read.add(call.reads);
    written.add(call.writes);
  }
}

}  // namespace ravine
