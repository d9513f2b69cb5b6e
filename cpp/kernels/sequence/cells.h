// The cells: what a row of a tile makes of its gates, and their gradients. Each formula is written once, on
// vectors; `n` counts the lanes of a tail. Forward in two passes over a tile, the gates first: what they give
// to the state is a long chain of dependent operations, of which several run side by side then.
#pragma once

#include "kernels/api/sequence.h"
#include "kernels/base/vector_loop.h"
#include "kernels/sequence/product.h"
#include "simd/math.h"
#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

// ---- one row at one step, from its first column on

template <class T>
struct ForwardRow {
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
RAVINE_INLINE Vec<T> grad_state(const BackwardRow<T>& row, const T* product, std::int64_t j, N n) {
  const Vec<T> later = load(product);
  return row.grad_output == nullptr ? later : later + load(row.grad_output + j, n);
}

// ---- cells

template <class T, bool relu>
struct PlainCell {
  template <class N>
  RAVINE_INLINE static void gates(const ForwardRow<T>& row, T* product, std::int64_t, std::int64_t j, N n) {
    const Vec<T> x = load(row.gates + j, n) + load(product);
    if constexpr (relu) store(row.output + j, maximum(x, Vec<T>{}), n);
    else store(row.output + j, tanh<T>(x), n);
  }
  template <class N>
  RAVINE_INLINE static void state(const ForwardRow<T>&, const T*, std::int64_t, std::int64_t, N) {
  }  // it is the gate
  template <class N>
  RAVINE_INLINE static void backward(const BackwardRow<T>& row, const T* product, std::int64_t,
                                     std::int64_t j, N n) {
    const Vec<T> dh = grad_state(row, product, j, n), h = load(row.output + j, n);
    if constexpr (relu) store(row.grad_gates + j, h > T(0) ? dh : Vec<T>{}, n);
    else store(row.grad_gates + j, dh * grad_of_tanh<T>(h), n);
  }
};

template <class T>
struct GruCell {
  template <class N>
  RAVINE_INLINE static void gates(const ForwardRow<T>& row, T* product, std::int64_t stride, std::int64_t j,
                                  N n) {
    const auto of_state = [&](int gate) RAVINE_INLINE_LAMBDA {
      const Vec<T> sum = load(product + gate * ProductTile<T>::gate_stride);
      return row.bias == nullptr ? sum : sum + load(row.bias + gate * stride + j, n);
    };
    for (int gate = 0; gate < 2; ++gate)
      store(product + gate * ProductTile<T>::gate_stride,
            sigmoid<T>(load(row.gates + gate * stride + j, n) + of_state(gate)));
    store(product + 2 * ProductTile<T>::gate_stride, of_state(2));
  }
  template <class N>
  RAVINE_INLINE static void state(const ForwardRow<T>& row, const T* product, std::int64_t stride,
                                  std::int64_t j, N n) {
    const Vec<T> r = load(product), z = load(product + ProductTile<T>::gate_stride),
                 of_state = load(product + 2 * ProductTile<T>::gate_stride);
    const Vec<T> fresh = tanh<T>(load(row.gates + 2 * stride + j, n) + r * of_state);
    store(row.output + j, fresh + z * (load(row.before + j, n) - fresh), n);
    if (row.activations == nullptr) return;
    T* const kept = row.activations + j;
    store(kept, r, n);
    store(kept + stride, z, n);
    store(kept + 2 * stride, fresh, n);
    store(kept + 3 * stride, of_state, n);
  }
  template <class N>
  RAVINE_INLINE static void backward(const BackwardRow<T>& row, const T* product, std::int64_t stride,
                                     std::int64_t j, N n) {
    const auto kept = [&](int which)
                          RAVINE_INLINE_LAMBDA { return load(row.activations + which * stride + j, n); };
    const Vec<T> r = kept(0), z = kept(1), fresh = kept(2), of_state = kept(3);
    Vec<T> dh = grad_state(row, product, j, n);
    if (row.carried != nullptr) dh += load(row.carried + j, n);
    const Vec<T> d_fresh = dh * (T(1) - z) * grad_of_tanh<T>(fresh);
    const Vec<T> d_z = dh * (load(row.before + j, n) - fresh) * grad_of_sigmoid<T>(z);
    const Vec<T> d_r = d_fresh * of_state * grad_of_sigmoid<T>(r);
    store(row.carry + j, dh * z, n);
    for (T* to : {row.grad_gates + j, row.grad_recurrent + j}) {
      store(to, d_r, n);
      store(to + stride, d_z, n);
    }
    store(row.grad_gates + 2 * stride + j, d_fresh, n);
    store(row.grad_recurrent + 2 * stride + j, d_fresh * r, n);
  }
};

template <class T>
struct LstmCell {
  template <class N>
  RAVINE_INLINE static void gates(const ForwardRow<T>& row, T* product, std::int64_t stride, std::int64_t j,
                                  N n) {
    const auto sum = [&](int gate) RAVINE_INLINE_LAMBDA {
      return load(row.gates + gate * stride + j, n) + load(product + gate * ProductTile<T>::gate_stride);
    };
    const Vec<T> i = sigmoid<T>(sum(0)), f = sigmoid<T>(sum(1)), g = tanh<T>(sum(2)), o = sigmoid<T>(sum(3));
    store(product, i);
    store(product + ProductTile<T>::gate_stride, f);
    store(product + 2 * ProductTile<T>::gate_stride, g);
    store(product + 3 * ProductTile<T>::gate_stride, o);
    if (row.activations == nullptr) return;
    T* const kept = row.activations + j;
    store(kept, i, n);
    store(kept + stride, f, n);
    store(kept + 2 * stride, g, n);
    store(kept + 3 * stride, o, n);
  }
  template <class N>
  RAVINE_INLINE static void state(const ForwardRow<T>& row, const T* product, std::int64_t, std::int64_t j,
                                  N n) {
    const auto gate = [&](int which) RAVINE_INLINE_LAMBDA {
      return load(product + which * ProductTile<T>::gate_stride);
    };
    const Vec<T> c = gate(1) * load(row.cell_before + j, n) + gate(0) * gate(2);
    store(row.cell + j, c, n);
    store(row.output + j, gate(3) * tanh<T>(c), n);
  }
  template <class N>
  RAVINE_INLINE static void backward(const BackwardRow<T>& row, const T* product, std::int64_t stride,
                                     std::int64_t j, N n) {
    const auto kept = [&](int which)
                          RAVINE_INLINE_LAMBDA { return load(row.activations + which * stride + j, n); };
    const Vec<T> i = kept(0), f = kept(1), g = kept(2), o = kept(3);
    const Vec<T> dh = grad_state(row, product, j, n), squashed = tanh<T>(load(row.cell + j, n));
    Vec<T> dc = dh * o * grad_of_tanh<T>(squashed);
    if (row.carried != nullptr) dc += load(row.carried + j, n);
    store(row.carry + j, dc * f, n);
    T* const to = row.grad_gates + j;
    store(to, dc * g * grad_of_sigmoid<T>(i), n);
    store(to + stride, dc * load(row.cell_before + j, n) * grad_of_sigmoid<T>(f), n);
    store(to + 2 * stride, dc * i * grad_of_tanh<T>(g), n);
    store(to + 3 * stride, dh * squashed * grad_of_sigmoid<T>(o), n);
  }
};

// ---- the rows of a tile; code of its own for every cell is here alone

// The rows of a tile at a panel of `columns` columns, and their products.
template <class T, class Row, class Product>
struct CellTile {
  const Row* rows;
  std::int64_t height, first_column, columns;
  Product* products;    // rows of panel_columns
  std::int64_t stride;  // from gate to gate of a row

