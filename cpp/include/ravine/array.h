// Arrays, and views of memory that belongs to the caller: dense, row-major, with a dtype and a shape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>

#include "ravine/error.h"

namespace ravine {
#pragma GCC visibility push(default)
namespace v1 {

enum class DType : std::uint8_t { float32, float64, int32, int64, uint8, boolean };

const char* name_of(DType dtype);  // "float32", ..., "bool"
std::size_t size_of(DType dtype);  // bytes of an element

// The dtype of a C++ type: dtype_of<float>() is DType::float32. Other types do not compile.
template <class T>
constexpr DType dtype_of() {
  constexpr bool is_signed_integer = std::is_integral_v<T> && std::is_signed_v<T>;
  if constexpr (std::is_same_v<T, float>) return DType::float32;
  else if constexpr (std::is_same_v<T, double>) return DType::float64;
  else if constexpr (std::is_same_v<T, bool>) return DType::boolean;
  else if constexpr (std::is_same_v<T, unsigned char>) return DType::uint8;
  else if constexpr (is_signed_integer && sizeof(T) == 4) return DType::int32;
  else if constexpr (is_signed_integer && sizeof(T) == 8) return DType::int64;
  else static_assert(!sizeof(T), "an array has elements of float, double, int32, int64, uint8 or bool");
}

// Extents of at most 8 dimensions; also strides, paddings and lists of axes. Allocates nothing.
class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> values)
      : Shape(std::span<const std::int64_t>(values.begin(), values.size())) {}
  explicit Shape(std::span<const std::int64_t> values);  // Error for more than max_rank

  int rank() const { return rank_; }
  std::int64_t operator[](int axis) const { return values_[axis]; }
  std::int64_t& operator[](int axis) { return values_[axis]; }
  const std::int64_t* begin() const { return values_; }
  const std::int64_t* end() const { return values_ + rank_; }
  std::int64_t size() const;  // number of elements; Error where it is negative or exceeds 63 bits
  bool operator==(const Shape& other) const;

 private:
  std::int64_t values_[max_rank] = {};
  int rank_ = 0;
};
std::string to_string(const Shape& shape);  // "(50, 64)"

// Memory of the caller, which has to live and stay as it is while a call reads it.
class View {
 public:
  View(const void* data, DType dtype, const Shape& shape);  // Error for null with elements, a bad shape

  const void* data() const { return data_; }
  template <class T>
  const T* data() const {
    expect(dtype_of<T>());
    return static_cast<const T*>(data_);
  }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t size() const { return size_; }

 private:
  void expect(DType dtype) const;  // Error for another
  const void* data_;
  Shape shape_;
  std::int64_t size_;
  DType dtype_;
};

// `view(x.data(), {50, 64})`: the elements of the pointer's type, which nobody counts.
template <class T>
View view(const T* data, const Shape& shape) {
  return View(data, dtype_of<std::remove_cv_t<T>>(), shape);
}
void expect_size(std::int64_t given, const Shape& shape);  // Error where they differ

// `view(x, {50, 64})` of a vector, array or span, whose size has to be that of the shape; `view(x)`: one
// axis.
template <std::ranges::contiguous_range Range>
View view(const Range& values, const Shape& shape) {
  expect_size(static_cast<std::int64_t>(std::ranges::size(values)), shape);
  return view(std::ranges::data(values), shape);
}
template <std::ranges::contiguous_range Range>
View view(const Range& values) {
  return view(values, {static_cast<std::int64_t>(std::ranges::size(values))});
}

// An array with memory of its own (64-byte aligned); copies are deep.
class Array {
 public:
  Array() : Array(DType::float32, {0}) {}
  Array(DType dtype, const Shape& shape);  // zeros
  explicit Array(const View& values);      // a copy
  Array(const Array& other) : Array(View(other)) {}
  Array(Array&&) noexcept = default;
  Array& operator=(const Array& other) { return *this = Array(other); }
  Array& operator=(Array&&) noexcept = default;
  ~Array() = default;

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t size() const { return shape_.size(); }
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * size_of(dtype_); }

  void* data() { return memory_.get(); }
  const void* data() const { return memory_.get(); }
  // Elements of type T; Error where the dtype is another.
  template <class T>
  T* data() {
    return const_cast<T*>(View(*this).data<T>());
  }
  template <class T>
  const T* data() const {
    return View(*this).data<T>();
  }
  operator View() const { return View(memory_.get(), dtype_, shape_); }

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte[], Free> memory_;
  Shape shape_;
  DType dtype_;
};

}  // namespace v1
#pragma GCC visibility pop
}  // namespace ravine
