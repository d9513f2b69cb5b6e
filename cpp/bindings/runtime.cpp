#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/team.h"
#include "core/thread_count.h"
#include "dispatch/dispatch.h"
#include "ops/conv_choice.h"

namespace ravine::bindings {
namespace {

// Scopes of `with ravine.threads(n)`, innermost last; they are left in reverse order by the same thread.
std::vector<std::unique_ptr<ThreadsScope>>& thread_scopes() {
  static thread_local std::vector<std::unique_ptr<ThreadsScope>> scopes;
  return scopes;
}

int default_or_set_threads() {
  warn_of_ignored_settings();
  return num_threads();
}

py::dict describe_cpu() {
  const CpuInfo& cpu = cpu_info();
  py::dict info;
  info["model"] = cpu.model;
  info["isa"] = active_isa();
  info["isas"] = supported_isas();
  info["compiled_isas"] = compiled_isas();
  info["threads"] = default_or_set_threads();
  info["cores"] = cpu.physical_cores;
  info["affinity"] = cpu.affinity;
  info["cgroup_quota"] = cpu.cgroup_quota;
  info["l1_bytes"] = cpu.l1_bytes;
  info["l2_bytes"] = cpu.l2_bytes;
  info["l3_bytes"] = cpu.l3_bytes;
  return info;
}

}  // namespace

void warn_of_ignored_settings() {
  static bool told = false;
  if (std::exchange(told, true)) return;
  const std::string text = ignored_thread_setting();
  if (!text.empty() && PyErr_WarnEx(PyExc_RuntimeWarning, text.c_str(), 1) != 0)
    throw py::error_already_set();
}

void bind_runtime(py::module_& module) {
  module.def("cpu_info", &describe_cpu);
  module.def(
      "set_isa", [](const std::string& isa) { set_active_isa(isa); }, py::arg("isa"),
      "For tests: the instruction set of programs compiled from now on.");
  module.def(
      "set_exact_convolutions",
      [](bool exact) { set_conv_precision(exact ? ConvPrecision::exact : ConvPrecision::fast); },
      py::arg("exact"), "For programs compiled from now on.");
  module.def("set_num_threads", &set_num_threads, py::arg("n"));
  module.def("get_num_threads", &default_or_set_threads);
  module.def(
      "set_adaptive_teams", &set_adaptive_teams, py::arg("on"),
      "For tests: off, and programs run on as many threads as are set while other processes want them too.");
  module.def(
      "push_threads", [](int n) { thread_scopes().push_back(std::make_unique<ThreadsScope>(n)); },
      py::arg("n"));
  module.def("pop_threads", [] {
    check<RuntimeError>(!thread_scopes().empty(), "pop_threads: this thread has no scope to leave");
    thread_scopes().pop_back();
  });
}

}  // namespace ravine::bindings
