// The optimizers' update rules: hyperparameters, state per parameter, kernel. A new rule is a row in
// rules.cpp and a kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>

#include "kernels/table.h"

namespace ravine::optim {

// Allowed are finite numbers in [low, high); flags are 0 or 1.
struct Hyperparameter {
  std::string_view name;
  double otherwise;
  double low, high;
  bool flag = false;
};

// A tensor of a parameter's shape that the rule keeps from step to step, zero at first.
struct Slot {
  const char* name;
  const char* needed_by = nullptr;  // the hyperparameter that must be nonzero for it, or null: always kept
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
  alignas(double) std::byte memory_[16 * sizeof(double)] = {};
};

struct Rule {
  const char* name;
  kernels::OptimizerRule kernel;
  std::span<const Hyperparameter> hyper;  // lr and maximize among them
  std::span<const Slot> slots;            // in the kernel's order
  std::span<const Scalar> scalars;
  // ValueError where allowed values do not go together; may be null.
  void (*check)(const HyperValues& hyper);
  // The kernel's numbers for the next step; `progress` is moved past it.
  KernelHyper (*prepare)(const HyperValues& hyper, Progress& progress);
  double flops_per_element;
};

std::span<const Rule* const> all_rules();
const Rule& rule_named(std::string_view name);  // KeyError

// The list; the rules stand in rules_*.cpp.
extern const Rule sgd_rule, directed_rule, asgd_rule, rprop_rule, lion_rule, lars_rule;
extern const Rule adam_rule, adamax_rule, nadam_rule, radam_rule, adabelief_rule, yogi_rule, adan_rule,
    lamb_rule;
extern const Rule adagrad_rule, adadelta_rule, rmsprop_rule;
extern const Rule schedule_free_sgd_rule, schedule_free_adamw_rule;

// Hyperparameters that several rules have.
namespace common {
inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr Hyperparameter lr{"lr", 1e-3, 0, infinity};
inline constexpr Hyperparameter weight_decay{"weight_decay", 0, 0, infinity};
inline constexpr Hyperparameter decoupled{"decoupled_weight_decay", 0, 0, 0, true};
inline constexpr Hyperparameter maximize{"maximize", 0, 0, 0, true};
inline constexpr Hyperparameter beta1{"beta1", 0.9, 0, 1}, beta2{"beta2", 0.999, 0, 1};
constexpr Hyperparameter eps(double otherwise) { return {"eps", otherwise, 0, infinity}; }
}  // namespace common

}  // namespace ravine::optim
