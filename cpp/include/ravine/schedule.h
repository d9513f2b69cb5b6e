// Numbers as functions of the step, from 0: learning rates and other hyperparameters.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "ravine/error.h"

namespace ravine {
#pragma GCC visibility push(default)
namespace v1 {

class Schedule {
 public:
  // A formula of the engine by name: Schedule("cosine", {lr, steps, end}). Error for one that there is not,
  // and for a wrong number of numbers or parts.
  Schedule(std::string_view formula, std::vector<double> numbers, std::span<const Schedule> parts = {});
  // A function of yours, called once a step.
  explicit Schedule(std::function<double(std::int64_t step)> function);

  double at(std::int64_t step) const;                     // Error behind its end
  std::vector<double> curve(std::int64_t n_steps) const;  // of steps 0 to n_steps - 1

 private:
  friend struct Access;
  std::shared_ptr<const void> schedule_;
};

// A constant, or a function of the step.
class Number {
 public:
  Number(double value) : value_(value) {}
  Number(int value) : value_(value) {}
  Number(bool value) : value_(value ? 1 : 0) {}
  Number(Schedule schedule) : schedule_(std::make_shared<const Schedule>(std::move(schedule))) {}

 private:
  friend struct Access;
  double value_ = 0;
  std::shared_ptr<const Schedule> schedule_;
};

// With Python's names and arguments (`ravine.optim.schedules`).
namespace schedules {

Schedule constant(double value);
Schedule step_decay(double lr, std::int64_t step_size, double gamma = 0.1);
Schedule multi_step(double lr, std::initializer_list<std::int64_t> milestones, double gamma = 0.1);
Schedule exponential(double lr, double gamma, double every = 1);
Schedule linear(double start, double end, std::int64_t steps);
Schedule polynomial(double lr, std::int64_t steps, double power = 1, double end = 0);
Schedule cosine(double lr, std::int64_t steps, double end = 0);
Schedule inverse_sqrt(double lr, double timescale = 1);
Schedule warmup(double lr, std::int64_t steps, double start = 0);  // linear; `sequence` says what follows
Schedule sequence(std::initializer_list<Schedule> parts);          // one after the other
Schedule product(std::initializer_list<Schedule> parts);

}  // namespace schedules
}  // namespace v1
#pragma GCC visibility pop
}  // namespace ravine
