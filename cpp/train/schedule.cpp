#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "core/error.h"

namespace ravine::train {
namespace {

using Numbers = std::span<const double>;
using Children = std::span<const SchedulePtr>;
using Length = std::optional<std::int64_t>;

constexpr double pi = std::numbers::pi;

double real(std::int64_t step) { return static_cast<double>(step); }

double between(double start, double end, double share) { return start * (1.0 - share) + end * share; }

// Numbers [index] is the length.
template <std::size_t index>
Length length_at(Numbers numbers, Children) {
  return static_cast<std::int64_t>(numbers[index]);
}

// ---- one curve

double constant(Numbers n, Children, std::int64_t) { return n[0]; }

// lr, step_size, gamma
double step_decay(Numbers n, Children, std::int64_t step) {
  return n[0] * std::pow(n[2], real(step / static_cast<std::int64_t>(n[1])));
}

// How many of the increasing steps lie at or before `step`.
double count_until(Numbers steps, std::int64_t step) {
  return real(std::upper_bound(steps.begin(), steps.end(), real(step)) - steps.begin());
}

// lr, gamma, milestones
double multi_step(Numbers n, Children, std::int64_t step) {
  return n[0] * std::pow(n[1], count_until(n.subspan(2), step));
}

// The first steps of all pieces but the first, then the rates of all.
double piecewise(Numbers n, Children, std::int64_t step) {
  const std::size_t n_bounds = (n.size() - 1) / 2;
  return n[n_bounds + static_cast<std::size_t>(count_until(n.first(n_bounds), step))];
}

// lr, gamma, every
double exponential(Numbers n, Children, std::int64_t step) {
  return n[0] * std::pow(n[1], real(step) / n[2]);
}

// lr, k, every
double natural_exponential(Numbers n, Children, std::int64_t step) {
  return n[0] * std::exp(-n[1] * (real(step) / n[2]));
}

// start, end, steps
double linear(Numbers n, Children, std::int64_t step) { return between(n[0], n[1], real(step) / n[2]); }

// lr, steps, power, end
double polynomial(Numbers n, Children, std::int64_t step) {
  return n[3] + (n[0] - n[3]) * std::pow(1.0 - real(step) / n[1], n[2]);
}

// lr, steps, end
double cosine(Numbers n, Children, std::int64_t step) {
  return n[2] + 0.5 * (n[0] - n[2]) * (1.0 + std::cos(pi * real(step) / n[1]));
}

// lr, timescale
double inverse_sqrt(Numbers n, Children, std::int64_t step) {
  return n[0] / std::sqrt(1.0 + real(step) / n[1]);
}

// lr, k, every
double inverse_time(Numbers n, Children, std::int64_t step) {
  return n[0] / (1.0 + n[1] * (real(step) / n[2]));
}

// lr, steps, start
double warmup_linear(Numbers n, Children, std::int64_t step) {
  const double share = real(step) / n[1];
  return share == 1.0 ? n[0] : between(n[2], n[0], share);
}

double warmup_exponential(Numbers n, Children, std::int64_t step) {
  const double share = real(step) / n[1];
  return share == 1.0 ? n[0] : n[2] * std::pow(n[0] / n[2], share);
}

double warmup_constant(Numbers n, Children, std::int64_t step) { return real(step) == n[1] ? n[0] : n[2]; }

// ---- curves that come back

// lr, cycle, mult, end, decay
double cosine_restarts(Numbers n, Children, std::int64_t step) {
  std::int64_t length = static_cast<std::int64_t>(n[1]), finished = 0;
  const auto mult = static_cast<std::int64_t>(n[2]);
  if (mult == 1) {
    finished = step / length;
    step %= length;
  } else {
    for (; step >= length; ++finished) {  // in integers: a logarithm would be wrong at some restarts
      step -= length;
      length *= mult;
    }
  }
  const double peak = n[0] * std::pow(n[4], real(finished));
  return n[3] + 0.5 * (peak - n[3]) * (1.0 + std::cos(pi * real(step) / real(length)));
}

// lr, max_lr, steps up, steps down, base of the scale, whether its exponent is the cycle and not the step
double cyclic(Numbers n, Children, std::int64_t step) {
  const auto up = static_cast<std::int64_t>(n[2]), down = static_cast<std::int64_t>(n[3]);
  const std::int64_t cycle = step / (up + down), t = step % (up + down);
  const double share = t <= up ? real(t) / real(up) : real(up + down - t) / real(down);
  const double scale = std::pow(n[4], real(n[5] != 0 ? cycle : step));
  return n[0] + (n[1] - n[0]) * share * scale;
}

// The first rate, whether along cosines, the number of steps; then of each phase the last step and the rate
// there. Ends need not be integers.
double one_cycle(Numbers n, Children, std::int64_t step) {
  double begin = 0, rate = n[0];
  for (std::size_t i = 3; i + 1 < n.size(); i += 2) {
    const double end = n[i], target = n[i + 1];
    if (real(step) <= end) {
      double share = (real(step) - begin) / (end - begin);
      if (n[1] != 0) share = (1.0 - std::cos(pi * share)) / 2.0;
      return rate + (target - rate) * share;
    }
    begin = end;
    rate = target;
  }
  return rate;
}

// ---- made of others

// One after the other, each from its own step 0; all but the last end.
double sequence(Numbers, Children children, std::int64_t step) {
  for (const SchedulePtr& child : children.first(children.size() - 1)) {
    if (step < *child->steps()) return child->value(step);
    step -= *child->steps();
  }
  return children.back()->value(step);
}

Length sequence_steps(Numbers, Children children) {
  std::int64_t sum = 0;
  for (const SchedulePtr& child : children) {
    if (!child->steps()) return std::nullopt;
    sum += *child->steps();
  }
  return sum;
}

double product(Numbers, Children children, std::int64_t step) {
  double result = 1;
  for (const SchedulePtr& child : children) result *= child->value(step);
  return result;
}

Length shortest(Numbers, Children children) {
  Length least;
  for (const SchedulePtr& child : children)
    if (const Length steps = child->steps(); steps && (!least || *steps < *least)) least = steps;
  return least;
}

// The first n steps.
double take(Numbers, Children children, std::int64_t step) { return children[0]->value(step); }

// A schedule that stays where it arrived.
double hold(Numbers, Children children, std::int64_t step) {
  const Length end = children[0]->steps();
  return children[0]->value(end ? std::min(step, *end) : step);
}

// ---- of the optimizers' other parts

// variance eta / (1 + t)^gamma: eta, gamma
double noise_std(Numbers n, Children, std::int64_t step) {
  return std::pow(n[0] / std::pow(real(1 + step), n[1]), 0.5);
}

// A number in every k-th step, 0 in the others: value, k
double every(Numbers n, Children, std::int64_t step) {
  return (step + 1) % static_cast<std::int64_t>(n[1]) == 0 ? n[0] : 0.0;
}

// How many weights entered an average before this step's; -1: this step's do not enter. start, every
std::int64_t entered(Numbers n, std::int64_t step) {
  const std::int64_t since = step - static_cast<std::int64_t>(n[0]), every = static_cast<std::int64_t>(n[1]);
  return since >= 0 && since % every == 0 ? since / every : -1;
}

// The share of the newest weights in their plain mean: start, every
double mean_share(Numbers n, Children, std::int64_t step) {
  const std::int64_t before = entered(n, step);
  return before < 0 ? 0.0 : 1.0 / real(before + 1);
}

// The same in an exponential mean: start, every, decay, whether with bias correction
double exponential_mean_share(Numbers n, Children, std::int64_t step) {
  const std::int64_t before = entered(n, step);
  if (before < 0) return 0.0;
  const double decay = n[2];
  if (n[3] != 0) return (1.0 - decay) / (1.0 - std::pow(decay, real(before + 1)));
  return before == 0 ? 1.0 : 1.0 - decay;
}

constexpr unsigned count(unsigned number) { return 1u << number; }

constexpr Formula formulas[] = {
    {"constant", 1, 0, constant},
    {"cosine", 3, 0, cosine, length_at<1>, count(1)},
    {"cosine_restarts", 5, 0, cosine_restarts, nullptr, count(1) | count(2)},
    {"cyclic", 6, 0, cyclic, nullptr, count(2) | count(3)},
    {"every", 2, 0, every, nullptr, count(1)},
    {"exponential", 3, 0, exponential},
    {"exponential_mean_share", 4, 0, exponential_mean_share, nullptr, count(1)},
    {"hold", 0, 1, hold},
    {"inverse_sqrt", 2, 0, inverse_sqrt},
    {"inverse_time", 3, 0, inverse_time},
    {"linear", 3, 0, linear, length_at<2>, count(2)},
    {"mean_share", 2, 0, mean_share, nullptr, count(1)},
    {"multi_step", -2, 0, multi_step},
    {"natural_exponential", 3, 0, natural_exponential},
    {"noise_std", 2, 0, noise_std},
    {"one_cycle", -3, 0, one_cycle, length_at<2>, count(2)},
    {"piecewise", -1, 0, piecewise},
    {"polynomial", 4, 0, polynomial, length_at<1>, count(1)},
    {"product", 0, -1, product, shortest},
    {"sequence", 0, -1, sequence, sequence_steps},
    {"step_decay", 3, 0, step_decay, nullptr, count(1)},
    {"take", 1, 1, take, length_at<0>, count(0)},
    {"warmup_constant", 3, 0, warmup_constant, length_at<1>, count(1)},
    {"warmup_exponential", 3, 0, warmup_exponential, length_at<1>, count(1)},
    {"warmup_linear", 3, 0, warmup_linear, length_at<1>, count(1)},
};

const Formula& formula_named(std::string_view name) {
  const auto* place = std::find_if(std::begin(formulas), std::end(formulas),
                                   [&](const Formula& formula) { return formula.name == name; });
  check<KeyError>(place != std::end(formulas), "schedule: there is no formula '", name, "'");
  return *place;
}

class Expression final : public Schedule {
 public:
  Expression(const Formula& formula, std::vector<double> numbers, std::vector<SchedulePtr> children,
             std::string text)
      : formula_(formula),
        numbers_(std::move(numbers)),
        children_(std::move(children)),
        text_(std::move(text)),
        steps_(formula.steps == nullptr ? std::nullopt : formula.steps(numbers_, children_)) {}

