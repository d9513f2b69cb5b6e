// Softmax and cross-entropy: the maximum of a row, the sum of exp(x - maximum), and what follows from them.
// Each is taken for many rows before the next, as within a row each waits for the one before.
#include "kernels/softmax.h"

#include "kernels/table.h"
#include "simd/math.h"
#include "simd/rows.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

constexpr std::int64_t rows_at_once = 64;                               // a multiple of every number of lanes
constexpr std::int64_t short_row = 32;                                  // columns
constexpr std::int64_t short_elements = rows_at_once * short_row + 16;  // and what a vector may overshoot

constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// The first n lanes of `value`, the others `fill`.
template <class T>
RAVINE_INLINE Vec<T> fill_after(Vec<T> value, std::int64_t n, T fill) {
  return lane_numbers<T>() < static_cast<T>(n) ? value : splat<T>(fill);
}

// Calls f(column, count...) on whole vectors of a row, then on the rest with its count.
template <class T, class F>
RAVINE_INLINE void for_columns(std::int64_t columns, F f) {
  std::int64_t c = 0;
  for (; c + lanes<T> <= columns; c += lanes<T>) f(c);
  if (c < columns) f(c, columns - c);
}

// The sum over a row of term(column, count...), whose lanes past the count are 0, as a vector whose lanes are
// still to be added: four running vectors.
template <class T, class F>
RAVINE_INLINE Vec<T> lane_sums(std::int64_t columns, F term) {
  constexpr int L = lanes<T>;
  if (columns <= L) return columns == L ? term(0) : columns > 0 ? term(0, columns) : Vec<T>{};
  Vec<T> running[4] = {};
  std::int64_t c = 0;
  for (; c + 4 * L <= columns; c += 4 * L)
    for (int k = 0; k < 4; ++k) running[k] += term(c + k * L);
#pragma GCC unroll 4
  for (int k = 0; k < 3; ++k) {  // unrolled, so that all of them stay in registers
    if (c + L > columns) break;
    running[k] += term(c);
    c += L;
  }
  if (c < columns) running[3] += term(c, columns - c);
  return (running[0] + running[2]) + (running[1] + running[3]);
}
template <class T, class F>
RAVINE_INLINE T sum_columns(std::int64_t columns, F term) {
  return sum_of_lanes<T>(lane_sums<T>(columns, term));
}

// results[r] = the lanes of row_vector(r) combined, for r < n <= rows_at_once; room for rows_at_once results.
template <class T, class RowVector, class Combine>
RAVINE_INLINE void reduce_each_row(std::int64_t n, T* results, RowVector row_vector, Combine combine) {
  constexpr int L = lanes<T>;
  for (std::int64_t first = 0; first < n; first += L) {
    Vec<T> rows[L];
    const std::int64_t count = smaller(L, n - first);
    for (std::int64_t r = 0; r < count; ++r) rows[r] = row_vector(first + r);
    for (std::int64_t r = count; r < L; ++r) rows[r] = Vec<T>{};
    store<T>(results + first, reduce_rows<T>(rows, combine));
  }
}

// b where either is NaN: a NaN in a row is not its maximum, but makes the sum of exponentials NaN.
template <class T>
RAVINE_INLINE Vec<T> larger_number(Vec<T> a, Vec<T> b) {
  return a > b ? a : b;
}

