// What the files of attention share: a node of it, or of its gradient, read.
#pragma once

#include "graph/graph.h"

namespace ravine {

// What a node computes, as its inputs and attributes say.
//
// Inputs: query [..., L, E], key [..., S, E], value [..., S, F], whose leading axes broadcast, and with the
// attribute "mask" a mask [..., L or 1, S], of booleans (true: the query sees the key) or added to the
// scores.
//
// Outputs: the output [..., L, F], the logarithms of the sums of exponentials [..., L] (infinity if a query
// sees no key) and, with dropout, the seed and the step of its random numbers int64 [2].
struct Attention {
  Value query, key, value, mask;
  double scale, dropout;
  bool causal;
  Shape batch;
  std::int64_t queries, keys, depth, columns;
  int n_inputs;  // of these; a gradient has others behind them

  explicit Attention(const Node& node);

  Graph& graph() const { return query.graph(); }
  Shape over_batch(std::initializer_list<std::int64_t> extents) const;
  TensorType floats(std::initializer_list<std::int64_t> extents) const {
    return {query.dtype(), over_batch(extents)};
  }
};

// The inputs of a gradient's node behind those of the layer. Its outputs are the gradients by query, key and
// value, each of every head of the broadcast batch.
struct AttentionGradInputs {
  Value output, log_sums, grad_output, drawn;

  AttentionGradInputs(const Node& node, const Attention& attention);
};

// As primitives, which make arrays of queries x keys.
Values decompose_attention(const Node& node);
Values decompose_attention_grad(const Node& node);
// The gradient by the mask, which has no kernel.
Value grad_of_additive_mask(const Node& node, Value grad_output);

}  // namespace ravine
