// What a stage remembers of all parameters together, as L-BFGS does its steps: vectors in which the
// parameters stand in a row, and numbers.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/array.h"
#include "train/named.h"
#include "train/stages.h"

namespace ravine::train {

// An array of the memory's state_dict: one parameter's part of a vector, or a number, at all ages.
struct MemoryPiece {
  std::string name;  // "<parameter>.<entry>", "<entry>"
  Shape shape;
  std::size_t entry;          // in the kind's list
  std::size_t offset, bytes;  // in the vector of each age
};
std::vector<MemoryPiece> memory_pieces(const Stage& stage, std::span<const NamedParameter> parameters);

class StageMemory {
 public:
  StageMemory() = default;
  // As it begins; there is at least one parameter. `owner` is for messages. ValueError for parameters of
  // different dtypes.
  StageMemory(const std::string& owner, const Stage& stage, std::span<const NamedParameter> parameters);

  const std::vector<std::vector<Array>>& arrays() const { return arrays_; }  // [entry][age]

  NamedArrays state_dict() const;  // copies
  // Takes what `state_dict` returned, if it is of these parameters and of as long a history.
  void restore(const NamedArrays& state);

 private:
  std::vector<MemoryPiece> pieces_;
  std::vector<std::vector<Array>> arrays_;
};

}  // namespace ravine::train