// -infinity for an empty row.
template <class T>
RAVINE_INLINE void maxima_of_rows(const T* x, std::int64_t n, std::int64_t columns, T* maxima) {
  constexpr T lowest = -FloatFormat<T>::infinity;
  constexpr int L = lanes<T>;
  const auto lane_maxima = [&](std::int64_t row) RAVINE_INLINE_LAMBDA {
    const T* at = x + row * columns;
    Vec<T> running[4] = {splat<T>(lowest), splat<T>(lowest), splat<T>(lowest), splat<T>(lowest)};
    std::int64_t c = 0;
    for (; c + 4 * L <= columns; c += 4 * L)
      for (int k = 0; k < 4; ++k) running[k] = larger_number<T>(load<T>(at + c + k * L), running[k]);
    for (; c + L <= columns; c += L) running[0] = larger_number<T>(load<T>(at + c), running[0]);
    if (c < columns)
      running[1] =
          larger_number<T>(fill_after<T>(load<T>(at + c, columns - c), columns - c, lowest), running[1]);
    return larger_number<T>(larger_number<T>(running[0], running[2]),
                            larger_number<T>(running[1], running[3]));
  };
  reduce_each_row<T>(n, maxima, lane_maxima,
                     [](auto a, auto b) RAVINE_INLINE_LAMBDA { return larger_number<T>(a, b); });
}

// exp(x - shift), 0 past the count.
template <class T, class... Count>
RAVINE_INLINE Vec<T> shifted_exp(const T* x, T shift, Count... count) {
  const Vec<T> value = exp<T>(load<T>(x, count...) - shift);
  if constexpr (sizeof...(count) > 0) return fill_after<T>(value, count..., T(0));
  else return value;
}

// to[r, c] = values[r]; `to` is written a vector beyond its end.
template <class T>
RAVINE_INLINE void repeat_for_columns(const T* values, std::int64_t n, std::int64_t columns, T* to) {
  for (std::int64_t r = 0; r < n; ++r)
    for (std::int64_t c = 0; c < columns; c += lanes<T>) store<T>(to + r * columns + c, splat<T>(values[r]));
}

// y = exp(x - maxima[row]) of n rows, and its sums. y may be null, where it is not wanted.
template <class T>
void exponentials_of_rows(const T* x, std::int64_t n, std::int64_t columns, const T* maxima, T* sums, T* y) {
  const auto add = [](auto a, auto b) RAVINE_INLINE_LAMBDA { return a + b; };
  if (columns <= short_row) {
    alignas(64) T shifts[short_elements], values[short_elements];
    if (y == nullptr) y = values;
    repeat_for_columns<T>(maxima, n, columns, shifts);
    for_columns<T>(n * columns, [&](std::int64_t i, auto... count) RAVINE_INLINE_LAMBDA {
      store<T>(y + i, exp<T>(load<T>(x + i, count...) - load<T>(shifts + i, count...)), count...);
    });
    const auto row_sum = [&](std::int64_t row) RAVINE_INLINE_LAMBDA {
      return lane_sums<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        return load<T>(y + row * columns + c, count...);
      });
    };
    return reduce_each_row<T>(n, sums, row_sum, add);
  }
  const auto row_sum = [&](std::int64_t row) RAVINE_INLINE_LAMBDA {
    return lane_sums<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
      const std::int64_t at = row * columns + c;
      const Vec<T> value = shifted_exp<T>(x + at, maxima[row], count...);
      if (y != nullptr) store<T>(y + at, value, count...);
      return value;
    });
  };
  reduce_each_row<T>(n, sums, row_sum, add);
}

// log(sum(exp(x))) of n <= rows_at_once rows.
template <class T>
void log_sum_exp_of_rows(const T* x, std::int64_t n, std::int64_t columns, T* result) {
  alignas(64) T maxima[rows_at_once] = {}, sums[rows_at_once] = {};
  maxima_of_rows<T>(x, n, columns, maxima);
  exponentials_of_rows<T>(x, n, columns, maxima, sums, nullptr);
  for_columns<T>(n, [&](std::int64_t r, auto... count) RAVINE_INLINE_LAMBDA {
    store<T>(result + r, load<T>(maxima + r, count...) + log<T>(load<T>(sums + r, count...)), count...);
  });
}

// ---- labels and targets -------------------------------------------------------------------------

