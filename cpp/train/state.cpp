#include "train/state.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <numeric>
#include <tuple>

#include "core/copy.h"
#include "core/error.h"

namespace ravine::train {

using optim::Hyperparameter;
using optim::Optimizer;

// ---- effects

// At the beginning of a run the numbers of its step are set, in the end it counts.
struct UpdateBegin final : EffectTarget {
  std::shared_ptr<TrainState> state;
  std::uint64_t generation;
  TrainState::Phase phase;

  UpdateBegin(std::shared_ptr<TrainState> of, TrainState::Phase in)
      : state(std::move(of)), generation(state->generation_), phase(in) {}
  void before_run() override { state->begin(generation, phase); }
  Mutex& mutex() const override { return *state->mutex_; }
};

struct UpdateEnd final : EffectTarget {
  std::shared_ptr<TrainState> state;
  TrainState::Phase phase;

  UpdateEnd(std::shared_ptr<TrainState> of, TrainState::Phase in) : state(std::move(of)), phase(in) {}
  void after_run() override { state->end(phase); }
  void after_refusal() override { ++state->skipped_; }
  Mutex& mutex() const override { return *state->mutex_; }
};

namespace {

const Op begin_update_op{.name = "begin_update",
                         .kind = OpKind::effect,
                         .infer = [](Node&) {},
                         .lower = [](Lowering&, const Node&) {}};
const Op end_update_op{.name = "end_update",
                       .kind = OpKind::effect,
                       .infer = [](Node&) {},
                       .lower = [](Lowering&, const Node&) {}};

// As Python writes it.
std::string text_of(double number) {
  if (!std::isfinite(number)) return std::isnan(number) ? "nan" : number < 0 ? "-inf" : "inf";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), number).ptr;
  const std::string text(buffer, end);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

void expect_allowed(const std::string& owner, const std::string& label, double value, double low,
                    double high) {
  if (std::isfinite(value) && value >= low && value < high) return;
  const std::string allowed =
      std::isfinite(high) ? str(" in [", low, ", ", high, ")") : str(" at least ", low);
  fail<ValueError>(owner, ": ", label, " must be a finite number", allowed, ", got ", text_of(value));
}

double number_at(const std::string& owner, const HyperNumber& hyper, std::span<const Hyperparameter> limits,
                 std::int64_t step) {
  const double value = hyper.number.at(step);
  if (hyper.number.schedule == nullptr) return value;
  const auto own = std::find_if(limits.begin(), limits.end(),
                                [&](const Hyperparameter& limit) { return limit.name == hyper.name; });
  if (own != limits.end() && !own->flag)
    expect_allowed(owner, str(hyper.label, " in step ", step), value, own->low, own->high);
  return value;
}

double number_at(const std::string& owner, const Stage& stage, std::size_t index, std::int64_t step) {
  const StageKind::Number& kind = stage.kind->numbers[index];
  const double value = stage.numbers[index].at(step);
  const std::string label = str(stage.label, " in step ", step);
  if (!kind.any) expect_allowed(owner, label, value, 0, std::numeric_limits<double>::infinity());
  check<ValueError>(!kind.positive || value != 0, owner, ": ", label, " must be above 0, got 0");
  return value;
}

// Errors of the rule in the name of the optimizer that the user knows.
template <class Function>
void naming(const std::string& owner, Function function) {
  try {
    function();
  } catch (const ValueError& error) {
    const std::string text = error.what();
    fail<ValueError>(owner, text.substr(std::min(text.find(':'), text.size())));
  }
}

void store(const Array& scalar, double value) {
  *scalar.as<double>() = value;
  scalar.writes().written();
}

template <class Visit>
void for_each_number(const Description& description, Visit visit) {
  for (const Description::Group& group : description.groups)
    for (const HyperNumber& hyper : group.hyper) visit(hyper.number);
  for (const Stage& stage : description.stages)
    for (const Number& number : stage.numbers) visit(number);
  if (description.average != nullptr) visit(Number(description.average));
  if (description.slow != nullptr) visit(Number(description.slow));
}

}  // namespace

// ---- description

TrainState::TrainState(Description description) : lr_(std::numeric_limits<double>::quiet_NaN()) {
  set_description(std::move(description));
}

void TrainState::describe(Description description) {
  const std::lock_guard lock(*mutex_);
  set_description(std::move(description));
  if (structure_ && *structure_ != structure()) ++generation_;
}

