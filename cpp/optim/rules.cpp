#include "optim/rules.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

#include "core/error.h"

namespace ravine::optim {
namespace {

constexpr const Rule* rules[] = {
    &sgd_rule,
    &asgd_rule,
    &rprop_rule,
    &lion_rule,
    &lars_rule,
    &adam_rule,
    &sparse_adam_rule,
    &adamax_rule,
    &nadam_rule,
    &radam_rule,
    &adabelief_rule,
    &yogi_rule,
    &adan_rule,
    &lamb_rule,
    &adagrad_rule,
    &rowwise_adagrad_rule,
    &adadelta_rule,
    &rmsprop_rule,
    &schedule_free_sgd_rule,
    &schedule_free_adamw_rule,
    &adafactor_rule,
    &muon_rule,
};

}  // namespace

double common::bias_correction(double beta, std::int64_t step) {
  return 1 - std::pow(beta, static_cast<double>(step));
}

std::span<const Rule* const> all_rules() { return rules; }

const Rule& rule_named(std::string_view name) {
  std::string known;
  for (const Rule* rule : rules) {
    if (rule->name == name) return *rule;
    known += (known.empty() ? "" : ", ") + std::string(rule->name);
  }
  fail<KeyError>("unknown optimizer rule '", name, "'; known: ", known);
}

HyperValues::HyperValues(std::string_view rule, std::span<const Hyperparameter> list)
    : rule_(rule), list_(list) {
  check<RuntimeError>(list.size() <= std::size(values_), rule, ": too many hyperparameters");
  for (std::size_t i = 0; i < list.size(); ++i) values_[i] = list[i].otherwise;
}

bool HyperValues::has(std::string_view name) const {
  return std::any_of(list_.begin(), list_.end(),
                     [&](const Hyperparameter& parameter) { return parameter.name == name; });
}

std::size_t HyperValues::index(std::string_view name) const {
  for (std::size_t i = 0; i < list_.size(); ++i)
    if (list_[i].name == name) return i;
  std::string known;
  for (const Hyperparameter& parameter : list_)
    known += (known.empty() ? "" : ", ") + std::string(parameter.name);
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
                      parameter.high < common::infinity
                          ? str("in [", parameter.low, ", ", parameter.high, ")")
                          : str("at least ", parameter.low),
                      ", got ", value);
  }
  values_[i] = value;
}

}  // namespace ravine::optim
