// The cells: what a row of a tile makes of its gates, and their gradients. Each formula is written once, on
// vectors; `n` counts the lanes of a tail.
#pragma once

#include "kernels/api/sequence.h"
#include "kernels/base/vector_loop.h"
#include "simd/math.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

// ---- one row at one step, from a panel's first column on

template <class T>
struct ForwardRow {
  const T* product;      // W h for every gate, product_stride apart
  const T* gates;        // the inputs' part, gate_stride apart, as are bias and activations
  const T* bias;         // or null
  const T* before;       // h of the step before
  const T* cell_before;  // c of the step before
  T* activations;        // or null
  T* cell;
  T* output;  // what the cell gives, before a projection
};

template <class T>
struct BackwardRow {
  const T* product;      // the gradient by h that later steps hand back
  const T* grad_output;  // or null
  const T* activations;
  const T* output;       // h of this step
  const T* before;       // h of the step before
  const T* cell;         // c of this step
  const T* cell_before;  // c of the step before
  const T* carried;      // what the cell of the step behind handed back itself
  T* carry;              // and this one does
  T* grad_gates;
  T* grad_recurrent;
};

// Where the gates of a row and of its products lie.
struct GateStrides {
  std::int64_t gate, product;
};

template <class T>
RAVINE_INLINE Vec<T> grad_of_sigmoid(Vec<T> y) {
  return y * (T(1) - y);
}
template <class T>
RAVINE_INLINE Vec<T> grad_of_tanh(Vec<T> y) {
  return T(1) - y * y;
}
// A lane's gradient by h: from later steps and from the output.
template <class T, class N>
RAVINE_INLINE Vec<T> grad_state(const BackwardRow<T>& row, std::int64_t j, N n) {
  const Vec<T> later = load(row.product + j);
  return row.grad_output == nullptr ? later : later + load(row.grad_output + j, n);
}

// ---- cells

template <class T, bool relu>
struct PlainCell {
  static constexpr bool has_cell_state = false;

  template <class N>
  RAVINE_INLINE static void forward(const ForwardRow<T>& row, GateStrides, std::int64_t j, N n) {
    const Vec<T> x = load(row.gates + j, n) + load(row.product + j);
    if constexpr (relu) store(row.output + j, maximum(x, Vec<T>{}), n);
    else store(row.output + j, tanh<T>(x), n);
  }
  template <class N>
  RAVINE_INLINE static void backward(const BackwardRow<T>& row, GateStrides, std::int64_t j, N n) {
    const Vec<T> dh = grad_state(row, j, n), h = load(row.output + j, n);
    if constexpr (relu) store(row.grad_gates + j, h > T(0) ? dh : Vec<T>{}, n);
    else store(row.grad_gates + j, dh * grad_of_tanh<T>(h), n);
  }
};

template <class T>
struct GruCell {
  static constexpr bool has_cell_state = false;

