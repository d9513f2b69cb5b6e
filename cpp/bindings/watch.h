// Whether some objects have the attributes that they had.
#pragma once

#include <Python.h>

namespace ravine::bindings {

// Of a Watch. Throws Python's errors.
bool is_unchanged(PyObject* watch);

}  // namespace ravine::bindings