// The label of a row; out of range it is reported as absent, like the index to be ignored.
struct Label {
  std::int64_t index;
  bool ignored, out_of_range;
};
template <class Args>
RAVINE_INLINE Label label_of(const Args& args, std::int64_t row) {
  const std::int64_t index = args.label_dtype == DType::int64
                                 ? static_cast<const std::int64_t*>(args.labels)[row]
                                 : static_cast<const std::int32_t*>(args.labels)[row];
  const bool ignored = index == args.ignore_index;
  return {index, ignored, !ignored && (index < 0 || index >= args.columns)};
}

// What every row of one call shares. A row's coefficient of class c is t_c w_c with t smoothed:
// for targets (keep target_c + spread) w_c, for a label keep w_c [c = label] + spread w_c.
template <class T>
struct Classes {
  const T* weights;  // or null: all 1
  T keep, spread;
  T total_weight;  // sum of w

  template <class Args>
  explicit Classes(const Args& args)
      : weights(static_cast<const T*>(args.class_weights)),
        keep(static_cast<T>(1 - args.label_smoothing)),
        spread(
            static_cast<T>(args.label_smoothing / static_cast<double>(args.columns > 0 ? args.columns : 1))),
        total_weight(static_cast<T>(args.columns)) {
    if (weights != nullptr)
      total_weight = sum_columns<T>(args.columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        return load<T>(weights + c, count...);
      });
  }

  RAVINE_INLINE T weight(std::int64_t c) const { return weights != nullptr ? weights[c] : T(1); }
  template <class... Count>
  RAVINE_INLINE Vec<T> weights_at(std::int64_t c, Count... count) const {
    return weights != nullptr ? load<T>(weights + c, count...) : splat<T>(1);
  }
  // Coefficients of a row of targets; past the count they are 0, if `target` is loaded with that count.
  template <class... Count>
  RAVINE_INLINE Vec<T> coefficients(const T* targets, std::int64_t c, Count... count) const {
    const Vec<T> value = (load<T>(targets + c, count...) * keep + spread) * weights_at(c, count...);
    if constexpr (sizeof...(count) > 0) return fill_after<T>(value, count..., T(0));
    else return value;
  }
};

template <class T>
T target_loss(const Classes<T>& classes, const T* x, const T* targets, T log_sum_exp, std::int64_t columns) {
  return sum_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
    const Vec<T> coefficient = classes.coefficients(targets, c, count...);
    // A class that does not count adds nothing, even where its logit is -infinity.
    return coefficient == T(0) ? Vec<T>{} : coefficient * (log_sum_exp - load<T>(x + c, count...));
  });
}

template <class T>
T label_loss(const Classes<T>& classes, const T* x, std::int64_t label, T log_sum_exp, std::int64_t columns) {
  T loss = classes.keep * classes.weight(label) * (log_sum_exp - x[label]);
  if (classes.spread != 0)
    loss += classes.spread * sum_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
              Vec<T> value = classes.weights_at(c, count...) * (log_sum_exp - load<T>(x + c, count...));
              if constexpr (sizeof...(count) > 0) value = fill_after<T>(value, count..., T(0));
              return value;
            });
  return loss;
}

}  // namespace

// ---- softmax ------------------------------------------------------------------------------------

