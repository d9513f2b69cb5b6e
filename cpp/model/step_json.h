// What an exported training step has besides its graphs, in JSON: the optimizer of each model with its
// stages, schedules and numbers, and the parameters that it trains. Numbers are real, or a schedule:
//
//   {"formula": "cosine", "numbers": [0.1, 100, 0], "children": [...], "text": "Cosine(0.1, steps=100)"}
//   {"follower": number}    in the model's list of schedules that follow a metric
#pragma once

#include <cstddef>

#include "model/json_fields.h"
#include "model/loaded_step.h"
#include "model/stored_graph_json.h"

namespace ravine {

// ValueError for numbers that are functions of the host.
Json trained_to_json(const TrainedModel& trained, SharedByGraphs& shared);
// ValueError for whatever does not follow that form, and unknown rules, stages and formulas.
TrainedModel trained_from_json(const Json& json, const SharedByGraphs& shared);

}  // namespace ravine
