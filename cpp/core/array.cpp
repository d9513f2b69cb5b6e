#include "core/array.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>

#include "core/error.h"
#include "core/memory_error.h"

namespace ravine {
namespace {

std::atomic<std::uint64_t> all_writers_added{0};

bool has_ended(const std::shared_ptr<Writer>& writer) { return writer->ended; }

}  // namespace

void WriteRecord::add_writer(const std::shared_ptr<Writer>& writer) {
  const std::lock_guard lock(mutex_);
  if (std::find(writers_.begin(), writers_.end(), writer) != writers_.end()) return;
  std::erase_if(writers_, has_ended);
  writers_.push_back(writer);
  ++all_writers_added;
}

std::vector<std::shared_ptr<Writer>> WriteRecord::writers() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Writer>> found = writers_;
  std::erase_if(found, has_ended);
  return found;
}

std::uint64_t WriteRecord::writers_added() { return all_writers_added.load(std::memory_order_acquire); }

Array::Array(DType dtype, const Shape& shape, Layout layout)
    : dtype_(dtype),
      shape_(shape),
      strides_(layout == Layout::channels_last ? channels_last_strides(shape) : row_major_strides(shape)),
      layout_(layout) {
  std::int64_t size = static_cast<std::int64_t>(size_of(dtype));
  for (const std::int64_t extent : shape) {
    check<ValueError>(extent >= 0, "array: negative extent in shape ", shape);
    check<ValueError>(extent == 0 || size <= std::numeric_limits<std::int64_t>::max() / extent,
                      "array: shape ", shape, " is too large");
    size *= extent;
  }
  data_ = with_memory(
      bytes(), [&] { return str("an array ", name_of(dtype), " of shape ", shape); },
      [&] { return allocate_bytes(bytes()); });
  writes_ = std::make_shared<WriteRecord>();
}

Array Array::scalar(double value, DType dtype) {
  const Array array(dtype, Shape{});
  switch (dtype) {
    case DType::float32:
      *array.as<float>() = static_cast<float>(value);
      break;
    case DType::float64:
      *array.as<double>() = value;
      break;
    case DType::int32:
      *array.as<std::int32_t>() = static_cast<std::int32_t>(value);
      break;
    case DType::int64:
      *array.as<std::int64_t>() = static_cast<std::int64_t>(value);
      break;
    case DType::uint8:
      *array.as<std::uint8_t>() = static_cast<std::uint8_t>(value);
      break;
    case DType::boolean:
      *array.as<bool>() = value != 0;
      break;
    default:
      unsupported_dtype("array", dtype);
  }
  return array;
}

}  // namespace ravine