void TrainState::set_description(Description description) {
  check<ValueError>(!description.groups.empty(), description.owner,
                    ": a group for the other parameters is needed");
  const auto count = [&](bool StageKind::*what) {
    return std::count_if(description.stages.begin(), description.stages.end(),
                         [&](const Stage& stage) { return stage.kind->*what; });
  };
  for (const auto& [what, name] : {std::pair{&StageKind::gathers, "accumulates gradients"},
                                   std::pair{&StageKind::refuses, "skips steps"},
                                   std::pair{&StageKind::looks_elsewhere, "takes gradients at two places"}})
    check<ValueError>(count(what) <= 1, description.owner, ": at most one stage ", name, ", got ",
                      count(what));
  description_ = std::move(description);
  described_ = foreign_ = varies_ = false;
  for_each_number(description_, [&](const Number& number) {
    varies_ = varies_ || number.schedule != nullptr;
    foreign_ = foreign_ || (number.schedule != nullptr && number.schedule->foreign());
  });
  // The longest end of the chain that the kernel can do.
  const std::vector<Stage>& stages = description_.stages;
  const auto by_kernel = [](const Stage& stage) { return stage.kind->fused != nullptr; };
  n_general_ = stages.size();
  while (n_general_ > 0 && by_kernel(stages[n_general_ - 1]) &&
         (n_general_ == stages.size() || stages[n_general_ - 1].kind < stages[n_general_].kind))
    --n_general_;
  // Its sums of squares are those that were measured for skipping, if steps are skipped.
  const bool skips = count(&StageKind::refuses) != 0;
  if (skips && (n_general_ == 0 || !stages[n_general_ - 1].kind->refuses)) n_general_ = stages.size();
  measures_ = !skips && std::any_of(stages.begin() + static_cast<std::ptrdiff_t>(n_general_), stages.end(),
                                    [](const Stage& stage) {
                                      return stage.kind->fused != &optim::Clipping::clip_value;
                                    });
}

bool TrainState::draws() const {
  return std::any_of(description_.stages.begin(), description_.stages.end(),
                     [](const Stage& stage) { return stage.kind->draws; });
}

bool TrainState::looks_elsewhere() const {
  return std::any_of(description_.stages.begin(), description_.stages.end(),
                     [](const Stage& stage) { return stage.kind->looks_elsewhere; });
}

std::vector<std::string> TrainState::slots_of(const Description::Group& group) const {
  std::vector<std::string> names;
  for (const optim::Slot& slot : optim::rule_named(description_.rule).slots) {
    const auto needing = std::find_if(group.hyper.begin(), group.hyper.end(), [&](const HyperNumber& hyper) {
      return slot.needed_by != nullptr && hyper.name == slot.needed_by;
    });
    // A number that may become nonzero later has its slots from the beginning.
    if (slot.needed_by == nullptr || (needing != group.hyper.end() && needing->number.may_be_on()))
      names.emplace_back(slot.name);
  }
  if (description_.average != nullptr) names.emplace_back("average");
  if (description_.slow != nullptr) names.emplace_back("slow");
  return names;
}

TrainState::Structure TrainState::structure() const {
  Structure structure;
  for (const Description::Group& group : description_.groups) {
    structure.slots.push_back(slots_of(group));
    structure.decays.push_back(group.decays);
  }
  for (const Stage& stage : description_.stages) structure.stages.push_back(stage.kind);
  return structure;
}

// ---- parameters

void TrainState::bind(std::vector<NamedParameter> parameters) {
  const std::lock_guard lock(*mutex_);
  Structure wanted = structure();
  const bool same =
      std::equal(parameters.begin(), parameters.end(), parameters_.begin(), parameters_.end(),
                 [](const NamedParameter& a, const NamedParameter& b) {
                   return a.name == b.name && a.group == b.group && a.array.data() == b.array.data();
                 });
  if (structure_ && *structure_ == wanted && same) return;
  for (const NamedParameter& parameter : parameters)
    check<ValueError>(parameter.group < description_.groups.size(), description_.owner, ": ", parameter.name,
                      " is in group ", parameter.group, " of ", description_.groups.size());
  ParameterStates states = this->states();
  std::vector<Part> parts = divide(parameters, states);
  parts_ = std::move(parts);
  parameters_ = std::move(parameters);
  bind_stages(states);
  std::erase_if(states, [&](const auto& state) {
    return std::any_of(parameters_.begin(), parameters_.end(),
                       [&](const NamedParameter& parameter) { return parameter.name == state.first; });
  });
  const std::vector<std::string> of_stages = stage_slots();
  for (auto& [name, state] : states)  // a sum of gradients ends for those that leave it
    std::erase_if(state.slots, [&](const auto& slot) {
      return std::find(of_stages.begin(), of_stages.end(), slot.first) != of_stages.end();
    });
  kept_ = std::move(states);
  structure_ = std::move(wanted);
  described_ = false;
  ++generation_;
}

