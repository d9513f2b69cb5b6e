// Shapes, strides and axes of tensors of at most max_rank dimensions; no allocation.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>

namespace ravine {

inline constexpr int max_rank = 8;

// A short list of integers: a shape, strides in elements, or a list of axes.
class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<std::int64_t> values);
  explicit Dims(std::span<const std::int64_t> values);
  static Dims filled(int rank, std::int64_t value);

  int rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  std::int64_t operator[](int axis) const { return values_[static_cast<std::size_t>(axis)]; }
  std::int64_t& operator[](int axis) { return values_[static_cast<std::size_t>(axis)]; }
  std::int64_t back() const { return values_[static_cast<std::size_t>(rank_ - 1)]; }
  const std::int64_t* begin() const { return values_.data(); }
  const std::int64_t* end() const { return values_.data() + rank_; }
  void push_back(std::int64_t value);  // ValueError past max_rank
  bool contains(std::int64_t value) const;

  bool operator==(const Dims& other) const;

 private:
  std::array<std::int64_t, max_rank> values_{};
  int rank_ = 0;
};

using Shape = Dims;
using Strides = Dims;
using Axes = Dims;

std::int64_t numel(const Shape& shape);   // the largest std::int64_t where that is exceeded
std::string to_string(const Dims& dims);  // "(64, 3, 28, 28)", "(5,)", "()"
std::ostream& operator<<(std::ostream& out, const Dims& dims);

// Strides in elements of a dense tensor, last axis fastest.
Strides row_major_strides(const Shape& shape);
// Strides of a dense tensor [N, C, ...] whose channels are fastest: NHWC for images, [out, h, w, in] for
// filters.
Strides channels_last_strides(const Shape& shape);
// True where the strides address the elements in that order without gaps; axes of extent 1 do not matter.
bool is_row_major(const Shape& shape, const Strides& strides);
bool is_channels_last(const Shape& shape, const Strides& strides);

// NumPy's broadcasting. ValueError naming `operation` and both shapes where it does not apply.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* operation);
// Strides that read a tensor of `shape` as if it were of the (broadcast) shape `target`.
Strides broadcast_strides(const Shape& shape, const Strides& strides, const Shape& target);

// Axis in [0, rank); negative counts from the end. ValueError naming `operation` outside.
int normalize_axis(std::int64_t axis, int rank, const char* operation);
// Sorted, distinct, non-negative axes; an empty list means all of them.
Axes normalize_axes(const Axes& axes, int rank, const char* operation);

}  // namespace ravine
