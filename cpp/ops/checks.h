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
// ValueError naming `what` and both shapes, and that of input 0.
void expect_shape(const Node& node, int input, const Shape& expected, const char* what);

// The attribute eps of a normalisation, 1e-5 where it is missing: finite and not negative, else ValueError.
double normalize_eps(Node& node);
double eps_of(const Node& node);

}  // namespace ravine