Optimizer::Settings TrainState::settings(const Description::Group& group, bool decays) const {
  const std::span<const Hyperparameter> limits = optim::rule_named(description_.rule).hyper;
  Optimizer::Settings settings;
  for (const HyperNumber& hyper : group.hyper) {
    const double value = number_at(description_.owner, hyper, limits, steps_);
    settings.emplace_back(hyper.name, hyper.name == "weight_decay" && !decays ? 0.0 : value);
  }
  return settings;
}

namespace {

const Array* slot_of(const NamedArrays& slots, std::string_view name, const Array& like) {
  const auto kept =
      std::find_if(slots.begin(), slots.end(), [&](const auto& slot) { return slot.first == name; });
  return kept != slots.end() && kept->second.shape() == like.shape() ? &kept->second : nullptr;
}

template <class States>
auto* state_of(States& states, std::string_view name) {
  const auto place =
      std::find_if(states.begin(), states.end(), [&](const auto& state) { return state.first == name; });
  return place == states.end() ? nullptr : &place->second;
}

}  // namespace

std::vector<TrainState::Part> TrainState::divide(const std::vector<NamedParameter>& parameters,
                                                 const ParameterStates& states) const {
  const optim::Rule& rule = optim::rule_named(description_.rule);
  ParameterState fresh;
  for (const optim::Scalar& scalar : rule.scalars) fresh.scalars.push_back(scalar.initial);
  const auto known = [&](const std::string& name) -> const ParameterState& {
    const ParameterState* state = state_of(states, name);
    return state == nullptr ? fresh : *state;
  };
  using Key = std::tuple<std::size_t, bool, std::int64_t, std::vector<double>>;
  std::vector<Key> keys;
  std::vector<Part> parts;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const NamedParameter& parameter = parameters[i];
    const ParameterState& state = known(parameter.name);
    const bool decays = description_.groups[parameter.group].decays || parameter.array.shape().rank() > 1;
    Key key{parameter.group, decays, state.step, state.scalars};
    const auto place = std::find(keys.begin(), keys.end(), key);
    const auto index = static_cast<std::size_t>(place - keys.begin());
    if (place == keys.end()) {
      keys.push_back(std::move(key));
      parts.push_back({nullptr, parameter.group, decays, {}});
    }
    parts[index].members.push_back(i);
  }
  for (Part& part : parts) {
    const Description::Group& group = description_.groups[part.group];
    const ParameterState& state = known(parameters[part.members[0]].name);
    std::vector<Array> arrays;
    for (const std::size_t i : part.members) arrays.push_back(parameters[i].array);
    const Optimizer::Settings numbers = settings(group, part.decays);
    naming(description_.owner, [&] {
      part.optimizer =
          std::make_shared<Optimizer>(description_.rule, std::move(arrays), numbers, slots_of(group), mutex_);
    });
    part.optimizer->set_progress(state.step, state.scalars);
    for (const auto& slot : part.optimizer->slots())
      for (std::size_t m = 0; m < part.members.size(); ++m) {
        if (!slot.arrays[m]) continue;
        const NamedArrays& slots = known(parameters[part.members[m]].name).slots;
        if (const Array* kept = slot_of(slots, slot.name, slot.arrays[m])) copy_values(*kept, slot.arrays[m]);
      }
  }
  return parts;
}

