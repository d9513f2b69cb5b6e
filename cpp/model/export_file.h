// The file of an exported model or training step: safetensors. Its metadata has "ravine.export", a JSON text:
//
//   {"version": 1, "kind": "model" or "step", "operations": [[name, version], ...],
//    "states": [[tensor, dtype, shape, layout], ...], "keys": [[name, state], ...], "constants": n,
//    "model": {"graph": graph, "any": true, "least": 1}, "step": {...}}
//
// and texts of the host, "ravine.notes" of the model and "ravine.step_notes". Graphs stand in
// stored_graph_json.h, steps in step_json.h. Tensors are "model.<name>" and "captured.<number>" (states),
// "constant.<number>", "random.seed", "random.step", and of a step its state_dict as "step.<key>".
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "graph/random_state.h"
#include "model/loaded_model.h"
#include "model/safetensors.h"
#include "model/stored_graph_json.h"

namespace ravine {

inline constexpr std::string_view export_key = "ravine.export", notes_key = "ravine.notes",
                                  step_notes_key = "ravine.step_notes";

// What is wrong with a file names it.
template <class Function>
auto in_export(const std::string& path, Function function) {
  const std::string what = "'" + path + "' is no model or training step that this version of Ravine reads: ";
  const auto told = [&](const Error& error) {
    const std::string text = error.what();
    return text.find("'" + path + "'") == std::string::npos ? what + text : text;
  };
  try {
    return function();
  } catch (const OSError&) {
    throw;
  } catch (const Error& error) {
    throw ValueError(told(error));
  }
}

class ExportWriter {
 public:
  ExportWriter(const char* kind, const ModelStates& states);

  void add_model(const LoadedModel::Parts& model);
  void add(const std::string& name, Array array) { arrays_.emplace_back(name, std::move(array)); }
  // `random` is the model's.
  void write(const std::string& path, const std::shared_ptr<RandomState>& random, const std::string& notes,
             const std::string& step_notes = "");

  Json document;
  SharedByGraphs shared;

 private:
  train::NamedArrays arrays_;
};

// An open file whose header and document have been checked; arrays are read when they are asked for.
class ExportReader {
 public:
  explicit ExportReader(const std::string& path);

  LoadedModel::Parts model() const;  // ValueError where it has no graph of inference
  bool has_model() const { return document.contains("model"); }

  // ValueError where it is missing.
  Array read(const std::string& name) const;
  // Those under a prefix, without it.
  train::NamedArrays read_below(const std::string& prefix) const;

  Json document;
  SharedByGraphs shared;
  std::shared_ptr<ModelStates> states = std::make_shared<ModelStates>();
  std::shared_ptr<RandomState> random = std::make_shared<RandomState>();
  std::string notes, step_notes;

 private:
  Array read(const TensorEntry& entry, Layout layout) const;
  const TensorEntry& entry(const std::string& name) const;
  void read_states();

  SafetensorsFile file_;
};

Json batches_to_json(const Batches& batches, Json graph);
Batches batches_from_json(const Json& json);

}  // namespace ravine
