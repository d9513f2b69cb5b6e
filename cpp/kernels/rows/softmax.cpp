// Softmax and its logarithm.
#include "kernels/api/table.h"
#include "kernels/rows/softmax_rows.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

// y[r, c] = exp(x - maxima[r]) of n <= rows_at_once rows, and the sums of the rows; x may be y.
template <class T>
void exponentials_of_rows(const T* x, std::int64_t n, std::int64_t columns, const T* maxima, T* sums, T* y) {
  if (columns <= short_row) {
    exponentials_of_short_rows<T>(x, n, columns, maxima, y);
    sum_each_row<T>(n, {sums}, [&](std::int64_t row, Vec<T>* out) RAVINE_INLINE_LAMBDA {
      out[0] = lane_sums<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        return load<T>(y + row * columns + c, count...);
      });
    });
    return;
  }
  sum_each_row<T>(n, {sums}, [&](std::int64_t row, Vec<T>* out) RAVINE_INLINE_LAMBDA {
    out[0] = lane_sums<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
      const std::int64_t at = row * columns + c;
      const Vec<T> value = shifted_exp<T>(x + at, maxima[row], count...);
      store<T>(y + at, value, count...);
      return value;
    });
  });
}

// f(i, values of the row, count...) on the elements i of n dense rows, with one number of each array for a
// row.
template <class T, int N, class F>
RAVINE_INLINE void with_values_of_rows(std::int64_t n, std::int64_t columns, const T* const (&of_rows)[N],
                                       F f) {
  Vec<T> own[N];
  if (columns <= short_row) {
    alignas(64) T repeated[N][short_elements];
    for (int s = 0; s < N; ++s) repeat_for_columns<T>(of_rows[s], n, columns, repeated[s]);
    for_columns<T>(n * columns, [&](std::int64_t i, auto... count) RAVINE_INLINE_LAMBDA {
      for (int s = 0; s < N; ++s) own[s] = load<T>(repeated[s] + i, count...);
      f(i, own, count...);
    });
    return;
  }
  for (std::int64_t r = 0; r < n; ++r) {
    for (int s = 0; s < N; ++s) own[s] = splat<T>(of_rows[s][r]);
    for_columns<T>(columns, [&](std::int64_t c, auto... count)
                                RAVINE_INLINE_LAMBDA { f(r * columns + c, own, count...); });
  }
}

}  // namespace

template <class T>
void softmax(const SoftmaxArgs& args, const Team& team) {
  const std::int64_t columns = args.columns;
  const Pieces rows = pieces_of(args.rows, team);
  for (std::int64_t first = rows.begin; first < rows.end; first += rows_at_once) {
    const T* x = static_cast<const T*>(args.input) + first * columns;
    T* y = static_cast<T*>(args.output) + first * columns;
    const std::int64_t n = smaller(rows_at_once, rows.end - first);
    alignas(64) T maxima[rows_at_once] = {}, sums[rows_at_once] = {};
    if (args.log) {
      // The maximum first: log_sum_exp, rounded beside it, would lose the logarithm.
      log_sums_of_rows<T>(x, n, columns, maxima, sums);
      with_values_of_rows<T>(n, columns, {maxima, sums},
                             [&](std::int64_t i, const Vec<T>* own, auto... count) RAVINE_INLINE_LAMBDA {
                               store<T>(y + i, (load<T>(x + i, count...) - own[0]) - own[1], count...);
                             });
      continue;
    }
    maxima_of_rows<T>(x, n, columns, maxima);
    exponentials_of_rows<T>(x, n, columns, maxima, sums, y);
    for (std::int64_t r = 0; r < n; r += lanes<T>) store<T>(sums + r, T(1) / load<T>(sums + r));
    with_values_of_rows<T>(n, columns, {sums},
                           [&](std::int64_t i, const Vec<T>* own, auto... count) RAVINE_INLINE_LAMBDA {
                             store<T>(y + i, load<T>(y + i, count...) * own[0], count...);
                           });
  }
}

template <class T>
void softmax_grad(const SoftmaxGradArgs& args, const Team& team) {
  const std::int64_t columns = args.columns;
  const Pieces rows = pieces_of(args.rows, team);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const T* y = static_cast<const T*>(args.output) + row * columns;
    const T* dy = static_cast<const T*>(args.grad_output) + row * columns;
    T* dx = static_cast<T*>(args.grad_input) + row * columns;
    const T sum = sum_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
      const Vec<T> grad = load<T>(dy + c, count...);
      return args.log ? grad : grad * load<T>(y + c, count...);
    });
    for_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
      const Vec<T> grad = load<T>(dy + c, count...), value = load<T>(y + c, count...);
      store<T>(dx + c, args.log ? grad - exp<T>(value) * sum : value * (grad - sum), count...);
    });
  }
}

template void softmax<float>(const SoftmaxArgs&, const Team&);
template void softmax<double>(const SoftmaxArgs&, const Team&);
template void softmax_grad<float>(const SoftmaxGradArgs&, const Team&);
template void softmax_grad<double>(const SoftmaxGradArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
