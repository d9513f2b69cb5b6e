// A recorded graph without memory, as a file holds it. It serves batches of any size: the whole numbers of
// its nodes (extents, axes' lengths, scalars) are functions of the batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/array.h"
#include "graph/graph.h"

namespace ravine {

// constant + per_batch * batch
struct BatchNumber {
  std::int64_t constant = 0, per_batch = 0;

  std::int64_t at(std::int64_t batch) const;  // ValueError where it does not fit 64 bits
  bool operator==(const BatchNumber&) const = default;
};
using BatchNumbers = std::vector<BatchNumber>;
std::string to_string(const BatchNumbers& numbers);  // "(B, 10)", "(2 B + 1)"

// scale * (numerator / denominator), or the numerator alone where the others are 1.
struct Quotient {
  double scale = 1;
  BatchNumber numerator, denominator{.constant = 1, .per_batch = 0};

  bool is_whole() const { return scale == 1 && denominator == BatchNumber{1, 0}; }
  double at(std::int64_t batch) const;
};

struct StoredType {
  DType dtype = DType::float32;
  BatchNumbers shape;

  TensorType at(std::int64_t batch) const;
  bool operator==(const StoredType&) const = default;
};
std::string to_string(const StoredType& type);  // "float32 (B, 10)"

// An attribute: Attr, whose whole numbers may depend on the batch.
using StoredAttr = std::variant<bool, BatchNumber, double, std::string, BatchNumbers, DType>;

// Which batches a graph serves: any from `least` on, or the one that it was recorded for.
struct Batches {
  bool any = true;
  std::int64_t least = 1;
};

// Output `output` of node `node`.
struct StoredValue {
  std::size_t node = 0;
  int output = 0;
  bool operator==(const StoredValue&) const = default;
};

struct StoredNode {
  const Op* op = nullptr;           // input_op, state_op, constant_op, or of the operations that compute
  std::vector<StoredValue> inputs;  // of earlier nodes
  std::vector<std::pair<std::string, StoredAttr>> attrs;
  std::size_t scope = 0;  // in StoredGraph::scopes

  StoredType type;        // inputs, whose extents are constants or the batch; constants without an array
  std::string name;       // inputs
  std::size_t state = 0;  // states: in the list of states
  Array array;            // constants; none: the scalar `number`, which depends on the batch
  Quotient number;
};

struct StoredGraph {
  std::vector<StoredNode> nodes;
  std::vector<StoredValue> outputs;
  std::vector<StoredType> output_types;
  std::vector<std::pair<std::size_t, StoredValue>> assigned;  // states, and what they become
  std::vector<std::string> scopes{""};
  std::uint32_t streams = 0;  // of random numbers, that its nodes have

  std::vector<const StoredNode*> inputs() const;

  // The batch that inputs of these types are. ValueError, which begins with `what`, for other shapes, for
  // inputs of different batches and batches that are not served; TypeError for other dtypes.
  std::int64_t batch_of(const char* what, std::span<const TensorType> types, const Batches& batches) const;
  // New inputs of a graph, for a batch.
  Values inputs_in(Graph& graph, std::int64_t batch) const;
  // ValueError where the nodes do not fit each other.
  void expect_consistent(std::int64_t batch, const std::function<Value(Graph&, std::size_t)>& state_in) const;

  // Records the nodes for a batch. `inputs` are values of the graph that stand for the inputs, `state_at`
  // gives those of the states. ValueError, which names the node, for what an operation does not accept, and
  // where an output has not the stated type.
  struct Recorded {
    Values outputs;
    std::vector<std::pair<std::size_t, Value>> assigned;
  };
  Recorded record(Graph& graph, std::int64_t batch, std::span<const Value> inputs,
                  const std::function<Value(std::size_t)>& state_at) const;
};

// A recording for one batch. The outputs' and assignments' graph is one.
struct GraphSample {
  std::int64_t batch = 0;
  const Graph* graph = nullptr;
  Values outputs;
  std::vector<std::pair<Array, Value>> assigned;
  // Of constants whose numbers are known to be quotients: by the node's id, with numbers of this batch.
  struct KnownQuotient {
    double scale;
    std::int64_t numerator, denominator;
  };
  std::map<std::uint32_t, KnownQuotient> quotients;
};

// The graph of which all samples are instances; a single one makes a graph for its batch alone. `state_of`
// numbers the arrays of states. Nodes without influence are left out. ValueError, which names the module and
// the operation, where samples differ by more than whole numbers, or by numbers that are not
// constant + per_batch * batch.
StoredGraph fit_graph(std::span<const GraphSample> samples,
                      const std::function<std::size_t(const Array&)>& state_of);

}  // namespace ravine
