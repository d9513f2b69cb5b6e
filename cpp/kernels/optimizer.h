// Optimizer steps: one pass over memory for all parameters of a rule.
#pragma once

#include "kernels/softmax.h"

namespace ravine::kernels {

inline constexpr int max_slots = 4;

// One parameter: n elements, its gradient and the rule's state, all dense in the same order.
struct ParameterSegment {
  void* parameter = nullptr;
  const void* gradient = nullptr;
  void* slots[max_slots] = {};  // null where the rule's numbers need none
  std::int64_t size = 0;
};

// ---- the rules' numbers --------------------------------------------------------------------------
// They are read when the step runs: the caller may change them between runs without recompiling. Flags are 0
// or
// 1. Gradients come with their sign and scale applied (OptimizerStep).

// Slots {momentum_buffer}.
struct SgdHyper {
  double lr = 0, momentum = 0, dampening = 0, weight_decay = 0;
  double nesterov = 0;
  double first_step = 0;  // 1: the momentum buffer is set to the gradient, as torch does
};

// Slots {exp_avg, exp_avg_sq, max_exp_avg_sq if amsgrad}.
struct AdamHyper {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double decoupled = 0;                               // 1: AdamW
  double amsgrad = 0;                                 // 1: slot 2 holds the maximum of the second moment
  double bias_correction1 = 1, bias_correction2 = 1;  // 1 - beta^t
};

// Every rule once: X(name, Hyper). All are elementwise: an element's new value and state depend on what that
// element was, its gradient and the numbers alone, so that any part may be updated as soon as its gradient is
// final.
#define RAVINE_OPTIMIZER_RULES(X) \
  X(sgd, SgdHyper)                \
  X(adam, AdamHyper)

enum class OptimizerRule : std::uint8_t {
#define RAVINE_RULE(name, Hyper) name,
  RAVINE_OPTIMIZER_RULES(RAVINE_RULE)
#undef RAVINE_RULE
};

// ---- a step --------------------------------------------------------------------------------------

// What holds for all parameters of a step.
struct OptimizerStep {
  const void* hyper = nullptr;  // the rule's numbers
  double gradient_scale = 1;    // the rule sees gradient_scale times the gradient; negative to maximise
};

// Updates elements [offset, offset + count) of a segment, with the gradient of the first of them at
// `gradient` (segment.gradient is not read). Any cut of a segment into such parts gives the same bits. A part
// is not cut among threads: this is no SPMD function. It is cheap to enter: the numbers are made vectors once
// per call.
using OptimizerUpdate = void (*)(const OptimizerStep& step, const ParameterSegment& segment,
                                 const void* gradient, std::int64_t offset, std::int64_t count);

// The SPMD kernel: `update` over all segments.
struct OptimizerArgs {
  const ParameterSegment* segments = nullptr;
  std::int64_t n_segments = 0;
  OptimizerUpdate update = nullptr;
  const OptimizerStep* step = nullptr;
  const Fault* fault = nullptr;  // nothing is changed when fault->code is set; may be null
};

}  // namespace ravine::kernels