void TrainState::bind_stages(const ParameterStates& states) {
  const bool clips = n_general_ < description_.stages.size();
  const bool skips = std::any_of(description_.stages.begin(), description_.stages.end(),
                                 [](const Stage& stage) { return stage.kind->refuses; });
  clipping_ = nullptr;
  if (clips || skips) {
    clipping_ = std::make_shared<optim::Clipping>(static_cast<std::int64_t>(parameters_.size()));
    clipping_->skip_nonfinite = skips;
    std::int64_t first = 0;
    for (const Part& part : parts_) {
      part.optimizer->set_clipping(clipping_, first);
      first += static_cast<std::int64_t>(part.members.size());
    }
  }
  stage_numbers_.clear();
  stage_slot_arrays_.clear();
  for (const Stage& stage : description_.stages) {
    std::vector<Array>& numbers = stage_numbers_.emplace_back();
    for (std::size_t i = 0; i < stage.numbers.size(); ++i)
      numbers.push_back(Array::scalar(0, DType::float64));
    std::vector<std::vector<Array>>& slots = stage_slot_arrays_.emplace_back();
    for (const char* name : stage.kind->slots) {
      std::vector<Array>& arrays = slots.emplace_back();
      for (const NamedParameter& parameter : parameters_) {
        const Array& like = parameter.array;
        arrays.emplace_back(like.dtype(), like.shape(), like.layout());
        const ParameterState* state = state_of(states, parameter.name);
        if (const Array* kept = state == nullptr ? nullptr : slot_of(state->slots, name, like))
          copy_values(*kept, arrays.back());
      }
    }
  }
}

std::vector<std::string> TrainState::stage_slots() const {
  std::vector<std::string> names;
  for (const Stage& stage : description_.stages)
    names.insert(names.end(), stage.kind->slots.begin(), stage.kind->slots.end());
  return names;
}

// Of all parameters, those kept first; the arrays are the parts' own.
TrainState::ParameterStates TrainState::states() const {
  ParameterStates states = kept_;
  for (const Part& part : parts_) {
    ParameterState common{.step = part.optimizer->progress().step, .slots = {}, .scalars = {}};
    const std::size_t n_scalars = part.optimizer->rule().scalars.size();
    common.scalars.assign(part.optimizer->progress().scalars, part.optimizer->progress().scalars + n_scalars);
    for (std::size_t m = 0; m < part.members.size(); ++m) {
      const std::size_t i = part.members[m];
      ParameterState own = common;
      for (const auto& slot : part.optimizer->slots())
        if (slot.arrays[m]) own.slots.emplace_back(slot.name, slot.arrays[m]);
      for (std::size_t s = 0; gathered_ > 0 && s < stage_slot_arrays_.size(); ++s)
        for (std::size_t k = 0; k < stage_slot_arrays_[s].size(); ++k)
          own.slots.emplace_back(structure_->stages[s]->slots[k], stage_slot_arrays_[s][k][i]);
      states.emplace_back(parameters_[i].name, std::move(own));
    }
  }
  return states;
}

// ---- recording

TrainState::Phase TrainState::phase() const {
  for (const Stage& stage : description_.stages)
    if (stage.kind->gathers)
      return {gathered_ == 0, static_cast<double>(gathered_ + 1) >= stage.numbers[0].at(steps_)};
  return {};
}

void TrainState::measure(Graph& graph, const Values& gradients) const {
  for (const Part& part : parts_) {
    Values own;
    for (const std::size_t i : part.members) own.push_back(gradients[i]);
    optim::gradient_norm(graph, part.optimizer, std::move(own));
  }
}

TrainState::Prepared TrainState::prepare(Graph& graph, Values gradients, const GradientsAt& gradients_at) {
  check<ValueError>(gradients.size() == parameters_.size(), description_.owner, ": got ", gradients.size(),
                    " gradients for ", parameters_.size(), " parameters");
  const Phase phase = this->phase();
  graph.effect(begin_update_op, {}, std::make_shared<UpdateBegin>(shared_from_this(), phase));
  std::vector<std::pair<Array, Value>> assigned;
  std::vector<Array> arrays;
  for (const NamedParameter& parameter : parameters_) arrays.push_back(parameter.array);
  const auto refuse_nonfinite = [&](const Values& values) {
    measure(graph, values);
    graph.guard(clipping_);
  };
  for (std::size_t i = 0; i < n_general_ && !gradients.empty(); ++i) {
    const StageKind& kind = *description_.stages[i].kind;
    check<ValueError>(!kind.looks_elsewhere || gradients_at, description_.owner,
                      ": takes gradients at two places, so it needs the loss: use it with TrainStep");
    StageScope scope{.graph = graph,
                     .gradients_at = gradients_at,
                     .parameters = arrays,
                     .numbers = stage_numbers_[i],
                     .slots = stage_slot_arrays_[i],
                     .begins = phase.begins,
                     .updates = phase.updates,
                     .refuse_nonfinite = refuse_nonfinite,
                     .assign = [&](const Array& state, Value value) { assigned.emplace_back(state, value); }};
    gradients = kind.record(scope, std::move(gradients));
    if (!gradients.empty()) continue;
    // What is gathered is looked at now, as the stages behind do not see it in this call.
    if (std::any_of(description_.stages.begin() + static_cast<std::ptrdiff_t>(i), description_.stages.end(),
                    [](const Stage& stage) { return stage.kind->refuses; })) {
      Values sums;
      for (const auto& [state, value] : assigned) sums.push_back(value);
      refuse_nonfinite(sums);
    }
  }
  if (!gradients.empty() && measures_) measure(graph, gradients);
  return {phase, std::move(gradients), std::move(assigned)};
}

