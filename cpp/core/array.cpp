#include "core/array.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "core/error.h"

namespace ravine {

SharedBytes allocate_bytes(std::size_t bytes) {
  // Large memory in huge pages: a matrix's rows then share the few pages that the processor keeps
  // translations of, and its first use faults once in 2 MiB.
  constexpr std::size_t huge_page = std::size_t{2} << 20;
  const std::size_t unit = bytes >= 2 * huge_page ? huge_page : 64;
  const std::size_t rounded = std::max<std::size_t>(64, (bytes + unit - 1) / unit * unit);
  const std::align_val_t alignment{unit};
  auto* memory = static_cast<std::byte*>(::operator new[](rounded, alignment));
#if defined(__linux__)
  if (unit == huge_page) ::madvise(memory, rounded, MADV_HUGEPAGE);  // advice: a refusal changes nothing
#endif
  std::memset(memory, 0, rounded);
  return SharedBytes(memory, [alignment](std::byte* pointer) { ::operator delete[](pointer, alignment); });
}

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
  data_ = allocate_bytes(bytes());
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
  }
  return array;
}

}  // namespace ravine
