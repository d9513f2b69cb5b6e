#include "api/exported.h"

#include "api/batch.h"

namespace ravine::v1 {
namespace {

DType floating_dtype(const std::vector<const StoredNode*>& inputs) {
  for (const StoredNode* input : inputs)
    if (is_floating(input->type.dtype)) return shown(input->type.dtype);
  return DType::float32;
}

// The arrays of a call as the engine takes them, while the batch lives.
std::vector<InputTensor> tensors(std::span<const View> batch, const BatchPointers& pointers, DType floating) {
  std::vector<InputTensor> result;
  for (std::size_t i = 0; i < batch.size(); ++i)
    result.push_back({program_type(batch[i], floating), pointers.pointers()[i]});
  return result;
}

}  // namespace

ExportedModel::ExportedModel(std::shared_ptr<LoadedModel> model)
    : model_(std::move(model)), floating_(floating_dtype(model_->inputs())) {}

void ExportedModel::predict(std::span<const View> inputs, const OutputsFor& outputs_for) {
  const BatchPointers pointers(inputs, floating_);
  const std::vector<InputTensor> batch = tensors(inputs, pointers, floating_);
  model_->predict(batch, outputs_for(model_->output_types(types_of(batch))));
}

void ExportedModel::load(const NamedArrays& state, const std::string& what) {
  try {
    model_->load_state_dict(state);
  } catch (const Error& error) {
    fail<ValueError>(what, ": ", error.what());
  }
}

ExportedStep::ExportedStep(std::shared_ptr<LoadedStep> step)
    : step_(std::move(step)),
      model_(step_->parts().model == nullptr ? nullptr
                                             : std::make_shared<ExportedModel>(step_->parts().model)),
      floating_(floating_dtype(step_->inputs())) {}

double ExportedStep::run(std::span<const View> batch) {
  const BatchPointers pointers(batch, floating_);
  return step_->step(tensors(batch, pointers, floating_));
}

Model ExportedStep::model() const {
  if (model_ == nullptr) step_->model();  // raises
  return Access::model(model_);
}

void ExportedStep::set_optimizer(const optim::Optimizer&) {
  fail<TypeError>(
      "TrainStep::set_optimizer: the step is one of a file, whose optimizer stays; set_hyper changes its "
      "numbers");
}

NamedArrays ExportedStep::averages() const {
  const TrainedModel& trained = step_->parts().trained[0];
  check<ValueError>(trained.state->keeps_average(), "averages: the optimizer keeps no average");
  std::vector<train::NamedParameter> parameters;
  for (const TrainedModel::Parameter& parameter : trained.parameters)
    parameters.push_back(
        {parameter.name, step_->parts().states->arrays[parameter.state].second, parameter.group});
  return trained.state->averages(parameters);
}

void ExportedStep::restore(const std::string&) {
  fail<TypeError>("TrainStep::restore: the step is one of a file; TrainStep::load goes on from another file");
}

}  // namespace ravine::v1
