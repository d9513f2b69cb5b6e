// The calls that a model or a training step has seen last, each with the program that serves it. It is a type
// of Python's C API and not of pybind11, as what a small step takes outside of its kernels is spent here.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "bindings/lock.h"
#include "bindings/program.h"
#include "bindings/watch.h"
#include "core/error.h"
#include "graph/program.h"

namespace ravine::bindings {
namespace {

using py::detail::array_proxy;
using py::detail::npy_api;

constexpr std::size_t most_known_calls = 8;

// Off while this thread records, runs eagerly or sees modes of its own: then calls mean something else.
thread_local bool known_calls_serve = true;

// Uses of programs are counted, with the GIL held, so that they can be ordered.
std::uint64_t uses = 0;

// Of an argument: an array of the same dtype and shape, or the same object.
struct ArgumentKind {
  py::object dtype_or_object;
  std::vector<py::ssize_t> shape;
  bool is_array;
  bool converts;  // to the program's dtype
};

// A call and its program.
struct KnownCall {
  std::vector<ArgumentKind> arguments;
  std::shared_ptr<Program> program;
  py::tuple watches;  // of what has to be as it was
  py::tuple guards;   // functions that tell whether the rest is
  py::tuple before;   // functions to be called before a run
  py::object result;  // makes it of the list of outputs; None: it is the only one; float: as a number
  py::list held;      // arrays that the program reads behind the arguments
  std::vector<py::dtype> outputs;
  std::uint64_t used = 0;  // the number of the newest use
};

struct Calls {
  PyObject_HEAD PyObject* lock;                    // null: none
  std::vector<std::shared_ptr<KnownCall>>* known;  // the newest first
};

Calls& calls_of(PyObject* self) { return *reinterpret_cast<Calls*>(self); }

bool is_array(PyObject* x) { return Py_TYPE(x) == npy_api::get().PyArray_Type_; }

bool is_of_kind(PyObject* x, const ArgumentKind& kind) {
  if (!kind.is_array) return x == kind.dtype_or_object.ptr();
  if (!is_array(x)) return false;
  const auto* array = array_proxy(x);
  if (static_cast<std::size_t>(array->nd) != kind.shape.size() ||
      !std::equal(kind.shape.begin(), kind.shape.end(), array->dimensions))
    return false;
  PyObject* dtype = kind.dtype_or_object.ptr();
  return array->descr == dtype || PyObject_RichCompareBool(array->descr, dtype, Py_EQ) == 1;
}

bool fits(const KnownCall& call, PyObject* arguments) {
  const auto n = static_cast<std::size_t>(PyTuple_GET_SIZE(arguments));
  if (n != call.arguments.size()) return false;
  for (std::size_t i = 0; i < n; ++i)
    if (!is_of_kind(PyTuple_GET_ITEM(arguments, static_cast<Py_ssize_t>(i)), call.arguments[i])) return false;
  return true;
}

// Whether what the program depends on is as it was. May call Python, and throws its errors.
bool still_serves(const KnownCall& call) {
  for (const py::handle watch : call.watches)
    if (!is_unchanged(watch.ptr())) return false;
  for (const py::handle guard : call.guards)
    if (!guard().cast<bool>()) return false;
  return true;
}

double number_at(const std::byte* bytes, DType dtype) {
  if (dtype == DType::float64) {
    double value = 0;
    std::memcpy(&value, bytes, sizeof value);
    return value;
  }
  float value = 0;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Outputs of a run: one number, or new arrays.
class Outputs {
 public:
  explicit Outputs(const KnownCall& call) : call_(call) {
    const std::vector<TensorType>& types = call.program->output_types();
    if (as_number()) {
      pointers_.push_back(number_);
      return;
    }
    for (std::size_t i = 0; i < types.size(); ++i) {
      const Shape& shape = types[i].shape;
      std::array<Py_intptr_t, max_rank> extents;
      std::copy(shape.begin(), shape.end(), extents.begin());
      const npy_api& numpy = npy_api::get();
      arrays_.push_back(py::reinterpret_steal<py::object>(
          numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, call.outputs[i].inc_ref().ptr(), shape.rank(),
                                      extents.data(), nullptr, nullptr, 0, nullptr)));
      if (!arrays_.back()) throw py::error_already_set();
      pointers_.push_back(array_proxy(arrays_.back().ptr())->data);
    }
  }

  std::span<void* const> pointers() const { return pointers_; }

  py::object result() {
    if (as_number())
      return py::reinterpret_steal<py::object>(
          PyFloat_FromDouble(number_at(number_, call_.program->output_types()[0].dtype)));
    if (call_.result.is_none()) return std::move(arrays_[0]);
    py::list all(arrays_.size());
    for (std::size_t i = 0; i < arrays_.size(); ++i) all[i] = std::move(arrays_[i]);
    return call_.result(std::move(all));
  }

 private:
  bool as_number() const { return call_.result.ptr() == reinterpret_cast<PyObject*>(&PyFloat_Type); }

  const KnownCall& call_;
  alignas(64) std::byte number_[sizeof(double)];
  std::vector<py::object> arrays_;
  std::vector<void*> pointers_;
};

py::object run_known(KnownCall& call, PyObject* arguments) {
  call.used = ++uses;
  for (const py::handle function : call.before) function();
  Program& program = *call.program;
  const std::vector<TensorType>& types = program.input_types();
  std::vector<const void*> inputs;
  inputs.reserve(types.size());
  std::vector<py::array> converted;
  const auto add = [&](PyObject* given, bool as_it_is) {
    const auto array = py::reinterpret_borrow<py::array>(given);
    if (as_it_is && is_dense(array)) {
      inputs.push_back(array.data());
      return;
    }
    converted.push_back(program_input(program, inputs.size(), array));
    inputs.push_back(converted.back().data());
  };
  for (std::size_t i = 0; i < call.arguments.size(); ++i)
    if (const ArgumentKind& kind = call.arguments[i]; kind.is_array)
      add(PyTuple_GET_ITEM(arguments, static_cast<Py_ssize_t>(i)), !kind.converts);
  for (const py::handle array : call.held) add(array.ptr(), false);
  Outputs outputs(call);
  {
    const GilRelease released;
    program.run(inputs, outputs.pointers());
  }
  return outputs.result();
}

py::object run_if_known(Calls& calls, PyObject* arguments) {
  for (std::size_t i = 0; i < calls.known->size(); ++i) {
    const std::shared_ptr<KnownCall> call = (*calls.known)[i];  // Python code may forget it meanwhile
    if (!fits(*call, arguments) || !still_serves(*call)) continue;
    auto& known = *calls.known;
    if (i > 0 && i < known.size() && known[i] == call)
      std::rotate(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(i),
                  known.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    return run_known(*call, arguments);
  }
  return py::reinterpret_borrow<py::object>(Py_NotImplemented);
}

// C++ exceptions as Python's.
template <class Function>
PyObject* calling(Function function) {
  try {
    return function().release().ptr();
  } catch (const std::exception&) {
    set_error();
    return nullptr;
  }
}

PyObject* calls_run(PyObject* self, PyObject* arguments) {
  if (!known_calls_serve || PyTuple_Check(arguments) == 0) return Py_NewRef(Py_NotImplemented);
  Calls& calls = calls_of(self);
  if (calls.lock != nullptr && !enter(calls.lock)) return nullptr;
  PyObject* result = calling([&] { return run_if_known(calls, arguments); });
  if (calls.lock != nullptr) leave(calls.lock);
  return result;
}

void remember(Calls& calls, KnownCall&& given, const py::tuple& arguments) {
  const std::vector<TensorType>& types = given.program->input_types();
  std::size_t n = 0;  // of arrays
  for (const py::handle argument : arguments) {
    if (!is_array(argument.ptr())) {
      given.arguments.push_back({py::reinterpret_borrow<py::object>(argument), {}, false, false});
      continue;
    }
    check<ValueError>(n < types.size(), "Calls: expected ", types.size(), " arrays, got more");
    const auto array = py::reinterpret_borrow<py::array>(argument);
    const bool converts = !array.dtype().is(numpy_dtype(types[n++].dtype));
    given.arguments.push_back({array.dtype(), {array.shape(), array.shape() + array.ndim()}, true, converts});
  }
  n += given.held.size();
  check<ValueError>(n == types.size(), "Calls: expected ", types.size(), " arrays, got ", n);
  for (const TensorType& type : given.program->output_types())
    given.outputs.push_back(numpy_dtype(type.dtype));
  auto call = std::make_shared<KnownCall>(std::move(given));
  std::vector<std::shared_ptr<KnownCall>> known{call}, dropped;  // which may call Python as they go
  for (const auto& other : *calls.known)
    (other->program == call->program || known.size() == most_known_calls ? dropped : known).push_back(other);
  calls.known->swap(known);
}

PyObject* calls_remember(PyObject* self, PyObject* arguments, PyObject* keywords) {
  static const char* names[] = {"arguments", "program", "watches", "guards",
                                "before",    "result",  "held",    nullptr};
  PyObject *seen, *program, *watches, *guards, *before, *result, *held;
  if (PyArg_ParseTupleAndKeywords(arguments, keywords, "O!OO!O!O!OO!", const_cast<char**>(names),
                                  &PyTuple_Type, &seen, &program, &PyTuple_Type, &watches, &PyTuple_Type,
                                  &guards, &PyTuple_Type, &before, &result, &PyList_Type, &held) == 0)
    return nullptr;
  const auto object = [](PyObject* x) { return py::reinterpret_borrow<py::object>(x); };
  return calling([&] {
    KnownCall call{.arguments = {},
                   .program = object(program).cast<std::shared_ptr<Program>>(),
                   .watches = object(watches),
                   .guards = object(guards),
                   .before = object(before),
                   .result = object(result),
                   .held = object(held),
                   .outputs = {},
                   .used = uses};
    remember(calls_of(self), std::move(call), object(seen));
    return object(Py_None);
  });
}

PyObject* calls_forget(PyObject* self, PyObject*) {
  std::vector<std::shared_ptr<KnownCall>> dropped;
  calls_of(self).known->swap(dropped);
  Py_RETURN_NONE;
}

PyObject* calls_uses(PyObject* self, PyObject*) {
  return calling([&] {
    py::list found;
    for (const auto& call : *calls_of(self).known) found.append(py::make_tuple(call->program, call->used));
    return found;
  });
}

PyObject* calls_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  static const char* names[] = {"lock", nullptr};
  PyObject* lock = nullptr;
  if (PyArg_ParseTupleAndKeywords(arguments, keywords, "O", const_cast<char**>(names), &lock) == 0)
    return nullptr;
  if (lock != Py_None && !is_lock(lock)) {
    PyErr_SetString(PyExc_TypeError, "Calls: a Lock or None is expected");
    return nullptr;
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  calls_of(self).known = new std::vector<std::shared_ptr<KnownCall>>;
  if (lock != Py_None) calls_of(self).lock = Py_NewRef(lock);
  return self;
}

int calls_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  const Calls& calls = calls_of(self);
  Py_VISIT(calls.lock);
  if (calls.known == nullptr) return 0;
  for (const auto& call : *calls.known) {
    for (const ArgumentKind& kind : call->arguments) Py_VISIT(kind.dtype_or_object.ptr());
    Py_VISIT(call->watches.ptr());
    Py_VISIT(call->guards.ptr());
    Py_VISIT(call->before.ptr());
    Py_VISIT(call->result.ptr());
    Py_VISIT(call->held.ptr());
  }
  return 0;
}

int calls_clear(PyObject* self) {
  Calls& calls = calls_of(self);
  std::vector<std::shared_ptr<KnownCall>> dropped;
  if (calls.known != nullptr) calls.known->swap(dropped);
  Py_CLEAR(calls.lock);
  return 0;
}

void calls_delete(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  calls_clear(self);
  delete calls_of(self).known;
  type->tp_free(self);
  Py_DECREF(type);
}

}  // namespace

void bind_calls(py::module_& module) {
  module.def(
      "next_use", [] { return ++uses; }, "A number above those of all uses of programs so far.");
  module.def(
      "serve_known_calls", [](bool on) { return std::exchange(known_calls_serve, on); }, py::arg("on"),
      "Whether `Calls.run` runs programs in this thread from now on; returns whether it did.");
  static PyMethodDef methods[] = {
      {"run", &calls_run, METH_O,
       "run($self, arguments, /)\n--\n\n"
       "Runs the program of such a call, if one is known and serves; else returns NotImplemented."},
      {"remember", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(&calls_remember)),
       METH_VARARGS | METH_KEYWORDS,
       "remember($self, /, arguments, program, watches, guards, before, result, held)\n--\n\n"
       "Lets a program serve calls on such arrays, and on the same objects besides, while the watches are\n"
       "the same and the guards hold.\n"
       "`before` is called before each run; `result` makes of the list of outputs what `run` returns, None\n"
       "returns the only one, and float the only one as a number; `held` is read behind the arguments."},
      {"forget", &calls_forget, METH_NOARGS, "forget($self, /)\n--\n\nForgets all calls."},
      {"uses", &calls_uses, METH_NOARGS,
       "uses($self, /)\n--\n\nThe programs that are known, each with the number of its newest use here."},
      {nullptr, nullptr, 0, nullptr}};
  static PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("Calls(lock)\n--\n\n"
                                    "The newest calls of one owner, and the programs that serve them.\n"
                                    "With a lock, one call runs at a time.")},
      {Py_tp_new, reinterpret_cast<void*>(&calls_new)},
      {Py_tp_dealloc, reinterpret_cast<void*>(&calls_delete)},
      {Py_tp_traverse, reinterpret_cast<void*>(&calls_traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(&calls_clear)},
      {Py_tp_methods, methods},
      {0, nullptr}};
  static PyType_Spec spec = {"ravine._core.Calls", sizeof(Calls), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
                             slots};
  const auto type = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
  if (!type) throw py::error_already_set();
  module.attr("Calls") = type;
}

}  // namespace ravine::bindings
