#include "model/loaded_step.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "core/error.h"
#include "graph/autodiff.h"
#include "graph/follow_up.h"
#include "model/export_file.h"
#include "model/step_json.h"
#include "rules/op_table.h"

namespace ravine {
namespace {

using train::NamedParameter;
using train::TrainState;

std::vector<NamedParameter> parameters_of(const TrainedModel& trained, const ModelStates& states, bool all) {
  std::vector<NamedParameter> parameters;
  for (const TrainedModel::Parameter& own : trained.parameters)
    if (all || own.moves) parameters.push_back({own.name, states.arrays[own.state].second, own.group});
  return parameters;
}

double number_of(const Array& scalar) {
  return scalar.dtype() == DType::float32 ? *scalar.as<float>() : *scalar.as<double>();
}

// The program that brings parameters to their constraints.
std::shared_ptr<Program> projection(const StoredGraph& constraints, const ModelStates& states) {
  Graph graph(op_table());
  const StoredGraph::Recorded recorded =
      constraints.record(graph, 0, {}, [&](std::size_t number) { return states.value_in(graph, number); });
  for (const auto& [number, value] : recorded.assigned) graph.assign(states.arrays[number].second, value);
  return compile(graph, {});
}

}  // namespace

LoadedStep::LoadedStep(Parts parts)
    : parts_(std::move(parts)),
      programs_([this](const ProgramPool::Key& key) { return compile_for(key[0]); }) {
  const ModelStates& states = *parts_.states;
  const auto state_in = [&](Graph& graph, std::size_t number) { return states.value_in(graph, number); };
  parts_.graph.expect_consistent(parts_.batches.least, state_in);
  check<ValueError>(parts_.graph.outputs.size() == 1 + parts_.part_names.size() + (parts_.counted ? 1 : 0),
                    "a step has ", parts_.graph.outputs.size(), " outputs, and names for ",
                    parts_.part_names.size(), " parts of its loss");
  for (const StoredType& type : parts_.graph.output_types)
    check<ValueError>(type.shape.empty() && is_floating(type.dtype), "an output of a step is ",
                      to_string(type), ", expected a floating scalar");
  check<ValueError>(!parts_.trained.empty(), "a step trains no model");
  for (TrainedModel& trained : parts_.trained) {
    if (trained.constraints) trained.constraints->expect_consistent(0, state_in);
    check<ValueError>(std::ranges::any_of(trained.parameters, &TrainedModel::Parameter::moves),
                      "a step trains no parameter of a model");
    for (const NamedParameter& own : parameters_of(trained, states, /*all=*/true))
      check<ValueError>(is_floating(own.array.dtype()), "the parameter ", own.name, " is ",
                        name_of(own.array.dtype()));
    if (trained.state == nullptr)
      trained.state = std::make_shared<TrainState>(trained.description, parts_.random);
  }
  generations_.resize(parts_.trained.size());
}

// ---- programs

void LoadedStep::make_ready() {
  bool changed = false;
  for (std::size_t i = 0; i < parts_.trained.size(); ++i) {
    const TrainedModel& trained = parts_.trained[i];
    if (generations_[i] == trained.state->generation()) continue;
    trained.state->bind(parameters_of(trained, *parts_.states, /*all=*/false));
    generations_[i] = trained.state->generation();
    changed = true;
  }
  if (changed) programs_.clear();
}

void LoadedStep::record_updates(Graph& graph, const std::vector<TrainState::Prepared>& prepared,
                                const std::vector<TrainedModel*>& of) {
  for (std::size_t i = 0; i < of.size(); ++i) {
    of[i]->state->update(graph, prepared[i]);
    if (of[i]->constraints && prepared[i].phase.updates)
      run_afterwards(graph, projection(*of[i]->constraints, *parts_.states));
  }
}

// As the original step records a call.
std::unique_ptr<Program> LoadedStep::compile_for(std::int64_t batch) {
  const ModelStates& states = *parts_.states;
  Graph graph(op_table());
  const auto state_at = [&](std::size_t number) { return states.value_in(graph, number); };
  const Values inputs = parts_.graph.inputs_in(graph, batch);
  const StoredGraph::Recorded forward = parts_.graph.record(graph, batch, inputs, state_at);
  const Value loss = forward.outputs[0];
  Values wrt;
  for (const TrainedModel& trained : parts_.trained)
    for (const TrainedModel::Parameter& own : trained.parameters)
      if (own.moves) wrt.push_back(state_at(own.state));
  const Values slopes = gradients(loss, wrt);

  graph.origin = {0, Phase::update};
  graph.guard(loss);
  const Value weight = parts_.counted ? forward.outputs.back() : Value{};
  std::vector<TrainState::Prepared> prepared;
  std::vector<TrainedModel*> of;
  auto next = slopes.begin();
  for (TrainedModel& trained : parts_.trained) {
    std::vector<std::size_t> moved;
    for (const TrainedModel::Parameter& own : trained.parameters)
      if (own.moves) moved.push_back(own.state);
    const auto count = static_cast<std::ptrdiff_t>(moved.size());
    // The same loss at other values of these parameters; statistics are as the forward pass left them.
    const auto gradients_at = [&](const Values& values) {
      const auto at = [&](std::size_t number) {
        if (const auto own = std::ranges::find(moved, number); own != moved.end())
          return values[static_cast<std::size_t>(own - moved.begin())];
        for (const auto& [assigned, value] : forward.assigned)
          if (assigned == number) return value;
        return state_at(number);
      };
      return gradients(parts_.graph.record(graph, batch, inputs, at).outputs[0], values);
    };
    prepared.push_back(trained.state->prepare(graph, Values(next, next + count), gradients_at, weight));
    of.push_back(&trained);
    next += count;
  }
  for (const auto& [number, value] : forward.assigned) graph.assign(states.arrays[number].second, value);
  record_updates(graph, prepared, of);
  const auto n_results = static_cast<std::ptrdiff_t>(1 + parts_.part_names.size());
  const Values results(forward.outputs.begin(), forward.outputs.begin() + n_results);
  return compile(graph, results, {.random = parts_.random});
}

double LoadedStep::step(std::span<const InputTensor> inputs) {
  const std::lock_guard lock(mutex_);
  const std::int64_t batch = parts_.graph.batch_of("step", types_of(inputs), parts_.batches);
  make_ready();
  ProgramPool::Key key{batch};
  for (const TrainedModel& trained : parts_.trained) {
    const TrainState::Phase phase = trained.state->phase();
    key.push_back((phase.begins ? 1 : 0) + (phase.updates ? 2 : 0));
  }
  const ProgramPool::Lease program = programs_.take(key);
  std::vector<const void*> pointers;
  for (const InputTensor& input : inputs) pointers.push_back(input.data);
  std::vector<Array> results;
  std::vector<void*> targets;
  for (const TensorType& type : program->output_types()) {
    results.emplace_back(type.dtype, type.shape);
    targets.push_back(results.back().data());
  }
  {
    const std::lock_guard writing(parts_.states->turns);
    program->run(pointers, targets);
  }
  loss_parts_.clear();
  for (std::size_t i = 0; i < parts_.part_names.size(); ++i)
    loss_parts_.emplace_back(parts_.part_names[i], number_of(results[i + 1]));
  return number_of(results[0]);
}

bool LoadedStep::finish_accumulation() {
  const std::lock_guard lock(mutex_);
  make_ready();
  std::vector<TrainedModel*> waiting;
  for (TrainedModel& trained : parts_.trained)
    if (trained.state->gathered() > 0) waiting.push_back(&trained);
  if (waiting.empty()) return false;
  Graph graph(op_table());
  graph.origin = {0, Phase::update};
  std::vector<TrainState::Prepared> prepared;
  for (const TrainedModel* trained : waiting) prepared.push_back(trained->state->prepare_gathered(graph));
  record_updates(graph, prepared, waiting);
  const std::unique_ptr<Program> program = compile(graph, {}, {.random = parts_.random});
  const std::lock_guard writing(parts_.states->turns);
  program->run({}, {});
  return true;
}

std::vector<std::pair<std::string, double>> LoadedStep::loss_parts() const {
  const std::lock_guard lock(mutex_);
  return loss_parts_;
}

std::shared_ptr<LoadedModel> LoadedStep::model() const {
  check<RuntimeError>(parts_.model != nullptr,
                      "a step over a function has no graph of inference: export the model besides");
  return parts_.model;
}

// ---- files

std::shared_ptr<LoadedStep> LoadedStep::load(const std::string& path) {
  return in_export(path, [&] {
    const ExportReader reader(path);
    check<ValueError>(reader.document.contains("step"), "it is a model, which load_model reads");
    const Json& own = reader.document["step"];
    const auto random = std::make_shared<RandomState>();
    Parts parts{.graph = graph_from_json(json_field(own, "graph"), reader.shared),
                .batches = batches_from_json(own),
                .part_names = {},
                .counted = json_flag(json_field(own, "counted"), "counted"),
                .trained = {},
                .states = reader.states,
                .random = random,
                .model = reader.has_model() ? std::make_shared<LoadedModel>(reader.model()) : nullptr,
                .notes = reader.step_notes};
    for (const Json& name : json_list(json_field(own, "part_names"), "part_names"))
      parts.part_names.push_back(json_text(name, "the name of a part of the loss"));
    const train::NamedArrays state = reader.read_below("step.");
    for (const Json& trained : json_list(json_field(own, "trained"), "trained")) {
      parts.trained.push_back(trained_from_json(trained, reader.shared));
      parts.trained.back().hyper = hyper_entries(state, parts.trained.back().name);
    }
    auto step = std::make_shared<LoadedStep>(std::move(parts));
    step->load_state_dict(state);
    return step;
  });
}

void LoadedStep::save(const std::string& path) {
  const std::lock_guard lock(mutex_);
  make_ready();
  const train::NamedArrays state = state_of_parts();
  ExportWriter writer("step", *parts_.states);
  if (parts_.model != nullptr) writer.add_model(parts_.model->parts());
  Json own = batches_to_json(parts_.batches, graph_to_json(parts_.graph, writer.shared));
  own["part_names"] = parts_.part_names;
  own["counted"] = parts_.counted;
  own["trained"] = Json::array();
  for (const TrainedModel& trained : parts_.trained)
    own["trained"].push_back(trained_to_json(trained, writer.shared));
  writer.document["step"] = std::move(own);
  for (const auto& [key, array] : state) writer.add("step." + key, array);
  const std::string model_notes = parts_.model == nullptr ? "" : parts_.model->parts().notes;
  writer.write(path, parts_.model == nullptr ? parts_.random : parts_.model->parts().random, model_notes,
               parts_.notes);
}

}  // namespace ravine
