// What bounds by norms, and skipping, do to a step: from the sums of squares that gradient_norm left.
#pragma once

#include "kernels/api/optimizer.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

// The factor that brings a norm down to a bound, as torch.nn.utils.clip_grad_norm_.
RAVINE_INLINE double clip_factor(double norm, double bound) {
  const double factor = bound / (norm + 1e-6);
  return factor < 1 ? factor : 1;
}

// Factors of the gradients, from their sums of squares.
class Clipping {
 public:
  explicit Clipping(const OptimizerArgs& args) : args_(args) {
    if (args.squares == nullptr) return;
    double total = 0;
    for (std::int64_t i = 0; i < args.n_squares; ++i) {
      const double factor = factor_of_parameter(args.squares[i]);
      total += factor * factor * args.squares[i];
    }
    finite_ = total - total == 0;
    if (args.step->clip_global_norm < __builtin_inf())
      global_ = clip_factor(__builtin_sqrt(total), args.step->clip_global_norm);
  }
  bool skips() const { return args_.step->skip_nonfinite != 0 && !finite_; }
  OptimizerStep step_of(std::int64_t segment) const {
    OptimizerStep step = *args_.step;
    if (args_.squares != nullptr)
      step.gradient_scale *= global_ * factor_of_parameter(args_.squares[args_.first_square + segment]);
    return step;
  }

 private:
  double factor_of_parameter(double square) const {
    if (!(args_.step->clip_norm < __builtin_inf())) return 1;
    return clip_factor(__builtin_sqrt(square), args_.step->clip_norm);
  }
  const OptimizerArgs& args_;
  double global_ = 1;
  bool finite_ = true;
};

}  // namespace ravine::kernels::RAVINE_ISA
