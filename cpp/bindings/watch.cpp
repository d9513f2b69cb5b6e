// Whether some objects have the attributes that they had. It is a type of Python's C API and not of pybind11,
// since every call of a model and every training step asks it.
#include "bindings/watch.h"

#include "bindings/bindings.h"

namespace ravine::bindings {
namespace {

struct Watched {
  PyObject* reference;  // weak: a program does not keep the model alive that keeps the program
  PyObject* version;
  PyObject* training;  // null: of no module
};

struct Watch {
  PyObject_HEAD Watched* watched;
  Py_ssize_t n;
  PyObject* version_name;
  PyObject* training_name;
};

Watch& watch_of(PyObject* self) { return *reinterpret_cast<Watch*>(self); }

void watch_delete(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Watch& watch = watch_of(self);
  for (Py_ssize_t i = 0; i < watch.n; ++i) {
    Py_XDECREF(watch.watched[i].reference);
    Py_XDECREF(watch.watched[i].version);
    Py_XDECREF(watch.watched[i].training);
  }
  PyMem_Free(watch.watched);
  Py_XDECREF(watch.version_name);
  Py_XDECREF(watch.training_name);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* watch_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  static const char* names[] = {"references", "versions", "modes", nullptr};
  PyObject *references = nullptr, *versions = nullptr, *modes = nullptr;
  if (PyArg_ParseTupleAndKeywords(arguments, keywords, "O!O!O!", const_cast<char**>(names), &PyList_Type,
                                  &references, &PyList_Type, &versions, &PyList_Type, &modes) == 0)
    return nullptr;
  const Py_ssize_t n = PyList_GET_SIZE(references);
  if (PyList_GET_SIZE(versions) != n || PyList_GET_SIZE(modes) != n) {
    PyErr_SetString(PyExc_ValueError, "Watch: lists of one length are expected");
    return nullptr;
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  Watch& watch = watch_of(self);
  watch.version_name = PyUnicode_InternFromString("_version");
  watch.training_name = PyUnicode_InternFromString("training");
  watch.watched = static_cast<Watched*>(PyMem_Calloc(static_cast<std::size_t>(n) + 1, sizeof(Watched)));
  if (watch.version_name == nullptr || watch.training_name == nullptr || watch.watched == nullptr) {
    Py_DECREF(self);
    return PyErr_NoMemory();
  }
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* reference = PyList_GET_ITEM(references, i);
    if (PyWeakref_CheckRef(reference) == 0) {
      Py_DECREF(self);
      PyErr_SetString(PyExc_TypeError, "Watch: weak references are expected");
      return nullptr;
    }
    PyObject* mode = PyList_GET_ITEM(modes, i);
    watch.watched[i] = {Py_NewRef(reference), Py_NewRef(PyList_GET_ITEM(versions, i)),
                        mode == Py_None ? nullptr : Py_NewRef(mode)};
    ++watch.n;
  }
  return self;
}

// A new reference to what a weak reference refers to; null if it is gone.
PyObject* referred(PyObject* reference) {
#if PY_VERSION_HEX >= 0x030D0000
  PyObject* object = nullptr;
  return PyWeakref_GetRef(reference, &object) > 0 ? object : nullptr;
#else
  PyObject* object = PyWeakref_GetObject(reference);
  return object == Py_None ? nullptr : Py_XNewRef(object);
#endif
}

bool is_same(const Watch& watch, const Watched& watched) {
  const auto object = py::reinterpret_steal<py::object>(referred(watched.reference));
  if (!object) return false;
  const auto fields = py::reinterpret_steal<py::object>(PyObject_GenericGetDict(object.ptr(), nullptr));
  if (!fields) throw py::error_already_set();
  return PyDict_GetItemWithError(fields.ptr(), watch.version_name) == watched.version &&
         (watched.training == nullptr ||
          PyDict_GetItemWithError(fields.ptr(), watch.training_name) == watched.training);
}

}  // namespace

bool is_unchanged(PyObject* self) {
  const Watch& watch = watch_of(self);
  for (Py_ssize_t i = 0; i < watch.n; ++i)
    if (!is_same(watch, watch.watched[i])) return false;
  return true;
}

void bind_watch(py::module_& module) {
  static PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Watch(references, versions, modes)\n--\n\n"
                                    "Versions of weakly referenced objects, and modes of those that are\n"
                                    "modules (else None), to be compared by identity.")},
      {Py_tp_new, reinterpret_cast<void*>(&watch_new)},
      {Py_tp_dealloc, reinterpret_cast<void*>(&watch_delete)},
      {0, nullptr}};
  static PyType_Spec spec = {"ravine._core.Watch", sizeof(Watch), 0, Py_TPFLAGS_DEFAULT, slots};
  const auto type = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
  if (!type) throw py::error_already_set();
  module.attr("Watch") = type;
}

}  // namespace ravine::bindings
