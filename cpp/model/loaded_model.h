// A model that left the program which made it: it predicts, is saved and loaded without it, and computes the
// bits that the original computes on the same instruction set.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/array.h"
#include "graph/random_state.h"
#include "model/model_states.h"
#include "model/program_pool.h"
#include "model/stored_graph.h"

namespace ravine {

// A tensor in the caller's memory, row-major.
struct InputTensor {
  TensorType type;
  const void* data = nullptr;
};

std::vector<TensorType> types_of(std::span<const InputTensor> inputs);

class LoadedModel {
 public:
  struct Parts {
    StoredGraph graph;
    Batches batches;
    std::shared_ptr<ModelStates> states;
    std::shared_ptr<RandomState> random;
    std::string notes;  // of the host; the file keeps them as they are
  };

  // ValueError for a graph that is inconsistent.
  explicit LoadedModel(Parts parts);
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;

  // The model of a file, which may hold a training step too. ValueError, naming the file, for whatever is no
  // complete export; OSError where the system refuses.
  static std::shared_ptr<LoadedModel> load(const std::string& path);
  void save(const std::string& path) const;

  // The types of the results for inputs of these types. ValueError or TypeError where they do not fit.
  std::vector<TensorType> output_types(std::span<const TensorType> inputs) const;
  // Into memory of these types, row-major. Threads may predict at once, each in a workspace of its own; a
  // prediction reads the states of one step, even if another thread trains them.
  void predict(std::span<const InputTensor> inputs, std::span<void* const> outputs) const;
  std::vector<Array> predict(std::span<const InputTensor> inputs) const;

  // Names and types; a number of examples is B.
  std::vector<const StoredNode*> inputs() const { return parts_.graph.inputs(); }
  train::NamedArrays state_dict() const { return parts_.states->state_dict(); }
  void load_state_dict(const train::NamedArrays& state) { parts_.states->load_state_dict(state); }
  const Parts& parts() const { return parts_; }

 private:
  std::unique_ptr<Program> compile_for(std::int64_t batch) const;

  Parts parts_;
  mutable ProgramPool programs_;
};

}  // namespace ravine
