// What this machine offers: threads that may run, caches.
#pragma once

#include <sched.h>

#include <cstddef>
#include <string>
#include <vector>

namespace ravine {

// The CPUs that a thread may run on, however many the machine has.
class CpuSet {
 public:
  static CpuSet of_this_thread();     // empty where the system does not tell
  bool apply_to_this_thread() const;  // whether the system allowed it

  bool contains(int cpu) const;
  void remove(int cpu);
  int count() const;
  int capacity() const;  // all numbers are smaller

 private:
  std::size_t bytes() const { return sets_.size() * sizeof(cpu_set_t); }
  std::vector<cpu_set_t> sets_;
};

struct CpuInfo {
  std::string model;        // "AMD EPYC ..."
  int affinity = 1;         // logical CPUs that this process may run on
  int physical_cores = 1;   // distinct cores among them
  double cgroup_quota = 0;  // CPUs of the smallest quota around this process; 0: none
  std::size_t l1_bytes = 0, l2_bytes = 0,
              l3_bytes = 0;  // data caches of the first of these cores; 0: unknown
  int l3_sharers = 1;        // CPUs that use the same level 3 cache
};

const CpuInfo& cpu_info();

}  // namespace ravine
