// From an update rule's formula on vectors to the function that updates a part of a segment.
//
//   template <class T>
//   struct Momentum {
//     using Hyper = MomentumHyper;
//     Vec<T> lr, momentum;
//     explicit Momentum(const Hyper& hyper, const ParameterSegment&);  // once per part
//     Vec<T> operator()(Vec<T> p, Vec<T> g, auto state) const {  // the new parameter
//       const Vec<T> b = momentum * state.get(0) + g;
//       state.set(0, b);
//       return p - lr * b;
//     }
//   };
//   RAVINE_UPDATE_FUNCTION(momentum, Momentum)
#pragma once

#include "kernels/api/optimizer.h"
#include "kernels/base/vector_loop.h"
#include "simd/math.h"

namespace ravine::kernels::RAVINE_ISA {

// The slots of the vector that a formula is at; Count is All or a number of elements.
template <class T, class Count>
struct RuleState {
  T* const* slots;
  std::int64_t i;
  Count n;

  RAVINE_INLINE Vec<T> get(int slot) const { return load(slots[slot] + i, n); }
  RAVINE_INLINE void set(int slot, Vec<T> value) const { store(slots[slot] + i, value, n); }
};

template <class T>
RAVINE_INLINE Vec<T> splat_of(double value) {
  return splat(static_cast<T>(value));
}

// The running mean moved towards a value, as torch.lerp(mean, value, 1 - decay): it starts from the nearer
// end.
template <class T>
struct RunningMean {
  Vec<T> decay, intake;
  bool intake_is_small;

  RAVINE_INLINE explicit RunningMean(double decay)
      : decay(splat_of<T>(decay)), intake(splat_of<T>(1 - decay)), intake_is_small(1 - decay < 0.5) {}
  RAVINE_INLINE Vec<T> operator()(Vec<T> mean, Vec<T> value) const {
    return intake_is_small ? mean + intake * (value - mean) : value - decay * (value - mean);
  }
};

// A mean of squares (or of other things that torch and optax sum up so): decay mean + (1 - decay) value.
template <class T>
struct WeightedMean {
  Vec<T> decay, intake;

  RAVINE_INLINE explicit WeightedMean(double decay)
      : decay(splat_of<T>(decay)), intake(splat_of<T>(1 - decay)) {}
  RAVINE_INLINE Vec<T> operator()(Vec<T> mean, Vec<T> value) const { return decay * mean + intake * value; }
};

// Weight decay before a rule: added to the gradient, or, decoupled, a share lr weight_decay off the
// parameter.
template <class T>
struct WeightDecay {
  Vec<T> coefficient, shrink;
  bool coupled, decoupled;

  RAVINE_INLINE WeightDecay(double weight_decay, double lr = 0, bool is_decoupled = false)
      : coefficient(splat_of<T>(weight_decay)),
        shrink(splat_of<T>(1 - lr * weight_decay)),
        coupled(weight_decay != 0 && !is_decoupled),
        decoupled(weight_decay != 0 && is_decoupled) {}
  RAVINE_INLINE void operator()(Vec<T>& p, Vec<T>& g) const {
    if (coupled) g += coefficient * p;
    if (decoupled) p *= shrink;
  }
};

// -1, 0 or 1; NaN stays.
template <class T>
RAVINE_INLINE Vec<T> sign_of(Vec<T> x) {
  const Vec<T> zero{};
  return select<T>(x == zero || x != x, x, copy_sign<T>(splat_of<T>(1), x));
}

// The gradient as rules see it: bounded by value, scaled.
template <class T>
struct GradientOfStep {
  Vec<T> scale, highest;
  bool clips;

  RAVINE_INLINE explicit GradientOfStep(const OptimizerStep& step)
      : scale(splat_of<T>(step.gradient_scale)),
        highest(splat_of<T>(step.clip_value)),
        clips(step.clip_value < __builtin_inf()) {}
  RAVINE_INLINE Vec<T> operator()(Vec<T> g) const {
    if (clips) g = minimum(maximum(g, -highest), highest);
    return scale * g;
  }
};

// What follows a rule: Lookahead's slow weights, the average over steps.
template <class T>
struct FollowingStep {
  Vec<T> slow_weight, average_weight;
  bool slow_moves, averages, average_begins;

  RAVINE_INLINE FollowingStep(const OptimizerStep& step, const ParameterSegment& segment)
      : slow_weight(splat_of<T>(step.slow_weight)),
        average_weight(splat_of<T>(step.average_weight)),
        slow_moves(step.slow_weight != 0 && segment.slots[slow_slot] != nullptr),
        averages(step.average_weight != 0 && segment.slots[average_slot] != nullptr),
        average_begins(step.average_weight == 1) {}
  template <class State>
  RAVINE_INLINE Vec<T> operator()(Vec<T> p, State state) const {
    if (slow_moves) {
      const Vec<T> slow = state.get(slow_slot);
      p = slow + slow_weight * (p - slow);
      state.set(slow_slot, p);
    }
    if (averages) {
      const Vec<T> average = average_begins ? p : state.get(average_slot);
      state.set(average_slot, average + average_weight * (p - average));
    }
    return p;
  }
};

// Most steps have neither: the loop over a part then asks no questions.
struct GradientAsGiven {
  template <class V>
  RAVINE_INLINE V operator()(V g) const {
    return g;
  }
};
struct NothingFollows {
  template <class V, class State>
  RAVINE_INLINE V operator()(V p, State) const {
    return p;
  }
};
RAVINE_INLINE bool is_plain(const OptimizerStep& step, const ParameterSegment& segment) {
  return step.gradient_scale == 1 && step.clip_value == __builtin_inf() &&
         (step.slow_weight == 0 || segment.slots[slow_slot] == nullptr) &&
         (step.average_weight == 0 || segment.slots[average_slot] == nullptr);
}

// The slots of a segment from an element on.
template <class T>
struct SlotsFrom {
  T* slots[all_slots];

