#include "core/cpu.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace ravine {
namespace {

std::string read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string model_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const std::size_t colon = line.find(':');
    if (colon != std::string::npos && colon + 2 <= line.size()) return line.substr(colon + 2);
  }
  return "unknown";
}

// CPUs granted by the container: cgroup v2's "cpu.max" ("max 100000" or "150000 100000"), else v1's two
// files.
double cgroup_quota() {
  double quota = 0, period = 0;
  std::istringstream unified(read_line("/sys/fs/cgroup/cpu.max"));
  if (unified >> quota >> period && period > 0) return quota / period;
  std::istringstream v1_quota(read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"));
  std::istringstream v1_period(read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
  if (v1_quota >> quota && v1_period >> period && quota > 0 && period > 0) return quota / period;
  return 0;
}

[[maybe_unused]] std::size_t cache_bytes(int name) {
  const long bytes = sysconf(name);
  return bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

// How many CPUs a kernel's list ("0-3,8,10-11") names.
int count_cpus(const std::string& list) {
  std::istringstream ranges(list);
  int count = 0;
  for (std::string range; std::getline(ranges, range, ',');) {
    int first = 0, last = 0;
    char dash = 0;
    std::istringstream numbers(range);
    if (!(numbers >> first)) continue;
    count += numbers >> dash >> last ? last - first + 1 : 1;
  }
  return count;
}

// sysconf may tell the size of all the caches of a level together, and not who shares one.
void read_caches(CpuInfo& info) {
#ifdef _SC_LEVEL1_DCACHE_SIZE
  info.l1_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE);
  info.l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE);
  info.l3_bytes = cache_bytes(_SC_LEVEL3_CACHE_SIZE);
#endif
  for (int index = 0;; ++index) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    const std::string level = read_line(folder + "level");
    if (level.empty()) return;
    std::istringstream size(read_line(folder + "size"));  // "32768K"
    std::size_t kilobytes = 0;
    if (read_line(folder + "type") == "Instruction" || !(size >> kilobytes) || kilobytes == 0) continue;
    const std::size_t bytes = kilobytes << 10;
    if (level == "1") info.l1_bytes = bytes;
    if (level == "2") info.l2_bytes = bytes;
    if (level == "3") {
      info.l3_bytes = bytes;
      info.l3_sharers = std::max(1, count_cpus(read_line(folder + "shared_cpu_list")));
    }
  }
}

CpuInfo read_cpu_info() {
  CpuInfo info;
  info.model = model_name();
  info.cgroup_quota = cgroup_quota();
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) info.affinity = std::max(1, CPU_COUNT(&allowed));
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string siblings =
        read_line("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? "cpu" + std::to_string(cpu) : siblings);
  }
  info.physical_cores = std::max<int>(1, static_cast<int>(cores.size()));
  read_caches(info);
  return info;
}

}  // namespace

const CpuInfo& cpu_info() {
  static const CpuInfo info = read_cpu_info();
  return info;
}

}  // namespace ravine
