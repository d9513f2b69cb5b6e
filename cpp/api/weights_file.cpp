#include "api/weights_file.h"

#include <algorithm>

namespace ravine::v1 {

void write_arrays(const std::string& path, const NamedArrays& arrays, const Metadata& metadata) {
  std::vector<NamedTensor> tensors;
  for (const auto& [name, array] : arrays)
    tensors.push_back({name, array.dtype(), array.shape(), {array.data(), array.bytes()}});
  write_safetensors(path, tensors, metadata);
}

NamedArrays read_arrays(const SafetensorsFile& file) {
  NamedArrays arrays;
  for (const TensorEntry& tensor : file.tensors()) {
    ravine::Array array(tensor.dtype(), tensor.shape);
    file.read(tensor, array.data());
    arrays.emplace_back(tensor.name, std::move(array));
  }
  return arrays;
}

std::vector<ravine::Array> fitting(const ParameterStore& store, const NamedArrays& given,
                                   const std::string& what) {
  std::string wrong;
  const auto add = [&](const std::string& problem) { wrong += (wrong.empty() ? "" : "; ") + problem; };
  std::vector<ravine::Array> result(store.entries.size());
  for (const auto& [name, array] : given) {
    const ParameterStore::Entry* entry = store.find(name);
    if (entry == nullptr) {
      add("unexpected '" + name + "'");
    } else if (array.shape() != entry->array.shape() ||
               is_floating(array.dtype()) != is_floating(entry->array.dtype())) {
      add(str("'", name, "' is ", name_of(array.dtype()), " ", array.shape(), ", expected ",
              name_of(entry->array.dtype()), " ", entry->array.shape()));
    } else {
      result[store.position(*entry)] = array;
    }
  }
  for (const ParameterStore::Entry& entry : store.entries)
    if (std::none_of(given.begin(), given.end(), [&](const auto& one) { return one.first == entry.name; }))
      add("missing '" + entry.name + "'");
  check<ValueError>(wrong.empty(), what, ": ", wrong);
  return result;
}

}  // namespace ravine::v1
