#include "train/numbers.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace ravine::train {
namespace {

// As Python writes it.
std::string text_of(double number) {
  if (!std::isfinite(number)) return std::isnan(number) ? "nan" : number < 0 ? "-inf" : "inf";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), number).ptr;
  const std::string text(buffer, end);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

void expect_allowed(const std::string& owner, const std::string& label, double value, double low,
                    double high) {
  if (std::isfinite(value) && value >= low && value < high) return;
  const std::string allowed =
      std::isfinite(high) ? str(" in [", low, ", ", high, ")") : str(" at least ", low);
  fail<ValueError>(owner, ": ", label, " must be a finite number", allowed, ", got ", text_of(value));
}

}  // namespace

double number_at(const std::string& owner, const HyperNumber& hyper,
                 std::span<const optim::Hyperparameter> limits, std::int64_t step) {
  const double value = hyper.number.at(step);
  if (hyper.number.schedule == nullptr) return value;
  const auto own = std::find_if(limits.begin(), limits.end(),
                                [&](const optim::Hyperparameter& limit) { return limit.name == hyper.name; });
  if (own != limits.end() && !own->flag)
    expect_allowed(owner, str(hyper.label, " in step ", step), value, own->low, own->high);
  return value;
}

double number_at(const std::string& owner, const Stage& stage, std::size_t index, std::int64_t step) {
  const StageKind::Number& kind = stage.kind->numbers[index];
  const double value = stage.numbers[index].at(step);
  const std::string label = str(stage.label, " in step ", step);
  if (!kind.any) expect_allowed(owner, label, value, 0, std::numeric_limits<double>::infinity());
  check<ValueError>(!kind.positive || value != 0, owner, ": ", label, " must be above 0, got 0");
  return value;
}

void check_history(const std::string& owner, const Stage& stage) {
  const Number& length = stage.numbers[0];
  const std::string name = stage.kind->numbers[0].name;
  check<ValueError>(length.schedule == nullptr, owner, ": ", name, " cannot depend on the step");
  check<ValueError>(length.constant >= 1 && length.constant == std::floor(length.constant), owner, ": ", name,
                    " must be a whole number of at least 1, got ", text_of(length.constant));
}

}  // namespace ravine::train
