#include "core/cpu.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "core/cgroup.h"

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

[[maybe_unused]] std::size_t cache_bytes(int name) {
  const long bytes = sysconf(name);
  return bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

std::string cpu_folder(int cpu) { return "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/"; }

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
void read_caches(CpuInfo& info, int cpu) {
#ifdef _SC_LEVEL1_DCACHE_SIZE
  info.l1_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE);
  info.l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE);
  info.l3_bytes = cache_bytes(_SC_LEVEL3_CACHE_SIZE);
#endif
  for (int index = 0;; ++index) {
    const std::string folder = cpu_folder(cpu) + "cache/index" + std::to_string(index) + "/";
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
  info.cgroup_quota = cgroup_cpu_quota();
  const CpuSet allowed = CpuSet::of_this_thread();
  info.affinity = std::max(1, allowed.count());
  int first = -1;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < allowed.capacity(); ++cpu) {
    if (!allowed.contains(cpu)) continue;
    if (first < 0) first = cpu;
    const std::string siblings = read_line(cpu_folder(cpu) + "topology/thread_siblings_list");
    cores.insert(siblings.empty() ? "cpu" + std::to_string(cpu) : siblings);
  }
  info.physical_cores = std::max<int>(1, static_cast<int>(cores.size()));
  read_caches(info, std::max(0, first));
  return info;
}

}  // namespace

CpuSet CpuSet::of_this_thread() {
  constexpr std::size_t most = std::size_t{1} << 20;  // CPUs
  CpuSet set;
  // The system refuses sets that are smaller than its own.
  for (std::size_t sets = 1; sets * CPU_SETSIZE <= most; sets *= 2) {
    set.sets_.assign(sets, cpu_set_t{});
    if (sched_getaffinity(0, set.bytes(), set.sets_.data()) == 0) return set;
  }
  return {};
}

bool CpuSet::apply_to_this_thread() const { return sched_setaffinity(0, bytes(), sets_.data()) == 0; }

bool CpuSet::contains(int cpu) const {
  return CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes(), sets_.data()) != 0;
}

void CpuSet::remove(int cpu) { CPU_CLR_S(static_cast<std::size_t>(cpu), bytes(), sets_.data()); }

int CpuSet::count() const { return CPU_COUNT_S(bytes(), sets_.data()); }

int CpuSet::capacity() const { return static_cast<int>(8 * bytes()); }

const CpuInfo& cpu_info() {
  static const CpuInfo info = read_cpu_info();
  return info;
}

}  // namespace ravine
