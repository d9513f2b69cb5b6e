// Copies between arrays of different dtypes and layouts.
#pragma once

#include "core/array.h"

namespace ravine {

// The numbers of an array into one of the same shape. ValueError for another shape.
void copy_values(const Array& from, const Array& to);

}  // namespace ravine
