#include "core/cgroup.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace ravine {
namespace {

// A mounted hierarchy: `group` of it is what the folder `point` shows.
struct Mount {
  bool unified;  // version 2
  std::string group, point;
};

bool in_list(const std::string& list, const std::string& word) {
  std::istringstream words(list);
  for (std::string next; std::getline(words, next, ',');)
    if (next == word) return true;
  return false;
}

// The kernel writes space, tab, newline and backslash as three octal digits behind a backslash.
std::string unescaped(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto is_octal = [&](std::size_t at) {
      return at < text.size() && text[at] >= '0' && text[at] <= '7';
    };
    if (text[i] == '\\' && is_octal(i + 1) && is_octal(i + 2) && is_octal(i + 3)) {
      result += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

// Of lines like "36 35 98:0 /group /point rw,noatime shared:1 - cgroup2 source options".
std::vector<Mount> mounts_with_cpu(const std::string& root) {
  std::vector<Mount> mounts;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream before(line.substr(0, dash)), behind(line.substr(dash + 3));
    std::string id, parent, device, group, point, type, source, options;
    if (!(before >> id >> parent >> device >> group >> point)) continue;
    if (!(behind >> type >> source >> options)) continue;
    const bool unified = type == "cgroup2";
    if (unified || (type == "cgroup" && in_list(options, "cpu")))
      mounts.push_back({unified, unescaped(group), unescaped(point)});
  }
  return mounts;
}

// The process's group in a hierarchy, of lines like "0::/group" (version 2) and "4:cpu,cpuacct:/group".
// Empty: none.
std::string own_group(const std::string& root, bool unified) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (unified ? controllers.empty() : in_list(controllers, "cpu")) return line.substr(second + 1);
  }
  return "";
}

// CPUs that a folder's own files grant; 0: no limit.
double quota_of(const std::string& folder, bool unified) {
  double quota = 0, period = 0;
  if (unified) {
    std::ifstream file(folder + "/cpu.max");  // "150000 100000" or "max 100000"
    if (!(file >> quota >> period)) return 0;
  } else {
    std::ifstream quota_file(folder + "/cpu.cfs_quota_us"), period_file(folder + "/cpu.cfs_period_us");
    if (!(quota_file >> quota) || !(period_file >> period)) return 0;
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

}  // namespace

double cgroup_cpu_quota(const std::string& root) {
  double smallest = 0;
  for (const Mount& mount : mounts_with_cpu(root)) {
    // The way from the group that is mounted down to the process's own. A group that lies outside of what is
    // mounted cannot be seen, but what is mounted holds for the process too if a container set it up.
    std::string below = own_group(root, mount.unified);
    if (below.empty()) continue;
    const std::string top = mount.group == "/" ? "" : mount.group;
    const bool inside = below.compare(0, top.size(), top) == 0 && below.find("/..") == std::string::npos &&
                        (below.size() == top.size() || below[top.size()] == '/');
    below = inside ? below.substr(top.size()) : "";
    for (;;) {
      const double quota = quota_of(root + mount.point + below, mount.unified);
      if (quota > 0) smallest = smallest > 0 ? std::min(smallest, quota) : quota;
      if (below.empty()) break;
      below.erase(below.rfind('/'));
    }
  }
  return smallest;
}

}  // namespace ravine
