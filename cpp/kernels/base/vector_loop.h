// Loops over dense memory by vectors, the formula written once: a body is called with All for whole vectors
// and with a count for the tail, and hands that on to load and store.
#pragma once

#include "kernels/base/ranges.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

struct All {};

template <class T>
RAVINE_INLINE Vec<T> load(const T* from, All) {
  return load(from);
}

template <class T>
RAVINE_INLINE void store(T* to, Vec<T> value, All) {
  store(to, value);
}

// body(i, All{}) for i = 0, lanes, 2 lanes, ... and body(i, n - i) for what is left.
template <class T, class Body>
RAVINE_INLINE void for_each_vector(std::int64_t n, Body body) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) body(i, All{});
  if (i < n) body(i, n - i);
}

}  // namespace ravine::kernels::RAVINE_ISA
