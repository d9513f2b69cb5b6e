// Values of a model while it is recorded: a model's function runs once for every shape of its inputs, and
// what it does to tensors becomes a compiled program.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ravine/array.h"

namespace ravine {
#pragma GCC visibility push(default)
namespace v1 {

// A handle; copies stand for the same value. Valid only during the recording that made it.
class Tensor {
 public:
  Tensor() = default;  // none
  explicit operator bool() const { return node_ != nullptr; }

  DType dtype() const;
  Shape shape() const;
  int rank() const { return shape().rank(); }
  std::int64_t size(int axis) const;  // negative axes count from the end

 private:
  friend struct Access;
  void* node_ = nullptr;
  int index_ = 0;
};

// NumPy's broadcasting; integers beside floating numbers become floating. A number takes the tensor's dtype.
Tensor operator+(Tensor a, Tensor b);
Tensor operator-(Tensor a, Tensor b);
Tensor operator*(Tensor a, Tensor b);
Tensor operator/(Tensor a, Tensor b);
Tensor operator-(Tensor x);
Tensor operator+(Tensor x, double number);
Tensor operator-(Tensor x, double number);
Tensor operator*(Tensor x, double number);
Tensor operator/(Tensor x, double number);
Tensor operator+(double number, Tensor x);
Tensor operator-(double number, Tensor x);
Tensor operator*(double number, Tensor x);
Tensor operator/(double number, Tensor x);

namespace ops {

using Attribute = std::variant<bool, std::int64_t, double, std::string, Shape, DType>;
using Attributes = std::vector<std::pair<std::string, Attribute>>;

// Records any operation of the engine by its name: apply("logaddexp", {a, b}). Error, with the nearest names,
// for one that there is not, and for inputs or attributes that do not fit.
std::vector<Tensor> apply_all(std::string_view name, std::span<const Tensor> inputs,
                              const Attributes& attributes = {});
Tensor apply(std::string_view name, std::initializer_list<Tensor> inputs, const Attributes& attributes = {});

// ---- elementwise
Tensor exp(Tensor x);
Tensor log(Tensor x);
Tensor sqrt(Tensor x);
Tensor rsqrt(Tensor x);
Tensor square(Tensor x);
Tensor abs(Tensor x);
Tensor sign(Tensor x);
Tensor sin(Tensor x);
Tensor cos(Tensor x);
Tensor erf(Tensor x);
Tensor pow(Tensor a, Tensor b);
Tensor maximum(Tensor a, Tensor b);
Tensor minimum(Tensor a, Tensor b);
Tensor equal(Tensor a, Tensor b);  // comparisons are of dtype bool
Tensor less(Tensor a, Tensor b);
Tensor greater(Tensor a, Tensor b);
Tensor where(Tensor condition, Tensor a, Tensor b);
Tensor clip(Tensor x, double low, double high);
Tensor cast(Tensor x, DType dtype);
Tensor stop_gradient(Tensor x);
Tensor scalar_like(Tensor x, double number);  // of shape () and the dtype of x

// ---- over axes; none given: over all
Tensor sum(Tensor x, const Shape& axes = {}, bool keepdims = false);
Tensor mean(Tensor x, const Shape& axes = {}, bool keepdims = false);
Tensor max(Tensor x, const Shape& axes = {}, bool keepdims = false);
Tensor min(Tensor x, const Shape& axes = {}, bool keepdims = false);
Tensor logsumexp(Tensor x, const Shape& axes = {}, bool keepdims = false);
Tensor argmax(Tensor x, int axis = -1, bool keepdims = false);
Tensor softmax(Tensor x, int axis = -1);
Tensor log_softmax(Tensor x, int axis = -1);

// ---- shapes; one extent of reshape may be -1
Tensor reshape(Tensor x, const Shape& shape);
Tensor flatten(Tensor x, int start_axis = 1, int end_axis = -1);
Tensor permute(Tensor x, const Shape& axes);
Tensor broadcast_to(Tensor x, const Shape& shape);
Tensor concat(std::span<const Tensor> parts, int axis);
Tensor slice(Tensor x, int axis, std::int64_t start, std::int64_t stop, std::int64_t step = 1);

// ---- products, indexing
Tensor matmul(Tensor a, Tensor b);
Tensor take(Tensor table, Tensor indices, int axis = 0);  // slices of the table at these indices

}  // namespace ops
}  // namespace v1
#pragma GCC visibility pop
}  // namespace ravine
