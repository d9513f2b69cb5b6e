// What happens to gradients before the rule of an optimizer: clipping, noise, accumulation, another place to
// take them at. A new stage is a row in stages.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/array.h"
#include "graph/graph.h"
#include "optim/clipping.h"
#include "train/schedule.h"

namespace ravine::train {

// Records the gradients of the same loss at other values of the parameters.
using GradientsAt = std::function<Values(const Values& parameters)>;

// One recording of a stage.
struct StageScope {
  Graph& graph;
  const GradientsAt& gradients_at;
  std::span<const Array> parameters;
  std::span<const Array> numbers;              // scalars of float64, as the run finds them
  std::span<const std::vector<Array>> slots;   // [slot][parameter]
  std::span<const std::vector<Array>> memory;  // [entry][age]
  std::string_view owner;                      // for messages
  bool begins, updates;                        // whether this call begins a sum of gradients, and ends one
  Value call_weight;                           // of this call's gradients in such a sum, float64; none: the
                                               // call has no gradients, and ends the sum of those before
  const Array& gathered_weight;                // of the calls before
  std::function<void(const Values& gradients)> refuse_nonfinite;
  std::function<void(const Array& state, Value value)> assign;  // behind what may refuse the step

  Value number(std::size_t i) const { return graph.state(numbers[i]); }
  Value weight(std::size_t i) const { return graph.state(parameters[i]); }
};

struct StageKind {
  struct Number {
    const char* name;
    bool positive;     // above 0; else at least 0
    bool any = false;  // also below 0
  };

  // What a stage remembers of all parameters together: see StageMemory.
  struct Memory {
    const char* name;
    bool is_number = false;             // else a vector of all parameters
    bool history = false;               // of so many steps as the first number says, the newest first
    bool begins_as_parameters = false;  // else as 0
  };

  const char* name;
  std::vector<Number> numbers = {};     // they change without recording again, except the length of a history
  std::vector<const char*> slots = {};  // one array like each parameter, while gradients are gathered
  std::vector<Memory> memory = {};
  // The gradients behind the stage; none, and the update does not take place in this call.
  Values (*record)(StageScope& scope, Values gradients);
  // The bound that the rule's kernel applies by itself to the gradients that it reads, if nothing but such
  // stages follows, in the order of the table.
  double optim::Clipping::*fused = nullptr;
  bool draws = false;  // random numbers
  bool gathers = false;
  bool refuses = false;
  bool looks_elsewhere = false;  // needs StageScope::gradients_at
  bool takes_rows = false;       // does to the rows of a sparse gradient what it does to the whole
};
std::span<const StageKind> all_stages();
const StageKind& stage_named(std::string_view name);  // KeyError

// A stage as a value.
struct Stage {
  const StageKind* kind;
  std::vector<Number> numbers;  // in the order of the kind's
  std::string label;            // for messages
};
// Numbers by name. KeyError on an unknown name, ValueError for missing numbers.
Stage make_stage(std::string_view name, const std::vector<std::pair<std::string, Number>>& numbers);

}  // namespace ravine::train
