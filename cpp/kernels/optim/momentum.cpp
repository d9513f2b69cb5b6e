// Plain gradient steps, with momentum, with averaging, by signs. The formulas and their order are those of
// torch.optim and, where torch has no such rule, optax, so that trajectories agree to rounding.
#include "kernels/optim/rule.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

// g += weight_decay p;  b = momentum b + (1 - dampening) g;  p -= lr (b, or g + momentum b for nesterov)
template <class T>
struct Sgd {
  using Hyper = SgdHyper;
  WeightDecay<T> weight_decay;
  Vec<T> lr, momentum, intake;
  bool with_momentum, starts_anew, nesterov;

  RAVINE_INLINE Sgd(const Hyper& hyper, const ParameterSegment& segment)
      : weight_decay(hyper.weight_decay),
        lr(splat_of<T>(hyper.lr)),
        momentum(splat_of<T>(hyper.momentum)),
        intake(splat_of<T>(1 - hyper.dampening)),
        with_momentum(segment.slots[0] != nullptr),
        starts_anew(hyper.first_step != 0 || hyper.momentum == 0),
        nesterov(hyper.nesterov != 0) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    weight_decay(p, g);
    if (with_momentum) {
      const Vec<T> b = starts_anew ? g : momentum * state.get(0) + intake * g;
      state.set(0, b);
      g = nesterov ? g + momentum * b : b;
    }
    return p - lr * g;
  }
};

// p = (1 - lambd eta) p - eta g;  ax += mu (p - ax)
template <class T>
struct Asgd {
  using Hyper = AsgdHyper;
  WeightDecay<T> weight_decay;
  Vec<T> eta, mu, shrink;
  bool averaging;

  RAVINE_INLINE Asgd(const Hyper& hyper, const ParameterSegment&)
      : weight_decay(hyper.weight_decay),
        eta(splat_of<T>(hyper.eta)),
        mu(splat_of<T>(hyper.mu)),
        shrink(splat_of<T>(1 - hyper.lambd * hyper.eta)),
        averaging(hyper.mu != 1) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    weight_decay(p, g);
    p = p * shrink - eta * g;
    if (averaging) {
      const Vec<T> average = state.get(0);
      state.set(0, average + (p - average) * mu);
    } else {
      state.set(0, p);
    }
    return p;
  }
};

// size = clamp(size (eta_plus, 1 or eta_minus by the sign of g prev));  p -= sign(g) size, with g = 0 where
// the sign has changed
template <class T>
struct Rprop {
  using Hyper = RpropHyper;
  Vec<T> first_size, eta_minus, eta_plus, size_min, size_max;
  bool first_step;

  RAVINE_INLINE Rprop(const Hyper& hyper, const ParameterSegment&)
      : first_size(splat_of<T>(hyper.first_size)),
        eta_minus(splat_of<T>(hyper.eta_minus)),
        eta_plus(splat_of<T>(hyper.eta_plus)),
        size_min(splat_of<T>(hyper.size_min)),
        size_max(splat_of<T>(hyper.size_max)),
        first_step(hyper.first_step != 0) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    const Vec<T> zero{}, one = splat_of<T>(1);
    const Vec<T> previous = first_step ? zero : state.get(0), size = first_step ? first_size : state.get(1);
    // The product of the signs: that of the numbers may fall below the smallest one.
    const Vec<T> turn = sign_of<T>(g) * sign_of<T>(previous);
    const Vec<T> factor = select<T>(turn > zero, eta_plus, select<T>(turn < zero, eta_minus, one));
    const Vec<T> new_size = minimum(maximum(size * factor, size_min), size_max);
    g = select<T>(turn < zero, zero, g);
    state.set(0, g);
    state.set(1, new_size);
    return p - sign_of<T>(g) * new_size;
  }
};

// p -= lr (sign((1 - beta1) g + beta1 m) + weight_decay p);  m = (1 - beta2) g + beta2 m
template <class T>
struct Lion {
  using Hyper = LionHyper;
  Vec<T> lr, weight_decay;
  WeightedMean<T> direction, mean;

  RAVINE_INLINE Lion(const Hyper& hyper, const ParameterSegment&)
      : lr(splat_of<T>(hyper.lr)),
        weight_decay(splat_of<T>(hyper.weight_decay)),
        direction(hyper.beta1),
        mean(hyper.beta2) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    const Vec<T> m = state.get(0);
    state.set(0, mean(m, g));
    return p - lr * (sign_of<T>(direction(m, g)) + weight_decay * p);
  }
};

// g += weight_decay p;  g *= trust |p| / (|g| + eps);  b = momentum b - lr g;
// p += b, or momentum b - lr g for nesterov
template <class T>
struct Lars {
  using Hyper = LarsHyper;
  WeightDecay<T> weight_decay;
  Vec<T> step_size, momentum;
  bool nesterov;

  RAVINE_INLINE Lars(const Hyper& hyper, const ParameterSegment& segment)
      : weight_decay(hyper.weight_decay),
        step_size(splat_of<T>(hyper.lr * trust_ratio(hyper, segment))),
        momentum(splat_of<T>(hyper.momentum)),
        nesterov(hyper.nesterov != 0) {}

  static double trust_ratio(const Hyper& hyper, const ParameterSegment& segment) {
    const double weight = __builtin_sqrt(segment.sums[0]), gradient = __builtin_sqrt(segment.sums[1]);
    return weight == 0 || gradient == 0 ? 1 : hyper.trust_coefficient * weight / (gradient + hyper.eps);
  }

  template <class State>
  RAVINE_INLINE void measure(Vec<T> p, Vec<T> g, State, SumOfSquares<T>* sums) const {
    weight_decay(p, g);
    sums[0].add(p);
    sums[1].add(g);
  }

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    weight_decay(p, g);
    g *= step_size;
    const Vec<T> b = g + momentum * state.get(0);
    state.set(0, b);
    return p - (nesterov ? g + momentum * b : b);
  }
};

}  // namespace

RAVINE_UPDATE_FUNCTION(sgd, Sgd)
RAVINE_UPDATE_FUNCTION(asgd, Asgd)
RAVINE_UPDATE_FUNCTION(rprop, Rprop)
RAVINE_UPDATE_FUNCTION(lion, Lion)
RAVINE_UPDATE_FUNCTION(lars, Lars)
RAVINE_MEASURE_FUNCTION(lars, Lars)

}  // namespace ravine::kernels::RAVINE_ISA
