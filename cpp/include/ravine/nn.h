// Layers as functions over a named set of parameters. The first recording of a model creates the parameters,
// whose names, shapes and beginnings are PyTorch's; later ones find them:
//
//   Tensor classify(const nn::Scope& scope, Tensor x) {
//     x = nn::relu(nn::linear(scope / "hidden", x, 64));   // "hidden.weight" [64, in], "hidden.bias" [64]
//     return nn::linear(scope / "head", x, 10);
//   }
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ravine/init.h"
#include "ravine/tensor.h"

namespace ravine {
#pragma GCC visibility push(default)
namespace v1 {
namespace nn {

// A place in the named set, in one recording.
class Scope {
 public:
  // The place below: names of what is created there begin with "name.".
  Scope operator/(std::string_view name) const;
  const std::string& path() const { return path_; }
  bool training() const;  // a step is recorded; else a prediction
  DType dtype() const;    // of the model's parameters

  // A trained array. Created by the initializer in the first recording; Error where a later one wants another
  // shape, or an array that the first did not create.
  Tensor parameter(std::string_view name, const Shape& shape, const Initializer& begin) const;
  // An array that training does not move but a recording may assign, such as running statistics. The value
  // takes effect at the end of the step, and reading it again gives the new one.
  Tensor buffer(std::string_view name, const Shape& shape, double begin) const;
  Tensor buffer(std::string_view name, const Shape& shape, double begin, DType dtype) const;
  void assign(std::string_view name, Tensor value) const;

  Tensor constant(const View& values) const;
  Tensor uniform(const Shape& shape) const;  // random numbers in [0, 1), others in every run

 private:
  friend struct v1::Access;
  Scope(void* recording, std::string path) : recording_(recording), path_(std::move(path)) {}
  void* recording_;
  std::string path_;
};

struct Linear {
  bool bias = true;
  Initializer weight_init = init::fan_in_uniform();
  Initializer bias_init = {};  // none: as the weight, by its fan_in
};
Tensor linear(const Scope& scope, Tensor x, std::int64_t out_features, const Linear& options = {});

struct Conv2d {
  Shape stride = {1, 1}, padding = {0, 0}, dilation = {1, 1};
  std::int64_t groups = 1;
  bool bias = true;
  Initializer weight_init = init::fan_in_uniform();
  Initializer bias_init = {};
};
// Images [N, C, H, W]; weight [out_channels, C / groups, height, width].
Tensor conv2d(const Scope& scope, Tensor x, std::int64_t out_channels, const Shape& kernel_size,
              const Conv2d& options = {});

struct Pool2d {
  Shape stride = {};  // none: the kernel's size
  Shape padding = {0, 0};
  bool ceil_mode = false;
};
Tensor max_pool2d(Tensor x, const Shape& kernel_size, const Pool2d& options = {});
Tensor avg_pool2d(Tensor x, const Shape& kernel_size, const Pool2d& options = {});
Tensor adaptive_avg_pool2d(Tensor x, const Shape& output_size);

struct BatchNorm {
  double eps = 1e-5, momentum = 0.1;
  bool affine = true;
};
// Over all axes but 1; "running_mean", "running_var" and "num_batches_tracked" beside weight and bias.
Tensor batch_norm(const Scope& scope, Tensor x, const BatchNorm& options = {});

struct Norm {
  double eps = 1e-5;
  bool affine = true;
};
Tensor layer_norm(const Scope& scope, Tensor x, int axes = 1, const Norm& options = {});  // the last axes
Tensor group_norm(const Scope& scope, Tensor x, std::int64_t groups, const Norm& options = {});
Tensor rms_norm(const Scope& scope, Tensor x, int axes = 1, const Norm& options = {});

struct Embedding {
  std::int64_t padding_index = -1;  // a row that begins as zeros and is not trained; -1: none
  Initializer weight_init = init::normal();
};
Tensor embedding(const Scope& scope, Tensor indices, std::int64_t rows, std::int64_t features,
                 const Embedding& options = {});

// In training zeros with probability p, and the others times 1 / (1 - p); `dropout2d` of whole channels.
Tensor dropout(const Scope& scope, Tensor x, double p = 0.5);
Tensor dropout2d(const Scope& scope, Tensor x, double p = 0.5);

Tensor relu(Tensor x);
Tensor leaky_relu(Tensor x, double slope = 0.01);
Tensor elu(Tensor x, double alpha = 1);
Tensor gelu(Tensor x);
Tensor silu(Tensor x);
Tensor mish(Tensor x);
Tensor hardswish(Tensor x);
Tensor softplus(Tensor x);
Tensor sigmoid(Tensor x);
Tensor tanh(Tensor x);

}  // namespace nn
}  // namespace v1
#pragma GCC visibility pop
}  // namespace ravine
