// Saving and loading the state of a training run, and its averages.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <set>

#include "core/copy.h"
#include "core/error.h"
#include "core/lock_all.h"
#include "train/state.h"

namespace ravine::train {
namespace {

Array whole(std::int64_t number) {
  Array scalar(DType::int64, Shape{});
  *scalar.as<std::int64_t>() = number;
  return scalar;
}

// All 64 bits of a seed.
Array bits(std::uint64_t number) { return whole(std::bit_cast<std::int64_t>(number)); }

Array copy_of(const Array& array) {
  Array copy(array.dtype(), array.shape());
  copy_values(array, copy);
  return copy;
}

double value_of(const Array& scalar) {
  Array value(DType::float64, Shape{});
  copy_values(scalar, value);
  return *value.as<double>();
}

// As NumPy writes a shape.
std::string shape_text(const Shape& shape) {
  std::string text = "(";
  for (int axis = 0; axis < shape.rank(); ++axis) text += str(axis == 0 ? "" : ", ", shape[axis]);
  return text + (shape.rank() == 1 ? ",)" : ")");
}

// The problems of a state_dict, all told at once.
class Problems {
 public:
  template <class... Parts>
  void add(const Parts&... parts) {
    text_ += (text_.empty() ? "" : "; ") + str(parts...);
  }
  void raise(const std::string& owner) const {
    check<ValueError>(text_.empty(), "load_state_dict of ", owner, ": ", text_);
  }

