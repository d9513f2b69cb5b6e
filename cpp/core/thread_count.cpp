#include "core/thread_count.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "core/cpu.h"
#include "core/error.h"

namespace ravine {
namespace {

constexpr int max_threads = 1024;

// The value of an environment variable without spaces around it; nothing where it is not set or empty.
std::optional<std::string> setting(const char* variable) {
  const char* const value = std::getenv(variable);
  const std::string_view text = value == nullptr ? "" : value;
  constexpr const char* blank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blank);
  if (first == std::string_view::npos) return std::nullopt;
  return std::string(text.substr(first, text.find_last_not_of(blank) + 1 - first));
}

std::optional<int> threads_of(std::string_view text) {
  int threads = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), threads);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && threads >= 1 && threads <= max_threads ? std::optional(threads) : std::nullopt;
}

// OMP_NUM_THREADS may be a list, one number for each level of nesting ("4,2"): the first counts.
std::optional<int> first_of_list(std::string_view text) {
  text = text.substr(0, text.find(','));
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return threads_of(text);
}

int default_threads() {
  if (const auto text = setting("RAVINE_NUM_THREADS")) {
    const auto threads = threads_of(*text);
    check<ValueError>(threads.has_value(), "RAVINE_NUM_THREADS='", *text,
                      "': expected a number of threads from 1 to ", max_threads);
    return *threads;
  }
  if (const auto text = setting("OMP_NUM_THREADS"))
    if (const auto threads = first_of_list(*text)) return *threads;
  const CpuInfo& cpu = cpu_info();
  int threads = std::min({cpu.affinity, cpu.physical_cores, max_threads});
  if (cpu.cgroup_quota > 0) threads = std::min(threads, static_cast<int>(std::ceil(cpu.cgroup_quota)));
  return std::max(1, threads);
}

std::atomic<int> process_threads{0};  // 0: not set, the default serves
thread_local int scope_threads = 0;   // 0: no ThreadsScope

int checked_threads(int threads) {
  check<ValueError>(threads >= 1 && threads <= max_threads, "number of threads: got ", threads,
                    ", expected 1 to ", max_threads);
  return threads;
}

}  // namespace

int num_threads() {
  if (scope_threads > 0) return scope_threads;
  int threads = process_threads.load(std::memory_order_relaxed);
  if (threads == 0) {
    threads = default_threads();
    process_threads.store(threads, std::memory_order_relaxed);
  }
  return threads;
}

void set_num_threads(int threads) {
  process_threads.store(checked_threads(threads), std::memory_order_relaxed);
}

std::string ignored_thread_setting() {
  if (setting("RAVINE_NUM_THREADS")) return "";
  const auto text = setting("OMP_NUM_THREADS");
  if (!text || first_of_list(*text)) return "";
  return str("OMP_NUM_THREADS='", *text, "' is no number of threads from 1 to ", max_threads,
             " and is left out: the default serves");
}

ThreadsScope::ThreadsScope(int threads) : previous_(scope_threads) {
  scope_threads = checked_threads(threads);
}
ThreadsScope::~ThreadsScope() { scope_threads = previous_; }

}  // namespace ravine
