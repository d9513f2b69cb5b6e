#include "core/copy.h"

#include <cstring>

#include "core/error.h"
#include "core/lock_all.h"

namespace ravine {
namespace {

// The axes from `axis` on.
template <class From, class To>
void copy_axes(const Array& from, const Array& to, int axis, const From* source, To* target) {
  if (axis == from.shape().rank()) {
    *target = static_cast<To>(*source);
    return;
  }
  const std::int64_t source_stride = from.strides()[axis], target_stride = to.strides()[axis];
  for (std::int64_t i = 0; i < from.shape()[axis]; ++i)
    copy_axes(from, to, axis + 1, source + i * source_stride, target + i * target_stride);
}

template <class Visit>
void with_type(DType dtype, Visit visit) {
  switch (dtype) {
#define RAVINE_CASE(id, name, Type, kind) \
  case DType::id:                         \
    return visit(Type{});
    RAVINE_DTYPES(RAVINE_CASE)
#undef RAVINE_CASE
  }
  unsupported_dtype("copy_values", dtype);
}

}  // namespace

void copy_values(const Array& from, const Array& to) {
  check<ValueError>(from.shape() == to.shape(), "copy_values: from shape ", from.shape(), " to ", to.shape());
  if (from.dtype() == to.dtype() && from.strides() == to.strides()) {
    std::memcpy(to.data(), from.data(), from.bytes());
  } else {
    with_type(from.dtype(), [&](auto source) {
      with_type(to.dtype(), [&](auto target) {
        copy_axes(from, to, 0, from.as<decltype(source)>(), to.as<decltype(target)>());
      });
    });
  }
  to.writes().written();
}

std::vector<Array> copies_of(std::span<const Array> arrays) {
  std::vector<Array> copies;
  std::vector<std::shared_ptr<Writer>> writers;
  for (const Array& array : arrays) {
    copies.emplace_back(array.dtype(), array.shape());
    const auto own = array.writes().writers();
    writers.insert(writers.end(), own.begin(), own.end());
  }
  LocksInOrder in_order;
  for (const auto& writer : writers) in_order.insert(&writer->mutex);
  const std::vector<Mutex*> locks(in_order.begin(), in_order.end());
  const LockAll lock(locks);
  for (std::size_t i = 0; i < arrays.size(); ++i) copy_values(arrays[i], copies[i]);
  return copies;
}

}  // namespace ravine
