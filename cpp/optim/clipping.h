// Bounds of gradients that the optimizers of one training step share.
#pragma once

#include <cstdint>
#include <limits>

#include "core/array.h"
#include "graph/graph.h"

namespace ravine::optim {

class Clipping final : public EffectTarget {
 public:
  explicit Clipping(std::int64_t n_parameters) : squares_(DType::float64, Shape{n_parameters}) {}

  // Read when a step runs. By value, then by the norm of each parameter, then by that of all of them.
  double clip_value = std::numeric_limits<double>::infinity();
  double clip_norm = std::numeric_limits<double>::infinity();
  double clip_global_norm = std::numeric_limits<double>::infinity();
  bool skip_nonfinite = false;  // a step with a gradient that is NaN or infinite changes nothing

  // Of the newest run: one sum of squares per parameter, after clipping by value.
  const Array& squares() const { return squares_; }
  double global_norm() const;     // of all gradients, before clipping by norm
  bool refuses() const override;  // with skip_nonfinite: a gradient was NaN or infinite

 private:
  Array squares_;
};

}  // namespace ravine::optim
