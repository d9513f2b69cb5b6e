// Arrays of NumPy for programs.
#pragma once

#include <cstddef>

#include "bindings/bindings.h"
#include "graph/program.h"

namespace ravine::bindings {

// An array as a program reads it: itself, or a converted copy. ValueError or TypeError for one that does not
// fit.
py::array program_input(const Program& program, std::size_t index, const py::array& given);

}  // namespace ravine::bindings
