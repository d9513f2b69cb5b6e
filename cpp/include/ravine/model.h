// A model: its function, its parameters, and predictions from any number of threads.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "ravine/array.h"
#include "ravine/nn.h"

namespace ravine {
#pragma GCC visibility push(default)
namespace v1 {

using StateDict = std::map<std::string, Array>;

// Records what a model computes of its inputs.
using ModelFunction = std::function<std::vector<Tensor>(const nn::Scope&, std::span<const Tensor> inputs)>;

// Of one input and one output.
template <class Function>
concept SimpleModelFunction = std::is_invocable_r_v<Tensor, Function, const nn::Scope&, Tensor>;

struct ModelOptions {
  std::uint64_t seed = 0;        // of initial weights, and of what a step draws
  DType dtype = DType::float32;  // of the parameters; floating inputs are converted to it
};

// A handle: copies are the same model. Every method may be called from any thread at any time, beside a
// TrainStep that trains the model too. A prediction then sees the weights as they were between two steps.
class Model {
 public:
  explicit Model(ModelFunction function, const ModelOptions& options = {});
  template <SimpleModelFunction Function>
  explicit Model(Function function, const ModelOptions& options = {})
      : Model(ModelFunction(
                  [function = std::move(function)](const nn::Scope& scope, std::span<const Tensor> inputs) {
                    expect_one_input(inputs.size());
                    return std::vector<Tensor>{function(scope, inputs[0])};
                  }),
              options) {}

  // A model that Python's `rv.export` wrote, or the one of an exported step: the same bits as there, on the
  // same instruction set. Error for whatever is no complete export.
  static Model load(const std::string& path);
  static Result<Model> try_load(const std::string& path) noexcept;
  // As a file that `load` and Python's `rv.load_model` read. Error for a model of a function.
  void save(const std::string& path) const;

  // Creates the parameters for such inputs, of which the dtypes and shapes matter; the first prediction or
  // step does so by itself.
  void initialize(std::span<const View> inputs) const;
  void initialize(std::initializer_list<View> inputs) const { initialize(std::span(inputs)); }

  // The outputs for a batch. A program is compiled for every combination of shapes and dtypes, and kept; each
  // of several threads at work has one of its own. Error for inputs that do not fit.
  std::vector<Array> predict(std::span<const View> inputs) const;
  std::vector<Array> predict(std::initializer_list<View> inputs) const { return predict(std::span(inputs)); }
  // Into memory of yours, [sizes of the outputs]: nothing is allocated once a program exists.
  void predict_into(std::span<const View> inputs, std::span<const std::span<std::byte>> outputs) const;

  // Parameters and buffers by name, copies. Error before they exist.
  StateDict state_dict() const;
  // Error, and nothing changed, for missing, unexpected or misshaped arrays. Floating dtypes are converted.
  void load_state_dict(const StateDict& state) const;
  // The same as a safetensors file, which Python's `rv.load` and the package safetensors read.
  void save_weights(const std::string& path) const;
  void load_weights(const std::string& path) const;

  Result<std::vector<Array>> try_predict(std::span<const View> inputs) const noexcept;
  Status try_save_weights(const std::string& path) const noexcept;
  Status try_load_weights(const std::string& path) const noexcept;

 private:
  friend struct Access;
  static void expect_one_input(std::size_t given);
  struct [[gnu::visibility("hidden")]] State;
  explicit Model(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace v1
#pragma GCC visibility pop
}  // namespace ravine
