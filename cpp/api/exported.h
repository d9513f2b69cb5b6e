// Models and steps of files that rv.export wrote.
#pragma once

#include <memory>
#include <string>

#include "api/states.h"

namespace ravine::v1 {

class ExportedModel final : public Access::ModelState {
 public:
  explicit ExportedModel(std::shared_ptr<LoadedModel> model);

  void predict(std::span<const View> inputs, const OutputsFor& outputs_for) override;
  void initialize(std::span<const View>) override {}
  NamedArrays state() const override { return model_->state_dict(); }
  void load(const NamedArrays& state, const std::string& what) override;
  void save(const std::string& path) const override { model_->save(path); }

 private:
  const std::shared_ptr<LoadedModel> model_;
  const DType floating_;  // of its floating inputs
};

class ExportedStep final : public Access::StepState {
 public:
  explicit ExportedStep(std::shared_ptr<LoadedStep> step);

  double run(std::span<const View> batch) override;
  Model model() const override;
  const train::TrainState& training() const override { return *step_->parts().trained[0].state; }
  void set_optimizer(const optim::Optimizer& optimizer) override;

  NamedArrays averages() const override;
  void save(const std::string& path) const override { step_->save(path); }
  void restore(const std::string& path) override;

 private:
  const std::shared_ptr<LoadedStep> step_;
  const std::shared_ptr<ExportedModel> model_;  // none: the file has no graph of inference
  const DType floating_;
};

}  // namespace ravine::v1
