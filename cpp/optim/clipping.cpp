#include "optim/clipping.h"

#include <cmath>
#include <numeric>

namespace ravine::optim {

double Clipping::global_norm() const {
  const double* squares = squares_.as<double>();
  return std::sqrt(std::accumulate(squares, squares + squares_.size(), 0.0));
}

bool Clipping::refuses() const { return skip_nonfinite && !std::isfinite(global_norm()); }

}  // namespace ravine::optim
