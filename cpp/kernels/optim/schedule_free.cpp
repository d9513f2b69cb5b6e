// Schedule-free rules (Defazio et al. 2024): z takes the steps, x is the average of all z, and gradients are
// taken at y = (1 - beta) z + beta x. The parameter is y; x is y and z's to compute. The order of operations
// is that of optax.contrib.schedule_free.
#include "kernels/optim/rule.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

template <class T>
struct Interpolation {
  Vec<T> beta, rest, average_weight, old_weight;

  RAVINE_INLINE Interpolation(double beta, double average_weight)
      : beta(splat_of<T>(beta)),
        rest(splat_of<T>(1 - beta)),
        average_weight(splat_of<T>(average_weight)),
        old_weight(splat_of<T>(1 - average_weight)) {}

  // The new y, after z has moved.
  RAVINE_INLINE Vec<T> operator()(Vec<T> y, Vec<T> z, Vec<T> new_z) const {
    const Vec<T> old_x = (y - rest * z) / beta, x = old_weight * old_x + average_weight * new_z;
    return beta * x + rest * new_z;
  }
};

// z -= lr (g + weight_decay y)
template <class T>
struct ScheduleFreeSgd {
  using Hyper = ScheduleFreeSgdHyper;
  WeightDecay<T> weight_decay;
  Interpolation<T> interpolation;
  Vec<T> lr;
  bool first_step;

  RAVINE_INLINE ScheduleFreeSgd(const Hyper& hyper, const ParameterSegment&)
      : weight_decay(hyper.weight_decay),
        interpolation(hyper.beta, hyper.average_weight),
        lr(splat_of<T>(hyper.lr)),
        first_step(hyper.first_step != 0) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> y, Vec<T> g, State state) const {
    weight_decay(y, g);
    const Vec<T> z = first_step ? y : state.get(0), new_z = z - lr * g;
    state.set(0, new_z);
    return interpolation(y, z, new_z);
  }
};

// v = beta2 v + (1 - beta2) g^2;  z -= lr (g / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay y)
template <class T>
struct ScheduleFreeAdamw {
  using Hyper = ScheduleFreeAdamwHyper;
  WeightedMean<T> mean_square;
  Interpolation<T> interpolation;
  Vec<T> lr, eps, weight_decay, correction;
  bool first_step;

  RAVINE_INLINE ScheduleFreeAdamw(const Hyper& hyper, const ParameterSegment&)
      : mean_square(hyper.beta2),
        interpolation(hyper.beta1, hyper.average_weight),
        lr(splat_of<T>(hyper.lr)),
        eps(splat_of<T>(hyper.eps)),
        weight_decay(splat_of<T>(hyper.weight_decay)),
        correction(splat_of<T>(hyper.bias_correction2)),
        first_step(hyper.first_step != 0) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> y, Vec<T> g, State state) const {
    const Vec<T> v = mean_square(state.get(1), g * g), z = first_step ? y : state.get(0);
    const Vec<T> step = g / (square_root<T>(v / correction) + eps) + weight_decay * y;
    const Vec<T> new_z = z - lr * step;
    state.set(0, new_z);
    state.set(1, v);
    return interpolation(y, z, new_z);
  }
};

}  // namespace

RAVINE_UPDATE_FUNCTION(schedule_free_sgd, ScheduleFreeSgd)
RAVINE_UPDATE_FUNCTION(schedule_free_adamw, ScheduleFreeAdamw)

}  // namespace ravine::kernels::RAVINE_ISA
