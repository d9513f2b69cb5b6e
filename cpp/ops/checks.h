// What every operation's infer() checks first.
#pragma once

#include <string>

#include "core/error.h"
#include "graph/graph.h"

namespace ravine {

// "float32 (64, 10), float32 (5,)": the inputs, for messages.
std::string describe_inputs(const Node& node);

void expect_inputs(const Node& node, int count);  // TypeError with the number found
void expect_inputs(const Node& node, int least, int most);
void expect_floating(const Node& node, int input);  // TypeError naming the dtype
void expect_index(const Node& node, int input);     // int32 or int64
// TypeError where inputs first, first + 1, ... are not of one dtype.
void expect_one_dtype(const Node& node, int first = 0);

}  // namespace ravine
