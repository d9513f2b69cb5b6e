#include "dispatch/dispatch.h"

#include <atomic>
#include <cstdlib>

#include "core/error.h"

namespace ravine {
namespace {

struct CompiledIsa {
  const char* name;
  const kernels::KernelTable* table;
  bool (*supported)();
};

const CompiledIsa compiled[] = {
    {"generic", &kernels::generic::table, [] { return true; }},
#ifdef RAVINE_X86_64
    {"x86-64-v3", &kernels::x86_64_v3::table,
     [] {
       return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("bmi2");
     }},
    {"x86-64-v4", &kernels::x86_64_v4::table,
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
     }},
#endif
};

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

const CompiledIsa& find(std::string_view isa, const char* source) {
  for (const CompiledIsa& candidate : compiled) {
    if (candidate.name != isa) continue;
    check<ValueError>(candidate.supported(), source, ": this CPU does not support ", isa, "; it supports ",
                      listed(supported_isas()));
    return candidate;
  }
  fail<ValueError>(source, ": unknown instruction set '", isa, "'; this build has ", listed(compiled_isas()));
}

const CompiledIsa& default_isa() {
  if (const char* forced = std::getenv("RAVINE_ISA"); forced != nullptr && *forced != '\0')
    return find(forced, "RAVINE_ISA");
  const CompiledIsa* best = &compiled[0];
  for (const CompiledIsa& candidate : compiled)
    if (candidate.supported()) best = &candidate;
  return *best;
}

std::atomic<const CompiledIsa*> active{nullptr};

const CompiledIsa& active_compiled() {
  const CompiledIsa* current = active.load(std::memory_order_acquire);
  if (current == nullptr) {
    current = &default_isa();
    active.store(current, std::memory_order_release);
  }
  return *current;
}

}  // namespace

std::vector<std::string> compiled_isas() {
  std::vector<std::string> names;
  for (const CompiledIsa& candidate : compiled) names.emplace_back(candidate.name);
  return names;
}

std::vector<std::string> supported_isas() {
  std::vector<std::string> names;
  for (const CompiledIsa& candidate : compiled)
    if (candidate.supported()) names.emplace_back(candidate.name);
  return names;
}

const kernels::KernelTable& kernels_of(std::string_view isa) { return *find(isa, "instruction set").table; }
const kernels::KernelTable& active_kernels() { return *active_compiled().table; }
std::string active_isa() { return active_compiled().name; }
void set_active_isa(std::string_view isa) {
  active.store(&find(isa, "instruction set"), std::memory_order_release);
}

}  // namespace ravine
