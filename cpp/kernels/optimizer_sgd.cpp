// Plain gradient steps, with momentum. The formulas and their order are those of torch.optim, so that
// trajectories agree to rounding.
#include "kernels/optimizer_rule.h"

namespace ravine::kernels::RAVINE_ISA {

namespace {

// g += weight_decay p;  b = momentum b + (1 - dampening) g;  p -= lr (b, or g + momentum b for nesterov)
template <class T>
struct Sgd {
  using Hyper = SgdHyper;
  Vec<T> lr, momentum, intake, weight_decay;
  bool with_decay, with_momentum, first_step, nesterov;

  RAVINE_INLINE explicit Sgd(const Hyper& hyper)
      : lr(splat_of<T>(hyper.lr)),
        momentum(splat_of<T>(hyper.momentum)),
        intake(splat_of<T>(1 - hyper.dampening)),
        weight_decay(splat_of<T>(hyper.weight_decay)),
        with_decay(hyper.weight_decay != 0),
        with_momentum(hyper.momentum != 0),
        first_step(hyper.first_step != 0),
        nesterov(hyper.nesterov != 0) {}

  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, Vec<T> g, State state) const {
    if (with_decay) g += weight_decay * p;
    if (with_momentum) {
      const Vec<T> b = first_step ? g : momentum * state.get(0) + intake * g;
      state.set(0, b);
      g = nesterov ? g + momentum * b : b;
    }
    return p - lr * g;
  }
};

}  // namespace

RAVINE_UPDATE_FUNCTION(sgd, Sgd)

}  // namespace ravine::kernels::RAVINE_ISA
