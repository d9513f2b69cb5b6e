// The lock of what one thread at a time may do. It is a type of Python's C API and not of pybind11, whose
// calls would cost a small training step some percent.
#include "bindings/lock.h"

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "core/fork.h"

namespace ravine::bindings {
namespace {

// All fields are read and written with the GIL held.
struct Lock {
  PyObject_HEAD PyObject* what;
  PyThread_type_lock lock;
  unsigned long owner;       // the thread that holds it; meaningless if `held` is false
  std::uint32_t generation;  // of the process that made `lock`
  bool held;
};

Lock& lock_of(PyObject* self) { return *reinterpret_cast<Lock*>(self); }

PyObject* lock_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  static const char* names[] = {"what", nullptr};
  PyObject* what = nullptr;
  if (PyArg_ParseTupleAndKeywords(arguments, keywords, "U", const_cast<char**>(names), &what) == 0)
    return nullptr;
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  Lock& lock = lock_of(self);
  lock.lock = PyThread_allocate_lock();
  if (lock.lock == nullptr) {
    Py_DECREF(self);
    return PyErr_NoMemory();
  }
  Py_INCREF(what);
  lock.what = what;
  lock.generation = fork_generation();
  return self;
}

void lock_delete(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Lock& lock = lock_of(self);
  Py_XDECREF(lock.what);
  if (lock.lock != nullptr && !lock.held) PyThread_free_lock(lock.lock);
  type->tp_free(self);
  Py_DECREF(type);
}

// In a forked child: free, unless the only thread there is holds it. The parent's is leaked, as its state is
// unknown.
bool renew(Lock& lock, unsigned long thread) {
  if (lock.held && lock.owner == thread) return true;
  const PyThread_type_lock fresh = PyThread_allocate_lock();
  if (fresh == nullptr) return false;
  lock.lock = fresh;
  lock.held = false;
  lock.generation = fork_generation();
  return true;
}

// Waits without the GIL; signal handlers run meanwhile. False with a Python error.
bool wait_for(PyThread_type_lock lock) {
  for (;;) {
    PyLockStatus status = PY_LOCK_FAILURE;
    {
      const GilRelease released;
      status = PyThread_acquire_lock_timed(lock, -1, 1);
    }
    if (status == PY_LOCK_ACQUIRED) return true;
    if (PyErr_CheckSignals() != 0) return false;
  }
}

PyTypeObject* lock_type = nullptr;

}  // namespace

bool is_lock(PyObject* x) { return Py_TYPE(x) == lock_type; }

bool enter(PyObject* self) {
  Lock& lock = lock_of(self);
  const unsigned long thread = PyThread_get_thread_ident();
  if (lock.generation != fork_generation() && !renew(lock, thread)) {
    PyErr_NoMemory();
    return false;
  }
  if (lock.held && lock.owner == thread) {
    PyErr_Format(
        PyExc_RuntimeError,
        "%U is running in this thread, so nothing that it calls and no signal handler can use it now: "
        "let the handler set a flag, and look at the flag after the call",
        lock.what);
    return false;
  }
  if (PyThread_acquire_lock(lock.lock, NOWAIT_LOCK) == 0 && !wait_for(lock.lock)) return false;
  lock.owner = thread;
  lock.held = true;
  return true;
}

void leave(PyObject* self) {
  Lock& lock = lock_of(self);
  lock.held = false;
  PyThread_release_lock(lock.lock);
}

namespace {

PyObject* lock_enter(PyObject* self, PyObject*) {
  if (!enter(self)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* lock_exit(PyObject* self, PyObject* const*, Py_ssize_t) {
  const Lock& lock = lock_of(self);
  if (!lock.held || lock.owner != PyThread_get_thread_ident()) {
    PyErr_SetString(PyExc_RuntimeError, "Lock: left by a thread that does not hold it");
    return nullptr;
  }
  leave(self);
  Py_RETURN_NONE;
}

}  // namespace

void bind_lock(py::module_& module) {
  static PyMethodDef methods[] = {
      {"__enter__", &lock_enter, METH_NOARGS, "__enter__($self, /)\n--\n\n"},
      {"__exit__", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(&lock_exit)), METH_FASTCALL,
       "__exit__($self, /, *exception)\n--\n\n"},
      {nullptr, nullptr, 0, nullptr}};
  static PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Lock(what)\n--\n\n"
                                    "For one thread at a time; one that is inside gets a RuntimeError.")},
      {Py_tp_new, reinterpret_cast<void*>(&lock_new)},
      {Py_tp_dealloc, reinterpret_cast<void*>(&lock_delete)},
      {Py_tp_methods, methods},
      {0, nullptr}};
  static PyType_Spec spec = {"ravine._core.Lock", sizeof(Lock), 0, Py_TPFLAGS_DEFAULT, slots};
  const auto type = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
  if (!type) throw py::error_already_set();
  lock_type = reinterpret_cast<PyTypeObject*>(type.ptr());
  module.attr("Lock") = type;
}

}  // namespace ravine::bindings
