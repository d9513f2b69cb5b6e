// What a training program records, and what happens when it runs.
#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>

#include "core/error.h"
#include "optim/row_gradients.h"
#include "train/numbers.h"
#include "train/state.h"

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
  Mutex& mutex() const override { return state->writer_->mutex; }
  std::shared_ptr<Writer> writer() const override { return state->writer_; }
};

struct UpdateEnd final : EffectTarget {
  std::shared_ptr<TrainState> state;
  TrainState::Phase phase;

  UpdateEnd(std::shared_ptr<TrainState> of, TrainState::Phase in) : state(std::move(of)), phase(in) {}
  void after_run() override { state->end(phase); }
  void after_refusal() override {
    ++state->skipped_;
    if (phase.ends) state->gathered_ = 0;
  }
  Mutex& mutex() const override { return state->writer_->mutex; }
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

void store(const Array& scalar, double value) {
  *scalar.as<double>() = value;
  scalar.writes().written();
}

}  // namespace

// ---- recording

TrainState::Phase TrainState::phase() const {
  for (const Stage& stage : description_.stages)
    if (stage.kind->gathers)
      return {gathered_ == 0, static_cast<double>(gathered_ + 1) >= stage.numbers[0].at(steps_)};
  return {};
}

namespace {

// Of the parameters of a part.
Values those_of(const std::vector<std::size_t>& members, const Values& all) {
  Values own;
  for (const std::size_t i : members) own.push_back(all[i]);
  return own;
}

}  // namespace

void TrainState::measure(Graph& graph, const Values& gradients, const Values& which) const {
  for (const Part& part : parts_)
    optim::gradient_norm(graph, part.optimizer, those_of(part.members, gradients),
                         those_of(part.members, which));
}

TrainState::Prepared TrainState::prepare(Graph& graph, Values gradients, const GradientsAt& gradients_at,
                                         Value weight) {
  check<ValueError>(gradients.size() == parameters_.size(), description_.owner, ": got ", gradients.size(),
                    " gradients for ", parameters_.size(), " parameters");
  if (!weight) weight = graph.scalar(1, DType::float64);
  return prepare(graph, phase(), 0, std::move(gradients), gradients_at, weight);
}

TrainState::Prepared TrainState::prepare_gathered(Graph& graph) {
  const auto stage = std::find_if(description_.stages.begin(), description_.stages.end(),
                                  [](const Stage& own) { return own.kind->gathers; });
  check<RuntimeError>(stage != description_.stages.end(), description_.owner, ": accumulates nothing");
  const auto first = static_cast<std::size_t>(stage - description_.stages.begin());
  return prepare(graph, {.begins = false, .updates = true, .ends = true}, first, {}, {}, {});
}

TrainState::Prepared TrainState::prepare(Graph& graph, Phase phase, std::size_t first_stage, Values gradients,
                                         const GradientsAt& gradients_at, Value weight) {
  graph.effect(begin_update_op, {}, std::make_shared<UpdateBegin>(shared_from_this(), phase));
  std::vector<std::pair<Array, Value>> assigned;
  std::vector<Array> arrays;
  for (const NamedParameter& parameter : parameters_) arrays.push_back(parameter.array);
  const std::vector<std::vector<Array>> no_memory;
  Values which = optim::take_rows(gradients);
  const bool sparse = std::any_of(which.begin(), which.end(), [](const Value& rows) { return bool(rows); });
  which.resize(parameters_.size());
  const auto refuse_nonfinite = [&](const Values& values) {
    measure(graph, values, which);
    graph.guard(clipping_);
  };
  for (std::size_t i = first_stage; i < n_general_ && (i == first_stage || !gradients.empty()); ++i) {
    const StageKind& kind = *description_.stages[i].kind;
    check<ValueError>(!kind.looks_elsewhere || gradients_at, description_.owner,
                      ": takes gradients at two places, so it needs the loss: use it with TrainStep");
    check<ValueError>(!sparse || kind.takes_rows, description_.owner, ": ", description_.stages[i].label,
                      " changes all rows of a table, and the sparse gradient of an embedding has those of a ",
                      "batch: use embeddings with sparse=False");
    StageScope scope{.graph = graph,
                     .gradients_at = gradients_at,
                     .parameters = arrays,
                     .numbers = stage_numbers_[i],
                     .slots = stage_slot_arrays_[i],
                     .memory = kind.memory.empty() ? no_memory : memory_->arrays(),
                     .owner = description_.owner,
                     .begins = phase.begins,
                     .updates = phase.updates,
                     .call_weight = weight,
                     .gathered_weight = gathered_weight_,
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
  if (!gradients.empty() && measures_) measure(graph, gradients, which);
  return {phase, std::move(gradients), std::move(which), std::move(assigned)};
}

void TrainState::update(Graph& graph, const Prepared& prepared) {
  for (const auto& [state, value] : prepared.assigned) graph.assign(state, value);
  if (!prepared.gradients.empty()) {
    for (const Part& part : parts_)
      optim::optimizer_step(graph, part.optimizer, those_of(part.members, prepared.gradients),
                            those_of(part.members, prepared.which));
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
  check<RuntimeError>(!refuses_runs_,
                      "training inside of averaged(model) would train the averages: leave it first");
  check<RuntimeError>(generation == generation_ && (phase.ends ? gathered_ > 0 : phase == this->phase()),
                      description_.owner,
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

bool TrainState::refuse_runs(bool on) {
  const std::lock_guard lock(writer_->mutex);
  return std::exchange(refuses_runs_, on);
}

std::optional<double> TrainState::lr() const {
  const double lr = lr_;
  return std::isnan(lr) ? std::nullopt : std::optional(lr);
}

std::optional<double> TrainState::gradient_norm() const {
  const std::lock_guard lock(writer_->mutex);
  return clipping_ == nullptr ? std::nullopt : std::optional(clipping_->global_norm());
}

}  // namespace ravine::train
