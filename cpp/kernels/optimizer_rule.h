// From an update rule's formula on vectors to the function that updates a part of a segment.
//
//   template <class T>
//   struct Momentum {
//     using Hyper = MomentumHyper;
//     Vec<T> lr, momentum;
//     explicit Momentum(const Hyper& hyper);                    // once per part
//     Vec<T> operator()(Vec<T> p, Vec<T> g, auto state) const {  // the new parameter
//       const Vec<T> b = momentum * state.get(0) + g;
//       state.set(0, b);
//       return p - lr * b;
//     }
//   };
//   RAVINE_UPDATE_FUNCTION(momentum, Momentum)
#pragma once

#include "kernels/optimizer.h"
#include "kernels/vector_loop.h"

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

template <class T, class Rule>
RAVINE_INLINE void update_part(const OptimizerStep& step, const ParameterSegment& segment,
                               const void* gradient_of_part, std::int64_t offset, std::int64_t count) {
  const Rule rule(*static_cast<const typename Rule::Hyper*>(step.hyper));
  const Vec<T> scale = splat_of<T>(step.gradient_scale);
  T* const parameter = static_cast<T*>(segment.parameter) + offset;
  const T* const gradient = static_cast<const T*>(gradient_of_part);
  T* slots[max_slots];
  for (int s = 0; s < max_slots; ++s)
    slots[s] = segment.slots[s] == nullptr ? nullptr : static_cast<T*>(segment.slots[s]) + offset;
  for_each_vector<T>(count, [&](std::int64_t i, auto n) RAVINE_INLINE_LAMBDA {
    const Vec<T> p = load(parameter + i, n), g = scale * load(gradient + i, n);
    store(parameter + i, rule(p, g, RuleState<T, decltype(n)>{slots, i, n}), n);
  });
}

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
