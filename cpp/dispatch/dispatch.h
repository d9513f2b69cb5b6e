// Which kernel table serves: CPUID is read once, RAVINE_ISA forces one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/api/table.h"

namespace ravine {

// Compiled instruction sets, best last: "generic", "x86-64-v3", "x86-64-v4".
std::vector<std::string> compiled_isas();
// Those of them that this CPU can run.
std::vector<std::string> supported_isas();

// The table of one ISA by name. ValueError where it is unknown or this CPU lacks it.
const kernels::KernelTable& kernels_of(std::string_view isa);

// The table that new programs use: the best supported one, or the one named by the environment variable
// RAVINE_ISA.
const kernels::KernelTable& active_kernels();
std::string active_isa();
void set_active_isa(std::string_view isa);  // for tests; programs that exist keep theirs

}  // namespace ravine
