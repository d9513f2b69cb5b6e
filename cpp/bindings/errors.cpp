#include "core/error.h"

#include "bindings/bindings.h"

namespace ravine::bindings {

void bind_errors(py::module_&) {
  py::register_exception_translator([](std::exception_ptr pending) {
    try {
      if (pending) std::rethrow_exception(pending);
    } catch (const ValueError& error) {
      py::set_error(PyExc_ValueError, error.what());
    } catch (const TypeError& error) {
      py::set_error(PyExc_TypeError, error.what());
    } catch (const KeyError& error) {
      py::set_error(PyExc_KeyError, error.what());
    } catch (const FileNotFoundError& error) {
      py::set_error(PyExc_FileNotFoundError, error.what());
    } catch (const FloatingPointError& error) {
      py::set_error(PyExc_FloatingPointError, error.what());
    } catch (const Error& error) {
      py::set_error(PyExc_RuntimeError, error.what());
    }
  });
}

}  // namespace ravine::bindings