void TrainState::update(Graph& graph, const Prepared& prepared) {
  for (const auto& [state, value] : prepared.assigned) graph.assign(state, value);
  if (!prepared.gradients.empty()) {
    for (const Part& part : parts_) {
      Values own;
      for (const std::size_t i : part.members) own.push_back(prepared.gradients[i]);
      optim::optimizer_step(graph, part.optimizer, std::move(own));
    }
  }
  graph.effect(end_update_op, {}, std::make_shared<UpdateEnd>(shared_from_this(), prepared.phase));
}

// ---- runs

void TrainState::ask() const {
  for_each_number(description_, [&](const Number& number) {
    if (number.schedule != nullptr && number.schedule->foreign()) number.at(steps_);
  });
}

void TrainState::begin(std::uint64_t generation, Phase phase) {
  check<RuntimeError>(!evaluating,
                      "training inside of averaged(model) would train the averages: leave it first");
  check<RuntimeError>(generation == generation_ && phase == this->phase(), description_.owner,
                      ": the program was recorded for other parameters or stages; record it again");
  if (described_ && !varies_) return;
  const std::span<const Hyperparameter> limits = optim::rule_named(description_.rule).hyper;
  double lr = std::numeric_limits<double>::quiet_NaN();
  for (const HyperNumber& hyper : description_.groups[0].hyper)
    if (hyper.name == "lr") lr = number_at(description_.owner, hyper, limits, steps_);
  std::vector<Optimizer::Settings> of_parts;
  for (const Part& part : parts_) of_parts.push_back(settings(description_.groups[part.group], part.decays));
  std::vector<std::vector<double>> of_stages;
  for (const Stage& stage : description_.stages) {
    std::vector<double>& values = of_stages.emplace_back();
    for (std::size_t i = 0; i < stage.numbers.size(); ++i)
      values.push_back(number_at(description_.owner, stage, i, steps_));
  }
  const double average = description_.average == nullptr ? 0.0 : description_.average->at(steps_);
  const double slow = description_.slow == nullptr ? 0.0 : description_.slow->at(steps_);
  // All numbers are known; what does not go together the rule refuses, and no run begins.
  for (std::size_t p = 0; p < parts_.size(); ++p) {
    Optimizer& optimizer = *parts_[p].optimizer;
    naming(description_.owner, [&] { optimizer.set_held(of_parts[p]); });
    optimizer.average_weight = average;
    optimizer.slow_weight = slow;
  }
  for (std::size_t s = 0; s < of_stages.size(); ++s) {
    const StageKind& kind = *description_.stages[s].kind;
    if (s >= n_general_) clipping_.get()->*kind.fused = of_stages[s][0];
    for (std::size_t i = 0; i < of_stages[s].size(); ++i) store(stage_numbers_[s][i], of_stages[s][i]);
  }
  next_lr_ = lr;
  described_ = true;
}

void TrainState::end(Phase phase) {
  if (!phase.updates) {
    ++gathered_;
    return;
  }
  gathered_ = 0;
  ++steps_;
  lr_ = next_lr_;
}

std::optional<double> TrainState::lr() const {
  const double lr = lr_;
  return std::isnan(lr) ? std::nullopt : std::optional(lr);
}

std::optional<double> TrainState::gradient_norm() const {
  const std::lock_guard lock(*mutex_);
  return clipping_ == nullptr ? std::nullopt : std::optional(clipping_->global_norm());
}

}  // namespace ravine::train