  // f(row, its products, column, n) for every row and every vector. The row is a copy, which the compiler
  // keeps in registers: for all it knows, stores might change the tile's.
  template <class F>
  RAVINE_INLINE void for_each(F f) const {
    for (std::int64_t i = 0; i < height; ++i) {
      const Row row = rows[i];
      Product* const of_row = products + i * panel_columns<T>;
      for_each_vector<T>(columns, [&](std::int64_t l, auto n)
                                      RAVINE_INLINE_LAMBDA { f(row, of_row + l, first_column + l, n); });
    }
  }
};
template <class T>
using ForwardTile = CellTile<T, ForwardRow<T>, T>;
template <class T>
using BackwardTile = CellTile<T, BackwardRow<T>, const T>;

template <class T, class Cell>
void apply_forward(const ForwardTile<T>& tile) {
  const std::int64_t stride = tile.stride;
  tile.for_each([&](const auto& row, T* product, std::int64_t j, auto n)
                    RAVINE_INLINE_LAMBDA { Cell::gates(row, product, stride, j, n); });
  tile.for_each([&](const auto& row, const T* product, std::int64_t j, auto n)
                    RAVINE_INLINE_LAMBDA { Cell::state(row, product, stride, j, n); });
}
template <class T, class Cell>
void apply_backward(const BackwardTile<T>& tile) {
  const std::int64_t stride = tile.stride;
  tile.for_each([&](const auto& row, const T* product, std::int64_t j, auto n)
                    RAVINE_INLINE_LAMBDA { Cell::backward(row, product, stride, j, n); });
}

template <class T>
using ForwardCell = void (*)(const ForwardTile<T>& tile);
template <class T>
using BackwardCell = void (*)(const BackwardTile<T>& tile);

template <class T>
ForwardCell<T> forward_cell(RecurrentCell cell) {
  switch (cell) {
    case RecurrentCell::tanh:
      return apply_forward<T, PlainCell<T, false>>;
    case RecurrentCell::relu:
      return apply_forward<T, PlainCell<T, true>>;
    case RecurrentCell::gru:
      return apply_forward<T, GruCell<T>>;
    case RecurrentCell::lstm:
      return apply_forward<T, LstmCell<T>>;
  }
  return nullptr;
}
template <class T>
BackwardCell<T> backward_cell(RecurrentCell cell) {
  switch (cell) {
    case RecurrentCell::tanh:
      return apply_backward<T, PlainCell<T, false>>;
    case RecurrentCell::relu:
      return apply_backward<T, PlainCell<T, true>>;
    case RecurrentCell::gru:
      return apply_backward<T, GruCell<T>>;
    case RecurrentCell::lstm:
      return apply_backward<T, LstmCell<T>>;
  }
  return nullptr;
}

}  // namespace ravine::kernels::RAVINE_ISA
