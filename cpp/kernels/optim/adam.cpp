// Steps along a running mean of the gradient, scaled by a running second moment. The formulas and their order
// are those of torch.optim and, where torch has no such rule, optax, so that trajectories agree to rounding.
#include "kernels/optim/rule.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

// The running means m of the gradient and v of its square, in slots 0 and 1.
template <class T, template <class> class Mean>
struct Moments {
  Mean<T> mean;
  WeightedMean<T> mean_square;

  template <class Hyper>
  RAVINE_INLINE explicit Moments(const Hyper& hyper) : mean(hyper.beta1), mean_square(hyper.beta2) {}

  struct Pair {
    Vec<T> m, v;
  };
  template <class State>
  RAVINE_INLINE Pair operator()(Vec<T> g, State state) const {
    const Pair moments{mean(state.get(0), g), mean_square(state.get(1), g * g)};
    state.set(0, moments.m);
    state.set(1, moments.v);
    return moments;
  }
};

// m = lerp(m, g, 1 - beta1);  v = beta2 v + (1 - beta2) g^2;
// p -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps), with the maximum of all v in place of v
// for amsgrad
template <class T>
struct Adam {
  using Hyper = AdamHyper;
  WeightDecay<T> weight_decay;
  Moments<T, RunningMean> moments;
  Vec<T> eps, step_size, root_scale;
  bool amsgrad;

  RAVINE_INLINE Adam(const Hyper& hyper, const ParameterSegment&)
      : weight_decay(hyper.weight_decay, hyper.lr, hyper.decoupled != 0),
        moments(hyper),
        eps(splat_of<T>(hyper.eps)),
        step_size(splat_of<T>(hyper.lr / hyper.bias_correction1)),
        root_scale(splat_of<T>(1 / __builtin_sqrt(hyper.bias_correction2))),
        amsgrad(hyper.amsgrad != 0) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    weight_decay(p, g);
    auto [m, v] = moments(g, state);
    if (amsgrad) {
      v = maximum(state.get(2), v);
      state.set(2, v);
    }
    return p - step_size * m / (square_root<T>(v) * root_scale + eps);
  }
};

// m = lerp(m, g, 1 - beta1);  u = max(beta2 u, |g| + eps);  p -= lr / (1 - beta1^t) m / u
template <class T>
struct Adamax {
  using Hyper = AdamaxHyper;
  WeightDecay<T> weight_decay;
  RunningMean<T> mean;
  Vec<T> beta2, eps, step_size;

  RAVINE_INLINE Adamax(const Hyper& hyper, const ParameterSegment&)
      : weight_decay(hyper.weight_decay),
        mean(hyper.beta1),
        beta2(splat_of<T>(hyper.beta2)),
        eps(splat_of<T>(hyper.eps)),
        step_size(splat_of<T>(hyper.lr / hyper.bias_correction1)) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    weight_decay(p, g);
    const Vec<T> m = mean(state.get(0), g), u = maximum(beta2 * state.get(1), absolute<T>(g) + eps);
    state.set(0, m);
    state.set(1, u);
    return p - step_size * m / u;
  }
};

// Adam's moments;  d = sqrt(v / (1 - beta2^t)) + eps;  p -= lr (gradient_share g + average_share m) / d
template <class T>
struct Nadam {
  using Hyper = NadamHyper;
  WeightDecay<T> weight_decay;
  Moments<T, RunningMean> moments;
  Vec<T> gradient_step, average_step, correction, eps;

  RAVINE_INLINE Nadam(const Hyper& hyper, const ParameterSegment&)
      : weight_decay(hyper.weight_decay, hyper.lr, hyper.decoupled != 0),
        moments(hyper),
        gradient_step(splat_of<T>(hyper.lr * hyper.gradient_share)),
        average_step(splat_of<T>(hyper.lr * hyper.average_share)),
        correction(splat_of<T>(hyper.bias_correction2)),
        eps(splat_of<T>(hyper.eps)) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    weight_decay(p, g);
    const auto [m, v] = moments(g, state);
    const Vec<T> divisor = square_root<T>(v / correction) + eps;
    return p - gradient_step * g / divisor - average_step * m / divisor;
  }
};

