#include "train/memory.h"

#include <algorithm>
#include <cstring>

#include "core/copy.h"
#include "core/error.h"

namespace ravine::train {
namespace {

using Entry = StageKind::Memory;

std::size_t ages_of(const Stage& stage, const Entry& entry) {
  return entry.history ? static_cast<std::size_t>(stage.numbers[0].constant) : 1;
}

}  // namespace

std::vector<MemoryPiece> memory_pieces(const Stage& stage, std::span<const NamedParameter> parameters) {
  std::vector<MemoryPiece> pieces;
  for (std::size_t e = 0; e < stage.kind->memory.size(); ++e) {
    const Entry& entry = stage.kind->memory[e];
    std::size_t offset = 0;
    const auto add = [&](const std::string& name, const Array& like, const Shape& shape) {
      Shape saved;
      if (entry.history) saved.push_back(static_cast<std::int64_t>(ages_of(stage, entry)));
      for (const std::int64_t extent : shape) saved.push_back(extent);
      const std::size_t bytes = static_cast<std::size_t>(numel(shape)) * size_of(like.dtype());
      pieces.push_back({name, saved, e, offset, bytes});
      offset += bytes;
    };
    if (entry.is_number) {
      add(entry.name, parameters[0].array, Shape{});
      continue;
    }
    for (const NamedParameter& parameter : parameters)
      add(parameter.name + "." + entry.name, parameter.array, parameter.array.shape());
  }
  return pieces;
}

StageMemory::StageMemory(const std::string& owner, const Stage& stage,
                         std::span<const NamedParameter> parameters)
    : pieces_(memory_pieces(stage, parameters)) {
  const DType dtype = parameters[0].array.dtype();
  std::int64_t length = 0;
  for (const NamedParameter& parameter : parameters) {
    const DType other = parameter.array.dtype();
    check<ValueError>(other == dtype, owner, ": parameters of one dtype are expected, got ",
                      name_of(std::min(dtype, other)), ", ", name_of(std::max(dtype, other)));
    length += parameter.array.size();
  }
  for (const Entry& entry : stage.kind->memory) {
    std::vector<Array>& ages = arrays_.emplace_back();
    for (std::size_t age = 0; age < ages_of(stage, entry); ++age)
      ages.emplace_back(dtype, entry.is_number ? Shape{} : Shape{length});
    if (!entry.begins_as_parameters) continue;
    std::byte* place = ages[0].data();
    for (const NamedParameter& parameter : parameters) {
      Array in_order(dtype, parameter.array.shape());
      copy_values(parameter.array, in_order);
      std::memcpy(place, in_order.data(), in_order.bytes());
      place += in_order.bytes();
    }
  }
}

NamedArrays StageMemory::state_dict() const {
  NamedArrays state;
  for (const MemoryPiece& piece : pieces_) {
    const std::vector<Array>& ages = arrays_[piece.entry];
    const Array copy(ages[0].dtype(), piece.shape);
    for (std::size_t age = 0; age < ages.size(); ++age)
      std::memcpy(copy.data() + age * piece.bytes, ages[age].data() + piece.offset, piece.bytes);
    state.emplace_back(piece.name, copy);
  }
  return state;
}

void StageMemory::restore(const NamedArrays& state) {
  std::vector<const Array*> found;
  for (const MemoryPiece& piece : pieces_) {
    const auto kept = std::find_if(state.begin(), state.end(),
                                   [&](const auto& named) { return named.first == piece.name; });
    if (kept == state.end() || kept->second.shape() != piece.shape) return;
    found.push_back(&kept->second);
  }
  if (state.size() != pieces_.size()) return;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const MemoryPiece& piece = pieces_[i];
    const std::vector<Array>& ages = arrays_[piece.entry];
    const Array converted(ages[0].dtype(), piece.shape);
    copy_values(*found[i], converted);
    for (std::size_t age = 0; age < ages.size(); ++age) {
      std::memcpy(ages[age].data() + piece.offset, converted.data() + age * piece.bytes, piece.bytes);
      ages[age].writes().written();
    }
  }
}

}  // namespace ravine::train
