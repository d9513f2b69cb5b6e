#include "train/stages.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "core/error.h"
#include "ops/builders.h"
#include "train/lbfgs.h"

namespace ravine::train {
namespace {

using optim::Clipping;

constexpr double least_weight_norm = 1e-3;  // so that units that begin at 0 can leave it

// ---- norms

Value square_of(Value gradient) { return ops::sum(ops::square(ops::cast(gradient, DType::float64))); }

Value norm_of(const Values& gradients) {
  Value sum = square_of(gradients[0]);
  for (const Value& gradient : std::span(gradients).subspan(1)) sum = sum + square_of(gradient);
  return ops::sqrt(sum);
}

// Of the rows of a weight [out, ...], with axes kept; of a bias as a whole.
Value unit_norms(Value x) {
  const int rank = x.shape().rank();
  Axes axes;
  for (int axis = 1; axis < rank; ++axis) axes.push_back(axis);
  return ops::sqrt(ops::sum(ops::square(x), axes, rank > 1));
}

// g min(1, bound / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_.
Value within(Value gradient, Value norm, Value bound) {
  const Value factor = bound / (norm + 1e-6);
  return gradient * ops::cast(ops::minimum(factor, ops::scalar_like(factor, 1)), gradient.dtype());
}

template <class Change>
Values each(const Values& gradients, Change change) {
  Values changed;
  for (std::size_t i = 0; i < gradients.size(); ++i) changed.push_back(change(i, gradients[i]));
  return changed;
}

// ---- the stages

Values clip_by_value(StageScope& scope, Values gradients) {
  const Value bound = scope.number(0);
  return each(gradients, [&](std::size_t, Value gradient) {
    const Value largest = ops::cast(bound, gradient.dtype());
    return ops::maximum(ops::minimum(gradient, largest), -largest);
  });
}

Values clip_by_norm(StageScope& scope, Values gradients) {
  const Value bound = scope.number(0);
  return each(gradients, [&](std::size_t, Value gradient) {
    return within(gradient, ops::sqrt(square_of(gradient)), bound);
  });
}

Values clip_by_global_norm(StageScope& scope, Values gradients) {
  const Value bound = scope.number(0), norm = norm_of(gradients);
  return each(gradients, [&](std::size_t, Value gradient) { return within(gradient, norm, bound); });
}

// Brock et al. 2021, https://arxiv.org/abs/2102.06171
Values clip_adaptive(StageScope& scope, Values gradients) {
  const Value share = scope.number(0);
  return each(gradients, [&](std::size_t i, Value gradient) {
    const Value weight_norm = unit_norms(scope.weight(i)), norm = unit_norms(gradient);
    const Value largest = ops::cast(share, gradient.dtype()) *
                          ops::maximum(weight_norm, ops::scalar_like(weight_norm, least_weight_norm));
    const Value factor = largest / ops::maximum(norm, ops::scalar_like(norm, 1e-6));
    return gradient * ops::where(ops::less(norm, largest), ops::scalar_like(norm, 1), factor);
  });
}

// Neelakantan et al. 2015, https://arxiv.org/abs/1511.06807; normal numbers after Box and Muller 1958.
Values add_noise(StageScope& scope, Values gradients) {
  const Value std = scope.number(0);
  return each(gradients, [&](std::size_t, Value gradient) {
    const auto uniform = [&] { return ops::uniform(scope.graph, gradient.shape(), gradient.dtype()); };
    const Value radius = ops::sqrt(ops::log(1.0 - uniform()) * -2.0);  // of numbers in (0, 1]
    const Value noise = radius * ops::cos(uniform() * (2 * std::numbers::pi));
    return gradient + ops::cast(std, gradient.dtype()) * noise;
  });
}

// A call's gradients are those of a mean, n / d: the sums of d times the gradient and of d give those of one
// call with all examples. If nothing counts, d is 0 in all, and so are the gradients.
Values accumulate(StageScope& scope, Values gradients) {
  if (scope.begins && scope.updates) return gradients;
  const auto gathered = [&](const Array& state, Value own) {
    if (scope.begins) return own;
    return own ? scope.graph.state(state) + own : scope.graph.state(state);
  };
  Values sums;
  for (std::size_t i = 0; i < scope.parameters.size(); ++i) {
    const Value own =
        scope.call_weight ? gradients[i] * ops::cast(scope.call_weight, gradients[i].dtype()) : Value{};
    sums.push_back(gathered(scope.slots[0][i], own));
  }
  const Value total = gathered(scope.gathered_weight, scope.call_weight);
  if (scope.updates) {
    const Value divisor =
        ops::where(ops::equal(total, ops::scalar_like(total, 0)), ops::scalar_like(total, 1), total);
    return each(sums, [&](std::size_t, Value sum) { return sum / ops::cast(divisor, sum.dtype()); });
  }
  for (std::size_t i = 0; i < sums.size(); ++i) scope.assign(scope.slots[0][i], sums[i]);
  scope.assign(scope.gathered_weight, total);
  return {};
}

Values skip_nonfinite(StageScope& scope, Values gradients) {
  scope.refuse_nonfinite(gradients);
  return gradients;
}

// Foret et al. 2021, https://arxiv.org/abs/2010.01412: the gradients at w + rho g / |g|.
Values sharpness_aware(StageScope& scope, Values gradients) {
  const Value scale = scope.number(0) / (norm_of(gradients) + 1e-12);
  return scope.gradients_at(each(gradients, [&](std::size_t i, Value gradient) {
    return scope.weight(i) + gradient * ops::cast(scale, gradient.dtype());
  }));
}

// Kwon et al. 2021, https://arxiv.org/abs/2102.11600: at w + rho w² g / ||w| g|.
Values adaptive_sharpness_aware(StageScope& scope, Values gradients) {
  const Value norm = norm_of(
      each(gradients, [&](std::size_t i, Value gradient) { return ops::abs(scope.weight(i)) * gradient; }));
  const Value scale = scope.number(0) / (norm + 1e-12);
  return scope.gradients_at(each(gradients, [&](std::size_t i, Value gradient) {
    const Value slope = ops::square(scope.weight(i)) * gradient;
    return scope.weight(i) + slope * ops::cast(scale, slope.dtype());
  }));
}

// The order of those that the kernel can apply is the kernel's.
const StageKind stages[] = {
    {.name = "accumulate",
     .numbers = {{"calls", true}},
     .slots = {"gradient_sum"},
     .record = accumulate,
     .gathers = true},
    {.name = "adaptive_sam",
     .numbers = {{"rho", true, true}},
     .record = adaptive_sharpness_aware,
     .looks_elsewhere = true},
    {.name = "add_noise", .numbers = {{"std", false}}, .record = add_noise, .draws = true},
    {.name = "clip_adaptive", .numbers = {{"share", true}}, .record = clip_adaptive},
    {.name = "lbfgs",
     .numbers = {{"history_size", true}, {"damping", false}, {"sign", true, true}},  // 1 goes down, -1 up
     .memory = {{.name = "previous", .begins_as_parameters = true},
                {.name = "s", .history = true},
                {.name = "y", .history = true},
                {.name = "rho", .is_number = true, .history = true},
                {.name = "scale", .is_number = true}},
     .record = lbfgs,
     .looks_elsewhere = true},
    {.name = "sam", .numbers = {{"rho", true, true}}, .record = sharpness_aware, .looks_elsewhere = true},
    {.name = "skip_nonfinite", .record = skip_nonfinite, .refuses = true, .takes_rows = true},
    {.name = "clip_by_value",
     .numbers = {{"bound", true}},
     .record = clip_by_value,
     .fused = &Clipping::clip_value,
     .takes_rows = true},
    {.name = "clip_by_norm",
     .numbers = {{"bound", true}},
     .record = clip_by_norm,
     .fused = &Clipping::clip_norm,
     .takes_rows = true},
    {.name = "clip_by_global_norm",
     .numbers = {{"bound", true}},
     .record = clip_by_global_norm,
     .fused = &Clipping::clip_global_norm,
     .takes_rows = true},
};

}  // namespace

std::span<const StageKind> all_stages() { return stages; }

const StageKind& stage_named(std::string_view name) {
  const auto* place = std::find_if(std::begin(stages), std::end(stages),
                                   [&](const StageKind& kind) { return kind.name == name; });
  check<KeyError>(place != std::end(stages), "stages: there is no stage '", name, "'");
  return *place;
}

Stage make_stage(std::string_view name, const std::vector<std::pair<std::string, Number>>& numbers) {
  const StageKind& kind = stage_named(name);
  Stage stage{&kind, {}, std::string(name)};
  for (const StageKind::Number& wanted : kind.numbers) {
    const auto place = std::find_if(numbers.begin(), numbers.end(),
                                    [&](const auto& given) { return given.first == wanted.name; });
    check<ValueError>(place != numbers.end(), name, ": the number '", wanted.name, "' is missing");
    stage.numbers.push_back(place->second);
  }
  check<KeyError>(numbers.size() == kind.numbers.size(), name, ": got ", numbers.size(),
                  " numbers, expected ", kind.numbers.size());
  return stage;
}

}  // namespace ravine::train
