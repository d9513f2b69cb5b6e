#include <fnmatch.h>

#include <algorithm>

#include "api/access.h"

namespace ravine::v1 {
namespace optim {

struct Optimizer::Settings {
  struct Group {
    std::string pattern;
    Hyper hyper;
  };
  std::string rule;
  Hyper hyper;
  std::vector<train::Stage> stages;
  std::int64_t calls_per_update = 1;
  train::SchedulePtr average;
  bool decays_all = true;
  std::vector<Group> groups;
};

namespace {

void check_names(std::string_view rule_name, const Hyper& hyper) {
  const ravine::optim::Rule& rule = ravine::optim::rule_named(rule_name);
  for (const auto& [name, number] : hyper) {
    const bool known =
        std::any_of(rule.hyper.begin(), rule.hyper.end(),
                    [&](const ravine::optim::Hyperparameter& one) { return one.name == name; });
    if (known) continue;
    std::string names;
    for (const ravine::optim::Hyperparameter& one : rule.hyper)
      names += (names.empty() ? "" : ", ") + std::string(one.name);
    fail<KeyError>("optimizer ", rule_name, ": it has no number '", name, "', only ", names);
  }
}

}  // namespace

Optimizer::Optimizer(std::string_view rule, const Hyper& hyper) {
  check_names(rule, hyper);
  auto settings = std::make_shared<Settings>();
  settings->rule = rule;
  settings->hyper = hyper;
  settings_ = std::move(settings);
}

// Copies of an optimizer share settings until one of them changes.
Optimizer::Settings& Optimizer::own() {
  auto copy = std::make_shared<Settings>(*settings_);
  Settings& result = *copy;
  settings_ = std::move(copy);
  return result;
}

namespace {

train::Stage stage(const char* kind, const char* number, const train::Number& value) {
  train::Stage made = train::make_stage(kind, {{number, value}});
  made.label = kind;
  return made;
}

}  // namespace

Optimizer& Optimizer::clip_value(Number bound) {
  own().stages.push_back(stage("clip_by_value", "bound", Access::number(bound)));
  return *this;
}
Optimizer& Optimizer::clip_norm(Number bound) {
  own().stages.push_back(stage("clip_by_norm", "bound", Access::number(bound)));
  return *this;
}
Optimizer& Optimizer::clip_global_norm(Number bound) {
  own().stages.push_back(stage("clip_by_global_norm", "bound", Access::number(bound)));
  return *this;
}
Optimizer& Optimizer::clip_adaptive(Number share) {
  own().stages.push_back(stage("clip_adaptive", "share", Access::number(share)));
  return *this;
}
Optimizer& Optimizer::add_noise(double eta, double gamma) {
  own().stages.push_back(stage("add_noise", "std", train::make_schedule("noise_std", {eta, gamma})));
  return *this;
}
Optimizer& Optimizer::skip_nonfinite() {
  train::Stage made = train::make_stage("skip_nonfinite", {});
  made.label = "skip_nonfinite";
  own().stages.push_back(std::move(made));
  return *this;
}
Optimizer& Optimizer::accumulate(std::int64_t calls) {
  check<ValueError>(calls >= 1, "accumulate: calls must be at least 1, got ", calls);
  Settings& settings = own();
  settings.stages.push_back(stage("accumulate", "calls", static_cast<double>(calls)));
  settings.calls_per_update = calls;
  return *this;
}
Optimizer& Optimizer::sam(double rho) {
  own().stages.push_back(stage("sam", "rho", rho));
  return *this;
}
Optimizer& Optimizer::average(Schedule share) {
  own().average = Access::schedule(share);
  return *this;
}
Optimizer& Optimizer::no_decay() {
  own().decays_all = false;
  return *this;
}
Optimizer& Optimizer::group(std::string_view pattern, const Hyper& hyper) {
  check_names(settings_->rule, hyper);
  own().groups.push_back({std::string(pattern), hyper});
  return *this;
}

Optimizer sgd(const SgdOptions& options) {
  return Optimizer("sgd", {{"lr", options.lr},
                           {"momentum", options.momentum},
                           {"dampening", options.dampening},
                           {"weight_decay", options.weight_decay},
                           {"nesterov", options.nesterov}});
}
Optimizer adam(const AdamOptions& options) {
  return Optimizer("adam", {{"lr", options.lr},
                            {"beta1", options.beta1},
                            {"beta2", options.beta2},
                            {"eps", options.eps},
                            {"weight_decay", options.weight_decay},
                            {"amsgrad", options.amsgrad}});
}
Optimizer adamw(const AdamWOptions& options) {
  return Optimizer("adam", {{"lr", options.lr},
                            {"beta1", options.beta1},
                            {"beta2", options.beta2},
                            {"eps", options.eps},
                            {"weight_decay", options.weight_decay},
                            {"amsgrad", options.amsgrad},
                            {"decoupled_weight_decay", true}});
}
Optimizer rmsprop(const RmspropOptions& options) {
  return Optimizer("rmsprop", {{"lr", options.lr},
                               {"alpha", options.alpha},
                               {"eps", options.eps},
                               {"weight_decay", options.weight_decay},
                               {"momentum", options.momentum},
                               {"centered", options.centered}});
}
Optimizer lion(const LionOptions& options) {
  return Optimizer("lion", {{"lr", options.lr},
                            {"beta1", options.beta1},
                            {"beta2", options.beta2},
                            {"weight_decay", options.weight_decay}});
}

}  // namespace optim

train::Description Access::describe(const optim::Optimizer& optimizer) {
  const optim::Optimizer::Settings& settings = *optimizer.settings_;
  train::Description description;
  description.owner = settings.rule;
  description.rule = settings.rule;
  description.stages = settings.stages;
  description.average = settings.average;
  const auto add = [&](const optim::Hyper& hyper, bool decays) {
    train::Description::Group group;
    group.decays = decays;
    for (const auto& [name, value] : hyper) group.hyper.push_back({name, name, number(value)});
    description.groups.push_back(std::move(group));
  };
  add(settings.hyper, settings.decays_all);
  for (const auto& [pattern, own] : settings.groups) {
    optim::Hyper hyper = settings.hyper;
    bool decays = settings.decays_all;
    for (const auto& [name, value] : own) {
      const auto place =
          std::find_if(hyper.begin(), hyper.end(), [&](const auto& one) { return one.first == name; });
      if (place == hyper.end()) hyper.emplace_back(name, value);
      else place->second = value;
      decays = decays || name == "weight_decay";
    }
    add(hyper, decays);
  }
  return description;
}

std::size_t Access::group_of(const optim::Optimizer& optimizer, const std::string& parameter) {
  const auto& groups = optimizer.settings_->groups;
  for (std::size_t i = 0; i < groups.size(); ++i)
    if (fnmatch(groups[i].pattern.c_str(), parameter.c_str(), 0) == 0) return i + 1;
  return 0;
}

std::int64_t Access::calls_per_update(const optim::Optimizer& optimizer) {
  return optimizer.settings_->calls_per_update;
}

}  // namespace ravine::v1
