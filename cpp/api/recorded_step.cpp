#include "api/recorded_step.h"

#include <cstring>
#include <mutex>

#include "api/weights_file.h"

namespace ravine::v1 {
namespace {

RecordedModel& recorded(const Model& model) {
  auto* const state = dynamic_cast<RecordedModel*>(&Access::state(model));
  check<TypeError>(state != nullptr,
                   "TrainStep: the model is one of a file; TrainStep::load trains those that were "
                   "exported with their step");
  return *state;
}

}  // namespace

RecordedStep::RecordedStep(Model model, StepFunction function, const optim::Optimizer& optimizer)
    : given_(std::move(model)),
      model_(recorded(given_)),
      function_(std::move(function)),
      optimizer_(optimizer),
      training_(std::make_shared<train::TrainState>(Access::describe(optimizer), random_)) {}

std::vector<train::NamedParameter> RecordedStep::parameters() const {
  std::vector<train::NamedParameter> result;
  for (const ParameterStore::Entry& entry : model_.store.entries)
    if (entry.trained) result.push_back(parameter(entry));
  return result;
}

void RecordedStep::begin(std::span<const View> batch) {
  if (begun_) return;
  model_.initialize(batch, [this](Recording& recording, std::span<const Tensor> values) {
    function_(Access::scope(recording), values);
  });
  model_.attach_training();
  const std::lock_guard lock(random_->mutex);
  random_->seed = number_at(model_.store.random.draw_seed(), model_.store.seed);
  begun_ = true;
}

void RecordedStep::drop_stale_programs() {
  if (training_->generation() == generation_) return;
  programs_.clear();
  generation_ = training_->generation();
}

Program& RecordedStep::program_for(std::span<const View> batch) {
  drop_stale_programs();
  const DType dtype = model_.store.dtype;
  const train::TrainState::Phase phase = training_->phase();
  for (const Compiled& compiled : programs_)
    if (compiled.phase == phase && has_types(batch, dtype, compiled.types)) return *compiled.program;
  for (const View& view : batch)
    check<ValueError>(view.size() > 0, "TrainStep: there is nothing to learn from an empty array of shape ",
                      to_string(view.shape()));
  std::vector<TensorType> types = program_types(batch, dtype);
  std::unique_ptr<Program> program = compile_for(types);
  drop_stale_programs();  // the recording may have bound other parameters
  if (programs_.size() == max_programs) programs_.erase(programs_.begin());
  programs_.push_back({std::move(types), phase, std::move(program)});
  return *programs_.back().program;
}

std::unique_ptr<Program> RecordedStep::compile_for(std::span<const TensorType> types) {
  Graph graph(op_table());
  std::vector<Tensor> batch;
  for (const TensorType& type : types) batch.push_back(Access::wrap(graph.input(type)));
  Recording recording(graph, model_.store, true);
  const Loss loss = function_(Access::scope(recording), batch);
  const Value value = Access::unwrap(loss.value);
  check<ValueError>(is_floating(value.dtype()) && value.shape().empty(), "TrainStep: the loss is ",
                    to_string(value.type()), ", expected a floating scalar");

  std::vector<train::NamedParameter> moved;
  Values weights;
  recording.used.resize(recording.store.entries.size());
  for (const ParameterStore::Entry& entry : recording.store.entries) {
    if (!entry.trained || !recording.used[recording.store.position(entry)]) continue;
    moved.push_back(parameter(entry));
    weights.push_back(graph.state(entry.array, entry.name));
  }
  check<ValueError>(!moved.empty(), "TrainStep: nothing to train: no parameter takes part in the loss");
  // The same loss with other parameters; what it would assign to buffers is dropped.
  const auto gradients_at = [&](const Values& at) {
    Recording elsewhere(graph, recording.store, true);
    for (std::size_t i = 0; i < moved.size(); ++i)
      elsewhere.assign(*recording.store.find(moved[i].name), at[i]);
    return gradients(Access::unwrap(function_(Access::scope(elsewhere), batch).value), at);
  };
  const Values slopes = gradients(value, weights);
  training_->bind(moved);
  graph.origin = {0, ravine::Phase::update};
  graph.guard(value);
  const train::TrainState::Prepared prepared =
      training_->prepare(graph, slopes, gradients_at, weight_of(graph, loss, types));
  recording.finish();  // behind everything that may refuse the step
  training_->update(graph, prepared);
  CompileOptions options;
  options.random = random_;
  return compile(graph, std::span(&value, 1), options);
}

// What the gradients of a call count by among those of an accumulation; none without one.
Value RecordedStep::weight_of(Graph& graph, const Loss& loss, std::span<const TensorType> types) const {
  if (Access::calls_per_update(optimizer_) == 1) return {};
  if (loss.count) return ravine::ops::cast(Access::unwrap(loss.count), ravine::DType::float64);
  const double examples = types[0].shape.empty() ? 1 : static_cast<double>(types[0].shape[0]);
  return graph.scalar(examples, ravine::DType::float64);
}

double RecordedStep::run(std::span<const View> batch) {
  const std::lock_guard lock(mutex_);
  check<ValueError>(!batch.empty(), "TrainStep: a batch has at least one array");
  begin(batch);
  const DType dtype = model_.store.dtype;
  const BatchPointers arrays(batch, dtype);
  Program& program = program_for(batch);
  if (training_->foreign()) training_->ask();
  double loss64 = 0;
  float loss32 = 0;
  const bool is_double = program.output_types()[0].dtype == ravine::DType::float64;
  void* output = is_double ? static_cast<void*>(&loss64) : &loss32;
  RecordedModel::Change change(model_);
  program.run(arrays.pointers(), std::span(&output, 1));
  change.succeeded();
  return is_double ? loss64 : static_cast<double>(loss32);
}

void RecordedStep::set_optimizer(const optim::Optimizer& optimizer) {
  const std::lock_guard lock(mutex_);
  training_->describe(Access::describe(optimizer));
  optimizer_ = optimizer;
}

NamedArrays RecordedStep::averages() const {
  const std::lock_guard lock(mutex_);
  check<ValueError>(training_->keeps_average(), "averages: the optimizer keeps no average");
  return training_->averages(parameters());
}

// ---- files

namespace {

constexpr const char* model_prefix = "model.";
constexpr const char* format_key = "ravine.step";
constexpr const char* format_version = "1";

}  // namespace

void RecordedStep::save(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  const NamedArrays of_model = model_.state();
  NamedArrays arrays = training_->state_dict();
  for (const auto& [name, array] : of_model) arrays.emplace_back(model_prefix + name, array);
  write_arrays(path, arrays, {{format_key, format_version}});
}

void RecordedStep::restore(const std::string& path) {
  const std::lock_guard lock(mutex_);
  model_.expect_initialized("TrainStep::restore");
  const SafetensorsFile file(path);
  const auto version = file.metadata().find(format_key);
  check<ValueError>(version != file.metadata().end() && version->second == format_version, "'", path,
                    "' is no step that this version of Ravine saved");
  NamedArrays of_model, others;
  for (auto& [name, array] : read_arrays(file)) {
    const bool is_model = name.starts_with(model_prefix);
    (is_model ? of_model : others)
        .emplace_back(is_model ? name.substr(std::strlen(model_prefix)) : name, array);
  }
  const std::vector<ravine::Array> values = fitting(model_.store, of_model, "'" + path + "'");
  begin({});
  training_->load_state_dict(others, parameters());
  model_.replace(values);
}

}  // namespace ravine::v1
