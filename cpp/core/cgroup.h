// The CPU time that control groups grant this process.
#pragma once

#include <string>

namespace ravine {

// CPUs of the smallest quota among the process's own control group and all those around it, as far as they
// can be seen from here (version 1, version 2, or both mounted); 0: none has one. `root` stands before every
// path.
double cgroup_cpu_quota(const std::string& root = "");

}  // namespace ravine
