// The state_dict of a loaded step, and its numbers by name.
#include <algorithm>
#include <cmath>
#include <mutex>
#include <set>
#include <utility>

#include "core/copy.h"
#include "core/error.h"
#include "model/loaded_step.h"
#include "optim/rules.h"
#include "train/numbers.h"

namespace ravine {
namespace {

using train::NamedArrays;
using train::Plateau;

const std::string of_random = "random.", of_schedule = "schedule.", of_hyper = "hyper.";
const std::set<std::string> parts_of_keys{"optimizer", "schedule", "preconditioner", "hyper"};

// A key as the step has it, where several models are trained: "optimizer.steps" is "optimizer.g.steps".
std::string key_of_step(const std::string& key, const std::string& name) {
  if (name.empty() || key.starts_with(of_random)) return key;
  const std::size_t dot = key.find('.');
  return key.substr(0, dot) + "." + name + key.substr(dot);
}

// The key as the model's own optimizer has it; none: it is another's.
std::optional<std::string> own_key(const std::string& key, const std::string& name) {
  if (key.starts_with(of_random)) return key;
  const std::size_t dot = key.find('.');
  if (dot == std::string::npos || !parts_of_keys.contains(key.substr(0, dot))) return std::nullopt;
  if (name.empty()) return key;
  const std::string rest = key.substr(dot + 1);
  if (!rest.starts_with(name + ".")) return std::nullopt;
  return key.substr(0, dot) + rest.substr(name.size());
}

Array real(double number) { return Array::scalar(number, DType::float64); }

Array whole(std::int64_t number) {
  const Array scalar(DType::int64, Shape{});
  *scalar.as<std::int64_t>() = number;
  return scalar;
}

std::vector<double> numbers_of(const Array& array) {
  const Array numbers(DType::float64, array.shape());
  copy_values(array, numbers);
  return {numbers.as<double>(), numbers.as<double>() + numbers.size()};
}

// ---- schedules that follow a metric

NamedArrays state_of(const TrainedModel::Follower& follower) {
  const Plateau::State& state = follower.plateau->state();
  return {{"best", real(state.best)},
          {"bad", whole(state.bad)},
          {"cooling", whole(state.cooling)},
          {"reductions", whole(state.reductions)}};
}

std::vector<Plateau::State> states_from(const std::vector<TrainedModel::Follower>& followers,
                                        const NamedArrays& given, const std::string& owner) {
  std::vector<Plateau::State> states;
  std::size_t used = 0;
  for (const TrainedModel::Follower& follower : followers) {
    const auto number = [&](const char* field) {
      const std::string key = of_schedule + follower.key + "." + field;
      const auto own = std::ranges::find_if(given, [&](const auto& named) { return named.first == key; });
      check<ValueError>(own != given.end() && own->second.shape().empty(), "load_state_dict of ", owner,
                        ": missing key ", key);
      ++used;
      return numbers_of(own->second)[0];
    };
    const auto count = [&](const char* field) {
      const double value = number(field);
      check<ValueError>(value >= 0 && value < 1e15 && value == std::floor(value), "load_state_dict of ",
                        owner, ": ", of_schedule, follower.key, ".", field, " is ", value,
                        ", expected a count");
      return static_cast<std::int64_t>(value);
    };
    const double best = number("best");
    states.push_back(
        {.best = best, .bad = count("bad"), .cooling = count("cooling"), .reductions = count("reductions")});
  }
  const auto of_schedules =
      std::ranges::count_if(given, [](const auto& named) { return named.first.starts_with(of_schedule); });
  check<ValueError>(static_cast<std::size_t>(of_schedules) == used, "load_state_dict of ", owner,
                    ": unexpected keys under ", of_schedule);
  return states;
}

// ---- numbers by name

template <class Description, class Visit>
void for_each_hyper(Description& description, const std::vector<TrainedModel::Group>& groups, Visit visit) {
  for (std::size_t g = 0; g < description.groups.size(); ++g)
    for (auto& hyper : description.groups[g].hyper) {
      const bool own = g == 0 || std::ranges::find(groups[g].own, hyper.label) != groups[g].own.end();
      visit(own && g > 0 ? groups[g].name + "." + hyper.label : hyper.label, hyper.number, own);
    }
  for (auto& stage : description.stages)
    if (stage.numbers.size() == 1) visit(stage.label, stage.numbers[0], true);
}

// Sets a number, in groups that have none of their own too. Whether there is one of this name.
bool set_number(train::Description& description, const std::vector<TrainedModel::Group>& groups,
                const std::string& name, double value) {
  bool found = false;
  for_each_hyper(description, groups, [&](const std::string& known, train::Number& number, bool) {
    if (known != name) return;
    number = value;
    found = true;
  });
  return found;
}

bool same_entry(const Array& a, const Array& b) {
  if (a.shape() != b.shape()) return false;
  const std::vector<double> of_a = numbers_of(a), of_b = numbers_of(b);
  return std::ranges::equal(of_a, of_b, [](double x, double y) { return x == y || (x != x && y != y); });
}

// Takes over an entry "<name>" of "hyper.", a number or several: "betas" are "betas[0]" and "betas[1]".
bool set_entry(train::Description& description, const std::vector<TrainedModel::Group>& groups,
               const std::string& name, const Array& array) {
  const std::vector<double> numbers = numbers_of(array);
  if (array.shape().empty()) return set_number(description, groups, name, numbers[0]);
  bool all = !numbers.empty();
  for (std::size_t i = 0; i < numbers.size() && all; ++i)
    all = set_number(description, groups, str(name, "[", i, "]"), numbers[i]);
  return all;
}

// ValueError for numbers that the rule or a stage does not allow.
void expect_allowed(const train::Description& description, std::int64_t step) {
  const std::span<const optim::Hyperparameter> limits = optim::rule_named(description.rule).hyper;
  for (const train::Description::Group& group : description.groups)
    for (const train::HyperNumber& hyper : group.hyper) {
      if (hyper.number.schedule != nullptr) continue;
      const auto own = std::ranges::find_if(
          limits, [&](const optim::Hyperparameter& limit) { return limit.name == hyper.name; });
      const double value = hyper.number.constant;
      check<ValueError>(own == limits.end() || (value >= own->low && value < own->high) ||
                            (own->flag && (value == 0 || value == 1)),
                        description.owner, ": ", hyper.label, " is not allowed to be ", value);
    }
  for (const train::Stage& stage : description.stages)
    for (std::size_t i = 0; i < stage.numbers.size(); ++i)
      if (stage.numbers[i].schedule == nullptr) train::number_at(description.owner, stage, i, step);
}

}  // namespace

NamedArrays hyper_entries(const NamedArrays& state, const std::string& name) {
  NamedArrays entries;
  for (const auto& [key, array] : state)
    if (const auto own = own_key(key, name); own && own->starts_with(of_hyper))
      entries.emplace_back(own->substr(of_hyper.size()), array);
  return entries;
}

NamedArrays LoadedStep::state_of_parts() const {
  NamedArrays result;
  for (const TrainedModel& trained : parts_.trained) {
    const auto add = [&](const std::string& key, const Array& array) {
      const std::string full = key_of_step(key, trained.name);
      if (std::ranges::none_of(result, [&](const auto& known) { return known.first == full; }))
        result.emplace_back(full, array);
    };
    for (const auto& [key, array] : trained.state->state_dict()) add(key, array);
    for (const TrainedModel::Follower& follower : trained.followers)
      for (const auto& [field, array] : state_of(follower))
        add(of_schedule + follower.key + "." + field, array);
    for (const auto& [key, array] : trained.hyper) add(of_hyper + key, array);
  }
  return result;
}

NamedArrays LoadedStep::state_dict() {
  const std::lock_guard lock(mutex_);
  make_ready();  // a number set since may want other slots
  return state_of_parts();
}

void LoadedStep::load_part(TrainedModel& trained, const NamedArrays& own) {
  const std::string& owner = trained.description.owner;
  train::Description description = trained.description;
  NamedArrays of_state, hyper;
  for (const auto& [key, array] : own) {
    if (key.starts_with(of_schedule)) continue;
    if (!key.starts_with(of_hyper)) {
      of_state.emplace_back(key, array);
      continue;
    }
    const std::string name = key.substr(of_hyper.size());
    const auto held =
        std::ranges::find_if(trained.hyper, [&](const auto& named) { return named.first == name; });
    const bool same = held != trained.hyper.end() && same_entry(held->second, array);
    check<ValueError>(same || set_entry(description, trained.groups, name, array), "load_state_dict of ",
                      owner, ": unexpected key ", key);
    hyper.emplace_back(name, array);
  }
  expect_allowed(description, trained.state->steps());
  const std::vector<Plateau::State> states = states_from(trained.followers, own, owner);
  std::vector<train::NamedParameter> known;
  for (const TrainedModel::Parameter& parameter : trained.parameters)
    known.push_back({parameter.name, parts_.states->arrays[parameter.state].second, parameter.group});
  trained.state->describe(description);
  try {
    trained.state->load_state_dict(of_state, known);
  } catch (...) {
    trained.state->describe(trained.description);
    throw;
  }
  for (std::size_t i = 0; i < states.size(); ++i) trained.followers[i].plateau->set_state(states[i]);
  trained.description = std::move(description);
  trained.hyper = std::move(hyper);
}

void LoadedStep::load_state_dict(const NamedArrays& state) {
  const std::lock_guard lock(mutex_);
  std::vector<NamedArrays> own(parts_.trained.size());
  for (const auto& [key, array] : state) {
    bool owned = false;
    for (std::size_t i = 0; i < own.size(); ++i)
      if (const auto short_key = own_key(key, parts_.trained[i].name)) {
        own[i].emplace_back(*short_key, array);
        owned = true;
      }
    check<ValueError>(owned, "load_state_dict of the loaded step: unexpected key ", key);
  }
  make_ready();
  const NamedArrays before = state_of_parts();
  std::size_t loaded = 0;
  try {
    for (; loaded < own.size(); ++loaded) load_part(parts_.trained[loaded], own[loaded]);
  } catch (...) {
    for (std::size_t i = 0; i < loaded; ++i) {
      NamedArrays old;
      for (const auto& [key, array] : before)
        if (const auto short_key = own_key(key, parts_.trained[i].name)) old.emplace_back(*short_key, array);
      load_part(parts_.trained[i], old);
    }
    throw;
  }
}

// ---- numbers

std::vector<LoadedStep::Hyper> LoadedStep::hyper(std::size_t trained) const {
  const std::lock_guard lock(mutex_);
  const TrainedModel& own = parts_.trained[trained];
  std::vector<Hyper> result;
  for_each_hyper(own.description, own.groups,
                 [&](const std::string& name, const train::Number& number, bool shown) {
                   if (shown)
                     result.push_back(
                         {name, number.schedule == nullptr ? std::optional(number.constant) : std::nullopt});
                 });
  return result;
}

void LoadedStep::set_hyper(const std::string& name, double number, std::size_t trained) {
  const std::lock_guard lock(mutex_);
  TrainedModel& own = parts_.trained[trained];
  train::Description description = own.description;
  std::string known;
  for_each_hyper(description, own.groups, [&](const std::string& label, const train::Number&, bool shown) {
    if (shown) known += (known.empty() ? "" : ", ") + label;
  });
  check<KeyError>(set_number(description, own.groups, name, number), "hyper: there is no number '", name,
                  "', only ", known);
  expect_allowed(description, own.state->steps());
  own.state->describe(description);
  own.description = std::move(description);
  const std::size_t bracket = name.find('[');
  const std::string entry = name.substr(0, bracket);
  std::vector<double> numbers;
  if (bracket == std::string::npos) numbers.push_back(number);
  else
    for_each_hyper(own.description, own.groups,
                   [&](const std::string& label, const train::Number& held, bool shown) {
                     if (shown && label.starts_with(entry + "[")) numbers.push_back(held.constant);
                   });
  const Array array(DType::float64, bracket == std::string::npos
                                        ? Shape{}
                                        : Shape{static_cast<std::int64_t>(numbers.size())});
  std::ranges::copy(numbers, array.as<double>());
  const auto held = std::ranges::find_if(own.hyper, [&](const auto& named) { return named.first == entry; });
  if (held == own.hyper.end()) own.hyper.emplace_back(entry, array);
  else held->second = array;
}

void LoadedStep::report(double metric) {
  const std::lock_guard lock(mutex_);
  for (const TrainedModel& trained : parts_.trained)
    for (const TrainedModel::Follower& follower : trained.followers) follower.plateau->update(metric);
}

}  // namespace ravine
