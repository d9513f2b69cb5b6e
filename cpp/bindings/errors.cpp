#include "core/error.h"

#include <cerrno>
#include <exception>
#include <new>
#include <string_view>
#include <utility>

#include "bindings/bindings.h"
#include "core/memory_error.h"

namespace ravine::bindings {
namespace {

// Messages may quote names and paths, which are any bytes: what is no UTF-8 is shown as \xNN.
void raise(PyObject* kind, std::string_view message) {
  const auto text = py::reinterpret_steal<py::object>(
      PyUnicode_DecodeUTF8(message.data(), static_cast<py::ssize_t>(message.size()), "backslashreplace"));
  if (text) PyErr_SetObject(kind, text.ptr());
}

void raise(const OSError& error) {
  const auto path = py::reinterpret_steal<py::object>(
      PyUnicode_DecodeFSDefaultAndSize(error.path.data(), static_cast<py::ssize_t>(error.path.size())));
  if (!path) return;
  errno = error.code;
  PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path.ptr());
}

// Those of Ravine, and that there is no memory; others go on.
void translate(std::exception_ptr pending) {
  try {
    if (pending) std::rethrow_exception(std::move(pending));
  } catch (const ValueError& error) {
    raise(PyExc_ValueError, error.what());
  } catch (const TypeError& error) {
    raise(PyExc_TypeError, error.what());
  } catch (const KeyError& error) {
    raise(PyExc_KeyError, error.what());
  } catch (const OSError& error) {
    raise(error);
  } catch (const FloatingPointError& error) {
    raise(PyExc_FloatingPointError, error.what());
  } catch (const MemoryError& error) {
    raise(PyExc_MemoryError, error.what());
  } catch (const std::bad_alloc&) {
    raise(PyExc_MemoryError, "out of memory: a list of Ravine's own needs some more");
  } catch (const Error& error) {
    raise(PyExc_RuntimeError, error.what());
  }
}

}  // namespace

void set_error() {
  try {
    translate(std::current_exception());
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::exception& error) {
    raise(PyExc_RuntimeError, error.what());
  }
}

void bind_errors(py::module_&) { py::register_exception_translator(&translate); }

}  // namespace ravine::bindings
