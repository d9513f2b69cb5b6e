#include "api/recording.h"

#include <algorithm>
#include <cstring>

namespace ravine::v1 {
namespace {

ravine::Array created(ParameterStore& store, const std::string& name, const Shape& shape, DType dtype,
                      const Initializer& begin) {
  check<ValueError>(begin.fill != nullptr, "parameter '", name, "': its initializer is empty");
  const Layout layout = shape.rank() == 4 ? Layout::channels_last : Layout::row_major;
  const ravine::Array array(engine(dtype), engine(shape), layout);
  Array values(dtype, shape);
  begin.fill(values, store.random);
  check<ValueError>(values.shape() == shape && values.dtype() == dtype, "parameter '", name,
                    "': its initializer made another array of it");
  // Numbers that are drawn one by one follow each other in memory, as in Python.
  if (begin.independent) std::memcpy(array.data(), values.data(), array.bytes());
  else copy_values(engine(values), array);
  return array;
}

}  // namespace

const ParameterStore::Entry* ParameterStore::find(const std::string& name) const {
  const auto place = places.find(name);
  return place == places.end() ? nullptr : &entries[place->second];
}

Value Recording::value_of(const ParameterStore::Entry& entry) {
  const std::size_t place = store.position(entry);
  used.resize(store.entries.size());
  used[place] = true;
  for (const auto& [of, value] : assigned)
    if (of == place) return value;
  return graph.state(served.empty() ? entry.array : served[place], entry.name);
}

void Recording::assign(const ParameterStore::Entry& entry, Value value) {
  const std::size_t place = store.position(entry);
  const auto known =
      std::find_if(assigned.begin(), assigned.end(), [&](const auto& one) { return one.first == place; });
  if (known == assigned.end()) assigned.emplace_back(place, value);
  else known->second = value;
}

void Recording::finish() {
  for (const auto& [place, value] : assigned) graph.assign(store.entries[place].array, value);
  assigned.clear();
}

Value Recording::named(const std::string& name, const Shape& shape, DType dtype, bool trained,
                       const Initializer& begin) {
  const ParameterStore::Entry* entry = store.find(name);
  if (entry == nullptr) {
    check<ValueError>(!name.empty() && name.back() != '.', "model: a parameter needs a name, got '", name,
                      "'");
    check<ValueError>(creating, "model: '", name,
                      "' was not created in the first recording; a model's function creates the same "
                      "parameters for all inputs, in training and in predictions");
    store.entries.push_back({name, created(store, name, shape, dtype, begin), trained});
    store.places.emplace(name, store.entries.size() - 1);
    entry = &store.entries.back();
  }
  check<ValueError>(entry->trained == trained, "model: '", name, "' is a ",
                    entry->trained ? "parameter" : "buffer", ", and is asked for as the other");
  check<ValueError>(entry->array.shape() == engine(shape) && entry->array.dtype() == engine(dtype),
                    "model: '", name, "' is ", name_of(entry->array.dtype()), " ", entry->array.shape(),
                    ", and is asked for as ", name_of(dtype), " ", to_string(shape));
  return value_of(*entry);
}

namespace nn {

Scope Scope::operator/(std::string_view name) const {
  check<ValueError>(!name.empty(), "scope: a name is empty, below '", path_, "'");
  std::string path = path_.empty() ? std::string(name) : path_ + "." + std::string(name);
  Access::recording(*this).graph.enter(path);  // what follows is this layer's, for profiles
  return Scope(recording_, std::move(path));
}

namespace {

std::string full_name(const Scope& scope, std::string_view name) {
  return scope.path().empty() ? std::string(name) : scope.path() + "." + std::string(name);
}

}  // namespace

bool Scope::training() const { return Access::recording(*this).training; }
DType Scope::dtype() const { return Access::recording(*this).store.dtype; }

Tensor Scope::parameter(std::string_view name, const Shape& shape, const Initializer& begin) const {
  return Access::wrap(Access::recording(*this).named(full_name(*this, name), shape, dtype(), true, begin));
}

Tensor Scope::buffer(std::string_view name, const Shape& shape, double begin) const {
  return buffer(name, shape, begin, dtype());
}

Tensor Scope::buffer(std::string_view name, const Shape& shape, double begin, DType of) const {
  const Initializer fill{
      [begin](Array& values, Generator&) {
        const View number(values);
        const ravine::Array one = ravine::Array::scalar(begin, engine(number.dtype()));
        for (std::int64_t i = 0; i < values.size(); ++i)
          std::memcpy(static_cast<std::byte*>(values.data()) + static_cast<std::size_t>(i) * one.bytes(),
                      one.data(), one.bytes());
      },
      true};
  return Access::wrap(Access::recording(*this).named(full_name(*this, name), shape, of, false, fill));
}

void Scope::assign(std::string_view name, Tensor value) const {
  Recording& recording = Access::recording(*this);
  const std::string full = full_name(*this, name);
  const ParameterStore::Entry* entry = recording.store.find(full);
  check<KeyError>(entry != nullptr && !entry->trained, "assign: there is no buffer '", full, "'");
  const Value given = Access::unwrap(value);
  check<ValueError>(given.dtype() == entry->array.dtype() && given.shape() == entry->array.shape(),
                    "assign: '", full, "' is ", name_of(entry->array.dtype()), " ", entry->array.shape(),
                    ", and the value is ", to_string(given.type()));
  recording.assign(*entry, given);
}

Tensor Scope::constant(const View& values) const {
  return Access::wrap(Access::recording(*this).graph.constant(engine(values)));
}

Tensor Scope::uniform(const Shape& shape) const {
  return Access::wrap(ravine::ops::uniform(Access::recording(*this).graph, engine(shape), engine(dtype())));
}

}  // namespace nn
}  // namespace ravine::v1
