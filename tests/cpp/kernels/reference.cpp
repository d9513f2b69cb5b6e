#include "kernels/reference.h"

namespace ravine::testing {

template <class T, class Sum>
void add_product(std::int64_t m, std::int64_t n, std::int64_t k, MatrixView<T> a, MatrixView<T> b,
                 Sum* sums) {
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t p = 0; p < k; ++p) {
      const Sum factor = a.data[i * a.row_stride + p * a.column_stride];
      const T* row = b.data + p * b.row_stride;
      Sum* to = sums + i * n;
      if (b.column_stride == 1)
        for (std::int64_t j = 0; j < n; ++j) to[j] += factor * row[j];
      else
        for (std::int64_t j = 0; j < n; ++j) to[j] += factor * row[j * b.column_stride];
    }
}

template <class T>
void add_convolution(const kernels::ConvShape& s, const T* input, const T* filter, const T* grad_output,
                     double* __restrict output, double* __restrict grad_input,
                     double* __restrict grad_filter) {
  const std::int64_t group_in = s.channels / s.groups, group_out = s.out_channels / s.groups;
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t oy = 0; oy < s.out_height; ++oy)
      for (std::int64_t ox = 0; ox < s.out_width; ++ox)
        for (std::int64_t ky = 0; ky < s.kernel_h; ++ky)
          for (std::int64_t kx = 0; kx < s.kernel_w; ++kx) {
            const std::int64_t y = oy * s.stride_h - s.pad_h + ky * s.dilation_h;
            const std::int64_t x = ox * s.stride_w - s.pad_w + kx * s.dilation_w;
            if (y < 0 || y >= s.height || x < 0 || x >= s.width) continue;
            for (std::int64_t o = 0; o < s.out_channels; ++o) {
              const std::int64_t pixel =
                  ((n * s.height + y) * s.width + x) * s.channels + o / group_out * group_in;
              const std::int64_t tap = ((o * s.kernel_h + ky) * s.kernel_w + kx) * group_in;
              const std::int64_t at = ((n * s.out_height + oy) * s.out_width + ox) * s.out_channels + o;
              const double grad = grad_output[at];
              double sum = 0;
              for (std::int64_t c = 0; c < group_in; ++c) {
                const double value = input[pixel + c], weight = filter[tap + c];
                sum += value * weight;
                grad_input[pixel + c] += grad * weight;
                grad_filter[tap + c] += grad * value;
              }
              output[at] += sum;
            }
          }
}

template void add_product(std::int64_t, std::int64_t, std::int64_t, MatrixView<float>, MatrixView<float>,
                          double*);
template void add_product(std::int64_t, std::int64_t, std::int64_t, MatrixView<double>, MatrixView<double>,
                          double*);
template void add_product(std::int64_t, std::int64_t, std::int64_t, MatrixView<double>, MatrixView<double>,
                          long double*);
template void add_convolution(const kernels::ConvShape&, const float*, const float*, const float*, double*,
                              double*, double*);
template void add_convolution(const kernels::ConvShape&, const double*, const double*, const double*, double*,
                              double*, double*);

}  // namespace ravine::testing
