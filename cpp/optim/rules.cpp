#include "optim/rules.h"

#include <cmath>
#include <iterator>
#include <limits>
#include <string>

#include "core/error.h"

namespace ravine::optim {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

constexpr Hyperparameter lr{"lr", 1e-3, 0, infinity};
constexpr Hyperparameter weight_decay{"weight_decay", 0, 0, infinity};
constexpr Hyperparameter maximize{"maximize", 0, 0, 0, true};

// ---- SGD
// -------------------------------------------------------------------------------------------------------

constexpr Hyperparameter sgd_hyper[] = {
    lr,           {"momentum", 0, 0, infinity}, {"dampening", 0, -infinity, infinity},
    weight_decay, {"nesterov", 0, 0, 0, true},  maximize,
};
constexpr Slot sgd_slots[] = {{"momentum_buffer", "momentum"}};

void check_sgd(const HyperValues& hyper) {
  check<ValueError>(!hyper.on("nesterov") || (hyper.at("momentum") > 0 && hyper.at("dampening") == 0),
                    "sgd: nesterov needs momentum > 0 and dampening = 0, got momentum = ",
                    hyper.at("momentum"), " and dampening = ", hyper.at("dampening"));
}

KernelHyper prepare_sgd(const HyperValues& hyper, std::int64_t steps_done) {
  return kernels::SgdHyper{.lr = hyper.at("lr"),
                           .momentum = hyper.at("momentum"),
                           .dampening = hyper.at("dampening"),
                           .weight_decay = hyper.at("weight_decay"),
                           .nesterov = hyper.at("nesterov"),
                           .first_step = steps_done == 0 ? 1.0 : 0.0};
}

// ---- Adam, AdamW
// -----------------------------------------------------------------------------------------------

constexpr Hyperparameter adam_hyper[] = {
    lr,           {"beta1", 0.9, 0, 1},         {"beta2", 0.999, 0, 1},     {"eps", 1e-8, 0, infinity},
    weight_decay, {"decoupled", 0, 0, 0, true}, {"amsgrad", 0, 0, 0, true}, maximize,
};
constexpr Slot adam_slots[] = {{"exp_avg", nullptr}, {"exp_avg_sq", nullptr}, {"max_exp_avg_sq", "amsgrad"}};

KernelHyper prepare_adam(const HyperValues& hyper, std::int64_t steps_done) {
  const double beta1 = hyper.at("beta1"), beta2 = hyper.at("beta2"), t = static_cast<double>(steps_done + 1);
  return kernels::AdamHyper{.lr = hyper.at("lr"),
                            .beta1 = beta1,
                            .beta2 = beta2,
                            .eps = hyper.at("eps"),
                            .weight_decay = hyper.at("weight_decay"),
                            .decoupled = hyper.at("decoupled"),
                            .amsgrad = hyper.at("amsgrad"),
                            .bias_correction1 = 1 - std::pow(beta1, t),
                            .bias_correction2 = 1 - std::pow(beta2, t)};
}

// ---- the list
// --------------------------------------------------------------------------------------------------

constexpr Rule rules[] = {
    {"sgd", sgd_hyper, sgd_slots, kernels::OptimizerRule::sgd, check_sgd, prepare_sgd, 8},
    {"adam", adam_hyper, adam_slots, kernels::OptimizerRule::adam, nullptr, prepare_adam, 30},
};

}  // namespace

std::span<const Rule> all_rules() { return rules; }

const Rule& rule_named(std::string_view name) {
  std::string known;
  for (const Rule& rule : rules) {
    if (rule.name == name) return rule;
    known += (known.empty() ? "" : ", ") + std::string(rule.name);
  }
  fail<KeyError>("unknown optimizer rule '", name, "'; known: ", known);
}

HyperValues::HyperValues(std::string_view rule, std::span<const Hyperparameter> list)
    : rule_(rule), list_(list) {
  static_assert(std::size(adam_hyper) <= std::size(decltype(values_){}));
  for (std::size_t i = 0; i < list.size(); ++i) values_[i] = list[i].otherwise;
}

std::size_t HyperValues::index(std::string_view name) const {
  std::string known;
  for (std::size_t i = 0; i < list_.size(); ++i) {
    if (list_[i].name == name) return i;
    known += (known.empty() ? "" : ", ") + std::string(list_[i].name);
  }
  fail<KeyError>(rule_, ": unknown hyperparameter '", name, "'; known: ", known);
}

void HyperValues::set(std::string_view name, double value) {
  const std::size_t i = index(name);
  const Hyperparameter& parameter = list_[i];
  if (parameter.flag) {
    check<ValueError>(value == 0 || value == 1, rule_, ": ", name, " must be true or false, got ", value);
  } else {
    check<ValueError>(std::isfinite(value), rule_, ": ", name, " must be a finite number, got ", value);
    check<ValueError>(value >= parameter.low && value < parameter.high, rule_, ": ", name, " must be ",
                      parameter.high < infinity ? str("in [", parameter.low, ", ", parameter.high, ")")
                                                : str("at least ", parameter.low),
                      ", got ", value);
  }
  values_[i] = value;
}

}  // namespace ravine::optim
