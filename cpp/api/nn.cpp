// Layers record what Python's layers of the same names record, so that both have the same bits.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "api/recording.h"

namespace ravine::v1::nn {
namespace {

// torch's default of a bias: uniform by the fan_in of the weight.
Initializer bias_begin(const Initializer& given, std::int64_t fan_in) {
  if (given.fill != nullptr) return given;
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  return init::uniform(-bound, bound);
}

// A vector of channels beside a tensor [N, C, ...].
Tensor per_channel(Tensor vector, int rank) {
  Dims shape = Dims::filled(rank, 1);
  shape[1] = vector.size(0);
  return ops::reshape(vector, shown(shape));
}

void check_probability(double p, const char* what) {
  check<ValueError>(p >= 0 && p <= 1, what, ": p must be a probability in [0, 1], got ", p);
}

Tensor drop(const Scope& scope, Tensor x, double p, const Shape& mask_shape) {
  if (p == 1) return ops::apply("scale_by_positive", {ops::scalar_like(x, 0), x}, {{"slope", 0.0}});
  // u >= p, by a sign: for numbers of this dtype it means u > (the one below p).
  const double below = x.dtype() == DType::float32
                           ? static_cast<double>(std::nextafterf(static_cast<float>(p), -1.0f))
                           : std::nextafter(p, -1.0);
  const Value u = ravine::ops::uniform(Access::recording(scope).graph, engine(mask_shape), engine(x.dtype()));
  const Tensor kept = Access::wrap(u) - below;
  return ops::apply("scale_by_positive", {kept, x * (1.0 / (1.0 - p))}, {{"slope", 0.0}});
}

// The last axes, as a shape.
Shape row_shape(const char* what, Tensor x, int axes) {
  const Shape shape = x.shape();
  check<ValueError>(axes >= 1 && axes <= shape.rank(), what, ": ", axes, " axes of the shape ",
                    to_string(shape));
  return Shape(std::span(shape.end() - axes, static_cast<std::size_t>(axes)));
}

Attrs pool_attrs(const Shape& kernel_size, const Pool2d& options) {
  return {{"kernel_size", engine(kernel_size)},
          {"stride", engine(options.stride.rank() == 0 ? kernel_size : options.stride)},
          {"padding", engine(options.padding)},
          {"ceil_mode", options.ceil_mode}};
}

Tensor pool(const char* name, Tensor x, Attrs attrs) {
  const Value value = Access::unwrap(x);
  return Access::wrap(apply_promoted(value.graph(), name, {value}, std::move(attrs))[0]);
}

}  // namespace

Tensor linear(const Scope& scope, Tensor x, std::int64_t out_features, const Linear& options) {
  check<ValueError>(x.rank() >= 1 && out_features >= 1, "linear '", scope.path(), "': got an input of shape ",
                    to_string(x.shape()), " and ", out_features, " features");
  const Shape shape = x.shape();
  const std::int64_t in_features = x.size(-1);
  const Tensor weight = scope.parameter("weight", {out_features, in_features}, options.weight_init);
  const bool is_matrix = shape.rank() == 2;
  std::int64_t n_rows = 1;
  for (int axis = 0; axis + 1 < shape.rank(); ++axis) n_rows *= shape[axis];
  const Tensor rows = is_matrix ? x : ops::reshape(x, {n_rows, in_features});
  Tensor y = ops::matmul(rows, ops::permute(weight, {1, 0}));
  if (options.bias)
    y = y + scope.parameter("bias", {out_features}, bias_begin(options.bias_init, in_features));
  if (is_matrix) return y;
  Shape result = shape;
  result[shape.rank() - 1] = out_features;
  return ops::reshape(y, result);
}

Tensor conv2d(const Scope& scope, Tensor x, std::int64_t out_channels, const Shape& kernel_size,
              const Conv2d& options) {
  check<ValueError>(x.rank() == 4 && kernel_size.rank() == 2, "conv2d '", scope.path(),
                    "': expected images [N, C, H, W] and a kernel (height, width), got shapes ",
                    to_string(x.shape()), " and ", to_string(kernel_size));
  const std::int64_t channels = x.size(1);
  check<ValueError>(options.groups >= 1 && channels % options.groups == 0 && out_channels >= 1 &&
                        out_channels % options.groups == 0,
                    "conv2d '", scope.path(), "': ", channels, " and ", out_channels,
                    " channels must be multiples of ", options.groups, " groups");
  const Shape filter{out_channels, channels / options.groups, kernel_size[0], kernel_size[1]};
  const Tensor weight = scope.parameter("weight", filter, options.weight_init);
  const Tensor y = ops::apply("conv2d", {x, weight},
                              {{"stride", options.stride},
                               {"padding", options.padding},
                               {"dilation", options.dilation},
                               {"groups", options.groups}});
  if (!options.bias) return y;
  const std::int64_t fan_in = filter[1] * filter[2] * filter[3];
  const Tensor bias = scope.parameter("bias", {out_channels}, bias_begin(options.bias_init, fan_in));
  return y + per_channel(bias, 4);
}

Tensor max_pool2d(Tensor x, const Shape& kernel_size, const Pool2d& options) {
  return pool("max_pool2d", x, pool_attrs(kernel_size, options));
}
Tensor avg_pool2d(Tensor x, const Shape& kernel_size, const Pool2d& options) {
  return pool("avg_pool2d", x, pool_attrs(kernel_size, options));
}
Tensor adaptive_avg_pool2d(Tensor x, const Shape& output_size) {
  return pool("adaptive_avg_pool2d", x, {{"output_size", engine(output_size)}});
}

Tensor batch_norm(const Scope& scope, Tensor x, const BatchNorm& options) {
  const Shape shape = x.shape();
  check<ValueError>(shape.rank() >= 2, "batch_norm '", scope.path(), "': expected [N, C, ...], got shape ",
                    to_string(shape));
  const Shape channels{shape[1]};
  Tensor weight, bias;
  if (options.affine) {
    weight = scope.parameter("weight", channels, init::ones());
    bias = scope.parameter("bias", channels, init::zeros());
  }
  const Tensor mean = scope.buffer("running_mean", channels, 0);
  const Tensor variance = scope.buffer("running_var", channels, 1);
  const Tensor count = scope.buffer("num_batches_tracked", {}, 0, DType::int64);
  if (!scope.training()) {
    Tensor scale = ops::rsqrt(variance + options.eps);
    if (weight) scale = scale * weight;
    const Tensor y = (x - per_channel(mean, shape.rank())) * per_channel(scale, shape.rank());
    return bias ? y + per_channel(bias, shape.rank()) : y;
  }
  scope.assign("num_batches_tracked", count + 1);
  const std::int64_t n = shape.size() / std::max<std::int64_t>(shape[1], 1);
  check<ValueError>(n != 1, "batch_norm '", scope.path(),
                    "': more than one value per channel is needed in training, got input ", to_string(shape));
  if (!weight) {
    weight = ops::broadcast_to(ops::scalar_like(x, 1), channels);
    bias = ops::broadcast_to(ops::scalar_like(x, 0), channels);
  }
  const Tensor inputs[] = {x, weight, bias};
  const std::vector<Tensor> results = ops::apply_all("batch_norm", inputs, {{"eps", options.eps}});
  const double momentum = options.momentum;
  const double unbiased = static_cast<double>(n) / static_cast<double>(std::max<std::int64_t>(n - 1, 1));
  if (n > 0) {
    const Tensor batch_mean = ops::stop_gradient(results[1]), batch_variance = ops::stop_gradient(results[2]);
    scope.assign("running_mean", mean * (1.0 - momentum) + batch_mean * momentum);
    scope.assign("running_var", variance * (1.0 - momentum) + batch_variance * (momentum * unbiased));
  }
  return results[0];
}

Tensor layer_norm(const Scope& scope, Tensor x, int axes, const Norm& options) {
  const Shape rows = row_shape("layer_norm", x, axes);
  const ops::Attributes attributes{{"normalized_dims", std::int64_t{axes}}, {"eps", options.eps}};
  if (!options.affine) return ops::apply("layer_norm", {x}, attributes);
  const Tensor weight = scope.parameter("weight", rows, init::ones());
  const Tensor bias = scope.parameter("bias", rows, init::zeros());
  return ops::apply("layer_norm", {x, weight, bias}, attributes);
}

Tensor rms_norm(const Scope& scope, Tensor x, int axes, const Norm& options) {
  const Shape rows = row_shape("rms_norm", x, axes);
  Dims last;
  for (int axis = x.rank() - axes; axis < x.rank(); ++axis) last.push_back(axis);
  const Tensor y = x * ops::rsqrt(ops::mean(ops::square(x), shown(last), true) + options.eps);
  return options.affine ? y * scope.parameter("weight", rows, init::ones()) : y;
}

Tensor group_norm(const Scope& scope, Tensor x, std::int64_t groups, const Norm& options) {
  const Shape shape = x.shape();
  check<ValueError>(shape.rank() >= 2 && groups >= 1 && shape[1] % groups == 0, "group_norm '", scope.path(),
                    "': an input of shape ", to_string(shape), " cannot be split into ", groups, " groups");
  const Shape channels{shape[1]};
  Tensor weight, bias;
  if (options.affine) {
    weight = scope.parameter("weight", channels, init::ones());
    bias = scope.parameter("bias", channels, init::zeros());
  }
  if (shape.rank() == 4) {
    std::vector<Tensor> inputs{x};
    if (options.affine) inputs.insert(inputs.end(), {weight, bias});
    return ops::apply_all("group_norm", inputs, {{"groups", groups}, {"eps", options.eps}})[0];
  }
  const Tensor rows = ops::reshape(x, {shape[0], groups, -1});
  Tensor y = ops::apply("layer_norm", {rows}, {{"normalized_dims", std::int64_t{1}}, {"eps", options.eps}});
  y = ops::reshape(y, shape);
  return options.affine ? y * per_channel(weight, shape.rank()) + per_channel(bias, shape.rank()) : y;
}

Tensor embedding(const Scope& scope, Tensor indices, std::int64_t rows, std::int64_t features,
                 const Embedding& options) {
  check<ValueError>(options.padding_index >= -1 && options.padding_index < rows, "embedding '", scope.path(),
                    "': padding_index ", options.padding_index, " is out of range for ", rows, " rows");
  Initializer begin = options.weight_init;
  if (options.padding_index >= 0) {
    begin.fill = [fill = begin.fill, row = options.padding_index, features](Array& values,
                                                                            Generator& random) {
      fill(values, random);
      const std::size_t bytes = static_cast<std::size_t>(features) * size_of(values.dtype());
      std::memset(static_cast<std::byte*>(values.data()) + static_cast<std::size_t>(row) * bytes, 0, bytes);
    };
  }
  const Tensor table = scope.parameter("weight", {rows, features}, begin);
  return ops::apply("gather_rows", {table, indices},
                    {{"axis", std::int64_t{0}}, {"skip_index", options.padding_index}});
}

Tensor dropout(const Scope& scope, Tensor x, double p) {
  check_probability(p, "dropout");
  return scope.training() && p > 0 ? drop(scope, x, p, x.shape()) : ops::apply("identity", {x});
}

Tensor dropout2d(const Scope& scope, Tensor x, double p) {
  check_probability(p, "dropout2d");
  check<ValueError>(x.rank() >= 2, "dropout2d: input must have shape [N, C, ...], got ",
                    to_string(x.shape()));
  if (!scope.training() || p == 0) return ops::apply("identity", {x});
  Dims shape = Dims::filled(x.rank(), 1);
  shape[0] = x.size(0);
  shape[1] = x.size(1);
  return drop(scope, x, p, shown(shape));
}

Tensor relu(Tensor x) { return ops::apply("relu", {x}); }
Tensor leaky_relu(Tensor x, double slope) { return ops::apply("leaky_relu", {x}, {{"slope", slope}}); }
Tensor elu(Tensor x, double alpha) { return ops::apply("elu", {x}, {{"alpha", alpha}}); }
Tensor gelu(Tensor x) { return ops::apply("gelu", {x}); }
Tensor silu(Tensor x) { return ops::apply("silu", {x}); }
Tensor mish(Tensor x) { return ops::apply("mish", {x}); }
Tensor hardswish(Tensor x) { return ops::apply("hardswish", {x}); }
Tensor softplus(Tensor x) { return ops::apply("softplus", {x}); }
Tensor sigmoid(Tensor x) { return ops::apply("sigmoid", {x}); }
Tensor tanh(Tensor x) { return ops::apply("tanh", {x}); }

}  // namespace ravine::v1::nn
