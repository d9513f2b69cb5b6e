// A step that trains a recorded model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "api/recorded_model.h"
#include "api/states.h"

namespace ravine::v1 {

class RecordedStep final : public Access::StepState {
 public:
  // Error for a model that no function records.
  RecordedStep(Model model, StepFunction function, const optim::Optimizer& optimizer);

  double run(std::span<const View> batch) override;
  Model model() const override { return given_; }
  const train::TrainState& training() const override { return *training_; }
  void set_optimizer(const optim::Optimizer& optimizer) override;
  NamedArrays averages() const override;
  void save(const std::string& path) const override;
  void restore(const std::string& path) override;

 private:
  // A program for batches of these types in this phase of an accumulation.
  struct Compiled {
    std::vector<TensorType> types;
    train::TrainState::Phase phase;
    std::unique_ptr<Program> program;
  };

  static constexpr std::size_t max_programs = 64;  // the newest

  // Sees to it that the model has parameters, and the random numbers their seed.
  void begin(std::span<const View> batch);
  Program& program_for(std::span<const View> batch);
  std::unique_ptr<Program> compile_for(std::span<const TensorType> types);
  Value weight_of(Graph& graph, const Loss& loss, std::span<const TensorType> types) const;
  void drop_stale_programs();
  // Every trained parameter of the model.
  std::vector<train::NamedParameter> parameters() const;
  train::NamedParameter parameter(const ParameterStore::Entry& entry) const {
    return {entry.name, entry.array, Access::group_of(optimizer_, entry.name)};
  }

  const Model given_;
  RecordedModel& model_;  // of it
  const StepFunction function_;
  optim::Optimizer optimizer_;
  const std::shared_ptr<RandomState> random_ = std::make_shared<RandomState>();
  const std::shared_ptr<train::TrainState> training_;
  bool begun_ = false;
  std::vector<Compiled> programs_;
  std::uint64_t generation_ = 0;  // of the programs
  mutable Mutex mutex_;
};

}  // namespace ravine::v1
