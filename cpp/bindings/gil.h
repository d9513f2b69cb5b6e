// Running without Python's global lock (GIL), and taking it again.
#pragma once

#include <Python.h>
#include <cxxabi.h>
#include <unistd.h>

namespace ravine::bindings {

// Calls what may take the GIL again. Once Python has begun to end, a thread that asks for the GIL never gets
// it; before version 3.14 it is ended there by unwinding its stack, through destructors that need the GIL and
// through functions that let nothing pass. Such a thread stays here instead until the process ends.
template <class Function>
auto or_stay_at_exit(Function function) {
  try {
    return function();
  } catch (abi::__forced_unwind&) {
    for (;;) pause();
  }
}

class GilRelease {
 public:
  GilRelease() : state_(PyEval_SaveThread()) {}
  ~GilRelease() {
    or_stay_at_exit([this] { PyEval_RestoreThread(state_); });
  }
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace ravine::bindings
