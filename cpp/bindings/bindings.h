// The extension module ravine._core: converts and forwards, decides nothing. One function per file of this
// folder.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>

#include "core/array.h"
#include "graph/graph.h"

namespace ravine::bindings {

namespace py = pybind11;

void bind_errors(py::module_& module);
void bind_lock(py::module_& module);
void bind_watch(py::module_& module);
void bind_calls(py::module_& module);
void bind_runtime(py::module_& module);
void bind_array(py::module_& module);
void bind_augment(py::module_& module);
void bind_random(py::module_& module);
void bind_minimize(py::module_& module);
void bind_graph(py::module_& module);
void bind_optim(py::module_& module);
void bind_train(py::module_& module);
void bind_program(py::module_& module);
void bind_model(py::module_& module);
void bind_exported(py::module_& module);

// Once in a process, a RuntimeWarning about environment variables that are left out as they make no sense.
void warn_of_ignored_settings();

// Sets the Python error of the exception that is being handled, for functions of Python's C API.
void set_error();

// A value keeps its graph alive.
struct PyValue {
  std::shared_ptr<Graph> graph;
  Value value;
};

// ---- NumPy

py::dtype numpy_dtype(DType dtype);
// TypeError naming `what` for dtypes that Ravine does not have (object, complex, strings, float16 ...).
DType dtype_of_array(const py::array& array, const char* what);
Shape shape_of(const py::array& array);
py::tuple to_tuple(const Dims& dims);

// Whether kernels may read the memory as it is: C-contiguous, and aligned as its dtype asks.
bool is_dense(const py::array& array);

// Whether they may read it as an array of that dtype: dense, and in native byte order.
bool is_ready(const py::array& array, DType dtype);

// The array itself where it is ready; else a converted copy. TypeError naming `what` where the conversion is
// not of the "same kind" (as numpy.can_cast).
py::array as_contiguous(const py::array& array, DType dtype, const std::string& what);

py::array new_array(DType dtype, const Shape& shape);

// A writable view that shares and keeps the memory.
py::array view_of(const Array& array);
Array copy_of(const py::array& array, Layout layout);

}  // namespace ravine::bindings