  double value(std::int64_t step) const override { return formula_.value(numbers_, children_, step); }
  std::optional<std::int64_t> steps() const override { return steps_; }
  bool foreign() const override {
    return std::any_of(children_.begin(), children_.end(),
                       [](const SchedulePtr& child) { return child->foreign(); });
  }
  std::optional<FormulaOf> formula() const override { return FormulaOf{formula_.name, numbers_, children_}; }
  std::string describe() const override {
    if (!text_.empty()) return text_;
    std::string text = formula_.name;
    const char* separator = "(";
    for (const double number : numbers_) text += str(std::exchange(separator, ", "), number);
    for (const SchedulePtr& child : children_) text += std::exchange(separator, ", ") + child->describe();
    return text + ")";
  }

 private:
  const Formula& formula_;
  std::vector<double> numbers_;
  std::vector<SchedulePtr> children_;
  std::string text_;
  std::optional<std::int64_t> steps_;
};

void expect_count(const char* formula, const char* what, int expected, std::size_t got) {
  const auto least = static_cast<std::size_t>(std::abs(expected));
  check<ValueError>(expected < 0 ? got >= least : got == least, "schedule ", formula, ": got ", got, " ",
                    what, ", expected ", expected < 0 ? "at least " : "", least);
}

void expect_steps(const Formula& formula, Numbers numbers) {
  constexpr double most = 9007199254740992.0;  // 2^53: beyond, a double may stand for several numbers
  for (std::size_t i = 0; i < numbers.size(); ++i)
    check<ValueError>((formula.counts >> std::min<std::size_t>(i, 31) & 1) == 0 ||
                          (numbers[i] >= 1 && numbers[i] <= most && numbers[i] == std::floor(numbers[i])),
                      "schedule ", formula.name, ": number ", i, " is ", numbers[i],
                      ", expected a number of steps");
}

// All but the last of a sequence end.
void expect_ends(const Formula& formula, Children children) {
  if (formula.value != sequence) return;
  for (const SchedulePtr& child : children.first(children.size() - 1))
    check<ValueError>(child->steps().has_value(), "schedule ", formula.name, ": ", child->describe(),
                      " never ends, so nothing can follow it");
}

}  // namespace

double Schedule::at(std::int64_t step) const {
  const Length length = steps();
  check<ValueError>(!length || step < *length, describe(), " spans ", length.value_or(0), " steps, and step ",
                    step,
                    " (from 0) was asked for: make it longer, let it go on with hold(), or append a schedule "
                    "(schedule + other)");
  return value(step);
}

std::span<const Formula> all_formulas() { return formulas; }

SchedulePtr make_schedule(std::string_view name, std::vector<double> numbers,
                          std::vector<SchedulePtr> children, std::string text) {
  const Formula& formula = formula_named(name);
  expect_count(formula.name, "numbers", formula.n_numbers, numbers.size());
  expect_count(formula.name, "schedules", formula.n_children, children.size());
  expect_steps(formula, numbers);
  expect_ends(formula, children);
  return std::make_shared<Expression>(formula, std::move(numbers), std::move(children), std::move(text));
}

double Callback::value(std::int64_t step) const {
  if (step != step_) {
    value_ = function_(step);
    step_ = step;
  }
  return value_;
}

// ---- Plateau

Plateau::Plateau(SchedulePtr schedule, const Settings& settings)
    : schedule_(std::move(schedule)),
      settings_(settings),
      state_{(settings.maximize ? -1 : 1) * std::numeric_limits<double>::infinity()} {}

double Plateau::value(std::int64_t step) const {
  return std::max(schedule_->value(step) * std::pow(settings_.factor, real(state_.reductions)),
                  settings_.min_value);
}

std::string Plateau::describe() const { return str("plateau(", schedule_->describe(), ")"); }

void Plateau::update(double metric) {
  if (better(metric)) {
    state_.best = metric;
    state_.bad = 0;
  } else {
    ++state_.bad;
  }
  if (state_.cooling > 0) {
    --state_.cooling;
    state_.bad = 0;
  }
  if (state_.bad > settings_.patience) {
    ++state_.reductions;
    state_.cooling = settings_.cooldown;
    state_.bad = 0;
  }
}

bool Plateau::better(double metric) const {
  const double sign = settings_.maximize ? -1.0 : 1.0;
  if (std::isinf(state_.best)) return sign * metric < sign * state_.best;
  const double margin =
      settings_.relative ? settings_.threshold * std::abs(state_.best) : settings_.threshold;
  return sign * metric < sign * state_.best - margin;
}

}  // namespace ravine::train
