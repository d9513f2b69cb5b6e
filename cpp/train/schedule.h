// Numbers as functions of the step, from 0: learning rates and other hyperparameters, the shares of averages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ravine::train {

class Schedule;
using SchedulePtr = std::shared_ptr<const Schedule>;

// What a schedule of `make_schedule` is made of.
struct FormulaOf {
  const char* name;
  std::span<const double> numbers;
  std::span<const SchedulePtr> children;
};

class Schedule {
 public:
  virtual ~Schedule() = default;
  // The number of a step. ValueError where the schedule ends before it.
  double at(std::int64_t step) const;
  // The same without that question: a schedule that spans n steps has a value for step n too, where it
  // arrives.
  virtual double value(std::int64_t step) const = 0;
  virtual std::optional<std::int64_t> steps() const { return std::nullopt; }  // that it spans; none: no end
  // Whether code of the host takes part, which has to be asked before a run begins.
  virtual bool foreign() const { return false; }
  virtual std::string describe() const = 0;
  virtual std::optional<FormulaOf> formula() const { return std::nullopt; }  // none: it is another kind
};

// A formula with its numbers and the schedules that it is made of. A new one is a row in schedule.cpp.
struct Formula {
  const char* name;
  int n_numbers;   // below 0: at least as many as its absolute value
  int n_children;  // -1: any number of them
  double (*value)(std::span<const double> numbers, std::span<const SchedulePtr> children, std::int64_t step);
  // How many steps it spans; null: it never ends.
  std::optional<std::int64_t> (*steps)(std::span<const double> numbers,
                                       std::span<const SchedulePtr> children) = nullptr;
  // Bit i is set if number i counts steps: it is whole, and at least 1.
  unsigned counts = 0;
};
std::span<const Formula> all_formulas();

// "cosine", {lr, steps, end}. KeyError on an unknown name, ValueError on a wrong number of numbers or
// children, on counts of steps that are none, and on a sequence that goes on behind what never ends. `text`
// stands for it in messages; empty: its name and numbers.
SchedulePtr make_schedule(std::string_view formula, std::vector<double> numbers,
                          std::vector<SchedulePtr> children = {}, std::string text = "");

// A schedule times a factor that falls when a metric stops improving; the lowest value is min_value.
class Plateau final : public Schedule {
 public:
  struct Settings {
    bool maximize = false;  // whether the metric should rise
    double factor = 0.1;
    std::int64_t patience = 10;
    double threshold = 1e-4;
    bool relative = true;
    std::int64_t cooldown = 0;
    double min_value = 0;
  };
  struct State {
    double best;
    std::int64_t bad = 0, cooling = 0, reductions = 0;
  };

  Plateau(SchedulePtr schedule, const Settings& settings);

  double value(std::int64_t step) const override;
  std::optional<std::int64_t> steps() const override { return schedule_->steps(); }
  bool foreign() const override { return schedule_->foreign(); }
  std::string describe() const override;

  void update(double metric);  // the newest value of the metric; NaN is never better
  const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }
  const Settings& settings() const { return settings_; }
  const SchedulePtr& schedule() const { return schedule_; }  // that it reduces

 private:
  bool better(double metric) const;

  SchedulePtr schedule_;
  Settings settings_;
  State state_;
};

// A function of the host, asked once a step: a stateful one sees every step once, and a run that was asked
// for before it began asks no more.
class Callback final : public Schedule {
 public:
  Callback(std::function<double(std::int64_t)> function, std::optional<std::int64_t> steps = {},
           std::string text = "a function of the step")
      : function_(std::move(function)), steps_(steps), text_(std::move(text)) {}
  double value(std::int64_t step) const override;
  std::optional<std::int64_t> steps() const override { return steps_; }
  bool foreign() const override { return true; }
  std::string describe() const override { return text_; }

 private:
  std::function<double(std::int64_t)> function_;
  std::optional<std::int64_t> steps_;
  std::string text_;
  mutable std::int64_t step_ = -1;  // that was asked for last
  mutable double value_ = 0;
};

// A number that may depend on the step.
struct Number {
  double constant = 0;
  SchedulePtr schedule;  // null: the constant

  Number() = default;
  Number(double value) : constant(value) {}
  Number(SchedulePtr of) : schedule(std::move(of)) {}
  double at(std::int64_t step) const { return schedule == nullptr ? constant : schedule->at(step); }
  // Whether it may be other than 0 in some step.
  bool may_be_on() const { return schedule != nullptr || constant != 0; }
};

}  // namespace ravine::train
