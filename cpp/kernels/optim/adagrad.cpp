// Steps scaled by sums or means of squared gradients, without bias correction. The formulas and their order
// are those of torch.optim.
#include "kernels/optim/rule.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

// s += g^2;  p -= lr g / (sqrt(s) + eps)
template <class T>
struct Adagrad {
  using Hyper = AdagradHyper;
  WeightDecay<T> weight_decay;
  Vec<T> lr, eps, initial;
  bool first_step;

  RAVINE_INLINE Adagrad(const Hyper& hyper, const ParameterSegment&)
      : weight_decay(hyper.weight_decay),
        lr(splat_of<T>(hyper.lr)),
        eps(splat_of<T>(hyper.eps)),
        initial(splat_of<T>(hyper.initial_accumulator)),
        first_step(hyper.first_step != 0) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    weight_decay(p, g);
    const Vec<T> sum = (first_step ? initial : state.get(0)) + g * g;
    state.set(0, sum);
    return p - lr * g / (square_root<T>(sum) + eps);
  }
};

// v = rho v + (1 - rho) g^2;  d = sqrt(a + eps) / sqrt(v + eps) g;  a = rho a + (1 - rho) d^2;  p -= lr d
template <class T>
struct Adadelta {
  using Hyper = AdadeltaHyper;
  WeightDecay<T> weight_decay;
  WeightedMean<T> mean;
  Vec<T> lr, eps;

  RAVINE_INLINE Adadelta(const Hyper& hyper, const ParameterSegment&)
      : weight_decay(hyper.weight_decay),
        mean(hyper.rho),
        lr(splat_of<T>(hyper.lr)),
        eps(splat_of<T>(hyper.eps)) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    weight_decay(p, g);
    const Vec<T> square_avg = mean(state.get(0), g * g), acc_delta = state.get(1);
    const Vec<T> delta = square_root<T>(acc_delta + eps) / square_root<T>(square_avg + eps) * g;
    state.set(0, square_avg);
    state.set(1, mean(acc_delta, delta * delta));
    return p - lr * delta;
  }
};

// v = alpha v + (1 - alpha) g^2;  d = sqrt(v, or max(v - mean(g)^2, 0) if centered) + eps;
// p -= lr g / d, with momentum b = momentum b + g / d and p -= lr b
template <class T>
struct Rmsprop {
  using Hyper = RmspropHyper;
  WeightDecay<T> weight_decay;
  WeightedMean<T> mean_square;
  RunningMean<T> mean;
  Vec<T> lr, eps, momentum;
  bool with_momentum, centered;

  RAVINE_INLINE Rmsprop(const Hyper& hyper, const ParameterSegment& segment)
      : weight_decay(hyper.weight_decay),
        mean_square(hyper.alpha),
        mean(hyper.alpha),
        lr(splat_of<T>(hyper.lr)),
        eps(splat_of<T>(hyper.eps)),
        momentum(splat_of<T>(hyper.momentum)),
        with_momentum(segment.slots[1] != nullptr),
        centered(hyper.centered != 0) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    weight_decay(p, g);
    Vec<T> square = mean_square(state.get(0), g * g);
    state.set(0, square);
    if (centered) {
      const Vec<T> average = mean(state.get(2), g);
      state.set(2, average);
      square = at_least<T>(square - average * average, T(0));  // below 0 by rounding, where g is constant
    }
    const Vec<T> divisor = square_root<T>(square) + eps;
    if (!with_momentum) return p - lr * g / divisor;
    const Vec<T> b = momentum * state.get(1) + g / divisor;
    state.set(1, b);
    return p - lr * b;
  }
};

}  // namespace

RAVINE_UPDATE_FUNCTION(adagrad, Adagrad)
RAVINE_UPDATE_FUNCTION(adadelta, Adadelta)
RAVINE_UPDATE_FUNCTION(rmsprop, Rmsprop)

}  // namespace ravine::kernels::RAVINE_ISA
