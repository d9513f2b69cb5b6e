// A step of training as one call: forward, backward and update are one compiled program.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "ravine/loss.h"
#include "ravine/model.h"
#include "ravine/optim.h"

namespace ravine {
#pragma GCC visibility push(default)
namespace v1 {

// Records the loss of a batch, for what is more than loss(model(inputs), target).
using StepFunction = std::function<Loss(const nn::Scope&, std::span<const Tensor> batch)>;

// A handle: copies are the same step. Steps from several threads come one after the other.
class TrainStep {
 public:
  // The loss of the model's first output and the last array of a batch; those before are the inputs.
  TrainStep(Model model, LossFunction loss, const optim::Optimizer& optimizer);
  TrainStep(Model model, StepFunction function, const optim::Optimizer& optimizer);

  // A step that Python's `rv.export` wrote. The run goes on to the bits that it would have had there.
  static TrainStep load(const std::string& path);
  static Result<TrainStep> try_load(const std::string& path) noexcept;

  // Trains on a batch and returns its loss from before the update. If it throws, nothing has changed. Nor if
  // the loss is NaN or infinite, which it returns then.
  double operator()(std::span<const View> batch) const;
  double operator()(std::initializer_list<View> batch) const { return (*this)(std::span(batch)); }

  Model model() const;
  std::int64_t steps() const;                   // updates done
  std::int64_t skipped() const;                 // calls that changed nothing, as the loss was not finite
  std::optional<double> lr() const;             // of the newest update
  std::optional<double> gradient_norm() const;  // in the newest update, if a bound on norms measures it

  // Other numbers hold from the next call on; the optimizer's state stays.
  void set_optimizer(const optim::Optimizer& optimizer) const;
  // The average of the weights, if the optimizer keeps one.
  StateDict averages() const;

  // Model, optimizer and random numbers: the run goes on from a file to the same bits. The file is replaced
  // as a whole. For an exported step `load` and Python's `rv.load_step` read it; for one of a function
  // `restore` does, on a step over the same function and optimizer. Error, and nothing changed, for another.
  void save(const std::string& path) const;
  void restore(const std::string& path) const;

  Result<double> try_step(std::span<const View> batch) const noexcept;
  Status try_save(const std::string& path) const noexcept;
  Status try_restore(const std::string& path) const noexcept;

 private:
  friend struct Access;
  struct [[gnu::visibility("hidden")]] State;
  explicit TrainStep(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace v1
#pragma GCC visibility pop
}  // namespace ravine
