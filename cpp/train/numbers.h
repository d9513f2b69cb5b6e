// The numbers of a description: all of them, and what they are in a step.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/error.h"
#include "train/state.h"

namespace ravine::train {

// In a step. ValueError, which names the owner and the user's label, for what is not allowed.
double number_at(const std::string& owner, const HyperNumber& hyper,
                 std::span<const optim::Hyperparameter> limits, std::int64_t step);
double number_at(const std::string& owner, const Stage& stage, std::size_t index, std::int64_t step);

// The length of a stage's memory stands in its first number.
void check_history(const std::string& owner, const Stage& stage);

// Errors of the rule in the name of the optimizer that the user knows.
template <class Function>
void naming(const std::string& owner, Function function) {
  try {
    function();
  } catch (const ValueError& error) {
    const std::string text = error.what();
    fail<ValueError>(owner, text.substr(std::min(text.find(':'), text.size())));
  }
}

template <class Visit>
void for_each_number(const Description& description, Visit visit) {
  for (const Description::Group& group : description.groups)
    for (const HyperNumber& hyper : group.hyper) visit(hyper.number);
  for (const Stage& stage : description.stages)
    for (const Number& number : stage.numbers) visit(number);
  if (description.average != nullptr) visit(Number(description.average));
  if (description.slow != nullptr) visit(Number(description.slow));
}

}  // namespace ravine::train
