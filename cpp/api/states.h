// What stands behind the public classes: a model or step that was recorded from a function, or one of a file.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/access.h"

namespace ravine::v1 {

using train::NamedArrays;

struct Model::State {
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  virtual ~State() = default;

  // `outputs_for` is given the types of the outputs, and returns where they go.
  using OutputsFor = std::function<std::span<void* const>(std::span<const TensorType>)>;
  virtual void predict(std::span<const View> inputs, const OutputsFor& outputs_for) = 0;
  virtual void initialize(std::span<const View> inputs) = 0;
  // Parameters and buffers as they are between two steps, row-major copies.
  virtual NamedArrays state() const = 0;
  // Takes all of them. Error, which begins with `what`, with all that does not fit; nothing is changed then.
  virtual void load(const NamedArrays& state, const std::string& what) = 0;
  // The whole model as a file.
  virtual void save(const std::string& path) const = 0;
};

struct TrainStep::State {
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  virtual ~State() = default;

  virtual double run(std::span<const View> batch) = 0;
  virtual Model model() const = 0;
  virtual const train::TrainState& training() const = 0;
  virtual void set_optimizer(const optim::Optimizer& optimizer) = 0;
  virtual NamedArrays averages() const = 0;
  virtual void save(const std::string& path) const = 0;
  virtual void restore(const std::string& path) = 0;
};

}  // namespace ravine::v1