  RAVINE_INLINE SlotsFrom(const ParameterSegment& segment, std::int64_t offset) {
    for (int s = 0; s < all_slots; ++s)
      slots[s] = segment.slots[s] == nullptr ? nullptr : static_cast<T*>(segment.slots[s]) + offset;
  }
};

// body(rule, p, g, state) for the vectors of a part.
template <class T, class Rule, class Gradient, class Body>
RAVINE_INLINE void for_each_element(const OptimizerStep& step, const ParameterSegment& segment,
                                    const void* gradient_of_part, std::int64_t offset, std::int64_t count,
                                    Gradient gradient_of, Body body) {
  const Rule rule(*static_cast<const typename Rule::Hyper*>(step.hyper), segment);
  const T* const parameter = static_cast<const T*>(segment.parameter) + offset;
  const T* const gradient = static_cast<const T*>(gradient_of_part);
  const SlotsFrom<T> from(segment, offset);
  for_each_vector<T>(count, [&](std::int64_t i, auto n) RAVINE_INLINE_LAMBDA {
    body(rule, load(parameter + i, n), gradient_of(load(gradient + i, n)),
         RuleState<T, decltype(n)>{from.slots, i, n});
  });
}

template <class T, class Rule>
RAVINE_INLINE void update_part(const OptimizerStep& step, const ParameterSegment& segment,
                               const void* gradient_of_part, std::int64_t offset, std::int64_t count) {
  T* const parameter = static_cast<T*>(segment.parameter) + offset;
  const auto update = [&](auto gradient_of, auto follow) RAVINE_INLINE_LAMBDA {
    for_each_element<T, Rule>(step, segment, gradient_of_part, offset, count, gradient_of,
                              [&](const Rule& rule, Vec<T> p, Vec<T> g, auto state) RAVINE_INLINE_LAMBDA {
                                store(parameter + state.i, follow(rule(p, g, state), state), state.n);
                              });
  };
  if (is_plain(step, segment)) update(GradientAsGiven(), NothingFollows());
  else update(GradientOfStep<T>(step), FollowingStep<T>(step, segment));
}

// Sums of squares of a part, each lane in double.
template <class T>
class SumOfSquares {
 public:
  RAVINE_INLINE void add(Vec<T> x) {
    if constexpr (sizeof(T) == sizeof(float)) {
      Vec<double> low, high;
      widen(x, low, high);
      low_ += low * low;
      high_ += high * high;
    } else {
      low_ += x * x;
    }
  }
  // Squares that are summed already.
  RAVINE_INLINE void add_sum(Vec<T> squares) {
    if constexpr (sizeof(T) == sizeof(float)) {
      Vec<double> low, high;
      widen(squares, low, high);
      low_ += low;
      high_ += high;
    } else {
      low_ += squares;
    }
  }
  RAVINE_INLINE double total() const { return sum_of_lanes<double>(low_ + high_); }

 private:
  Vec<double> low_{}, high_{};
};

// For layer-wise rules: rule.measure(p, g, state, sums) sees the old parameter and adds to sums[0] and
// sums[1].
template <class T, class Rule>
RAVINE_INLINE void measure_part(const OptimizerStep& step, const ParameterSegment& segment,
                                const void* gradient_of_part, std::int64_t offset, std::int64_t count,
                                double* sums) {
  SumOfSquares<T> squares[2];
  for_each_element<T, Rule>(step, segment, gradient_of_part, offset, count, GradientOfStep<T>(step),
                            [&](const Rule& rule, Vec<T> p, Vec<T> g, auto state)
                                RAVINE_INLINE_LAMBDA { rule.measure(p, g, state, squares); });
  sums[0] = squares[0].total();
  sums[1] = squares[1].total();
}

#define RAVINE_MEASURE_FUNCTION(name, Rule)                                                             \
  template <class T>                                                                                    \
  void measure_##name(const OptimizerStep& step, const ParameterSegment& segment, const void* gradient, \
                      std::int64_t offset, std::int64_t count, double* sums) {                          \
    measure_part<T, Rule<T>>(step, segment, gradient, offset, count, sums);                             \
  }                                                                                                     \
  template void measure_##name<float>(const OptimizerStep&, const ParameterSegment&, const void*,       \
                                      std::int64_t, std::int64_t, double*);                             \
  template void measure_##name<double>(const OptimizerStep&, const ParameterSegment&, const void*,      \
                                       std::int64_t, std::int64_t, double*);

#define RAVINE_UPDATE_FUNCTION(name, Rule)                                                             \
  template <class T>                                                                                   \
  void update_##name(const OptimizerStep& step, const ParameterSegment& segment, const void* gradient, \
                     std::int64_t offset, std::int64_t count) {                                        \
    update_part<T, Rule<T>>(step, segment, gradient, offset, count);                                   \
  }                                                                                                    \
  template void update_##name<float>(const OptimizerStep&, const ParameterSegment&, const void*,       \
                                     std::int64_t, std::int64_t);                                      \
  template void update_##name<double>(const OptimizerStep&, const ParameterSegment&, const void*,      \
                                      std::int64_t, std::int64_t);

}  // namespace ravine::kernels::RAVINE_ISA
