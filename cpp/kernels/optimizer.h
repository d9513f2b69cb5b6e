// Optimizer steps: one pass over memory for all parameters of a rule.
#pragma once

#include "kernels/softmax.h"

namespace ravine::kernels {

inline constexpr int max_slots = 4;

// One parameter: n elements, its gradient and the rule's state, all dense in the same order.
struct ParameterSegment {
  void* parameter = nullptr;
  const void* gradient = nullptr;
  void* slots[max_slots] = {};
  std::int64_t size = 0;
};

// Hyperparameters are read when the step runs: the caller may change them between runs without recompiling.
struct SgdHyper {
  double lr = 0, momentum = 0, dampening = 0, weight_decay = 0;
  double nesterov = 0;    // 0 or 1
  double maximize = 0;    // 0 or 1
  double first_step = 0;  // 1: the momentum buffer (slot 0) is set to the gradient, as torch does
};

struct AdamHyper {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double decoupled = 0;  // 1: AdamW
  double maximize = 0;
  double amsgrad = 0;                                 // 1: slot 2 holds the maximum of the second moment
  double bias_correction1 = 1, bias_correction2 = 1;  // 1 - beta^t
};

// Slots: SGD with momentum {momentum_buffer}; Adam {exp_avg, exp_avg_sq, max_exp_avg_sq if amsgrad}.
struct OptimizerArgs {
  const ParameterSegment* segments = nullptr;
  std::int64_t n_segments = 0;
  const void* hyper = nullptr;   // SgdHyper or AdamHyper
  const Fault* fault = nullptr;  // nothing is changed when fault->code is set; may be null
};

}  // namespace ravine::kernels
