// Optimizer steps: one pass over memory for all parameters of a rule.
#pragma once

#include "kernels/api/fault.h"
#include "kernels/api/tile.h"

namespace ravine::kernels {

inline constexpr int max_slots = 4;  // of a rule
// Behind them, for any rule: the parameter's average over steps, and the slow weights of Lookahead.
inline constexpr int average_slot = max_slots, slow_slot = max_slots + 1, all_slots = max_slots + 2;

// One parameter: n elements, its gradient and the rule's state, all dense in the same order.
struct ParameterSegment {
  void* parameter = nullptr;
  const void* gradient = nullptr;
  void* slots[all_slots] = {};  // null where there is none
  std::int64_t size = 0;
  double sums[2] = {};  // over the whole parameter, for the update of a layer-wise rule
};

// ---- the rules' numbers
// They are read when the step runs: the caller may change them between runs without recompiling. Flags are
// 0 or 1. Gradients come with their sign and scale applied (OptimizerStep). weight_decay is added to the
// gradient unless `decoupled`. `first_step` is 1 where the slots hold nothing yet. bias_correction is
// 1 - beta^t.

// Slots {momentum_buffer, or none: no momentum}.
struct SgdHyper {
  double lr = 0, momentum = 0, dampening = 0, weight_decay = 0;
  double nesterov = 0;
  double first_step = 0;  // the momentum buffer is set to the gradient, as torch does
};

// Slots {ax}, the average of the parameters.
struct AsgdHyper {
  double eta = 0, mu = 1, lambd = 0, weight_decay = 0;
};

// Slots {prev, step_size}.
struct RpropHyper {
  double first_size = 0, eta_minus = 0.5, eta_plus = 1.2, size_min = 1e-6, size_max = 50;
  double first_step = 0;
};

// Slots {exp_avg}.
struct LionHyper {
  double lr = 0, beta1 = 0.9, beta2 = 0.99, weight_decay = 0;
};

// Slots {momentum_buffer}.
struct LarsHyper {
  double lr = 0, momentum = 0.9, weight_decay = 0, trust_coefficient = 0.001, eps = 0, nesterov = 0;
};

// Slots {exp_avg, exp_avg_sq, max_exp_avg_sq if amsgrad}.
struct AdamHyper {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double decoupled = 0;                               // 1: AdamW
  double amsgrad = 0;                                 // 1: slot 2 holds the maximum of the second moment
  double bias_correction1 = 1, bias_correction2 = 1;  // 1 - beta^t
};

// Slots {exp_avg, exp_inf}.
struct AdamaxHyper {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double bias_correction1 = 1;
};

// Slots {exp_avg, exp_avg_sq}.
struct NadamHyper {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0, decoupled = 0;
  double gradient_share = 0, average_share = 0;  // of lr, for the gradient and its running mean
  double bias_correction2 = 1;
};

// Slots {exp_avg, exp_avg_sq}.
struct RadamHyper {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0, decoupled = 0;
  double rectification = 0;  // 0: the variance is not yet tractable, the step is not adaptive
  double bias_correction1 = 1, bias_correction2 = 1;
};

// Slots {exp_avg, exp_avg_var}.
struct AdabeliefHyper {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-16, eps_root = 1e-16, weight_decay = 0, decoupled = 0;
  double bias_correction1 = 1, bias_correction2 = 1;
};

// Slots {exp_avg, exp_avg_sq}.
struct YogiHyper {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-3, weight_decay = 0, decoupled = 0;
  double initial_accumulator = 1e-6, first_step = 0;
  double bias_correction1 = 1, bias_correction2 = 1;
};

// Slots {exp_avg, exp_avg_diff, exp_avg_sq, previous_gradient}.
struct AdanHyper {
  double lr = 0, beta1 = 0.98, beta2 = 0.92, beta3 = 0.99, eps = 1e-8, eps_root = 1e-8, weight_decay = 0;
  double first_step = 0;
  double bias_correction1 = 1, bias_correction2 = 1, bias_correction3 = 1;
};

// Slots {exp_avg, exp_avg_sq}.
struct LambHyper {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-6, weight_decay = 0;
  double bias_correction1 = 1, bias_correction2 = 1;
};

// Slots {variance} of vectors, {none, row_var, col_var} of matrices.
struct AdafactorHyper {
  double rate = 0;   // min(lr, 1 / sqrt(step)), relative to the rms of the weights
  double share = 1;  // of new squares in their means
  double machine_eps = 1, eps1 = 0, eps2 = 1e-3;  // machine_eps 1: that of the dtype in the place of eps1
  double d = 1;                                   // bound on the rms of an update
  double decay = 0;                               // lr weight_decay
};

// Slots {sum}; of the rows of matrices in rowwise_adagrad {none, row_sum}, a number a row.
struct AdagradHyper {
  double lr = 0, eps = 1e-10, weight_decay = 0, initial_accumulator = 0, first_step = 0;
};

// Slots {square_avg, acc_delta}.
struct AdadeltaHyper {
  double lr = 1, rho = 0.9, eps = 1e-6, weight_decay = 0;
};

// Slots {square_avg, momentum_buffer or none: no momentum, grad_avg if centered}.
struct RmspropHyper {
  double lr = 0, alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0, centered = 0;
};

// The parameter is y, where gradients are taken. Slots {z}.
struct ScheduleFreeSgdHyper {
  double lr = 0, beta = 0.9, weight_decay = 0;
  double average_weight = 0;  // of the new z in x
  double first_step = 0;
};

// Slots {z, exp_avg_sq}.
struct ScheduleFreeAdamwHyper {
  double lr = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  double average_weight = 0, bias_correction2 = 1, first_step = 0;
};

// Of matrices: slots {none, none, momentum_buffer}. Vectors are Adam's, whose numbers come first.
struct MuonHyper {
  AdamHyper adam;
  double lr = 0, momentum = 0.95, weight_decay = 0, nesterov = 1;
  double a = 3.4445, b = -4.775, c = 2.0315;  // of an iteration x = a x + (b A + c A^2) x with A = x x^T
  double eps = 1e-7;                          // least norm that a direction is divided by
  double iterations = 5;
  double match_rms_adamw = 0;
};

// Every rule once: X(name, Hyper). Elementwise: an element's new value and state depend on what that element
// was, its gradient and the numbers alone, so that any part may be updated as soon as its gradient is final.
#define RAVINE_ELEMENTWISE_RULES(X)          \
  X(sgd, SgdHyper)                           \
  X(asgd, AsgdHyper)                         \
  X(rprop, RpropHyper)                       \
  X(lion, LionHyper)                         \
  X(adam, AdamHyper)                         \
  X(adamax, AdamaxHyper)                     \
  X(nadam, NadamHyper)                       \
  X(radam, RadamHyper)                       \
  X(adabelief, AdabeliefHyper)               \
  X(yogi, YogiHyper)                         \
  X(adan, AdanHyper)                         \
  X(adagrad, AdagradHyper)                   \
  X(adadelta, AdadeltaHyper)                 \
  X(rmsprop, RmspropHyper)                   \
  X(schedule_free_sgd, ScheduleFreeSgdHyper) \
  X(schedule_free_adamw, ScheduleFreeAdamwHyper)
// Layer-wise: they need sums over a whole parameter and its gradient first (OptimizerMeasure).
#define RAVINE_LAYERWISE_RULES(X) \
  X(lars, LarsHyper)              \
  X(lamb, LambHyper)              \
  X(adafactor, AdafactorHyper)
// Row-wise: the new row depends on the old one, its gradient, its state and the numbers alone. A part to
// update is one row.
#define RAVINE_ROWWISE_RULES(X) X(rowwise_adagrad, AdagradHyper)
#define RAVINE_OPTIMIZER_RULES(X) \
  RAVINE_ELEMENTWISE_RULES(X) RAVINE_LAYERWISE_RULES(X) RAVINE_ROWWISE_RULES(X)

enum class OptimizerRule : std::uint8_t {
#define RAVINE_RULE(name, Hyper) name,
  RAVINE_OPTIMIZER_RULES(RAVINE_RULE)
#undef RAVINE_RULE
};

constexpr bool is_elementwise(OptimizerRule rule) {
  switch (rule) {
#define RAVINE_CASE(name, Hyper) case OptimizerRule::name:
    RAVINE_ELEMENTWISE_RULES(RAVINE_CASE)
#undef RAVINE_CASE
    return true;
    default:
      return false;
  }
}

// ---- a step

// What holds for all parameters of a step.
struct OptimizerStep {
  const void* hyper = nullptr;  // the rule's numbers
  double gradient_scale = 1;    // the rule sees gradient_scale times the gradient; negative to maximise
  double clip_value = __builtin_inf();  // of the gradient before it is scaled: to [-clip_value, clip_value]
  // Then, by the norms of the clipped gradients: of each parameter, and of all together, both at most these.
  double clip_norm = __builtin_inf(), clip_global_norm = __builtin_inf();
  double skip_nonfinite = 0;  // 1: nothing is changed where a gradient is NaN or infinite
  // What follows the rule. slow += slow_weight (parameter - slow), the new parameter; 0: not in this step.
  double slow_weight = 0;
  // average += average_weight (parameter - average); 0: not in this step, 1: the average is the parameter.
  double average_weight = 0;
};

// Sums of squares of gradients, clipped by value, in float64.
struct GradientNormArgs {
  const ParameterSegment* segments = nullptr;
  std::int64_t n_segments = 0;
  const double* clip_value = nullptr;
  double* squares = nullptr;  // one per segment
  const Fault* fault = nullptr;
  void* workspace = nullptr;
};

// Updates elements [offset, offset + count) of a segment, with the gradient of the first of them at
// `gradient` (segment.gradient is not read). Of clipping it does that by value. Any cut of a segment into
// such parts gives the same bits. A part is not cut among threads: this is no SPMD function. It is cheap to
// enter: the numbers are made vectors once per call.
using OptimizerUpdate = void (*)(const OptimizerStep& step, const ParameterSegment& segment,
                                 const void* gradient, std::int64_t offset, std::int64_t count);

// What a layer-wise rule does first with every part: it may change the slots, and gives the part's sums,
// whose totals are the segment's.
using OptimizerMeasure = void (*)(const OptimizerStep& step, const ParameterSegment& segment,
                                  const void* gradient, std::int64_t offset, std::int64_t count,
                                  double* sums);

struct OptimizerFunctions {
  OptimizerUpdate update = nullptr;
  OptimizerMeasure measure = nullptr;  // null: the rule is elementwise
};

// The SPMD kernel: `measure` where there is one and then `update` over all segments. The workspace is needed
// for measuring alone.
struct OptimizerArgs {
  const ParameterSegment* segments = nullptr;
  std::int64_t n_segments = 0;
  OptimizerFunctions functions;
  const OptimizerStep* step = nullptr;
  const Fault* fault = nullptr;  // nothing is changed when fault->code is set; may be null
  void* workspace = nullptr;
  // Where the step clips by norm or skips: sums of squares of all gradients, those of these segments from
  // `first_square` on.
  const double* squares = nullptr;
  std::int64_t n_squares = 0, first_square = 0;
};

// ---- rows

// The SPMD kernel that updates the rows of one parameter that have a gradient, as coalesce_rows leaves it.
struct OptimizerRowsArgs {
  OptimizerArgs step;                     // of one segment, whose gradient is dense [count, inner]
  const std::int64_t* indices = nullptr;  // [count] rows of the parameter, increasing; -1 behind the last
  std::int64_t count = 0, inner = 1;
};

// ---- rules that see parameters as matrices

// How a parameter lies in memory: element (b, r, c, i) at ((b * rows + r) * columns + c) * inner + i. Filters
// with their channels last have these inside of their rows and columns.
struct MatrixShape {
  std::int64_t batch = 1, rows = 0, columns = 0, inner = 1;
  [[gnu::always_inline]] std::int64_t size() const { return batch * rows * columns * inner; }
};

// The SPMD kernels adafactor_matrices (slots row_var [batch, rows, inner] and col_var [batch, columns,
// inner]), muon_matrices and rowwise_adagrad_matrices (batch and inner are 1). `functions` of the step are
// not used.
struct MatrixStepArgs {
  OptimizerArgs step;
  const MatrixShape* shapes = nullptr;  // of the segments
};

}  // namespace ravine::kernels
