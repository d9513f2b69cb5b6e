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
#include "train/numbers.h"

namespace ravine::train {

using optim::Hyperparameter;
using optim::Optimizer;

// ---- description

TrainState::TrainState(Description description, std::shared_ptr<RandomState> random)
    : random_(random != nullptr ? std::move(random) : std::make_shared<RandomState>()),
      lr_(std::numeric_limits<double>::quiet_NaN()) {
  set_description(std::move(description));
}

TrainState::~TrainState() { writer_->ended = true; }

void TrainState::describe(Description description) {
  const std::lock_guard lock(writer_->mutex);
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
  for (const Stage& stage : description.stages) {
    if (stage.kind->memory.empty()) continue;
    check<ValueError>(stage.kind->looks_elsewhere, description.owner, ": ", stage.label, " has memory");
    check_history(description.owner, stage);
  }
  // Gradients at two places are alike only before anything has changed them.
  std::stable_partition(description.stages.begin(), description.stages.end(),
                        [](const Stage& stage) { return stage.kind->looks_elsewhere; });
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
  for (const Stage& stage : description_.stages) {
    structure.stages.push_back(stage.kind);
    if (!stage.kind->memory.empty()) structure.histories.push_back(stage.numbers[0].constant);
  }
  return structure;
}

// ---- parameters

void TrainState::bind(std::vector<NamedParameter> parameters) {
  const std::lock_guard lock(writer_->mutex);
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
  std::optional<StageMemory> memory;
  if (const Stage* stage = remembering(); stage != nullptr && !parameters.empty()) {
    memory.emplace(description_.owner, *stage, parameters);
    memory->restore(memory_state());
  }
  parts_ = std::move(parts);
  memory_ = std::move(memory);
  kept_memory_.clear();
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
  if (of_stages.empty()) gathered_ = 0;  // the stage that gathers is gone, and what it had with it
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
      part.optimizer = std::make_shared<Optimizer>(description_.rule, std::move(arrays), numbers,
                                                   slots_of(group), writer_);
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

const Stage* TrainState::remembering() const {
  const auto place = std::find_if(description_.stages.begin(), description_.stages.end(),
                                  [](const Stage& stage) { return !stage.kind->memory.empty(); });
  return place == description_.stages.end() ? nullptr : &*place;
}

NamedArrays TrainState::memory_state() const { return memory_ ? memory_->state_dict() : kept_memory_; }

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

}  // namespace ravine::train
