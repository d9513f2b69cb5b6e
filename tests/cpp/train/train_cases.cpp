// A training program without Python: reads optimizers as text, trains with each, and prints the bits of the
// weights, of all state and of the averages. A test of the Python package trains with the same and compares.
// A line is a case, in which a VALUE is a number or `schedule FORMULA COUNT NUMBERS...`:
//   name dtype rule {hyper NAME VALUE | stage NAME COUNT (NUMBER VALUE)... | average VALUE | slow VALUE}
// The loss is the sum of p (p + x) for each parameter p and an input x.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "graph/autodiff.h"
#include "graph/program.h"
#include "graph/random_state.h"
#include "ops/builders.h"
#include "rules/op_table.h"
#include "train/state.h"

namespace ravine {
namespace {

constexpr int n_steps = 6;
constexpr std::uint64_t seed = 7;

double number(std::istream& in) {
  std::string text;
  in >> text;
  return std::strtod(text.c_str(), nullptr);
}

train::Number value(std::istream& in) {
  std::string formula;
  in >> formula;
  if (formula != "schedule") return std::strtod(formula.c_str(), nullptr);
  int count = 0;
  in >> formula >> count;
  std::vector<double> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(number(in));
  return train::Number(train::make_schedule(formula, std::move(numbers)));
}

train::Stage stage(std::istream& in) {
  std::string name, of;
  int count = 0;
  in >> name >> count;
  std::vector<std::pair<std::string, train::Number>> numbers;
  for (int i = 0; i < count; ++i) {
    in >> of;
    numbers.emplace_back(of, value(in));
  }
  return train::make_stage(name, numbers);
}

// Numbers that both languages make without rounding.
template <class T>
void fill(const Array& array, int turn, int parameter) {
  for (std::int64_t i = 0; i < array.size(); ++i)
    array.as<T>()[i] = static_cast<T>((i * 37 + turn * 101 + parameter * 13) % 64 - 31) / T{16};
}

void fill(const Array& array, int turn, int parameter) {
  if (array.dtype() == DType::float32) fill<float>(array, turn, parameter);
  else fill<double>(array, turn, parameter);
}

void print(const std::string& name, const Array& array) {
  std::cout << name << " ";
  for (std::size_t i = 0; i < array.bytes(); ++i)
    std::printf("%02x", static_cast<unsigned>(std::to_integer<unsigned char>(array.data()[i])));
  std::cout << "\n";
}

void run_case(const std::string& line) {
  std::istringstream in(line);
  std::string name, dtype_name, word, of;
  train::Description description;
  in >> name >> dtype_name >> description.rule;
  description.owner = name;
  description.groups.emplace_back();
  auto& hyper = description.groups[0].hyper;
  while (in >> word) {
    if (word == "hyper") {
      in >> of;
      hyper.push_back({of, of, value(in)});
    } else if (word == "stage") {
      description.stages.push_back(stage(in));
    } else if (word == "average") {
      description.average = value(in).schedule;
    } else {
      check<ValueError>(word == "slow", "train_cases: unknown word ", word);
      description.slow = value(in).schedule;
    }
  }
  const auto state = std::make_shared<train::TrainState>(description);
  const DType dtype = parse_dtype(dtype_name);

  std::vector<train::NamedParameter> parameters;
  std::vector<Array> inputs;
  for (const Shape& shape : {Shape{7, 5}, Shape{33}, Shape{}}) {
    const int position = static_cast<int>(parameters.size());
    parameters.push_back({str("p", position), Array(dtype, shape)});
    inputs.emplace_back(dtype, shape);
    fill(parameters.back().array, -1, position);
  }
  state->random()->seed = seed;
  std::vector<const void*> pointers;
  for (const Array& input : inputs) pointers.push_back(input.data());

  std::vector<std::pair<train::TrainState::Phase, std::unique_ptr<Program>>> programs;
  const auto program = [&]() -> Program& {
    for (const auto& [phase, made] : programs)
      if (phase == state->phase()) return *made;
    Graph graph(op_table());
    Values slopes, weights;
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      slopes.push_back(graph.input({dtype, inputs[i].shape()}));
      weights.push_back(graph.state(parameters[i].array));
    }
    const auto loss_at = [&](const Values& at) {
      const auto term = [&](std::size_t i) { return ops::sum(at[i] * (at[i] + slopes[i])); };
      Value loss = term(0);
      for (std::size_t i = 1; i < at.size(); ++i) loss = loss + term(i);
      return loss;
    };
    const Value loss = loss_at(weights);
    const Values gradients_here = gradients(loss, weights);
    state->bind(parameters);
    graph.guard(loss);
    // A loss that is no mean counts by the examples of its batch, the rows of its first array.
    const Value examples = graph.scalar(static_cast<double>(inputs[0].shape()[0]), DType::float64);
    const auto gradients_at = [&](const Values& at) { return gradients(loss_at(at), at); };
    state->update(graph, state->prepare(graph, gradients_here, gradients_at, examples));
    CompileOptions options;
    options.random = state->random();
    programs.emplace_back(state->phase(), compile(graph, {}, options));
    return *programs.back().second;
  };
  for (int turn = 0; turn < n_steps; ++turn) {
    for (std::size_t i = 0; i < inputs.size(); ++i) fill(inputs[i], turn, static_cast<int>(i));
    program().run(pointers, {});
  }
  std::cout << name << "\n";
  for (const train::NamedParameter& parameter : parameters) print(parameter.name, parameter.array);
  for (const auto& [key, array] : state->state_dict()) print(key, array);
  if (state->keeps_average())
    for (const auto& [key, array] : state->averages(parameters)) print("average." + key, array);
  std::cout << "\n";
}

}  // namespace
}  // namespace ravine

int main() {
  std::ios::sync_with_stdio(true);
  for (std::string line; std::getline(std::cin, line);) ravine::run_case(line);
}
