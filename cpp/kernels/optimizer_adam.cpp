// Steps scaled by running moments of the gradient. The formulas and their order are those of torch.optim, so
// that trajectories agree to rounding.
#include "kernels/optimizer_rule.h"
#include "simd/math.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

// m = lerp(m, g, 1 - beta1);  v = beta2 v + (1 - beta2) g^2;
// p -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps), with the maximum of all v in place of v
// for amsgrad
template <class T>
struct Adam {
  using Hyper = AdamHyper;
  Vec<T> weight_decay, shrink, beta1, intake1, beta2, intake2, eps, step_size, root_scale;
  bool coupled, decoupled, amsgrad;
  bool intake_is_small;  // lerp starts from the nearer end

  RAVINE_INLINE explicit Adam(const Hyper& hyper)
      : weight_decay(splat_of<T>(hyper.weight_decay)),
        shrink(splat_of<T>(1 - hyper.lr * hyper.weight_decay)),
        beta1(splat_of<T>(hyper.beta1)),
        intake1(splat_of<T>(1 - hyper.beta1)),
        beta2(splat_of<T>(hyper.beta2)),
        intake2(splat_of<T>(1 - hyper.beta2)),
        eps(splat_of<T>(hyper.eps)),
        step_size(splat_of<T>(hyper.lr / hyper.bias_correction1)),
        root_scale(splat_of<T>(1 / __builtin_sqrt(hyper.bias_correction2))),
        coupled(hyper.weight_decay != 0 && hyper.decoupled == 0),
        decoupled(hyper.weight_decay != 0 && hyper.decoupled != 0),
        amsgrad(hyper.amsgrad != 0),
        intake_is_small(1 - hyper.beta1 < 0.5) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    if (coupled) g += weight_decay * p;
    if (decoupled) p *= shrink;
    Vec<T> m = state.get(0);
    m = intake_is_small ? m + intake1 * (g - m) : g - beta1 * (g - m);
    state.set(0, m);
    Vec<T> v = beta2 * state.get(1) + intake2 * (g * g);
    state.set(1, v);
    if (amsgrad) {
      v = maximum(state.get(2), v);
      state.set(2, v);
    }
    return p - step_size * m / (square_root<T>(v) * root_scale + eps);
  }
};

}  // namespace

RAVINE_UPDATE_FUNCTION(adam, Adam)

}  // namespace ravine::kernels::RAVINE_ISA