  template <class N>
  RAVINE_INLINE static void forward(const ForwardRow<T>& row, GateStrides strides, std::int64_t j, N n) {
    const auto x = [&](int gate)
                       RAVINE_INLINE_LAMBDA { return load(row.gates + gate * strides.gate + j, n); };
    const auto state = [&](int gate) RAVINE_INLINE_LAMBDA {
      const Vec<T> product = load(row.product + gate * strides.product + j);
      return row.bias == nullptr ? product : product + load(row.bias + gate * strides.gate + j, n);
    };
    const Vec<T> r = sigmoid<T>(x(0) + state(0)), z = sigmoid<T>(x(1) + state(1)), of_state = state(2);
    const Vec<T> fresh = tanh<T>(x(2) + r * of_state);
    store(row.output + j, fresh + z * (load(row.before + j, n) - fresh), n);
    if (row.activations == nullptr) return;
    T* const kept = row.activations + j;
    store(kept, r, n);
    store(kept + strides.gate, z, n);
    store(kept + 2 * strides.gate, fresh, n);
    store(kept + 3 * strides.gate, of_state, n);
  }
  template <class N>
  RAVINE_INLINE static void backward(const BackwardRow<T>& row, GateStrides strides, std::int64_t j, N n) {
    const auto kept = [&](int which) RAVINE_INLINE_LAMBDA {
      return load(row.activations + which * strides.gate + j, n);
    };
    const Vec<T> r = kept(0), z = kept(1), fresh = kept(2), of_state = kept(3);
    Vec<T> dh = grad_state(row, j, n);
    if (row.carried != nullptr) dh += load(row.carried + j, n);
    const Vec<T> d_fresh = dh * (T(1) - z) * grad_of_tanh<T>(fresh);
    const Vec<T> d_z = dh * (load(row.before + j, n) - fresh) * grad_of_sigmoid<T>(z);
    const Vec<T> d_r = d_fresh * of_state * grad_of_sigmoid<T>(r);
    store(row.carry + j, dh * z, n);
    for (T* to : {row.grad_gates + j, row.grad_recurrent + j}) {
      store(to, d_r, n);
      store(to + strides.gate, d_z, n);
    }
    store(row.grad_gates + 2 * strides.gate + j, d_fresh, n);
    store(row.grad_recurrent + 2 * strides.gate + j, d_fresh * r, n);
  }
};

template <class T>
struct LstmCell {
  static constexpr bool has_cell_state = true;

  template <class N>
  RAVINE_INLINE static void forward(const ForwardRow<T>& row, GateStrides strides, std::int64_t j, N n) {
    const auto sum = [&](int gate) RAVINE_INLINE_LAMBDA {
      return load(row.gates + gate * strides.gate + j, n) + load(row.product + gate * strides.product + j);
    };
    const Vec<T> i = sigmoid<T>(sum(0)), f = sigmoid<T>(sum(1)), g = tanh<T>(sum(2)), o = sigmoid<T>(sum(3));
    const Vec<T> c = f * load(row.cell_before + j, n) + i * g;
    store(row.cell + j, c, n);
    store(row.output + j, o * tanh<T>(c), n);
    if (row.activations == nullptr) return;
    T* const kept = row.activations + j;
    store(kept, i, n);
    store(kept + strides.gate, f, n);
    store(kept + 2 * strides.gate, g, n);
    store(kept + 3 * strides.gate, o, n);
  }
  template <class N>
  RAVINE_INLINE static void backward(const BackwardRow<T>& row, GateStrides strides, std::int64_t j, N n) {
    const auto kept = [&](int which) RAVINE_INLINE_LAMBDA {
      return load(row.activations + which * strides.gate + j, n);
    };
    const Vec<T> i = kept(0), f = kept(1), g = kept(2), o = kept(3);
    const Vec<T> dh = grad_state(row, j, n), squashed = tanh<T>(load(row.cell + j, n));
    Vec<T> dc = dh * o * grad_of_tanh<T>(squashed);
    if (row.carried != nullptr) dc += load(row.carried + j, n);
    store(row.carry + j, dc * f, n);
    T* const to = row.grad_gates + j;
    store(to, dc * g * grad_of_sigmoid<T>(i), n);
    store(to + strides.gate, dc * load(row.cell_before + j, n) * grad_of_sigmoid<T>(f), n);
    store(to + 2 * strides.gate, dc * i * grad_of_tanh<T>(g), n);
    store(to + 3 * strides.gate, dh * squashed * grad_of_sigmoid<T>(o), n);
  }
};

// f(cell) with the formulas of this one.
template <class T, class F>
RAVINE_INLINE void with_cell(RecurrentCell cell, F f) {
  switch (cell) {
    case RecurrentCell::tanh:
      return f(PlainCell<T, false>{});
    case RecurrentCell::relu:
      return f(PlainCell<T, true>{});
    case RecurrentCell::gru:
      return f(GruCell<T>{});
    case RecurrentCell::lstm:
      return f(LstmCell<T>{});
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
