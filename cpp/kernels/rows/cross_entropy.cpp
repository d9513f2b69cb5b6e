// Cross-entropy: softmax, its logarithm and the loss in one pass over the logits.
#include "kernels/api/table.h"
#include "kernels/rows/softmax_rows.h"

namespace ravine::kernels::RAVINE_ISA {
namespace {

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

// What every row's logarithms share: ln p_c = (x_c - maximum) - log_sum, in this order.
template <class T>
struct Logits {
  const T* x;
  T maximum, log_sum;

  RAVINE_INLINE T log_probability(std::int64_t c) const { return (x[c] - maximum) - log_sum; }
  template <class... Count>
  RAVINE_INLINE Vec<T> log_probabilities(std::int64_t c, Count... count) const {
    return (load<T>(x + c, count...) - maximum) - log_sum;
  }
};

// -factor log_p; a class that does not count adds nothing, even where its logit is -infinity.
template <class T>
RAVINE_INLINE Vec<T> class_loss(Vec<T> factor, Vec<T> log_p) {
  return factor == T(0) ? Vec<T>{} : factor * -log_p;
}

template <class T>
T target_loss(const Classes<T>& classes, const Logits<T>& logits, const T* targets, std::int64_t columns) {
  return sum_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
    return class_loss<T>(classes.coefficients(targets, c, count...), logits.log_probabilities(c, count...));
  });
}

template <class T>
T label_loss(const Classes<T>& classes, const Logits<T>& logits, std::int64_t label, std::int64_t columns) {
  const T own = classes.keep * classes.weight(label);
  T loss = own == T(0) ? T(0) : own * -logits.log_probability(label);
  if (classes.spread != 0)
    loss += classes.spread * sum_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
              Vec<T> value =
                  class_loss<T>(classes.weights_at(c, count...), logits.log_probabilities(c, count...));
              if constexpr (sizeof...(count) > 0) value = fill_after<T>(value, count..., T(0));
              return value;
            });
  return loss;
}

}  // namespace

template <class T>
void cross_entropy(const CrossEntropyArgs& args, const Team& team) {
  const std::int64_t columns = args.columns;
  const Classes<T> classes(args);
  T* losses = static_cast<T*>(args.losses);
  T* row_weights = static_cast<T*>(args.row_weights);
  const Pieces rows = pieces_of(args.rows, team);
  for (std::int64_t first = rows.begin; first < rows.end; first += rows_at_once) {
    const std::int64_t n = smaller(rows_at_once, rows.end - first);
    const T* x = static_cast<const T*>(args.logits) + first * columns;
    alignas(64) T maxima[rows_at_once] = {}, log_sums[rows_at_once] = {};
    log_sums_of_rows<T>(x, n, columns, maxima, log_sums);
    for_columns<T>(n, [&](std::int64_t r, auto... count) RAVINE_INLINE_LAMBDA {
      store<T>(static_cast<T*>(args.maxima) + first + r, load<T>(maxima + r), count...);
      store<T>(static_cast<T*>(args.log_sums) + first + r, load<T>(log_sums + r), count...);
    });
    for (std::int64_t r = 0; r < n; ++r) {
      const std::int64_t row = first + r;
      const Logits<T> logits{x + r * columns, maxima[r], log_sums[r]};
      if (args.targets != nullptr) {
        losses[row] =
            target_loss<T>(classes, logits, static_cast<const T*>(args.targets) + row * columns, columns);
        row_weights[row] = T(1);
        continue;
      }
      const Label label = label_of(args, row);
      if (label.out_of_range) report(args.fault, args.fault_code, row, label.index);
      const bool absent = label.ignored || label.out_of_range;
      losses[row] = absent ? T(0) : label_loss<T>(classes, logits, label.index, columns);
      row_weights[row] = absent ? T(0) : classes.weight(label.index);
    }
  }
}

