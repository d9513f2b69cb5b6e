#include "optim/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <memory>
#include <mutex>

#include "core/error.h"

namespace ravine::optim {

// ---- the optimizer

namespace {

void fill(const Array& array, double value) {
  if (array.dtype() == DType::float32)
    std::fill_n(array.as<float>(), array.size(), static_cast<float>(value));
  else std::fill_n(array.as<double>(), array.size(), value);
}

}  // namespace

Optimizer::Optimizer(std::string_view rule, std::vector<Array> parameters, const Settings& hyper,
                     std::span<const std::string> slots, std::shared_ptr<Writer> writer)
    : writer_(std::move(writer)),
      rule_(rule_named(rule)),
      hyper_(rule_.name, rule_.hyper),
      parameters_(std::move(parameters)) {
  for (const auto& [name, value] : hyper) hyper_.set(name, value);
  if (rule_.check != nullptr) rule_.check(hyper_);
  for (const Array& parameter : parameters_)
    check<TypeError>(is_floating(parameter.dtype()), rule_.name, ": a parameter of shape ", parameter.shape(),
                     " is ", name_of(parameter.dtype()), ", expected float32 or float64");
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      check<ValueError>(parameters_[i].data() != parameters_[j].data(), rule_.name, ": parameters ", j,
                        " and ", i, " are the same array");
  for (std::size_t index = 0; index < rule_.slots.size(); ++index) {
    const Slot& slot = rule_.slots[index];
    const bool asked_for = std::find(slots.begin(), slots.end(), slot.name) != slots.end();
    if (slot.needed_by != nullptr && !hyper_.on(slot.needed_by) && !asked_for) continue;
    std::vector<Array> arrays;
    for (const Array& parameter : parameters_) {
      const std::optional<Shape> shape = slot.shape_for(parameter.shape());
      arrays.push_back(shape ? Array(parameter.dtype(), *shape, parameter.layout()) : Array());
      if (shape && slot.begins_as != nullptr && hyper_.on(slot.begins_as))
        fill(arrays.back(), hyper_.at(slot.begins_as));
    }
    slots_.push_back({slot.name, static_cast<int>(index), std::move(arrays)});
  }
  for (const auto& [name, index] :
       {std::pair{"average", kernels::average_slot}, std::pair{"slow", kernels::slow_slot}}) {
    if (std::find(slots.begin(), slots.end(), name) == slots.end()) continue;
    std::vector<Array> arrays;
    for (const Array& parameter : parameters_) {
      arrays.emplace_back(parameter.dtype(), parameter.shape(), parameter.layout());
      std::memcpy(arrays.back().data(), parameter.data(), parameter.bytes());
    }
    slots_.push_back({name, index, std::move(arrays)});
  }
  for (std::size_t i = 0; i < rule_.scalars.size(); ++i) progress_.scalars[i] = rule_.scalars[i].initial;
}

Optimizer::Settings Optimizer::hyper() const {
  const std::lock_guard lock(mutex());
  Settings all;
  for (const Hyperparameter& parameter : rule_.hyper)
    all.emplace_back(parameter.name, hyper_.at(parameter.name));
  return all;
}

void Optimizer::check_slots(const HyperValues& hyper) const {
  for (const Slot& slot : rule_.slots) {
    const bool kept = std::any_of(slots_.begin(), slots_.end(),
                                  [&](const SlotArrays& arrays) { return arrays.name == slot.name; });
    check<ValueError>(kept || slot.needed_by == nullptr || !hyper.on(slot.needed_by), rule_.name, ": ",
                      slot.needed_by,
                      " cannot be set on an optimizer that was made without it, as it keeps no ", slot.name);
  }
}

void Optimizer::set_all(const Settings& hyper) {
  const std::lock_guard lock(mutex());
  set_held(hyper);
}

void Optimizer::set_held(const Settings& hyper) {
  HyperValues changed = hyper_;
  for (const auto& [name, value] : hyper) changed.set(name, value);
  if (rule_.check != nullptr) rule_.check(changed);
  check_slots(changed);
  hyper_ = changed;
}

std::int64_t Optimizer::step() const {
  const std::lock_guard lock(mutex());
  return progress_.step;
}

void Optimizer::set_step(std::int64_t step) {
  check<ValueError>(step >= 0, rule_.name, ": the step must not be negative, got ", step);
  const std::lock_guard lock(mutex());
  progress_.step = step;
}

Optimizer::Settings Optimizer::scalars() const {
  const std::lock_guard lock(mutex());
  Settings all;
  for (std::size_t i = 0; i < rule_.scalars.size(); ++i)
    all.emplace_back(rule_.scalars[i].name, progress_.scalars[i]);
  return all;
}

void Optimizer::set_scalar(std::string_view name, double value) {
  check<ValueError>(std::isfinite(value), rule_.name, ": ", name, " must be a finite number, got ", value);
  const std::lock_guard lock(mutex());
  for (std::size_t i = 0; i < rule_.scalars.size(); ++i) {
    if (rule_.scalars[i].name != name) continue;
    progress_.scalars[i] = value;
    return;
  }
  fail<KeyError>(rule_.name, ": keeps no number '", name, "'");
}

void Optimizer::set_progress(std::int64_t step, std::span<const double> scalars) {
  progress_.step = step;
  std::copy(scalars.begin(), scalars.end(), progress_.scalars);
}

void Optimizer::before_run() {
  next_progress_ = progress_;
  ++next_progress_.step;
  kernel_hyper_ = rule_.prepare(hyper_, next_progress_);
  kernel_step_ = {.hyper = kernel_hyper_.data(),
                  .gradient_scale = hyper_.on("maximize") ? -1.0 : 1.0,
                  .slow_weight = slow_weight,
                  .average_weight = average_weight};
  if (clipping_ != nullptr) {
    kernel_step_.clip_value = clipping_->clip_value;
    kernel_step_.clip_norm = clipping_->clip_norm;
    kernel_step_.clip_global_norm = clipping_->clip_global_norm;
    kernel_step_.skip_nonfinite = clipping_->skip_nonfinite ? 1 : 0;
  }
  if (rule_.rows == nullptr) return;
  Progress progress = next_progress_;
  row_hyper_ = rule_.rows->prepare(hyper_, progress);
  row_step_ = kernel_step_;
  row_step_.hyper = row_hyper_.data();
}

void Optimizer::after_run() {
  if (clipping_ == nullptr || !clipping_->refuses()) progress_ = next_progress_;
}

std::vector<Array> Optimizer::written() const {
  std::vector<Array> arrays = parameters_;
  for (const SlotArrays& slot : slots_)
    std::copy_if(slot.arrays.begin(), slot.arrays.end(), std::back_inserter(arrays),
                 [](const Array& array) { return static_cast<bool>(array); });
  return arrays;
}

void Optimizer::set_clipping(std::shared_ptr<Clipping> clipping, std::int64_t first) {
  const auto count = static_cast<std::int64_t>(parameters_.size());
  check<ValueError>(first >= 0 && first + count <= clipping->squares().size(), rule_.name, ": parameters ",
                    first, " to ", first + count, " of a clipping of ", clipping->squares().size());
  clipping_ = std::move(clipping);
  first_square_ = first;
}

}  // namespace ravine::optim
