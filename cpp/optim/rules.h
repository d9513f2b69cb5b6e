// The optimizers' update rules: hyperparameters, state per parameter, kernel. A new rule is a row in
// rules.cpp and a kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "core/array.h"
#include "kernels/api/table.h"

namespace ravine::optim {

// Allowed are finite numbers in [low, high); flags are 0 or 1.
struct Hyperparameter {
  std::string_view name;
  double otherwise;
  double low, high;
  bool flag = false;
};

// A tensor that the rule keeps from step to step for a parameter.
struct Slot {
  const char* name;
  const char* needed_by = nullptr;  // the hyperparameter that must be nonzero for it, or null: always kept
  // Its shape for a parameter's, none where it has none; null: the parameter's.
  std::optional<Shape> (*shape)(const Shape& parameter) = nullptr;
  // The hyperparameter whose value it begins with; null: 0.
  const char* begins_as = nullptr;

  std::optional<Shape> shape_for(const Shape& parameter) const {
    return shape == nullptr ? parameter : shape(parameter);
  }
};

// A number that the rule keeps from step to step.
struct Scalar {
  const char* name;
  double initial;
};
inline constexpr int max_scalars = 2;

// How far a run has come.
struct Progress {
  std::int64_t step = 0;  // steps done
  double scalars[max_scalars] = {};
};

// The numbers in force, in the order of the rule's list.
class HyperValues {
 public:
  HyperValues(std::string_view rule, std::span<const Hyperparameter> list);
  double at(std::string_view name) const { return values_[index(name)]; }
  bool has(std::string_view name) const;
  bool on(std::string_view name) const { return at(name) != 0; }
  void set(std::string_view name,
           double value);  // KeyError on an unknown name, ValueError on a value not allowed
  std::span<const Hyperparameter> list() const { return list_; }

 private:
  std::size_t index(std::string_view name) const;
  std::string_view rule_;
  std::span<const Hyperparameter> list_;
  double values_[16] = {};
};

// What a rule's kernel reads when it runs: a copy of its struct of numbers.
class KernelHyper {
 public:
  KernelHyper() = default;
  template <class Hyper>
  KernelHyper(const Hyper& hyper) {
    static_assert(std::is_trivially_copyable_v<Hyper> && sizeof(Hyper) <= sizeof(memory_));
    std::memcpy(memory_, &hyper, sizeof(Hyper));
  }
  const void* data() const { return memory_; }

 private:
  alignas(double) std::byte memory_[24 * sizeof(double)] = {};
};

// The kernel of a rule for parameters of two axes and more, which it sees as matrices.
struct MatrixStep {
  kernels::Kernel<kernels::MatrixStepArgs> kernels::FloatKernels::*kernel;
  kernels::WorkspaceBytes<kernels::MatrixStepArgs> kernels::FloatKernels::*workspace;  // null: it needs none
  kernels::MatrixShape (*shape_of)(const Shape& parameter, Layout layout);
  double (*flops)(const kernels::MatrixShape& shape);
};

// The update of rows that have a gradient, by which other rows and their state stay as they are.
struct RowStep {
  kernels::OptimizerRule kernel;
  // As Rule::prepare. A row that gets its first gradient has its state as it was made: no step is the first.
  KernelHyper (*prepare)(const HyperValues& hyper, Progress& progress);
};

struct Rule {
  const char* name;
  kernels::OptimizerRule kernel;
  std::span<const Hyperparameter> hyper;  // lr and maximize among them
  std::span<const Slot> slots;            // in the kernel's order
  std::span<const Scalar> scalars;
  // ValueError where allowed values do not go together; may be null.
  void (*check)(const HyperValues& hyper);
  // The kernel's numbers for step progress.step, from 1; moves progress.scalars past it.
  KernelHyper (*prepare)(const HyperValues& hyper, Progress& progress);
  double flops_per_element;
  const MatrixStep* matrices = nullptr;  // null: every parameter is `kernel`'s
  const RowStep* rows = nullptr;         // null: the rule needs whole gradients

