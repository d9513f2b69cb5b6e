#include "core/shape.h"

#include <algorithm>
#include <limits>
#include <ostream>

#include "core/error.h"

namespace ravine {

Dims::Dims(std::initializer_list<std::int64_t> values)
    : Dims(std::span<const std::int64_t>(values.begin(), values.size())) {}

Dims::Dims(std::span<const std::int64_t> values) {
  for (const std::int64_t value : values) push_back(value);
}

Dims Dims::filled(int rank, std::int64_t value) {
  Dims dims;
  for (int axis = 0; axis < rank; ++axis) dims.push_back(value);
  return dims;
}

void Dims::push_back(std::int64_t value) {
  check<ValueError>(rank_ < max_rank, "a tensor has at most ", max_rank, " dimensions");
  values_[static_cast<std::size_t>(rank_++)] = value;
}

bool Dims::contains(std::int64_t value) const { return std::find(begin(), end(), value) != end(); }

bool Dims::operator==(const Dims& other) const {
  return std::equal(begin(), end(), other.begin(), other.end());
}

std::int64_t numel(const Shape& shape) {
  if (shape.contains(0)) return 0;
  std::int64_t count = 1;
  for (const std::int64_t extent : shape)
    if (__builtin_mul_overflow(count, extent, &count)) return std::numeric_limits<std::int64_t>::max();
  return count;
}

std::string to_string(const Dims& dims) {
  std::string text = "(";
  for (int axis = 0; axis < dims.rank(); ++axis) text += (axis ? ", " : "") + std::to_string(dims[axis]);
  return text + (dims.rank() == 1 ? ",)" : ")");
}

std::ostream& operator<<(std::ostream& out, const Dims& dims) { return out << to_string(dims); }

Strides row_major_strides(const Shape& shape) {
  Strides strides = Dims::filled(shape.rank(), 1);
  for (int axis = shape.rank() - 2; axis >= 0; --axis) strides[axis] = strides[axis + 1] * shape[axis + 1];
  return strides;
}

Strides channels_last_strides(const Shape& shape) {
  if (shape.rank() < 3) return row_major_strides(shape);
  Strides strides = Dims::filled(shape.rank(), 1);
  std::int64_t step = shape[1];
  for (int axis = shape.rank() - 1; axis >= 2; --axis) {
    strides[axis] = step;
    step *= shape[axis];
  }
  strides[0] = step;
  return strides;
}

namespace {
bool same_addresses(const Shape& shape, const Strides& strides, const Strides& expected) {
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] == 0) return true;
    if (shape[axis] != 1 && strides[axis] != expected[axis]) return false;
  }
  return true;
}
}  // namespace

bool is_row_major(const Shape& shape, const Strides& strides) {
  return same_addresses(shape, strides, row_major_strides(shape));
}

bool is_channels_last(const Shape& shape, const Strides& strides) {
  return same_addresses(shape, strides, channels_last_strides(shape));
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* operation) {
  const int rank = std::max(a.rank(), b.rank());
  Shape result = Dims::filled(rank, 1);
  for (int back = 1; back <= rank; ++back) {
    const std::int64_t x = back <= a.rank() ? a[a.rank() - back] : 1;
    const std::int64_t y = back <= b.rank() ? b[b.rank() - back] : 1;
    check<ValueError>(x == y || x == 1 || y == 1, operation, ": shapes ", a, " and ", b,
                      " do not broadcast: the extents ", x, " and ", y, " of axis -", back,
                      " differ and neither is 1");
    result[rank - back] = x == 1 ? y : x;
  }
  return result;
}

Strides broadcast_strides(const Shape& shape, const Strides& strides, const Shape& target) {
  Strides result = Dims::filled(target.rank(), 0);
  for (int back = 1; back <= shape.rank(); ++back) {
    const int axis = shape.rank() - back;
    if (shape[axis] != 1) result[target.rank() - back] = strides[axis];
  }
  return result;
}

int normalize_axis(std::int64_t axis, int rank, const char* operation) {
  check<ValueError>(axis >= -rank && axis < rank, operation, ": axis ", axis, " is outside a tensor of ",
                    rank, rank == 1 ? " dimension" : " dimensions");
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

Axes normalize_axes(const Axes& axes, int rank, const char* operation) {
  Axes result;
  if (axes.empty()) {
    for (int axis = 0; axis < rank; ++axis) result.push_back(axis);
    return result;
  }
  std::array<bool, max_rank> seen{};
  for (const std::int64_t axis : axes) {
    bool& mark = seen[static_cast<std::size_t>(normalize_axis(axis, rank, operation))];
    check<ValueError>(!mark, operation, ": axes ", axes, " name an axis twice");
    mark = true;
  }
  for (int axis = 0; axis < rank; ++axis)
    if (seen[static_cast<std::size_t>(axis)]) result.push_back(axis);
  return result;
}

}  // namespace ravine
