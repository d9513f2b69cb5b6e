#include <cstring>
#include <limits>
#include <new>

#include "api/access.h"

namespace ravine::v1 {
namespace {

constexpr std::align_val_t alignment{64};

}  // namespace

const std::string& Status::none() {
  static const std::string empty;
  return empty;
}

const char* name_of(DType dtype) { return ravine::name_of(engine(dtype)); }
std::size_t size_of(DType dtype) { return ravine::size_of(engine(dtype)); }

Shape::Shape(std::span<const std::int64_t> values) {
  check<ValueError>(values.size() <= max_rank, "shape: got ", values.size(), " extents, at most ", max_rank,
                    " are allowed");
  for (const std::int64_t value : values) values_[rank_++] = value;
}

std::int64_t Shape::size() const {
  std::int64_t size = 1;
  for (const std::int64_t extent : *this) {
    check<ValueError>(extent >= 0, "shape: negative extent in ", to_string(*this));
    check<ValueError>(extent == 0 || size <= std::numeric_limits<std::int64_t>::max() / extent,
                      "shape: ", to_string(*this), " is too large");
    size *= extent;
  }
  return size;
}

bool Shape::operator==(const Shape& other) const { return engine(*this) == engine(other); }

std::string to_string(const Shape& shape) { return ravine::to_string(engine(shape)); }

View::View(const void* data, DType dtype, const Shape& shape)
    : data_(data), shape_(shape), size_(shape.size()), dtype_(dtype) {
  ravine::size_of(engine(dtype));  // raises for what is no dtype
  check<ValueError>(data != nullptr || size_ == 0, "view: null for an array of shape ", to_string(shape));
}

void View::expect(DType dtype) const {
  check<TypeError>(dtype == dtype_, "array: its elements are of ", name_of(dtype_), ", not of ",
                   name_of(dtype));
}

void expect_size(std::int64_t given, const Shape& shape) {
  check<ValueError>(given == shape.size(), "view: got ", given, " elements for the shape ", to_string(shape),
                    ", which has ", shape.size());
}

Array::Array(DType dtype, const Shape& shape) : shape_(shape), dtype_(dtype) {
  const auto elements = static_cast<std::size_t>(shape.size()), element = size_of(dtype);
  check<ValueError>(elements <= std::numeric_limits<std::size_t>::max() / 2 / element, "array: shape ",
                    to_string(shape), " is too large");
  memory_.reset(static_cast<std::byte*>(::operator new(elements* element, alignment)));
  std::memset(memory_.get(), 0, elements * element);
}

Array::Array(const View& values) : Array(values.dtype(), values.shape()) {
  if (values.size() > 0) std::memcpy(memory_.get(), values.data(), bytes());
}

void Array::Free::operator()(std::byte* memory) const { ::operator delete(memory, alignment); }

ravine::Array engine(const View& values) {
  ravine::Array array(engine(values.dtype()), engine(values.shape()));
  if (array.size() > 0) std::memcpy(array.data(), values.data(), array.bytes());
  return array;
}

Array shown(const ravine::Array& array) {
  const ravine::Array* row_major = &array;
  ravine::Array copy;
  if (array.layout() != Layout::row_major) {
    copy = ravine::Array(array.dtype(), array.shape());
    copy_values(array, copy);
    row_major = &copy;
  }
  return Array(View(row_major->data(), shown(array.dtype()), shown(array.shape())));
}

}  // namespace ravine::v1
