// The arrays of a call, as programs take them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "api/access.h"

namespace ravine::v1 {

// The types of a batch as a program for it has them: floating arrays in the model's dtype.
TensorType program_type(const View& view, DType floating);
bool has_types(std::span<const View> batch, DType floating, std::span<const TensorType> types);
std::vector<TensorType> program_types(std::span<const View> batch, DType floating);

// Pointers to the batch's arrays; those of the other floating dtype are converted.
class BatchPointers {
 public:
  BatchPointers(std::span<const View> batch, DType floating);
  std::span<const void* const> pointers() const { return pointers_; }

 private:
  std::vector<const void*> pointers_;
  std::vector<ravine::Array> converted_;
};

}  // namespace ravine::v1
