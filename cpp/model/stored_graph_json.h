// Graphs in JSON. A graph is {"scopes": [...], "nodes": [...], "outputs": [...], "assigned": [...],
// "streams": n}; a node is
//
//   ["input", dtype, shape, name]    ["state", state]    ["constant", tensor]    ["number", dtype, number]
//   ["quotient", dtype, scale, number, number]
//   [operation, scope, [input, ...], {attribute: value, ...}]
//
// where an operation is its place in the file's list of operations, an input a node (its output 0) or [node,
// output], and a whole number either a number or [constant, per_batch]. Attributes tell their types: true, 1,
// 1.5, "text" and [1, 2] are what they seem, {"batch": [c, p]} a whole number that depends on the batch,
// {"real": "inf"} a real one that JSON does not have, {"dtype": "float32"} a dtype.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/array.h"
#include "model/json_fields.h"
#include "model/stored_graph.h"

namespace ravine {

// What the graphs of a file share.
struct SharedByGraphs {
  std::vector<const Op*> operations;
  std::vector<Array> constants;
  std::size_t n_states = 0;
};

Json operations_to_json(const std::vector<const Op*>& operations);
// ValueError for operations that are unknown, or of another version.
std::vector<const Op*> operations_from_json(const Json& list);

// Adds operations and constants to the shared ones.
Json graph_to_json(const StoredGraph& graph, SharedByGraphs& shared);
// ValueError for whatever does not follow the form above, and nodes that read later ones.
StoredGraph graph_from_json(const Json& json, const SharedByGraphs& shared);

}  // namespace ravine
