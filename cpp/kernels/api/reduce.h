// Reductions over the middle axis of [outer, reduced, inner]; other shapes are brought to this form by the
// compiler.
#pragma once

#include "kernels/api/tile.h"

namespace ravine::kernels {

#define RAVINE_REDUCTIONS(X) X(sum) X(max) X(min) X(prod) X(argmax) X(argmin)

enum class Reduction : std::uint8_t {
#define RAVINE_ENUMERATOR(name) name,
  RAVINE_REDUCTIONS(RAVINE_ENUMERATOR)
#undef RAVINE_ENUMERATOR
};

struct ReduceArgs {
  std::int64_t outer = 1, reduced = 1, inner = 1;
  const void* input = nullptr;  // strides in elements
  std::int64_t outer_stride = 0, reduced_stride = 0, inner_stride = 1;
  void* output = nullptr;  // dense [outer, inner]; int64 for sums and products of integers and bools, and for
                           // argmax and argmin, which take the first of equals; a NaN wins
  double scale = 1;        // multiplies a sum: 1 / n for a mean
  void* workspace = nullptr;
};

}  // namespace ravine::kernels
