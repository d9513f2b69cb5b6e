// The lock of what one thread at a time may do, for functions of Python's C API.
#pragma once

#include <Python.h>

namespace ravine::bindings {

bool is_lock(PyObject* x);
bool enter(PyObject* lock);  // false with a Python error
void leave(PyObject* lock);

}  // namespace ravine::bindings
