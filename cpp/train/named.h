// Arrays of a training run by name.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "core/array.h"

namespace ravine::train {

struct NamedParameter {
  std::string name;
  Array array;
  std::size_t group = 0;
};

using NamedArrays = std::vector<std::pair<std::string, Array>>;

}  // namespace ravine::train