 private:
  std::string text_;
};

std::string text_of(const Array& array) {
  return array.shape().rank() == 0 ? str(value_of(array))
                                   : str("an array of shape ", shape_text(array.shape()));
}

std::optional<std::int64_t> whole_number(const Array& array) {
  if (array.shape().rank() != 0) return std::nullopt;
  if (array.dtype() == DType::int64) return *array.as<std::int64_t>();
  if (array.dtype() == DType::int32) return *array.as<std::int32_t>();
  return std::nullopt;
}

std::int64_t count_of(const std::string& key, const Array& array, Problems& problems) {
  const std::optional<std::int64_t> count = whole_number(array);
  if (count.value_or(-1) < 0) problems.add(key, ": expected a number of steps, got ", text_of(array));
  return count.value_or(0);
}

// What stands under "<part>.", by the rest of its key.
NamedArrays of_part(const NamedArrays& state, const std::string& part) {
  NamedArrays own;
  for (const auto& [key, array] : state)
    if (key.starts_with(part)) own.emplace_back(key.substr(part.size()), array);
  return own;
}

const Array* find(const NamedArrays& arrays, std::string_view name) {
  const auto place =
      std::find_if(arrays.begin(), arrays.end(), [&](const auto& named) { return named.first == name; });
  return place == arrays.end() ? nullptr : &place->second;
}

const std::string of_optimizer = "optimizer.", of_memory = "preconditioner.", of_random = "random.";

// The name of the parameter of a key "<parameter>.<field>", and the field.
std::pair<std::string, std::string> split(const std::string& key) {
  const std::size_t dot = key.rfind('.');
  return {dot == std::string::npos ? "" : key.substr(0, dot), key.substr(dot + 1)};
}

// The memory of a stage: all of it, for some of the parameters, or nothing.
void check_memory(const NamedArrays& memory, const Stage* stage,
                  const std::vector<NamedParameter>& parameters, Problems& problems) {
  std::vector<NamedParameter> remembered;
  for (const NamedParameter& parameter : parameters)
    if (std::any_of(memory.begin(), memory.end(),
                    [&](const auto& named) { return split(named.first).first == parameter.name; }))
      remembered.push_back(parameter);
  std::map<std::string, Shape> expected;
  if (stage != nullptr && !remembered.empty())
    for (const MemoryPiece& piece : memory_pieces(*stage, remembered)) expected[piece.name] = piece.shape;
  for (const auto& [key, shape] : expected)
    if (find(memory, key) == nullptr) problems.add("missing key ", of_memory, key);
  for (const auto& [key, array] : memory) {
    const auto own = expected.find(key);
    if (own == expected.end()) problems.add("unexpected key ", of_memory, key);
    else if (array.shape() != own->second)
      problems.add(of_memory, key, ": shape ", shape_text(array.shape()), ", expected ",
                   shape_text(own->second));
  }
}

std::uint64_t random_number(const NamedArrays& random, const std::string& name, Problems& problems) {
  const Array* array = find(random, name);
  if (array == nullptr) {
    problems.add("missing key ", of_random, name);
    return 0;
  }
  const std::optional<std::int64_t> number = whole_number(*array);
  if (!number) problems.add(of_random, name, ": expected a whole number, got ", text_of(*array));
  return std::bit_cast<std::uint64_t>(number.value_or(0));
}

// What a state_dict tells of one parameter.
struct Found {
  std::optional<std::int64_t> step;
  std::map<std::string, Array> slots;
  std::map<std::string, double> scalars;
};

// The shapes of the slots that a parameter can have.
std::map<std::string, Shape> slot_shapes(const optim::Rule& rule, const Shape& parameter) {
  std::map<std::string, Shape> shapes{{"average", parameter}, {"slow", parameter}};
  for (const optim::Slot& slot : rule.slots)
    if (const auto shape = slot.shape_for(parameter)) shapes[slot.name] = *shape;
  return shapes;
}

template <class List>
bool contains(const List& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

}  // namespace

std::array<Mutex*, 2> TrainState::locks() const {
  std::array<Mutex*, 2> locks{&writer_->mutex, &random_->mutex};
  std::sort(locks.begin(), locks.end(), std::less<>());
  return locks;
}

NamedArrays TrainState::state_dict() const {
  const std::array<Mutex*, 2> locks = this->locks();
  const LockAll lock(locks);
  const optim::Rule& rule = optim::rule_named(description_.rule);
  NamedArrays result{{of_optimizer + "steps", whole(steps_)}};
  for (const auto& [name, state] : states()) {
    const std::string of_parameter = of_optimizer + name + ".";
    result.emplace_back(of_parameter + "step", whole(state.step));
    for (const auto& [slot, array] : state.slots) result.emplace_back(of_parameter + slot, copy_of(array));
    for (std::size_t i = 0; i < state.scalars.size(); ++i)
      result.emplace_back(of_parameter + rule.scalars[i].name,
                          Array::scalar(state.scalars[i], DType::float64));
  }
  if (gathered_ > 0) {
    result.emplace_back(of_optimizer + "gathered", whole(gathered_));
    result.emplace_back(of_optimizer + "gathered_weight", copy_of(gathered_weight_));
  }
  for (auto& [name, array] : memory_state()) result.emplace_back(of_memory + name, std::move(array));
  result.emplace_back(of_random + "seed", bits(random_->seed));
  result.emplace_back(of_random + "step", bits(random_->step));
  return result;
}

void TrainState::load_state_dict(const NamedArrays& state, const std::vector<NamedParameter>& parameters) {
  const std::array<Mutex*, 2> locks = this->locks();
  const LockAll lock(locks);
  const optim::Rule& rule = optim::rule_named(description_.rule);
  const std::vector<std::string> of_stages = stage_slots();
  std::vector<std::vector<std::string>> of_groups;
  for (const Description::Group& group : description_.groups) of_groups.push_back(slots_of(group));
  const auto in_all = [&](const std::string& slot) {
    return std::all_of(of_groups.begin(), of_groups.end(),
                       [&](const auto& own) { return contains(own, slot); });
  };
  const auto in_some = [&](const std::string& slot) {
    return contains(of_stages, slot) || std::any_of(of_groups.begin(), of_groups.end(),
                                                    [&](const auto& own) { return contains(own, slot); });
  };
  Problems problems;
  std::optional<std::int64_t> steps;
  std::int64_t gathered = 0;
  std::optional<double> gathered_weight;  // none: of calls that count alike, as before there were weights
  std::map<std::string, Found> found;
  for (const auto& [key, array] : state)
    if (!key.starts_with(of_optimizer) && !key.starts_with(of_memory) && key != of_random + "seed" &&
        key != of_random + "step")
      problems.add("unexpected key ", key);
  for (const auto& [rest, array] : of_part(state, of_optimizer)) {
    const std::string key = of_optimizer + rest;
    if (rest == "steps") {
      steps = count_of(key, array, problems);
      continue;
    }
    if (rest == "gathered") {
      gathered = count_of(key, array, problems);
      continue;
    }
    if (rest == "gathered_weight") {
      const double weight = array.shape().rank() == 0 ? value_of(array) : -1;
      if (!std::isfinite(weight) || weight < 0)
        problems.add(key, ": expected a finite number of at least 0, got ", text_of(array));
      gathered_weight = weight;
      continue;
    }
    const auto [name, field] = split(rest);
    const auto parameter = std::find_if(parameters.begin(), parameters.end(),
                                        [&](const NamedParameter& known) { return known.name == name; });
    if (parameter == parameters.end()) {
      problems.add("unexpected key ", key);
      continue;
    }
    const Shape& shape = parameter->array.shape();
    const bool scalar = std::any_of(rule.scalars.begin(), rule.scalars.end(),
                                    [&](const optim::Scalar& own) { return own.name == field; });
    if (field == "step") {
      found[name].step = count_of(key, array, problems);
    } else if (scalar) {
      if (array.shape().rank() != 0 || !std::isfinite(value_of(array)))
        problems.add(
            key, ": expected a finite number, got ",
            array.shape().rank() == 0 ? str(value_of(array)) : str("shape ", shape_text(array.shape())));
      else found[name].scalars[field] = value_of(array);
    } else {
      const std::map<std::string, Shape> shapes = slot_shapes(rule, shape);
      const auto own = shapes.find(field);
      const Shape& expected = own == shapes.end() ? shape : own->second;
      if (array.shape() != expected)
        problems.add(key, ": shape ", shape_text(array.shape()), ", expected ", shape_text(expected));
      else found[name].slots[field] = array;
    }
  }
  ParameterStates states;
  for (const NamedParameter& parameter : parameters) {
    const auto own = found.find(parameter.name);
    if (own == found.end()) continue;
    const auto& [name, given] = *own;
    const std::string of_parameter = of_optimizer + name + ".";
    if (!given.step) problems.add("missing key ", of_parameter, "step");
    const std::map<std::string, Shape> shapes = slot_shapes(rule, parameter.array.shape());
    if (given.step.value_or(0) > 0) {
      for (const auto& [slot, shape] : shapes)
        if (in_all(slot) && !given.slots.contains(slot)) problems.add("missing key ", of_parameter, slot);
      for (const optim::Scalar& scalar : rule.scalars)
        if (!given.scalars.contains(scalar.name)) problems.add("missing key ", of_parameter, scalar.name);
    }
    ParameterState loaded{.step = given.step.value_or(0), .slots = {}, .scalars = {}};
    for (const auto& [slot, array] : given.slots) {
      if (in_some(slot) && (shapes.contains(slot) || contains(of_stages, slot)))
        loaded.slots.emplace_back(slot, array);
      else problems.add("unexpected key ", of_parameter, slot);
    }
    for (const optim::Scalar& scalar : rule.scalars) {
      const auto value = given.scalars.find(scalar.name);
      loaded.scalars.push_back(value == given.scalars.end() ? scalar.initial : value->second);
    }
    states.emplace_back(name, std::move(loaded));
  }
  if (!steps) problems.add("missing key ", of_optimizer, "steps");
  double calls = 1;
  for (const Stage& stage : description_.stages)
    if (stage.kind->gathers) calls = stage.numbers[0].at(steps.value_or(0));
  if (static_cast<double>(gathered) >= calls)
    problems.add(of_optimizer, "gathered is ", gathered, ", with accumulate=", calls);
  NamedArrays memory = of_part(state, of_memory);
  check_memory(memory, remembering(), parameters, problems);
  const NamedArrays random = of_part(state, of_random);
  const std::uint64_t seed = random_number(random, "seed", problems);
  const std::uint64_t random_step = random_number(random, "step", problems);
  problems.raise(description_.owner);
  random_->seed = seed;
  random_->step = random_step;
  memory_.reset();
  kept_memory_ = std::move(memory);
  steps_ = *steps;
  gathered_ = gathered;
  *gathered_weight_.as<double>() = gathered_weight.value_or(static_cast<double>(gathered));
  gathered_weight_.writes().written();
  kept_ = std::move(states);
  parts_.clear();
  parameters_.clear();
  structure_.reset();  // the next bind puts the state in place
  described_ = false;
  ++generation_;
}

// ---- averages

bool TrainState::keeps_average() const {
  const std::lock_guard lock(writer_->mutex);
  const auto own = [&](const Description::Group& group) {
    const std::vector<std::string> slots = slots_of(group);
    return contains(slots, "ax") || contains(slots, "z");
  };
  return steps_ > 0 && (description_.average != nullptr ||
                        std::any_of(description_.groups.begin(), description_.groups.end(), own));
}

namespace {

// Schedule-free: the parameter is (1 - beta) z + beta x, and x the average.
void schedule_free_average(const Array& parameter, const Array& z, double beta, const Array& average) {
  Array p(DType::float64, parameter.shape()), fast(DType::float64, parameter.shape());
  copy_values(parameter, p);
  copy_values(z, fast);
  for (std::int64_t i = 0; i < p.size(); ++i)
    p.as<double>()[i] = (p.as<double>()[i] - (1 - beta) * fast.as<double>()[i]) / beta;
  copy_values(p, average);
}

}  // namespace

NamedArrays TrainState::averages(const std::vector<NamedParameter>& parameters) const {
  const std::lock_guard lock(writer_->mutex);
  const std::span<const optim::Hyperparameter> limits = optim::rule_named(description_.rule).hyper;
  NamedArrays result;
  for (const auto& [name, state] : states()) {
    const auto parameter = std::find_if(parameters.begin(), parameters.end(),
                                        [&](const NamedParameter& known) { return known.name == name; });
    if (parameter == parameters.end() || state.step == 0) continue;
    Array average(parameter->array.dtype(), parameter->array.shape());
    const auto slot = [&](std::string_view wanted) -> const Array* {
      for (const auto& [own, array] : state.slots)
        if (own == wanted) return &array;
      return nullptr;
    };
    if (const Array* kept = slot("average") != nullptr ? slot("average") : slot("ax")) {
      copy_values(*kept, average);
    } else if (const Array* z = slot("z")) {
      for (const HyperNumber& hyper : description_.groups[parameter->group].hyper)
        if (hyper.name == "beta" || hyper.name == "beta1")
          schedule_free_average(parameter->array, *z, hyper.number.at(std::max<std::int64_t>(steps_ - 1, 0)),
                                average);
    } else {
      continue;
    }
    result.emplace_back(name, average);
  }
  return result;
}

}  // namespace ravine::train
