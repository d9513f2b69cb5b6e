#include <algorithm>
#include <cstring>
#include <shared_mutex>

#include "api/recorded_model.h"

namespace ravine::v1 {

// ---- recording

std::vector<Tensor> RecordedModel::record(Recording& recording, std::span<const Tensor> inputs) {
  std::vector<Tensor> outputs = function(Access::scope(recording), inputs);
  check<ValueError>(!outputs.empty(), "model: its function returned no tensor");
  for (const Tensor output : outputs)
    check<ValueError>(&Access::unwrap(output).graph() == &recording.graph,
                      "model: its function returned a tensor of another recording");
  return outputs;
}

void RecordedModel::initialize(std::span<const View> arrays, const Record& function) {
  const std::lock_guard lock(recording_mutex_);
  if (initialized.load(std::memory_order_acquire)) return;
  Graph graph(op_table());
  std::vector<Tensor> values;
  for (const TensorType& type : program_types(arrays, store.dtype))
    values.push_back(Access::wrap(graph.input(type)));
  Recording recording(graph, store, true);
  recording.creating = true;
  try {
    function(recording, values);
  } catch (...) {  // the next attempt begins as this one did
    store.entries.clear();
    store.places.clear();
    store.random = Generator(store.seed);
    throw;
  }
  initialized.store(true, std::memory_order_release);
}

void RecordedModel::expect_initialized(const char* what) const {
  check<RuntimeError>(initialized.load(std::memory_order_acquire), what,
                      ": the model has no parameters yet; call initialize, a prediction or a step first");
}

// ---- parameters that change

RecordedModel::Change::Change(RecordedModel& of) : model_(of), lock_(of.change_mutex_) {
  model_.changing_.store(true, std::memory_order_release);
}

RecordedModel::Change::~Change() {
  if (succeeded_) model_.version_.fetch_add(1, std::memory_order_release);
  if (model_.copies_.load(std::memory_order_acquire) && model_.wanted_.exchange(false)) {
    try {
      model_.publish();
    } catch (const std::bad_alloc&) {  // a prediction tries again, and says so
    }
  }
  model_.changing_.store(false, std::memory_order_release);
}

void RecordedModel::attach_training() {
  expect_initialized("TrainStep");
  const std::lock_guard change(change_mutex_);
  if (copies_.load(std::memory_order_acquire)) return;
  const std::lock_guard no_others(take_mutex_);
  Snapshot& snapshot = snapshots_[0];
  const std::lock_guard alone(snapshot.in_use);
  snapshot.programs.clear();  // they read the parameters
  for (Snapshot& each : snapshots_) each.version = unpublished;
  copies_.store(true, std::memory_order_release);
}

void RecordedModel::publish() {
  const int next = 1 - current_.load(std::memory_order_relaxed);
  Snapshot& snapshot = snapshots_[next];
  const std::lock_guard alone(snapshot.in_use);
  if (snapshot.arrays.empty())
    for (const ParameterStore::Entry& entry : store.entries)
      snapshot.arrays.emplace_back(entry.array.dtype(), entry.array.shape(), entry.array.layout());
  for (std::size_t i = 0; i < snapshot.arrays.size(); ++i)
    copy_values(store.entries[i].array, snapshot.arrays[i]);
  snapshot.version = version_.load(std::memory_order_relaxed);
  current_.store(next, std::memory_order_release);
}

NamedArrays RecordedModel::state() const {
  expect_initialized("the state of a model");
  const std::lock_guard lock(change_mutex_);
  NamedArrays copies;
  for (const ParameterStore::Entry& entry : store.entries) {
    copies.emplace_back(entry.name, ravine::Array(entry.array.dtype(), entry.array.shape()));
    copy_values(entry.array, copies.back().second);
  }
  return copies;
}

void RecordedModel::save(const std::string&) const {
  fail<TypeError>(
      "Model::save: the model is a function of this program, which no file can hold; save_weights writes its "
      "parameters");
}

void RecordedModel::replace(std::span<const ravine::Array> values) {
  Change change(*this);
  const auto put = [&] {
    for (std::size_t i = 0; i < values.size(); ++i) copy_values(values[i], store.entries[i].array);
  };
  if (copies_.load(std::memory_order_acquire)) {
    put();
  } else {
    const std::lock_guard no_others(take_mutex_);
    const std::lock_guard alone(snapshots_[0].in_use);
    put();
  }
  change.succeeded();
}

// ---- predictions

RecordedModel::Snapshot& RecordedModel::take() {
  for (;;) {
    if (copies_.load(std::memory_order_acquire)) refresh();
    const std::lock_guard lock(take_mutex_);
    Snapshot& snapshot = snapshots_[current_.load(std::memory_order_acquire)];
    if (copies_.load(std::memory_order_acquire) && snapshot.version == unpublished)
      continue;  // just attached
    snapshot.in_use.lock_shared();
    return snapshot;
  }
}

void RecordedModel::refresh() {
  const auto is_new = [&] {
    return snapshots_[current_.load(std::memory_order_acquire)].version ==
           version_.load(std::memory_order_acquire);
  };
  if (is_new()) return;
  const bool published = snapshots_[current_.load(std::memory_order_acquire)].version != unpublished;
  if (published && changing_.load(std::memory_order_acquire)) {
    wanted_.store(true);  // the step under way publishes; the newest published weights serve until then
    return;
  }
  const std::lock_guard change(change_mutex_);
  if (!is_new()) publish();
}

void RecordedModel::predict(std::span<const View> inputs, const OutputsFor& outputs_for) {
  if (!initialized.load(std::memory_order_acquire)) initialize(inputs);
  const BatchPointers batch(inputs, store.dtype);
  Snapshot& snapshot = take();
  const std::shared_lock in_use(snapshot.in_use, std::adopt_lock);
  std::unique_ptr<Program> program = program_for(snapshot, inputs);
  program->run(batch.pointers(), outputs_for(program->output_types()));
  give_back(snapshot, std::move(program));
}

std::unique_ptr<Program> RecordedModel::program_for(Snapshot& snapshot, std::span<const View> inputs) {
  {
    const std::lock_guard lock(snapshot.programs_mutex);
    for (Snapshot::Programs& kind : snapshot.programs) {
      if (kind.idle.empty() || !has_types(inputs, store.dtype, kind.inputs)) continue;
      std::unique_ptr<Program> program = std::move(kind.idle.back());
      kind.idle.pop_back();
      return program;
    }
  }
  return compile_for(snapshot, program_types(inputs, store.dtype));
}

void RecordedModel::give_back(Snapshot& snapshot, std::unique_ptr<Program> program) {
  const std::lock_guard lock(snapshot.programs_mutex);
  for (Snapshot::Programs& kind : snapshot.programs) {
    if (kind.inputs != program->input_types()) continue;
    kind.idle.push_back(std::move(program));
    return;
  }
  if (snapshot.programs.size() == max_kinds) snapshot.programs.erase(snapshot.programs.begin());
  snapshot.programs.emplace_back().inputs = program->input_types();
  snapshot.programs.back().idle.push_back(std::move(program));
}

std::unique_ptr<Program> RecordedModel::compile_for(const Snapshot& snapshot,
                                                    std::span<const TensorType> types) {
  const std::lock_guard lock(recording_mutex_);
  Graph graph(op_table());
  std::vector<Tensor> inputs;
  for (const TensorType& type : types) inputs.push_back(Access::wrap(graph.input(type)));
  Recording recording(graph, store, false);
  recording.served = snapshot.arrays;
  const Values outputs = Access::unwrap(record(recording, inputs));
  CompileOptions options;
  options.keep_derived = true;
  return compile(graph, outputs, options);
}

}  // namespace ravine::v1