  bool as_matrix(const Shape& parameter) const { return matrices != nullptr && parameter.rank() > 1; }
};

std::span<const Rule* const> all_rules();
const Rule& rule_named(std::string_view name);  // KeyError

// The list; the rules stand in rules_*.cpp.
extern const Rule sgd_rule, asgd_rule, rprop_rule, lion_rule, lars_rule;
extern const Rule adam_rule, sparse_adam_rule, adamax_rule, nadam_rule, radam_rule, adabelief_rule, yogi_rule,
    adan_rule, lamb_rule;
extern const Rule adagrad_rule, rowwise_adagrad_rule, adadelta_rule, rmsprop_rule;
extern const Rule schedule_free_sgd_rule, schedule_free_adamw_rule;
extern const Rule adafactor_rule, muon_rule;

// Hyperparameters that several rules have.
namespace common {
inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr Hyperparameter lr{"lr", 1e-3, 0, infinity};
inline constexpr Hyperparameter weight_decay{"weight_decay", 0, 0, infinity};
inline constexpr Hyperparameter decoupled{"decoupled_weight_decay", 0, 0, 0, true};
inline constexpr Hyperparameter maximize{"maximize", 0, 0, 0, true};
inline constexpr Hyperparameter beta1{"beta1", 0.9, 0, 1}, beta2{"beta2", 0.999, 0, 1};
constexpr Hyperparameter eps(double otherwise) { return {"eps", otherwise, 0, infinity}; }

// 1 - beta^t, for the t-th step.
double bias_correction(double beta, std::int64_t step);

// A filter [out, in, ...] as a matrix [out, in * ...], in whatever order its columns lie.
kernels::MatrixShape first_axis_by_rest(const Shape& parameter, Layout layout);

// A kernel's numbers, with those that go by the same name in the rules' lists set, and those that follow from
// them and the step.
template <class Hyper>
Hyper numbers_of(const HyperValues& hyper, const Progress& progress) {
  Hyper numbers;
  if constexpr (requires { numbers.lr; }) numbers.lr = hyper.at("lr");
  if constexpr (requires { numbers.weight_decay; }) numbers.weight_decay = hyper.at("weight_decay");
  if constexpr (requires { numbers.decoupled; }) numbers.decoupled = hyper.at("decoupled_weight_decay");
  if constexpr (requires { numbers.momentum; }) numbers.momentum = hyper.at("momentum");
  if constexpr (requires { numbers.nesterov; }) numbers.nesterov = hyper.at("nesterov");
  if constexpr (requires { numbers.eps; }) numbers.eps = hyper.at("eps");
  if constexpr (requires { numbers.eps_root; }) numbers.eps_root = hyper.at("eps_root");
  if constexpr (requires { numbers.beta1; }) numbers.beta1 = hyper.at("beta1");
  if constexpr (requires { numbers.beta2; }) numbers.beta2 = hyper.at("beta2");
  if constexpr (requires { numbers.bias_correction1; })
    numbers.bias_correction1 = bias_correction(numbers.beta1, progress.step);
  if constexpr (requires { numbers.bias_correction2; })
    numbers.bias_correction2 = bias_correction(numbers.beta2, progress.step);
  if constexpr (requires { numbers.first_step; }) numbers.first_step = progress.step == 1 ? 1.0 : 0.0;
  return numbers;
}
// For rules that have no more numbers than these.
template <class Hyper>
KernelHyper prepare(const HyperValues& hyper, Progress& progress) {
  return numbers_of<Hyper>(hyper, progress);
}
// The same numbers, of a step that is not the first.
template <class Hyper, KernelHyper (*prepare_any)(const HyperValues&, Progress&)>
KernelHyper later_step(const HyperValues& hyper, Progress& progress) {
  Hyper numbers;
  std::memcpy(&numbers, prepare_any(hyper, progress).data(), sizeof numbers);
  numbers.first_step = 0;
  return numbers;
}
}  // namespace common

}  // namespace ravine::optim
