#include "api/exported.h"
#include "api/recorded_step.h"

namespace ravine::v1 {

TrainStep::TrainStep(Model model, LossFunction loss, const optim::Optimizer& optimizer) {
  check<ValueError>(loss != nullptr, "TrainStep: the loss is empty");
  StepFunction function = [&of = Access::state(model), loss = std::move(loss)](
                              const nn::Scope& scope, std::span<const Tensor> batch) {
    check<ValueError>(batch.size() >= 2, "TrainStep: a batch is the model's inputs and a target, got ",
                      batch.size(), " arrays");
    auto& model = static_cast<RecordedModel&>(of);  // as the step below has seen
    const std::vector<Tensor> outputs = model.record(Access::recording(scope), batch.first(batch.size() - 1));
    return loss(outputs[0], batch.back());
  };
  state_ = std::make_shared<RecordedStep>(std::move(model), std::move(function), optimizer);
}

TrainStep::TrainStep(Model model, StepFunction function, const optim::Optimizer& optimizer) {
  check<ValueError>(function != nullptr, "TrainStep: the function is empty");
  state_ = std::make_shared<RecordedStep>(std::move(model), std::move(function), optimizer);
}

TrainStep TrainStep::load(const std::string& path) {
  return TrainStep(std::make_shared<ExportedStep>(LoadedStep::load(path)));
}
Result<TrainStep> TrainStep::try_load(const std::string& path) noexcept {
  return attempt([&] { return load(path); });
}

double TrainStep::operator()(std::span<const View> batch) const { return state_->run(batch); }

Model TrainStep::model() const { return state_->model(); }
std::int64_t TrainStep::steps() const { return state_->training().steps(); }
std::int64_t TrainStep::skipped() const { return state_->training().skipped(); }
std::optional<double> TrainStep::lr() const { return state_->training().lr(); }
std::optional<double> TrainStep::gradient_norm() const { return state_->training().gradient_norm(); }

void TrainStep::set_optimizer(const optim::Optimizer& optimizer) const { state_->set_optimizer(optimizer); }

StateDict TrainStep::averages() const {
  StateDict result;
  for (const auto& [name, array] : state_->averages()) result.emplace(name, shown(array));
  return result;
}

void TrainStep::save(const std::string& path) const { state_->save(path); }
void TrainStep::restore(const std::string& path) const { state_->restore(path); }

Result<double> TrainStep::try_step(std::span<const View> batch) const noexcept {
  return attempt([&] { return (*this)(batch); });
}
Status TrainStep::try_save(const std::string& path) const noexcept {
  return attempt_status([&] { save(path); });
}
Status TrainStep::try_restore(const std::string& path) const noexcept {
  return attempt_status([&] { restore(path); });
}

}  // namespace ravine::v1
