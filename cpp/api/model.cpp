#include "api/exported.h"
#include "api/recorded_model.h"
#include "api/weights_file.h"

namespace ravine::v1 {

Model::Model(ModelFunction function, const ModelOptions& options) {
  check<ValueError>(function != nullptr, "model: the function is empty");
  check<TypeError>(is_floating(engine(options.dtype)), "model: parameters are float32 or float64, got ",
                   name_of(options.dtype));
  state_ = std::make_shared<RecordedModel>(std::move(function), options);
}

void Model::expect_one_input(std::size_t given) {
  check<ValueError>(given == 1, "model: it has one input, got ", given);
}

Model Model::load(const std::string& path) {
  return Model(std::make_shared<ExportedModel>(LoadedModel::load(path)));
}
Result<Model> Model::try_load(const std::string& path) noexcept {
  return attempt([&] { return load(path); });
}
void Model::save(const std::string& path) const { state_->save(path); }

void Model::initialize(std::span<const View> inputs) const { state_->initialize(inputs); }

std::vector<Array> Model::predict(std::span<const View> inputs) const {
  std::vector<Array> results;
  std::vector<void*> pointers;
  state_->predict(inputs, [&](std::span<const TensorType> types) -> std::span<void* const> {
    for (const TensorType& type : types)
      pointers.push_back(results.emplace_back(shown(type.dtype), shown(type.shape)).data());
    return pointers;
  });
  return results;
}

void Model::predict_into(std::span<const View> inputs, std::span<const std::span<std::byte>> outputs) const {
  std::vector<void*> pointers;
  state_->predict(inputs, [&](std::span<const TensorType> types) -> std::span<void* const> {
    check<ValueError>(outputs.size() == types.size(), "predict_into: the model has ", types.size(),
                      " outputs, got memory for ", outputs.size());
    for (std::size_t i = 0; i < types.size(); ++i) {
      const std::size_t bytes =
          static_cast<std::size_t>(numel(types[i].shape)) * ravine::size_of(types[i].dtype);
      check<ValueError>(outputs[i].size() == bytes, "predict_into: output ", i, " is ", to_string(types[i]),
                        ", ", bytes, " bytes, got memory of ", outputs[i].size());
      pointers.push_back(outputs[i].data());
    }
    return pointers;
  });
}

StateDict Model::state_dict() const {
  StateDict result;
  for (const auto& [name, array] : state_->state()) result.emplace(name, shown(array));
  return result;
}

void Model::load_state_dict(const StateDict& state) const {
  NamedArrays arrays;
  for (const auto& [name, array] : state) arrays.emplace_back(name, engine(array));
  state_->load(arrays, "load_state_dict");
}

void Model::save_weights(const std::string& path) const { write_arrays(path, state_->state(), {}); }

void Model::load_weights(const std::string& path) const {
  state_->load(read_arrays(SafetensorsFile(path)), "'" + path + "'");
}

Result<std::vector<Array>> Model::try_predict(std::span<const View> inputs) const noexcept {
  return attempt([&] { return predict(inputs); });
}
Status Model::try_save_weights(const std::string& path) const noexcept {
  return attempt_status([&] { save_weights(path); });
}
Status Model::try_load_weights(const std::string& path) const noexcept {
  return attempt_status([&] { load_weights(path); });
}

}  // namespace ravine::v1
