// How parameters begin. A weight has the shape [out, in, ...]: fan_in = in x receptive field, fan_out = out x
// receptive field. The names, numbers and draws are those of `ravine.init` in Python.
#pragma once

#include <functional>

#include "ravine/array.h"
#include "ravine/random.h"

namespace ravine {
#pragma GCC visibility push(default)
namespace v1 {

struct Initializer {
  std::function<void(Array& values, Generator& random)> fill;
  // Whether every number is drawn by itself, so that it does not matter which is which.
  bool independent = false;
};

namespace init {

enum class Fan : std::uint8_t { in, out };

Initializer constant(double value);
Initializer zeros();
Initializer ones();
Initializer uniform(double low, double high);
Initializer normal(double mean = 0, double std = 1);
Initializer truncated_normal(double mean = 0, double std = 1, double low = -2, double high = 2);
Initializer xavier_uniform(double gain = 1);  // Glorot and Bengio 2010
Initializer xavier_normal(double gain = 1);
Initializer kaiming_uniform(Fan fan = Fan::in, double gain = 1.4142135623730951);  // He et al. 2015, for ReLU
Initializer kaiming_normal(Fan fan = Fan::in, double gain = 1.4142135623730951);
Initializer orthogonal(double gain = 1);  // Saxe et al. 2014
// Uniform in +-1 / sqrt(fan_in), torch's default of linear layers and convolutions.
Initializer fan_in_uniform();
Initializer from(Array values);  // these numbers; Error where the parameter has another shape

}  // namespace init
}  // namespace v1
#pragma GCC visibility pop
}  // namespace ravine
