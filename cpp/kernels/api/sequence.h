// Recurrent layers over a whole sequence, one direction of one layer a call.
//
// What the inputs x contribute to the gates is one product over all steps, made before: `gates` below. A step
// adds what the state h of the step before contributes and applies the cell:
//
//   tanh, relu   h' = f(x + W h)
//   gru          r = s(x_r + W_r h + b_r), z = s(x_z + W_z h + b_z), n = tanh(x_n + r (W_n h + b_n)),
//                h' = (1 - z) n + z h
//   lstm         i, f, o = s(x + W h), g = tanh(x_g + W_g h), c' = f c + i g, h' = o tanh(c'), or that
//                times a projection
//
// The gates' order is that of these letters: r z n, i f g o.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/api/fault.h"

namespace ravine::kernels {

enum class RecurrentCell : std::uint8_t { tanh, relu, gru, lstm };

[[gnu::always_inline]] constexpr std::int64_t gates_of(RecurrentCell cell) {
  return cell == RecurrentCell::lstm ? 4 : cell == RecurrentCell::gru ? 3 : 1;
}

// What both directions know. A row of the batch with a length n takes steps 0 .. n - 1, in this order or,
// reversed, from n - 1 to 0. Past its length every result and every gradient is 0.
struct RecurrenceShape {
  RecurrentCell cell = RecurrentCell::tanh;
  bool reverse = false;
  std::int64_t steps = 0, batch = 0, hidden = 0;  // any may be 0
  std::int64_t projected = 0;                     // lstm: the size of h where it is projected, else 0
  const void* weight = nullptr;                   // [gates * hidden, state_size()]
  const void* projection = nullptr;               // [projected, hidden]
  const void* initial = nullptr;                  // h before the first step [batch, state_size()]; null: 0
  const void* initial_cell = nullptr;             // lstm: c [batch, hidden]; null: 0
  const std::int64_t* lengths = nullptr;          // [batch], 0 .. steps; null: all `steps`

  std::int64_t state_size() const { return projected > 0 ? projected : hidden; }
  [[gnu::always_inline]] std::int64_t gate_columns() const { return gates_of(cell) * hidden; }
};

struct RecurrenceArgs : RecurrenceShape {
  const void* gates = nullptr;  // [steps, batch, gates * hidden]
  const void* bias = nullptr;   // gru: [3 * hidden] or null
  void* output = nullptr;       // h after every step [steps, batch, state_size()]
  void* last = nullptr;         // h after a row's last step [batch, state_size()]
  void* last_cell = nullptr;    // lstm: c then [batch, hidden]
  // What the gradient needs besides; all null where there will be none.
  bool keeps_history = false;
  void* activations = nullptr;  // lstm: i f g o; gru: r z n and W_n h + b_n [steps, batch, 4 * hidden]
  void* cells = nullptr;        // lstm: c after every step [steps, batch, hidden]
  void* unprojected = nullptr;  // lstm with a projection: o tanh(c) [steps, batch, hidden]
  // A length outside of 0 .. steps is a fault; it counts as the nearer bound.
  Fault* fault = nullptr;
  std::int32_t fault_code = 0;
  void* workspace = nullptr;
};

// The gradients by the gates before their functions, from which everything else is a product over all steps.
struct RecurrenceGradArgs : RecurrenceShape {
  const void* output = nullptr;       // what the forward kernel made
  const void* activations = nullptr;  // and kept
  const void* cells = nullptr;
  const void* grad_output = nullptr;     // [steps, batch, state_size()]; null: 0
  const void* grad_last = nullptr;       // [batch, state_size()]; null: 0
  const void* grad_last_cell = nullptr;  // [batch, hidden]; null: 0
  void* grad_gates = nullptr;            // by the inputs' part [steps, batch, gates * hidden]
  void* grad_recurrent = nullptr;        // gru: by the state's part W h + b, which has another n
  void* grad_projected = nullptr;        // lstm with a projection: by h [steps, batch, projected]
  // Where there is an initial state: its gradients, and by W h of the rows' first steps.
  bool has_initial = false;
  void* grad_initial = nullptr;       // [batch, state_size()]
  void* grad_initial_cell = nullptr;  // lstm: [batch, hidden]
  void* grad_first = nullptr;         // [batch, gates * hidden]
  void* workspace = nullptr;
};

}  // namespace ravine::kernels
