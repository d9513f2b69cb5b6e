// The optimizers' update rules: hyperparameters, state per parameter, kernel. A new rule is a row in
// rules.cpp and a kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "kernels/table.h"

namespace ravine::optim {

// Allowed are finite numbers in [low, high); flags are 0 or 1.
struct Hyperparameter {
  const char* name;
  double otherwise;
  double low, high;
  bool flag = false;
};

// A tensor of a parameter's shape that the rule keeps from step to step, zero at first.
struct Slot {
  const char* name;
  const char* needed_by;  // the hyperparameter that must be nonzero for it, or null: always kept
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
  std::span<const Hyperparameter> hyper;
  std::span<const Slot> slots;  // in the kernel's order
  kernels::OptimizerRule kernel;
  // ValueError where allowed values do not go together; may be null.
  void (*check)(const HyperValues& hyper);
  // The kernel's numbers for the step after `steps_done` others.
  KernelHyper (*prepare)(const HyperValues& hyper, std::int64_t steps_done);
  double flops_per_element;
};

std::span<const Rule> all_rules();
const Rule& rule_named(std::string_view name);  // KeyError

}  // namespace ravine::optim
