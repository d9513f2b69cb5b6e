// Building graphs in C++: gradient rules and embedders write `ops::relu(x + bias)`. Each function records one
// operation of the list; inputs must already have dtypes that fit (see apply_promoted for the rules that the
// Python package applies).
#pragma once

#include <cstdint>
#include <span>

#include "core/error.h"
#include "graph/graph.h"

namespace ravine {

Value operator+(Value a, Value b);
Value operator-(Value a, Value b);
Value operator*(Value a, Value b);
Value operator/(Value a, Value b);
Value operator-(Value x);
// Beside a number: a scalar of the tensor's dtype.
Value operator+(Value x, double number);
Value operator-(Value x, double number);
Value operator*(Value x, double number);
Value operator/(Value x, double number);
Value operator+(double number, Value x);
Value operator-(double number, Value x);
Value operator*(double number, Value x);
Value operator/(double number, Value x);

namespace ops {

// ---- numbers
Value scalar_like(Value x, double number);       // shape (), the dtype of x
Value filled_like(Value x, double number);       // the type of x
Value arange(Graph& graph, std::int64_t count);  // int64 constant 0, 1, ...

// ---- elementwise
// clang-format off
#define RAVINE_UNARY_BUILDERS(X)                                                                              \
  X(identity) X(neg) X(abs) X(sign) X(square) X(exp) X(expm1) X(log) X(log1p) X(sqrt) X(rsqrt) X(reciprocal)  \
  X(sin) X(cos) X(atan) X(erf) X(floor) X(ceil) X(round) X(relu) X(tanh) X(sigmoid) X(softplus) X(gelu)       \
  X(gelu_tanh) X(silu) X(mish) X(softsign) X(tanhshrink) X(hardswish) X(logical_not) X(stop_gradient)      \
  X(cosh) X(sinh) X(digamma)
#define RAVINE_BINARY_BUILDERS(X)                                                                             \
  X(add) X(sub) X(mul) X(div) X(pow) X(maximum) X(minimum) X(equal) X(not_equal) X(less) X(less_equal)        \
  X(greater) X(greater_equal) X(logical_and) X(logical_or) X(logical_xor) X(zeta)
// clang-format on
#define RAVINE_DECLARE_UNARY(name) Value name(Value x);
#define RAVINE_DECLARE_BINARY(name) Value name(Value a, Value b);
RAVINE_UNARY_BUILDERS(RAVINE_DECLARE_UNARY)
RAVINE_BINARY_BUILDERS(RAVINE_DECLARE_BINARY)
#undef RAVINE_DECLARE_UNARY
#undef RAVINE_DECLARE_BINARY

Value leaky_relu(Value x, double slope);
Value elu(Value x, double alpha);
Value clip(Value x, double low, double high);
Value cast(Value x, DType dtype);  // x itself where it has the dtype
Value where(Value condition, Value a, Value b);
Value uniform(Graph& graph, const Shape& shape, DType dtype);

// ---- reductions: empty axes mean all of them; sum counts bools and integers in int64.
Value sum(Value x, const Axes& axes = {}, bool keepdims = false);
Value mean(Value x, const Axes& axes = {}, bool keepdims = false);
Value max(Value x, const Axes& axes = {}, bool keepdims = false);
Value min(Value x, const Axes& axes = {}, bool keepdims = false);
Value prod(Value x, const Axes& axes = {}, bool keepdims = false);
Value argmax(Value x, int axis, bool keepdims = false);
Value argmin(Value x, int axis, bool keepdims = false);

// ---- shape
Value reshape(Value x, const Shape& shape);
Value transpose(Value x, const Axes& permutation);
Value swap_last_axes(Value x);
Value broadcast_to(Value x, const Shape& shape);
Value slice(Value x, const Dims& start, const Dims& stop, const Dims& step);
Value slice_axis(Value x, int axis, std::int64_t start, std::int64_t stop, std::int64_t step = 1);
Value flip(Value x, const Axes& axes);
// step - 1 fill values between neighbours of x, `before` and `after` outside; empty step: all 1.
Value pad(Value x, const Dims& before, const Dims& after, double value = 0, const Dims& step = {});
Value concat(std::span<const Value> parts, int axis);
// Of a reduction without keepdims: the axes come back with extent 1.
Value expand_axes(Value reduced, const Shape& input, const Axes& axes);

// ---- index
Value gather_rows(Value table, Value indices, int axis, std::int64_t skip_index = -1);
Value gather(Value x, Value indices, int axis);
Value scatter_add_rows(Value source, Value indices, int axis, std::int64_t extent,
                       std::int64_t skip_index = -1);
Value scatter_add(Value source, Value indices, int axis, std::int64_t extent);
Value one_hot(Value indices, std::int64_t classes, DType dtype);

// ---- matrices
Value matmul(Value a, Value b);

// ---- images [N, C, H, W]
struct ConvOptions {
  Dims stride{1, 1}, padding{0, 0}, dilation{1, 1};
  std::int64_t groups = 1;
};
Value conv2d(Value images, Value filters, const ConvOptions& options = {});

struct PoolOptions {
  Dims stride{};  // empty: the kernel's size
  Dims padding{0, 0};
  bool ceil_mode = false;
};
Value max_pool2d(Value images, const Dims& kernel_size, const PoolOptions& options = {});
Value avg_pool2d(Value images, const Dims& kernel_size, const PoolOptions& options = {});
Value adaptive_avg_pool2d(Value images, const Dims& output_size);

// ---- normalisation, classes
struct BatchNorm {
  Value y, mean, variance;  // the batch's statistics; the variance is the biased one
};
BatchNorm batch_norm(Value x, Value gamma, Value beta, double eps = 1e-5);
Value layer_norm(Value x, Value gamma, Value beta, double eps = 1e-5);  // over the axes of gamma
Value softmax(Value x, int axis = -1);
Value log_softmax(Value x, int axis = -1);
Value logsumexp(Value x, const Axes& axes = {}, bool keepdims = false);
// Mean over the rows [rows, classes] of the logits; a target is labels [rows] or probabilities.
Value cross_entropy(Value logits, Value target, double label_smoothing = 0);

}  // namespace ops
}  // namespace ravine
