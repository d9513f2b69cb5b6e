#include "core/array.h"

#include <cstring>
#include <memory>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "core/copy.h"
#include "core/error.h"

namespace ravine::bindings {

py::dtype numpy_dtype(DType dtype) {
  switch (dtype) {
#define RAVINE_CASE(id, name, Type, kind) \
  case DType::id:                         \
    return py::dtype::of<Type>();
    RAVINE_DTYPES(RAVINE_CASE)
#undef RAVINE_CASE
  }
  unsupported_dtype("NumPy", dtype);
}

DType dtype_of_array(const py::array& array, const char* what) {
  const py::dtype dtype = array.dtype();
  for (const DType known : all_dtypes) {
    const py::dtype of_known = numpy_dtype(known);
    if (dtype.kind() == of_known.kind() && dtype.itemsize() == of_known.itemsize()) return known;
  }
  fail<TypeError>(what, ": an array of dtype ", std::string(py::str(dtype)),
                  " is not supported; expected float32, float64, int32, int64, uint8 or bool");
}

Shape shape_of(const py::array& array) {
  check<ValueError>(array.ndim() <= max_rank, "array: ", array.ndim(), " dimensions, at most ", max_rank,
                    " are supported");
  Shape shape;
  for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) shape.push_back(array.shape(axis));
  return shape;
}

py::tuple to_tuple(const Dims& dims) {
  py::tuple result(dims.rank());
  for (int axis = 0; axis < dims.rank(); ++axis) result[static_cast<std::size_t>(axis)] = dims[axis];
  return result;
}

namespace {

std::vector<py::ssize_t> byte_strides(const Strides& strides, DType dtype) {
  std::vector<py::ssize_t> result;
  for (const std::int64_t stride : strides)
    result.push_back(static_cast<py::ssize_t>(stride) * static_cast<py::ssize_t>(size_of(dtype)));
  return result;
}

py::array view_with_base(const Array& array, py::handle base) {
  return py::array(numpy_dtype(array.dtype()),
                   std::vector<py::ssize_t>(array.shape().begin(), array.shape().end()),
                   byte_strides(array.strides(), array.dtype()), array.data(), base);
}

}  // namespace

bool is_dense(const py::array& array) {
  using Api = py::detail::npy_api;
  constexpr int wanted = Api::NPY_ARRAY_C_CONTIGUOUS_ | Api::NPY_ARRAY_ALIGNED_;
  return (array.flags() & wanted) == wanted;
}

namespace {

bool is_native(const py::dtype& given, const py::dtype& wanted) {
  return given.kind() == wanted.kind() && given.itemsize() == wanted.itemsize() &&
         (given.byteorder() == '=' || given.byteorder() == '|');
}

}  // namespace

bool is_ready(const py::array& array, DType dtype) {
  return is_dense(array) && is_native(array.dtype(), numpy_dtype(dtype));
}

py::array as_contiguous(const py::array& array, DType dtype, const std::string& what) {
  if (is_ready(array, dtype)) return array;
  const py::dtype given = array.dtype(), wanted = numpy_dtype(dtype);
  const bool same_dtype = is_native(given, wanted);
  const py::module_ numpy = py::module_::import("numpy");
  if (!same_dtype && !numpy.attr("can_cast")(given, wanted, "same_kind").cast<bool>())
    fail<TypeError>(what, ": an array of dtype ", std::string(py::str(given)), " does not convert to ",
                    name_of(dtype));
  // numpy.ascontiguousarray would turn a 0-d array into a 1-d one; numpy.asarray leaves alone what is not
  // aligned.
  return or_stay_at_exit([&] {
    return numpy.attr("array")(array, wanted, py::arg("order") = "C", py::arg("copy") = true)
        .cast<py::array>();
  });
}

py::array new_array(DType dtype, const Shape& shape) {
  return py::array(numpy_dtype(dtype), std::vector<py::ssize_t>(shape.begin(), shape.end()));
}

py::array view_of(const Array& array) {
  array.writes().open_view();
  const py::capsule base(new Array(array), [](void* pointer) {
    const std::unique_ptr<Array> viewed(static_cast<Array*>(pointer));
    viewed->writes().close_view();
  });
  return view_with_base(array, base);
}

Array copy_of(const py::array& array, Layout layout) {
  const DType dtype = dtype_of_array(array, "array");
  Array copy(dtype, shape_of(array), layout);
  const py::array target = view_of(copy);
  or_stay_at_exit([&] { py::module_::import("numpy").attr("copyto")(target, array); });
  return copy;
}

void bind_array(py::module_& module) {
  py::class_<Array, std::shared_ptr<Array>>(
      module, "Array", "State that outlives programs: 64-byte aligned memory of a dense tensor.")
      .def(py::init([](const py::array& array, bool channels_last) {
             const Layout layout = channels_last ? Layout::channels_last : Layout::row_major;
             return std::make_shared<Array>(copy_of(array, layout));
           }),
           py::arg("array"), py::arg("channels_last") = false)
      .def("numpy", &view_of, "A writable view that shares and keeps the memory.")
      .def_property_readonly("shape", [](const Array& self) { return to_tuple(self.shape()); })
      .def_property_readonly("dtype", [](const Array& self) { return name_of(self.dtype()); })
      .def_property_readonly("nbytes", &Array::bytes)
      .def_property_readonly("channels_last",
                             [](const Array& self) { return self.layout() == Layout::channels_last; });
  module.def(
      "copies_of",
      [](const std::vector<std::shared_ptr<Array>>& arrays) {
        std::vector<Array> given, copies;
        for (const auto& array : arrays) given.push_back(*array);
        {
          const GilRelease released;
          copies = copies_of(given);
        }
        py::list result;
        for (const Array& copy : copies) result.append(view_of(copy));
        return result;
      },
      py::arg("arrays"), "Copies of the numbers: beside threads that train, all of one step.");
}

}  // namespace ravine::bindings
