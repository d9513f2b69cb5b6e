// What this machine offers: threads that may run, caches.
#pragma once

#include <cstddef>
#include <string>

namespace ravine {

struct CpuInfo {
  std::string model;                                     // "AMD EPYC ..."
  int affinity = 1;                                      // logical CPUs that this process may run on
  int physical_cores = 1;                                // distinct cores among them
  double cgroup_quota = 0;                               // CPUs of the container's quota; 0: none
  std::size_t l1_bytes = 0, l2_bytes = 0, l3_bytes = 0;  // the data caches that a core uses; 0: unknown
  int l3_sharers = 1;                                    // CPUs that use the same level 3 cache
};

const CpuInfo& cpu_info();

}  // namespace ravine
