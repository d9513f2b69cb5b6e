// What the files of recurrent layers share: a layer's node and that of its gradient, read.
#pragma once

#include "graph/graph.h"
#include "kernels/api/sequence.h"

namespace ravine {

// What a node computes, as its inputs and attributes say.
//
// Inputs: gates [T, N, G H], weight [G H, K] and, if an attribute of this name is set, bias [3 H] (gru),
// projection [K, H] (lstm), initial [N, K] (lstm: and initial cell [N, H]), lengths int64 [N]. K is H without
// a projection.
struct RecurrentLayer {
  kernels::RecurrentCell cell;
  bool reverse;
  Value gates, weight, bias, projection, initial, initial_cell, lengths;
  std::int64_t steps, batch, hidden, size;  // size: of the state h
  int n_inputs;                             // of these; a gradient has others behind them

  explicit RecurrentLayer(const Node& node);

  bool has_cell_state() const { return cell == kernels::RecurrentCell::lstm; }
  std::int64_t n_gates() const { return kernels::gates_of(cell); }
  Graph& graph() const { return gates.graph(); }
  TensorType floats(const Shape& shape) const { return {gates.dtype(), shape}; }
  TensorType states() const { return floats({batch, size}); }
  TensorType cell_states() const { return floats({batch, hidden}); }
  TensorType over_steps(std::int64_t columns) const { return floats({steps, batch, columns}); }

  // Outputs: h after every step [T, N, K], after the last [N, K], lstm: c after the last [N, H]; then the
  // history that the gradient reads, unless the attribute says that none is kept: activations [T, N, 4 H],
  // lstm: c after every step, and o tanh(c) if it is projected.
  static constexpr int output_index = 0, last_index = 1, last_cell_index = 2;
  int n_results() const { return has_cell_state() ? 3 : 2; }
  int activations_index() const { return n_results(); }
  int cells_index() const { return n_results() + 1; }
  int unprojected_index() const { return n_results() + 2; }
};

// The inputs of a gradient's node behind those of the layer: what the layer gave and kept, and the gradients
// by its results, if there are any.
//
// Outputs of that node: the gradients by the gates [T, N, G H]; gru: by W h + b, likewise; with a projection:
// by h at every step; with an initial state: by it, lstm: by its cell state, and by W h of every row's first
// step [N, G H].
struct RecurrentGradInputs {
  Value output, activations, cells, grad_output, grad_last, grad_last_cell;

  RecurrentGradInputs(const Node& node, const RecurrentLayer& layer);
};

// As primitives, step by step.
Values decompose_recurrence(const Node& node);
Values decompose_recurrence_grad(const Node& node);

}  // namespace ravine
