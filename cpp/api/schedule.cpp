#include "api/access.h"

namespace ravine::v1 {

Schedule::Schedule(std::string_view formula, std::vector<double> numbers, std::span<const Schedule> parts) {
  std::vector<train::SchedulePtr> children;
  for (const Schedule& part : parts) children.push_back(Access::schedule(part));
  schedule_ = train::make_schedule(formula, std::move(numbers), std::move(children));
}

Schedule::Schedule(std::function<double(std::int64_t step)> function)
    : schedule_(std::make_shared<train::Callback>(std::move(function))) {}

double Schedule::at(std::int64_t step) const { return Access::schedule(*this)->at(step); }

std::vector<double> Schedule::curve(std::int64_t n_steps) const {
  std::vector<double> values;
  for (std::int64_t step = 0; step < n_steps; ++step) values.push_back(at(step));
  return values;
}

namespace schedules {
namespace {

double real(std::int64_t steps) { return static_cast<double>(steps); }
std::span<const Schedule> span_of(std::initializer_list<Schedule> parts) {
  return {parts.begin(), parts.size()};
}

}  // namespace

Schedule constant(double value) { return Schedule("constant", {value}); }
Schedule step_decay(double lr, std::int64_t step_size, double gamma) {
  return Schedule("step_decay", {lr, real(step_size), gamma});
}
Schedule multi_step(double lr, std::initializer_list<std::int64_t> milestones, double gamma) {
  std::vector<double> numbers{lr, gamma};
  for (const std::int64_t milestone : milestones) numbers.push_back(real(milestone));
  return Schedule("multi_step", std::move(numbers));
}
Schedule exponential(double lr, double gamma, double every) {
  return Schedule("exponential", {lr, gamma, every});
}
Schedule linear(double start, double end, std::int64_t steps) {
  return Schedule("linear", {start, end, real(steps)});
}
Schedule polynomial(double lr, std::int64_t steps, double power, double end) {
  return Schedule("polynomial", {lr, real(steps), power, end});
}
Schedule cosine(double lr, std::int64_t steps, double end) {
  return Schedule("cosine", {lr, real(steps), end});
}
Schedule inverse_sqrt(double lr, double timescale) { return Schedule("inverse_sqrt", {lr, timescale}); }
Schedule warmup(double lr, std::int64_t steps, double start) {
  return Schedule("warmup_linear", {lr, real(steps), start});
}
Schedule sequence(std::initializer_list<Schedule> parts) { return Schedule("sequence", {}, span_of(parts)); }
Schedule product(std::initializer_list<Schedule> parts) { return Schedule("product", {}, span_of(parts)); }

}  // namespace schedules
}  // namespace ravine::v1
