#include <cstring>

#include "bindings/bindings.h"
#include "model/safetensors.h"

namespace ravine::bindings {
namespace {

void save(const std::string& path, const py::dict& tensors, const Metadata& metadata) {
  std::vector<NamedTensor> named;
  std::vector<py::array> kept;
  for (const auto& [key, value] : tensors) {
    const auto name = key.cast<std::string>();
    const py::array given = py::array::ensure(value);
    if (!given) throw py::error_already_set();
    NamedTensor tensor;
    tensor.name = name;
    tensor.dtype = dtype_of_array(given, name.c_str());
    kept.push_back(as_contiguous(given, tensor.dtype, name));
    tensor.shape = shape_of(kept.back());
    tensor.bytes = {static_cast<const std::byte*>(kept.back().data()),
                    static_cast<std::size_t>(kept.back().nbytes())};
    named.push_back(std::move(tensor));
  }
  const py::gil_scoped_release released;
  write_safetensors(path, named, metadata);
}

TensorFile read(const std::string& path) {
  const py::gil_scoped_release released;
  return read_safetensors(path);
}

py::dict load(const std::string& path) {
  const TensorFile file = read(path);
  py::dict result;
  for (const NamedTensor& tensor : file.tensors) {
    py::array array = new_array(tensor.dtype, tensor.shape);
    if (!tensor.bytes.empty()) std::memcpy(array.mutable_data(), tensor.bytes.data(), tensor.bytes.size());
    result[py::str(tensor.name)] = std::move(array);
  }
  return result;
}

}  // namespace

void bind_model(py::module_& module) {
  module.def("save_safetensors", &save, py::arg("path"), py::arg("tensors"),
             py::arg("metadata") = Metadata{});
  module.def("load_safetensors", &load, py::arg("path"));
  module.def(
      "safetensors_metadata", [](const std::string& path) { return read(path).metadata; }, py::arg("path"));
}

}  // namespace ravine::bindings
