// What the files of this folder see: the engine, then the public headers on top of it. In this order, since a
// name of `ravine` that `ravine::v1` has too (Array, Generator) means the engine's in the engine's headers;
// in namespace v1 it means the public one, and the engine's is `ravine::Array`.
#pragma once

#include <exception>
#include <new>
#include <span>
#include <string>

#include "core/array.h"
#include "core/copy.h"
#include "core/error.h"
#include "core/executor.h"
#include "core/fork.h"
#include "core/linalg.h"
#include "core/random.h"
#include "core/splitmix.h"
#include "core/thread_count.h"
#include "dispatch/dispatch.h"
#include "graph/autodiff.h"
#include "graph/graph.h"
#include "graph/program.h"
#include "model/loaded_model.h"
#include "model/loaded_step.h"
#include "model/safetensors.h"
#include "ops/builders.h"
#include "ops/list.h"
#include "optim/rules.h"
#include "rules/op_table.h"
#include "train/state.h"

// After the engine's.
#define RAVINE_ENGINE
#include "ravine/ravine.h"

namespace ravine::v1 {

struct Recording;

struct Access {
  static Tensor wrap(const Value& value);
  static Value unwrap(Tensor tensor);  // Error for none
  // Error where they are of several recordings.
  static Values unwrap(std::span<const Tensor> tensors);

  static nn::Scope scope(Recording& recording) { return nn::Scope(&recording, ""); }
  static Recording& recording(const nn::Scope& scope) { return *static_cast<Recording*>(scope.recording_); }

  static train::SchedulePtr schedule(const Schedule& schedule) {
    return std::static_pointer_cast<const train::Schedule>(schedule.schedule_);
  }
  static train::Number number(const Number& number) {
    if (number.schedule_ == nullptr) return train::Number(number.value_);
    return train::Number(schedule(*number.schedule_));
  }
  // What the optimizer is, for parameters of these names, and the group of each.
  static train::Description describe(const optim::Optimizer& optimizer);
  static std::size_t group_of(const optim::Optimizer& optimizer, const std::string& parameter);
  static std::int64_t calls_per_update(const optim::Optimizer& optimizer);

  using ModelState = Model::State;
  using StepState = TrainStep::State;
  static ModelState& state(const Model& model) { return *model.state_; }
  static Model model(std::shared_ptr<ModelState> state) { return Model(std::move(state)); }
};

static_assert(static_cast<int>(ravine::DType::float32) == static_cast<int>(DType::float32) &&
              static_cast<int>(ravine::DType::float64) == static_cast<int>(DType::float64) &&
              static_cast<int>(ravine::DType::int32) == static_cast<int>(DType::int32) &&
              static_cast<int>(ravine::DType::int64) == static_cast<int>(DType::int64) &&
              static_cast<int>(ravine::DType::uint8) == static_cast<int>(DType::uint8) &&
              static_cast<int>(ravine::DType::boolean) == static_cast<int>(DType::boolean));
inline ravine::DType engine(DType dtype) { return static_cast<ravine::DType>(dtype); }
inline DType shown(ravine::DType dtype) { return static_cast<DType>(dtype); }
inline Dims engine(const Shape& shape) {
  return Dims(std::span(shape.begin(), static_cast<std::size_t>(shape.rank())));
}
inline Shape shown(const Dims& dims) {
  return Shape(std::span(dims.begin(), static_cast<std::size_t>(dims.rank())));
}
ravine::Array engine(const View& values);  // a copy, row-major
Array shown(const ravine::Array& array);   // the same back

// The result of a function that may throw.
template <class Function>
auto attempt(Function&& function) noexcept -> decltype(Result(function())) {
  try {
    return Result(function());
  } catch (const std::exception& error) {
    return Status::failed(error.what());
  } catch (...) {
    return Status::failed("an exception that is no std::exception");
  }
}
template <class Function>
Status attempt_status(Function&& function) noexcept {
  const Result<bool> done = attempt([&] {
    function();
    return true;
  });
  return done.ok() ? Status() : Status::failed(done.error());
}

}  // namespace ravine::v1