// Adam's moments;  p -= lr m / (1 - beta1^t), times sqrt(1 - beta2^t) / (sqrt(v) + eps) rectification where
// the variance is tractable
template <class T>
struct Radam {
  using Hyper = RadamHyper;
  WeightDecay<T> weight_decay;
  Moments<T, RunningMean> moments;
  Vec<T> step_size, scale, eps;
  bool adaptive;

  RAVINE_INLINE Radam(const Hyper& hyper, const ParameterSegment&)
      : weight_decay(hyper.weight_decay, hyper.lr, hyper.decoupled != 0),
        moments(hyper),
        step_size(splat_of<T>(hyper.lr / hyper.bias_correction1)),
        scale(splat_of<T>(__builtin_sqrt(hyper.bias_correction2) * hyper.rectification)),
        eps(splat_of<T>(hyper.eps)),
        adaptive(hyper.rectification != 0) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    weight_decay(p, g);
    const auto [m, v] = moments(g, state);
    Vec<T> step = step_size * m;
    if (adaptive) step = step * scale / (square_root<T>(v) + eps);
    return p - step;
  }
};

// m = beta1 m + (1 - beta1) g;  s = beta2 s + (1 - beta2) (g - m)^2 + eps_root;
// p -= lr m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + eps)
template <class T>
struct Adabelief {
  using Hyper = AdabeliefHyper;
  WeightDecay<T> weight_decay;
  WeightedMean<T> mean, mean_square;
  Vec<T> step_size, correction2, eps, eps_root;

  RAVINE_INLINE Adabelief(const Hyper& hyper, const ParameterSegment&)
      : weight_decay(hyper.weight_decay, hyper.lr, hyper.decoupled != 0),
        mean(hyper.beta1),
        mean_square(hyper.beta2),
        step_size(splat_of<T>(hyper.lr / hyper.bias_correction1)),
        correction2(splat_of<T>(hyper.bias_correction2)),
        eps(splat_of<T>(hyper.eps)),
        eps_root(splat_of<T>(hyper.eps_root)) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    weight_decay(p, g);
    const Vec<T> m = mean(state.get(0), g), surprise = g - m;
    const Vec<T> s = mean_square(state.get(1), surprise * surprise) + eps_root;
    state.set(0, m);
    state.set(1, s);
    return p - step_size * m / (square_root<T>(s / correction2) + eps);
  }
};

// m = beta1 m + (1 - beta1) g;  v -= (1 - beta2) sign(v - g^2) g^2;
// p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)
template <class T>
struct Yogi {
  using Hyper = YogiHyper;
  WeightDecay<T> weight_decay;
  WeightedMean<T> mean;
  Vec<T> intake2, step_size, correction2, eps, initial;
  bool first_step;

  RAVINE_INLINE Yogi(const Hyper& hyper, const ParameterSegment&)
      : weight_decay(hyper.weight_decay, hyper.lr, hyper.decoupled != 0),
        mean(hyper.beta1),
        intake2(splat_of<T>(1 - hyper.beta2)),
        step_size(splat_of<T>(hyper.lr / hyper.bias_correction1)),
        correction2(splat_of<T>(hyper.bias_correction2)),
        eps(splat_of<T>(hyper.eps)),
        initial(splat_of<T>(hyper.initial_accumulator)),
        first_step(hyper.first_step != 0) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    weight_decay(p, g);
    const Vec<T> m = mean(first_step ? initial : state.get(0), g), square = g * g;
    const Vec<T> old = first_step ? initial : state.get(1);
    const Vec<T> v = old - intake2 * sign_of<T>(old - square) * square;
    state.set(0, m);
    state.set(1, v);
    return p - step_size * m / (square_root<T>(v / correction2) + eps);
  }
};

// d = g - previous g;  m, v, n = running means of g, d and (g + (1 - beta2) d)^2;
// p -= lr ((m^ + (1 - beta2) v^) / (sqrt(n^ + eps_root) + eps) + weight_decay p), ^ being bias-corrected
template <class T>
struct Adan {
  using Hyper = AdanHyper;
  WeightedMean<T> mean, mean_difference, mean_square;
  Vec<T> lr, difference_share, correction1, correction2, correction3, eps, eps_root, weight_decay;
  bool first_step;

