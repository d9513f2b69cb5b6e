#include "api/batch.h"

namespace ravine::v1 {

TensorType program_type(const View& view, DType floating) {
  const ravine::DType own = engine(view.dtype());
  return {is_floating(own) ? engine(floating) : own, engine(view.shape())};
}

bool has_types(std::span<const View> batch, DType floating, std::span<const TensorType> types) {
  if (batch.size() != types.size()) return false;
  for (std::size_t i = 0; i < batch.size(); ++i)
    if (program_type(batch[i], floating) != types[i]) return false;
  return true;
}

std::vector<TensorType> program_types(std::span<const View> batch, DType floating) {
  std::vector<TensorType> types;
  for (const View& view : batch) types.push_back(program_type(view, floating));
  return types;
}

BatchPointers::BatchPointers(std::span<const View> batch, DType floating) {
  pointers_.reserve(batch.size());
  for (const View& view : batch) {
    const TensorType type = program_type(view, floating);
    if (type.dtype == engine(view.dtype())) {
      pointers_.push_back(view.data());
      continue;
    }
    converted_.emplace_back(type.dtype, type.shape);
    copy_values(engine(view), converted_.back());
    pointers_.push_back(converted_.back().data());
  }
}

}  // namespace ravine::v1
