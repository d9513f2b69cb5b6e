// Softmax and cross-entropy, one row at a time: the maximum, the sum of exp(x - maximum), and what follows
// from them. Logarithms are taken for many rows at once.
#include "kernels/softmax.h"

#include "kernels/table.h"
#include "simd/math.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

constexpr std::int64_t rows_at_once = 64;  // whose maxima and sums wait for their logarithms

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

// The sum over a row of term(column, count...), whose lanes past the count are 0: four running vectors.
template <class T, class F>
RAVINE_INLINE T sum_columns(std::int64_t columns, F term) {
  constexpr int L = lanes<T>;
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
  return sum_of_lanes<T>((running[0] + running[2]) + (running[1] + running[3]));
}

// -infinity for an empty row; a NaN wins.
template <class T>
RAVINE_INLINE T row_maximum(const T* x, std::int64_t columns) {
  constexpr T lowest = -FloatFormat<T>::infinity;
  Vec<T> highest = splat<T>(lowest);
  for_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
    Vec<T> value = load<T>(x + c, count...);
    if constexpr (sizeof...(count) > 0) value = fill_after<T>(value, count..., lowest);
    highest = maximum(value, highest);
  });
  return max_of_lanes<T>(highest);
}

// exp(x - shift), 0 past the count.
template <class T, class... Count>
RAVINE_INLINE Vec<T> shifted_exp(const T* x, T shift, Count... count) {
  const Vec<T> value = exp<T>(load<T>(x, count...) - shift);
  if constexpr (sizeof...(count) > 0) return fill_after<T>(value, count..., T(0));
  else return value;
}

template <class T>
RAVINE_INLINE T sum_of_exp(const T* x, T shift, std::int64_t columns) {
  return sum_columns<T>(columns, [&](std::int64_t c, auto... count)
                                     RAVINE_INLINE_LAMBDA { return shifted_exp<T>(x + c, shift, count...); });
}

// log(sum(exp(x))) of n <= rows_at_once rows.
template <class T>
void log_sum_exp_of_rows(const T* x, std::int64_t n, std::int64_t columns, T* result) {
  alignas(64) T highest[rows_at_once], sums[rows_at_once];
  for (std::int64_t r = 0; r < n; ++r) {
    highest[r] = row_maximum<T>(x + r * columns, columns);
    sums[r] = sum_of_exp<T>(x + r * columns, highest[r], columns);
  }
  for_columns<T>(n, [&](std::int64_t r, auto... count) RAVINE_INLINE_LAMBDA {
    store<T>(result + r, load<T>(highest + r, count...) + log<T>(load<T>(sums + r, count...)), count...);
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

void report(Fault* fault, std::int32_t code, std::int64_t value) {
  std::int32_t none = 0;
  if (fault != nullptr &&
      __atomic_compare_exchange_n(&fault->code, &none, code, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    fault->value = value;
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
  for (std::int64_t row = rows.begin; row < rows.end;) {
    const T* x = static_cast<const T*>(args.input) + row * columns;
    T* y = static_cast<T*>(args.output) + row * columns;
    if (!args.log) {
      const T highest = row_maximum<T>(x, columns);
      const T sum = sum_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        const Vec<T> value = shifted_exp<T>(x + c, highest, count...);
        store<T>(y + c, value, count...);
        return value;
      });
      for_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        store<T>(y + c, load<T>(y + c, count...) * (T(1) / sum), count...);
      });
      ++row;
      continue;
    }
    alignas(64) T log_sum_exp[rows_at_once];
    const std::int64_t n = smaller(rows_at_once, rows.end - row);
    log_sum_exp_of_rows<T>(x, n, columns, log_sum_exp);
    for (std::int64_t r = 0; r < n; ++r)
      for_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        store<T>(y + r * columns + c, load<T>(x + r * columns + c, count...) - log_sum_exp[r], count...);
      });
    row += n;
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
      if (label.out_of_range) report(args.fault, args.fault_code, label.index);
      const bool absent = label.ignored || label.out_of_range;
      losses[row] = absent ? T(0) : label_loss<T>(classes, x, label.index, log_sum_exp[row], columns);
      row_weights[row] = absent ? T(0) : classes.weight(label.index);
    }
  }
}

template <class T>
void cross_entropy_grad(const CrossEntropyGradArgs& args, const Team& team) {
  const std::int64_t columns = args.columns;
  const Classes<T> classes(args);
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
    const T own_logit = x[label.index];
    for_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
      Vec<T> value = shifted_exp<T>(x + c, log_sum_exp, count...) * sum;
      if (classes.spread != 0) value -= classes.weights_at(c, count...) * classes.spread;
      store<T>(dx + c, grad * value, count...);
    });
    const T p = exp<T>(splat<T>(own_logit - log_sum_exp))[0];
    dx[label.index] = grad * ((p * sum - classes.weight(label.index) * classes.spread) - own);
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