  RAVINE_INLINE Adan(const Hyper& hyper, const ParameterSegment&)
      : mean(hyper.beta1),
        mean_difference(hyper.beta2),
        mean_square(hyper.beta3),
        lr(splat_of<T>(hyper.lr)),
        difference_share(splat_of<T>(1 - hyper.beta2)),
        correction1(splat_of<T>(hyper.bias_correction1)),
        correction2(splat_of<T>(hyper.bias_correction2)),
        correction3(splat_of<T>(hyper.bias_correction3)),
        eps(splat_of<T>(hyper.eps)),
        eps_root(splat_of<T>(hyper.eps_root)),
        weight_decay(splat_of<T>(hyper.weight_decay)),
        first_step(hyper.first_step != 0) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    const Vec<T> difference = first_step ? Vec<T>{} : g - state.get(3);
    const Vec<T> ahead = g + difference_share * difference;
    const Vec<T> m = mean(state.get(0), g), v = mean_difference(state.get(1), difference);
    const Vec<T> n = mean_square(state.get(2), ahead * ahead);
    state.set(0, m);
    state.set(1, v);
    state.set(2, n);
    state.set(3, g);
    const Vec<T> direction = m / correction1 + difference_share * (v / correction2);
    const Vec<T> step = direction / (square_root<T>(n / correction3 + eps_root) + eps);
    return p - lr * (step + weight_decay * p);
  }
};

// Adam's moments;  u = m^ / (sqrt(v^) + eps) + weight_decay p, ^ being bias-corrected;  p -= lr |p| / |u| u
template <class T>
struct Lamb {
  using Hyper = LambHyper;
  Moments<T, WeightedMean> moments;
  Vec<T> step_size, correction1, correction2, eps, weight_decay;

  RAVINE_INLINE Lamb(const Hyper& hyper, const ParameterSegment& segment)
      : moments(hyper),
        step_size(splat_of<T>(hyper.lr * trust_ratio(segment))),
        correction1(splat_of<T>(hyper.bias_correction1)),
        correction2(splat_of<T>(hyper.bias_correction2)),
        eps(splat_of<T>(hyper.eps)),
        weight_decay(splat_of<T>(hyper.weight_decay)) {}

  static double trust_ratio(const ParameterSegment& segment) {
    const double weight = __builtin_sqrt(segment.sums[0]), update = __builtin_sqrt(segment.sums[1]);
    return weight == 0 || update == 0 ? 1 : weight / update;
  }
  RAVINE_INLINE Vec<T> direction(Vec<T> p, Vec<T> m, Vec<T> v) const {
    return m / correction1 / (square_root<T>(v / correction2) + eps) + weight_decay * p;
  }

  // Moves the moments; the update then finds them moved.
  template <class State>
  RAVINE_INLINE void measure(Vec<T> p, Vec<T> g, State state, SumOfSquares<T>* sums) const {
    const auto [m, v] = moments(g, state);
    sums[0].add(p);
    sums[1].add(direction(p, m, v));
  }

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T>, State state) const {
    return p - step_size * direction(p, state.get(0), state.get(1));
  }
};

}  // namespace

RAVINE_UPDATE_FUNCTION(adam, Adam)
RAVINE_UPDATE_FUNCTION(adamax, Adamax)
RAVINE_UPDATE_FUNCTION(nadam, Nadam)
RAVINE_UPDATE_FUNCTION(radam, Radam)
RAVINE_UPDATE_FUNCTION(adabelief, Adabelief)
RAVINE_UPDATE_FUNCTION(yogi, Yogi)
RAVINE_UPDATE_FUNCTION(adan, Adan)
RAVINE_UPDATE_FUNCTION(lamb, Lamb)
RAVINE_MEASURE_FUNCTION(lamb, Lamb)

}  // namespace ravine::kernels::RAVINE_ISA
