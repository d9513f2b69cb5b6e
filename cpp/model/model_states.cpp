#include "model/model_states.h"

#include <algorithm>
#include <cstring>
#include <shared_mutex>

#include "core/copy.h"
#include "core/error.h"

namespace ravine {
namespace {

Array row_major_copy(const Array& array) {
  Array copy(array.dtype(), array.shape());
  copy_values(array, copy);
  return copy;
}

bool same_numbers(const Array& a, const Array& b) {
  return a.dtype() == b.dtype() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

}  // namespace

std::size_t ModelStates::number_of(const Array& array) {
  const auto known =
      std::ranges::find_if(arrays, [&](const auto& named) { return named.second.data() == array.data(); });
  const auto number = static_cast<std::size_t>(known - arrays.begin());
  if (known == arrays.end()) arrays.emplace_back(str("captured.", number), array);
  return number;
}

Value ModelStates::value_in(Graph& graph, std::size_t number) const {
  const auto& [name, array] = arrays[number];
  return graph.state(array, name.substr(name.find('.') + 1));
}

train::NamedArrays ModelStates::state_dict() const {
  const std::shared_lock reading(turns);
  train::NamedArrays result;
  for (const auto& [name, number] : keys) result.emplace_back(name, row_major_copy(arrays[number].second));
  return result;
}

void ModelStates::load_state_dict(const train::NamedArrays& state) {
  std::string problems;
  const auto add = [&](const auto&... parts) { problems += (problems.empty() ? "" : "; ") + str(parts...); };
  const auto given = [&](const std::string& name) {
    return std::ranges::find_if(state, [&](const auto& named) { return named.first == name; });
  };
  std::vector<const Array*> sources(arrays.size(), nullptr);
  for (const auto& [name, number] : keys) {
    const auto own = given(name);
    const Array& array = arrays[number].second;
    if (own == state.end()) {
      add("missing key ", name);
    } else if (own->second.shape() != array.shape()) {
      add(name, ": shape ", own->second.shape(), ", expected ", array.shape());
    } else if (sources[number] != nullptr && !same_numbers(*sources[number], own->second)) {
      add(name, ": another value than under the other name of the same array");
    } else {
      sources[number] = &own->second;
    }
  }
  for (const auto& [name, array] : state)
    if (std::ranges::none_of(keys, [&](const auto& key) { return key.first == name; }))
      add("unexpected key ", name);
  check<ValueError>(problems.empty(), "load_state_dict of the loaded model: ", problems);
  const std::lock_guard writing(turns);
  for (std::size_t i = 0; i < arrays.size(); ++i)
    if (sources[i] != nullptr) {
      copy_values(*sources[i], arrays[i].second);
      arrays[i].second.writes().written();
    }
}

}  // namespace ravine
