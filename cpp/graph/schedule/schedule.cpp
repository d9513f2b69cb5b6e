#include "graph/schedule/schedule.h"

#include <algorithm>
#include <cmath>

#include "core/floating.h"

namespace ravine {

bool Guard::refuses() const {
  if (target != nullptr) return target->refuses();
  return is_floating(dtype) && with_floating(dtype, "guard", [&]<class T>() {
           return !std::isfinite(*static_cast<const T*>(value));
         });
}

int Schedule::add_storage(const Storage& storage) {
  storages.push_back(storage);
  return static_cast<int>(storages.size()) - 1;
}

void Schedule::bind(int index, PointerField field, const View& view, bool write) {
  Storage& memory = storage(view.storage);
  memory.first_call = memory.first_call < 0 ? index : std::min(memory.first_call, index);
  memory.last_call = std::max(memory.last_call, index);
  (write ? call(index).writes : call(index).reads).push_back(view.storage);
  if (!write) memory.bytes_read += view.bytes();
  bindings.push_back({field, view.storage, view.byte_offset()});
}

void Schedule::add_fused(int index, const std::string& steps) {
  std::string& fused = call(index).fused;
  fused += (fused.empty() ? "" : ", ") + steps;
}

}  // namespace ravine
