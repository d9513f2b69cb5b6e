// Copies between arrays of different dtypes and layouts.
#pragma once

#include <span>
#include <vector>

#include "core/array.h"

namespace ravine {

// The numbers of an array into one of the same shape. ValueError for another shape.
void copy_values(const Array& from, const Array& to);

// Row-major copies. They are of one moment between the changes of those who write the arrays.
std::vector<Array> copies_of(std::span<const Array> arrays);

}  // namespace ravine