template <class T>
void softmax(const SoftmaxArgs& args, const Team& team) {
  const std::int64_t columns = args.columns;
  const Pieces rows = pieces_of(args.rows, team);
  for (std::int64_t first = rows.begin; first < rows.end; first += rows_at_once) {
    const T* x = static_cast<const T*>(args.input) + first * columns;
    T* y = static_cast<T*>(args.output) + first * columns;
    const std::int64_t n = smaller(rows_at_once, rows.end - first);
    alignas(64) T maxima[rows_at_once] = {},
                  sums[rows_at_once] = {};  // log: log_sum_exp in place of the maxima
    if (args.log) {
      log_sum_exp_of_rows<T>(x, n, columns, maxima);
    } else {
      maxima_of_rows<T>(x, n, columns, maxima);
      exponentials_of_rows<T>(x, n, columns, maxima, sums, y);
      for_columns<T>(n, [&](std::int64_t r, auto... count) RAVINE_INLINE_LAMBDA {
        store<T>(sums + r, T(1) / load<T>(sums + r, count...), count...);
      });
    }
    const T* of_row = args.log ? maxima : sums;
    const auto finish = [&](std::int64_t at, Vec<T> own, auto... count) RAVINE_INLINE_LAMBDA {
      store<T>(y + at, args.log ? load<T>(x + at, count...) - own : load<T>(y + at, count...) * own,
               count...);
    };
    if (columns <= short_row) {
      alignas(64) T repeated[short_elements];
      repeat_for_columns<T>(of_row, n, columns, repeated);
      for_columns<T>(n * columns, [&](std::int64_t i, auto... count) RAVINE_INLINE_LAMBDA {
        finish(i, load<T>(repeated + i, count...), count...);
      });
      continue;
    }
    for (std::int64_t r = 0; r < n; ++r)
      for_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        finish(r * columns + c, splat<T>(of_row[r]), count...);
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

// ---- cross-entropy ------------------------------------------------------------------------------

template <class T>
void cross_entropy(const CrossEntropyArgs& args, const Team& team) {
  const std::int64_t columns = args.columns;
  const Classes<T> classes(args);
  T* losses = static_cast<T*>(args.losses);
  T* row_weights = static_cast<T*>(args.row_weights);
  T* log_sum_exp = static_cast<T*>(args.log_sum_exp);
  const Pieces rows = pieces_of(args.rows, team);
  for (std::int64_t first = rows.begin; first < rows.end; first += rows_at_once) {
    const std::int64_t end = smaller(first + rows_at_once, rows.end);
    log_sum_exp_of_rows<T>(static_cast<const T*>(args.logits) + first * columns, end - first, columns,
                           log_sum_exp + first);
    for (std::int64_t row = first; row < end; ++row) {
      const T* x = static_cast<const T*>(args.logits) + row * columns;
      if (args.targets != nullptr) {
        losses[row] = target_loss<T>(classes, x, static_cast<const T*>(args.targets) + row * columns,
                                     log_sum_exp[row], columns);
        row_weights[row] = T(1);
        continue;
      }
      const Label label = label_of(args, row);
      if (label.out_of_range) report(args.fault, args.fault_code, row, label.index);
      const bool absent = label.ignored || label.out_of_range;
      losses[row] = absent ? T(0) : label_loss<T>(classes, x, label.index, log_sum_exp[row], columns);
      row_weights[row] = absent ? T(0) : classes.weight(label.index);
    }
  }
}

// Labels, short rows, and classes of weight 1.
template <class T>
void short_rows_grad(const CrossEntropyGradArgs& args, const Classes<T>& classes, const Team& team) {
  const std::int64_t columns = args.columns;
  const T own = classes.keep, sum = own + classes.spread * classes.total_weight;
  const T* log_sum_exp = static_cast<const T*>(args.log_sum_exp);
  const T* grad_losses = static_cast<const T*>(args.grad_losses);
  const Pieces rows = pieces_of(args.rows, team);
  alignas(64) T repeated[short_elements], values[short_elements];
  for (std::int64_t first = rows.begin; first < rows.end; first += rows_at_once) {
    const std::int64_t n = smaller(rows_at_once, rows.end - first);
    const T* x = static_cast<const T*>(args.logits) + first * columns;
    T* dx = static_cast<T*>(args.grad_logits) + first * columns;
    repeat_for_columns<T>(log_sum_exp + first, n, columns, repeated);
    for_columns<T>(n * columns, [&](std::int64_t i, auto... count) RAVINE_INLINE_LAMBDA {
      const Vec<T> p = exp<T>(load<T>(x + i, count...) - load<T>(repeated + i, count...));
      store<T>(values + i, p * sum - classes.spread, count...);
    });
    for (std::int64_t r = 0; r < n; ++r) {
      const Label label = label_of(args, first + r);
      if (label.ignored || label.out_of_range)
        for (std::int64_t c = 0; c < columns; ++c) values[r * columns + c] = 0;
      else values[r * columns + label.index] -= own;
    }
    const auto scaled = [&](std::int64_t i, Vec<T> grad, auto... count) RAVINE_INLINE_LAMBDA {
      store<T>(dx + i, load<T>(values + i, count...) * grad, count...);
    };
    if (args.grad_stride == 0) {
      for_columns<T>(n * columns, [&](std::int64_t i, auto... count) RAVINE_INLINE_LAMBDA {
        scaled(i, splat<T>(grad_losses[0]), count...);
      });
      continue;
    }
    alignas(64) T grads[rows_at_once];
    for (std::int64_t r = 0; r < n; ++r) grads[r] = grad_losses[(first + r) * args.grad_stride];
    repeat_for_columns<T>(grads, n, columns, repeated);
    for_columns<T>(n * columns, [&](std::int64_t i, auto... count) RAVINE_INLINE_LAMBDA {
      scaled(i, load<T>(repeated + i, count...), count...);
    });
  }
}

template <class T>
void cross_entropy_grad(const CrossEntropyGradArgs& args, const Team& team) {
  const std::int64_t columns = args.columns;
  const Classes<T> classes(args);
  if (args.targets == nullptr && columns <= short_row && classes.weights == nullptr)
    return short_rows_grad<T>(args, classes, team);
  const Pieces rows = pieces_of(args.rows, team);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const T* x = static_cast<const T*>(args.logits) + row * columns;
    T* dx = static_cast<T*>(args.grad_logits) + row * columns;
    const T log_sum_exp = static_cast<const T*>(args.log_sum_exp)[row];
    const T grad = static_cast<const T*>(args.grad_losses)[row * args.grad_stride];
    // p_c = exp(x_c - log_sum_exp)
    if (args.targets != nullptr) {
      const T* targets = static_cast<const T*>(args.targets) + row * columns;
      const T sum = sum_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        return classes.coefficients(targets, c, count...);
      });
      for_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        const Vec<T> p = shifted_exp<T>(x + c, log_sum_exp, count...);
        store<T>(dx + c, grad * (p * sum - classes.coefficients(targets, c, count...)), count...);
      });
      continue;
    }
    const Label label = label_of(args, row);
    if (label.ignored || label.out_of_range) {
      for_columns<T>(columns, [&](std::int64_t c, auto... count)
                                  RAVINE_INLINE_LAMBDA { store<T>(dx + c, Vec<T>{}, count...); });
      continue;
    }
    const T own = classes.keep * classes.weight(label.index),
            sum = own + classes.spread * classes.total_weight;
    for_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
      Vec<T> value = shifted_exp<T>(x + c, log_sum_exp, count...) * sum;
      if (classes.spread != 0) value -= classes.weights_at(c, count...) * classes.spread;
      const std::int64_t ahead = label.index - c;  // of the label, within this vector or not
      const auto lane = static_cast<IntOf<T>>(ahead >= 0 && ahead < lanes<T> ? ahead : -1);
      value = lane_numbers<IntOf<T>>() == lane ? value - own : value;
      store<T>(dx + c, grad * value, count...);
    });
  }
}

template void softmax<float>(const SoftmaxArgs&, const Team&);
template void softmax<double>(const SoftmaxArgs&, const Team&);
template void softmax_grad<float>(const SoftmaxGradArgs&, const Team&);
template void softmax_grad<double>(const SoftmaxGradArgs&, const Team&);
template void cross_entropy<float>(const CrossEntropyArgs&, const Team&);
template void cross_entropy<double>(const CrossEntropyArgs&, const Team&);
template void cross_entropy_grad<float>(const CrossEntropyGradArgs&, const Team&);
template void cross_entropy_grad<double>(const CrossEntropyGradArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
