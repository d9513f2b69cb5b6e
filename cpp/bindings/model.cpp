#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "model/safetensors.h"

namespace ravine::bindings {
namespace {

// Paths are bytes, as the system has them.
void save(const py::bytes& path, const py::dict& tensors, const Metadata& metadata) {
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
  const std::string where = path;
  const GilRelease released;
  write_safetensors(where, named, metadata);
}

SafetensorsFile open(const py::bytes& path) {
  const std::string where = path;
  const GilRelease released;
  return SafetensorsFile(where);
}

py::dict load(const py::bytes& path) {
  const SafetensorsFile file = open(path);
  py::dict result;
  std::vector<std::byte*> memory;
  for (const TensorEntry& tensor : file.tensors()) {
    py::array array = new_array(tensor.dtype(), tensor.shape);
    memory.push_back(static_cast<std::byte*>(array.mutable_data()));
    result[py::str(tensor.name)] = std::move(array);
  }
  const GilRelease released;
  for (std::size_t i = 0; i < memory.size(); ++i) file.read(file.tensors()[i], memory[i]);
  return result;
}

}  // namespace

void bind_model(py::module_& module) {
  module.def("save_safetensors", &save, py::arg("path"), py::arg("tensors"),
             py::arg("metadata") = Metadata{});
  module.def("load_safetensors", &load, py::arg("path"));
  module.def(
      "safetensors_metadata", [](const py::bytes& path) { return open(path).metadata(); }, py::arg("path"));
}

}  // namespace ravine::bindings
