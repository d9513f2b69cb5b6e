// Optimizers as values: a rule with its numbers, and what happens to gradients before it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ravine/schedule.h"

namespace ravine {
#pragma GCC visibility push(default)
namespace v1 {
namespace optim {

using Hyper = std::vector<std::pair<std::string, Number>>;

// `Optimizer("adamax", {{"lr", 2e-3}})` is any rule of the engine; numbers that are not given have the rule's
// defaults. The functions below name the common ones. Each call of a method adds to what happens to
// gradients, in the order of the calls:
//   optim::adam({.lr = schedules::cosine(1e-3, 1000)}).clip_global_norm(1).no_decay()
class Optimizer {
 public:
  // Error for an unknown rule or number; numbers out of range are refused when a step begins.
  Optimizer(std::string_view rule, const Hyper& hyper);

  Optimizer& clip_value(Number bound);        // every number of a gradient to [-bound, bound]
  Optimizer& clip_norm(Number bound);         // the norm of each gradient
  Optimizer& clip_global_norm(Number bound);  // the norm of all gradients together
  Optimizer& clip_adaptive(Number share);     // to a share of the weights' norm (Brock et al. 2021)
  Optimizer& add_noise(double eta, double gamma = 0.55);  // of variance eta / (1 + t)^gamma
  Optimizer& skip_nonfinite();                // calls with a NaN or infinite gradient change nothing
  Optimizer& accumulate(std::int64_t calls);  // gradients of so many calls make one update
  Optimizer& sam(double rho = 0.05);          // sharpness-aware minimization (Foret et al. 2021)
  Optimizer& average(Schedule share);         // keeps an average: the share of the newest weights in it
  Optimizer& no_decay();                      // no weight decay of parameters with fewer than two axes
  // Numbers of their own for parameters whose names match a pattern of the shell ("head.*"); the first group
  // that matches counts.
  Optimizer& group(std::string_view pattern, const Hyper& hyper);

 private:
  friend struct v1::Access;
  struct [[gnu::visibility("hidden")]] Settings;
  std::shared_ptr<const Settings> settings_;
  Settings& own();
};

struct SgdOptions {
  Number lr = 1e-3, momentum = 0.0, dampening = 0.0, weight_decay = 0.0;
  bool nesterov = false;
};
Optimizer sgd(const SgdOptions& options = {});

struct AdamOptions {
  Number lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.0;
  bool amsgrad = false;
};
Optimizer adam(const AdamOptions& options = {});

struct AdamWOptions {
  Number lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-2;
  bool amsgrad = false;
};
Optimizer adamw(const AdamWOptions& options = {});

struct RmspropOptions {
  Number lr = 1e-2, alpha = 0.99, eps = 1e-8, weight_decay = 0.0, momentum = 0.0;
  bool centered = false;
};
Optimizer rmsprop(const RmspropOptions& options = {});

struct LionOptions {
  Number lr = 1e-4, beta1 = 0.9, beta2 = 0.99, weight_decay = 0.0;
};
Optimizer lion(const LionOptions& options = {});

}  // namespace optim
}  // namespace v1
#pragma GCC visibility pop
}  // namespace ravine
