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

#ifdef RAVINE_X86_64
// Whatever -march=x86-64-v3 lets the compiler emit. A hypervisor may hide single features, and the system may
// not save wide registers: the builtin says of AVX and wider only what the system saves (XGETBV).
bool has_x86_64_v3() {
  return __builtin_cpu_supports("cmpxchg16b") && __builtin_cpu_supports("lahf_lm") &&
         __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("sse3") &&
         __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1") &&
         __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("avx") &&
         __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("f16c") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("lzcnt") &&
         __builtin_cpu_supports("movbe") && __builtin_cpu_supports("osxsave");
}
bool has_x86_64_v4() {
  return has_x86_64_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#endif

const CompiledIsa compiled[] = {
    {"generic", &kernels::generic::table, [] { return true; }},
#ifdef RAVINE_X86_64
    {"x86-64-v3", &kernels::x86_64_v3::table, has_x86_64_v3},
    {"x86-64-v4", &kernels::x86_64_v4::table, has_x86_64_v4},
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
