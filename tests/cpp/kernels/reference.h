// Sums of products in plain loops, by which kernels are judged. Their file is optimised and free of
// sanitizers in every build: most of the tests' time would be theirs, and they are not what is tested.
#pragma once

#include <cstdint>

#include "kernels/api/conv.h"

namespace ravine::testing {

template <class T>
struct MatrixView {
  const T* data;
  std::int64_t row_stride, column_stride;
};

// sums[i, j] += sum over p of a[i, p] b[p, j] in the precision of Sum, p upwards; `sums` [m, n] is
// contiguous. For T = float in double, for double in long double: a result needs a finer judge.
template <class T, class Sum>
void add_product(std::int64_t m, std::int64_t n, std::int64_t k, MatrixView<T> a, MatrixView<T> b, Sum* sums);

// The three passes of a convolution, added to what the results hold (images NHWC, filters OHWI).
template <class T>
void add_convolution(const kernels::ConvShape& shape, const T* input, const T* filter, const T* grad_output,
                     double* output, double* grad_input, double* grad_filter);

}  // namespace ravine::testing
