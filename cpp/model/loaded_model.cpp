#include "model/loaded_model.h"

#include <mutex>
#include <shared_mutex>
#include <utility>

#include "model/export_file.h"
#include "rules/op_table.h"

namespace ravine {

std::vector<TensorType> types_of(std::span<const InputTensor> inputs) {
  std::vector<TensorType> types;
  for (const InputTensor& input : inputs) types.push_back(input.type);
  return types;
}

LoadedModel::LoadedModel(Parts parts)
    : parts_(std::move(parts)),
      programs_([this](const ProgramPool::Key& key) { return compile_for(key[0]); }) {
  const ModelStates& states = *parts_.states;
  parts_.graph.expect_consistent(
      parts_.batches.least, [&](Graph& graph, std::size_t number) { return states.value_in(graph, number); });
}

std::unique_ptr<Program> LoadedModel::compile_for(std::int64_t batch) const {
  Graph graph(op_table());
  const ModelStates& states = *parts_.states;
  const StoredGraph::Recorded recorded =
      parts_.graph.record(graph, batch, parts_.graph.inputs_in(graph, batch),
                          [&](std::size_t number) { return states.value_in(graph, number); });
  for (const auto& [number, value] : recorded.assigned) graph.assign(states.arrays[number].second, value);
  return compile(graph, recorded.outputs, {.random = parts_.random, .keep_derived = true});
}

std::vector<TensorType> LoadedModel::output_types(std::span<const TensorType> inputs) const {
  const std::int64_t batch = parts_.graph.batch_of("predict", inputs, parts_.batches);
  std::vector<TensorType> types;
  for (const StoredType& type : parts_.graph.output_types) types.push_back(type.at(batch));
  return types;
}

void LoadedModel::predict(std::span<const InputTensor> inputs, std::span<void* const> outputs) const {
  const std::int64_t batch = parts_.graph.batch_of("predict", types_of(inputs), parts_.batches);
  std::vector<const void*> pointers;
  for (const InputTensor& input : inputs) pointers.push_back(input.data);
  const ProgramPool::Lease program = programs_.take({batch});
  Turns& turns = parts_.states->turns;
  if (parts_.graph.assigned.empty()) {
    const std::shared_lock reading(turns);
    program->run(pointers, outputs);
  } else {
    const std::lock_guard writing(turns);
    program->run(pointers, outputs);
  }
}

std::vector<Array> LoadedModel::predict(std::span<const InputTensor> inputs) const {
  std::vector<Array> results;
  std::vector<void*> pointers;
  for (const TensorType& type : output_types(types_of(inputs))) {
    results.emplace_back(type.dtype, type.shape);
    pointers.push_back(results.back().data());
  }
  predict(inputs, pointers);
  return results;
}

// ---- files

std::shared_ptr<LoadedModel> LoadedModel::load(const std::string& path) {
  return in_export(path, [&] { return std::make_shared<LoadedModel>(ExportReader(path).model()); });
}

void LoadedModel::save(const std::string& path) const {
  const std::shared_lock reading(parts_.states->turns);
  ExportWriter writer("model", *parts_.states);
  writer.add_model(parts_);
  writer.write(path, parts_.random, parts_.notes);
}

}  // namespace ravine
