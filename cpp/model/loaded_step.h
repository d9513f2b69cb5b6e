// A training step that left the program which made it: it trains, is saved and loaded without it. A run that
// goes on from a file has the bits of one that never left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "graph/random_state.h"
#include "model/loaded_model.h"
#include "model/program_pool.h"
#include "model/stored_graph.h"
#include "train/schedule.h"
#include "train/state.h"

namespace ravine {

// A model's share in a step: which of its parameters are trained, and how.
struct TrainedModel {
  struct Group {
    std::string name;
    std::vector<std::string> own;  // the numbers that are its own, by the user's labels
  };
  struct Parameter {
    std::string name;
    std::size_t state = 0;  // in ModelStates::arrays
    std::size_t group = 0;
    bool moves = false;  // whether the step trains it
  };
  // A schedule that follows a metric, by its key in the state_dict ("lr").
  struct Follower {
    std::string key;
    std::shared_ptr<train::Plateau> plateau;
  };

  std::string name;  // of the model, among several of a step; else ""
  train::Description description;
  std::vector<Group> groups;  // as the description has them; the first is of parameters in no group
  std::vector<Parameter> parameters;
  std::optional<StoredGraph> constraints;  // what brings parameters back behind each update
  std::vector<Follower> followers;
  train::NamedArrays hyper;                  // what differs from the optimizer of the original step
  std::shared_ptr<train::TrainState> state;  // null: a new one
};

// The entries "hyper.<name>" of a step's state_dict that are of this model, by the rest of their names.
train::NamedArrays hyper_entries(const train::NamedArrays& state, const std::string& model);

class LoadedStep {
 public:
  struct Parts {
    // Its outputs are the loss, the loss's named parts, and what the loss counts by in an accumulation.
    StoredGraph graph;
    Batches batches;
    std::vector<std::string> part_names;
    bool counted = false;  // whether there is the last of these outputs
    std::vector<TrainedModel> trained;
    std::shared_ptr<ModelStates> states;
    std::shared_ptr<RandomState> random;
    std::shared_ptr<LoadedModel> model;  // null: no graph of inference
    std::string notes;                   // of the host; the file keeps them as they are
  };

  // ValueError for a graph, or an optimizer, that is inconsistent.
  explicit LoadedStep(Parts parts);
  LoadedStep(const LoadedStep&) = delete;
  LoadedStep& operator=(const LoadedStep&) = delete;

  // ValueError, naming the file, for whatever is no complete export of a step; OSError.
  static std::shared_ptr<LoadedStep> load(const std::string& path);
  void save(const std::string& path);

  // Trains on one batch and returns its loss, as it was before the update. If it raises, nothing has changed.
  // Predictions of the model in other threads are of before or after it.
  double step(std::span<const InputTensor> inputs);
  // Makes the update of an accumulation that waits for more calls; whether there was one.
  bool finish_accumulation();
  // Of the newest call's loss.
  std::vector<std::pair<std::string, double>> loss_parts() const;
  // Tells schedules that follow a metric its newest value.
  void report(double metric);

  // The number of an optimizer: "lr", and of a group "head.lr"; none for one that follows a schedule.
  struct Hyper {
    std::string name;
    std::optional<double> number;
  };
  std::vector<Hyper> hyper(std::size_t trained = 0) const;
  // From the next call on. KeyError for an unknown name, ValueError for a number that is not allowed.
  void set_hyper(const std::string& name, double number, std::size_t trained = 0);

  std::vector<const StoredNode*> inputs() const { return parts_.graph.inputs(); }
  // RuntimeError where the file has no graph of inference: of a step over a function.
  std::shared_ptr<LoadedModel> model() const;
  std::int64_t steps() const { return parts_.trained[0].state->steps(); }
  std::int64_t skipped() const { return parts_.trained[0].state->skipped(); }

  // As of the original step: "optimizer.steps", "optimizer.<parameter>.<slot>", ...; copies.
  train::NamedArrays state_dict();
  // ValueError with what does not fit, and nothing is changed then.
  void load_state_dict(const train::NamedArrays& state);
  const Parts& parts() const { return parts_; }

 private:
  std::unique_ptr<Program> compile_for(std::int64_t batch);
  void make_ready();
  void record_updates(Graph& graph, const std::vector<train::TrainState::Prepared>& prepared,
                      const std::vector<TrainedModel*>& of);
  train::NamedArrays state_of_parts() const;
  void load_part(TrainedModel& trained, const train::NamedArrays& own);

  Parts parts_;
  std::vector<std::optional<std::uint64_t>> generations_;  // of the states that programs were compiled for
  std::vector<std::pair<std::string, double>> loss_parts_;
  ProgramPool programs_;
  mutable Mutex mutex_;
};

}  // namespace ravine