namespace {

// grad (p_label sum_c t_c w_c - t_label w_label) from log p_label: p - 1 is expm1(log p), which keeps its
// digits where the label's class dominates.
template <class T>
RAVINE_INLINE Vec<T> label_grad(const Classes<T>& classes, Vec<T> log_p, Vec<T> weight, Vec<T> grad) {
  const Vec<T> p_less_one = expm1<T>(log_p);
  Vec<T> value = classes.keep * weight * p_less_one;
  if (classes.spread != 0) value += classes.spread * (classes.total_weight * (p_less_one + T(1)) - weight);
  return grad * value;
}

// Labels, short rows, and classes of weight 1.
template <class T>
void short_rows_grad(const CrossEntropyGradArgs& args, const Classes<T>& classes, const Team& team) {
  const std::int64_t columns = args.columns;
  const T sum = classes.keep + classes.spread * classes.total_weight;
  const T* grad_losses = static_cast<const T*>(args.grad_losses);
  const Pieces rows = pieces_of(args.rows, team);
  for (std::int64_t first = rows.begin; first < rows.end; first += rows_at_once) {
    const std::int64_t n = smaller(rows_at_once, rows.end - first);
    const T* x = static_cast<const T*>(args.logits) + first * columns;
    const T* maxima = static_cast<const T*>(args.maxima) + first;
    const T* log_sums = static_cast<const T*>(args.log_sums) + first;
    T* dx = static_cast<T*>(args.grad_logits) + first * columns;
    alignas(64) T grads[rows_at_once], scales[rows_at_once], spreads[rows_at_once],
        of_labels[rows_at_once] = {};
    std::int64_t labels[rows_at_once];  // -1: the row does not count
    for (std::int64_t r = 0; r < n; ++r) {
      const Label label = label_of(args, first + r);
      labels[r] = label.ignored || label.out_of_range ? -1 : label.index;
      if (labels[r] >= 0) of_labels[r] = (x[r * columns + labels[r]] - maxima[r]) - log_sums[r];
      grads[r] = grad_losses[(first + r) * args.grad_stride];
    }
    for_columns<T>(n, [&](std::int64_t r, auto... count) RAVINE_INLINE_LAMBDA {
      const Vec<T> grad = load<T>(grads + r, count...);
      store<T>(scales + r, grad * (sum * exp<T>(-load<T>(log_sums + r, count...))));
      store<T>(spreads + r, grad * classes.spread);
      store<T>(of_labels + r, label_grad<T>(classes, load<T>(of_labels + r), splat<T>(1), grad));
    });
    alignas(64) T shift[short_elements], scale[short_elements], spread[short_elements];
    repeat_for_columns<T>(maxima, n, columns, shift);
    repeat_for_columns<T>(scales, n, columns, scale);
    if (classes.spread != 0) repeat_for_columns<T>(spreads, n, columns, spread);
    for_columns<T>(n * columns, [&](std::int64_t i, auto... count) RAVINE_INLINE_LAMBDA {
      Vec<T> value =
          exp<T>(load<T>(x + i, count...) - load<T>(shift + i, count...)) * load<T>(scale + i, count...);
      if (classes.spread != 0) value -= load<T>(spread + i, count...);
      store<T>(dx + i, value, count...);
    });
    for (std::int64_t r = 0; r < n; ++r) {
      if (labels[r] >= 0) {
        dx[r * columns + labels[r]] = of_labels[r];
      } else {
        for (std::int64_t c = 0; c < columns; ++c) dx[r * columns + c] = 0;
      }
    }
  }
}

}  // namespace

template <class T>
void cross_entropy_grad(const CrossEntropyGradArgs& args, const Team& team) {
  const std::int64_t columns = args.columns;
  const Classes<T> classes(args);
  if (args.targets == nullptr && columns <= short_row && classes.weights == nullptr)
    return short_rows_grad<T>(args, classes, team);
  const Pieces rows = pieces_of(args.rows, team);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const Logits<T> logits{static_cast<const T*>(args.logits) + row * columns,
                           static_cast<const T*>(args.maxima)[row],
                           static_cast<const T*>(args.log_sums)[row]};
    T* dx = static_cast<T*>(args.grad_logits) + row * columns;
    const T grad = static_cast<const T*>(args.grad_losses)[row * args.grad_stride];
    if (args.targets != nullptr) {
      const T* targets = static_cast<const T*>(args.targets) + row * columns;
      const T sum = sum_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        return classes.coefficients(targets, c, count...);
      });
      for_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
        const Vec<T> p = exp<T>(logits.log_probabilities(c, count...));
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
    const T weight = classes.weight(label.index),
            sum = classes.keep * weight + classes.spread * classes.total_weight;
    const T of_label = label_grad<T>(classes, splat<T>(logits.log_probability(label.index)), splat<T>(weight),
                                     splat<T>(grad))[0];
    for_columns<T>(columns, [&](std::int64_t c, auto... count) RAVINE_INLINE_LAMBDA {
      Vec<T> value = exp<T>(logits.log_probabilities(c, count...)) * sum;
      if (classes.spread != 0) value -= classes.weights_at(c, count...) * classes.spread;
      store<T>(dx + c, grad * value, count...);
    });
    dx[label.index] = of_label;
  }
}

template void cross_entropy<float>(const CrossEntropyArgs&, const Team&);
template void cross_entropy<double>(const CrossEntropyArgs&, const Team&);
template void cross_entropy_grad<float>(const CrossEntropyGradArgs&, const Team&);
template void cross_entropy_grad<double>(const CrossEntropyGradArgs&, const Team&);

}  // namespace ravine::kernels::RAVINE_ISA
