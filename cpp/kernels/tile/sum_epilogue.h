// Epilogues that are a sum: numbers of each column, as a convolution's bias or what BatchNorm leaves of
// itself, perhaps a tensor of the result's shape, as a residual, and perhaps ReLU. A kernel can add them
// while its results are still in registers.
#pragma once

#include <type_traits>

#include "kernels/api/tile.h"
#include "kernels/base/vector_loop.h"

namespace ravine::kernels::RAVINE_ISA {

template <class T>
struct SumEpilogue {
  const T* columns = nullptr;  // [columns]
  const T* whole = nullptr;    // as the output, or null
  T* output = nullptr;         // [rows, columns]
  T floor = 0;                 // what is less becomes this: ReLU's 0, or -infinity
};

// Whether a program is one whose rows are all `stride` elements apart, and not those of its columns' numbers.
template <class T>
bool is_sum(const TileProgram& program, std::int64_t stride, SumEpilogue<T>& sum) {
  constexpr DType dtype = std::is_same_v<T, double> ? DType::float64 : DType::float32;
  const int n_terms = program.n_inputs - 1;
  const bool rectified = program.n_steps > n_terms;
  if (n_terms < 1 || n_terms > 2 || program.n_steps > n_terms + 1 || program.n_outputs != 1) return false;
  if (program.inputs[0].dtype != dtype) return false;
  const TileOutput& output = program.outputs[0];
  const auto is_dense = [&](const TileTensor& tensor, std::int64_t rows) {
    return tensor.dtype == dtype && tensor.strides[0] == rows && tensor.strides[1] == 1;
  };
  if (output.value != program.n_inputs + program.n_steps - 1 || !is_dense(output.tensor, stride))
    return false;
  const T* terms[2] = {nullptr, nullptr};
  for (int s = 0; s < program.n_steps; ++s) {
    const TileStep& step = program.steps[s];
    const std::int16_t before = static_cast<std::int16_t>(s == 0 ? 0 : program.n_inputs + s - 1);
    if (step.dtype != dtype || step.result_dtype != dtype) return false;
    if (s == n_terms) {
      if (step.op != TileOp::relu || step.operands[0] != before) return false;
      continue;
    }
    if (step.op != TileOp::add) return false;
    const std::int16_t term = step.operands[step.operands[0] == before ? 1 : 0];
    if (step.operands[0] != before && step.operands[1] != before) return false;
    if (term < 1 || term >= program.n_inputs || !is_dense(program.inputs[term], s == 0 ? 0 : stride))
      return false;
    terms[s] = static_cast<const T*>(program.inputs[term].data);
  }
  sum.columns = terms[0];
  sum.whole = terms[1];
  sum.output = static_cast<T*>(output.tensor.data);
  sum.floor = rectified ? T(0) : -static_cast<T>(__builtin_inf());
  return true;
}

// The larger of two results, the first of equals; a NaN, the first of them: max-pooling before the sum, which
// keeps their order.
template <class V>
RAVINE_INLINE V larger_of(V a, V b) {
  return ~(b <= a) & (a == a) ? b : a;
}

// What becomes of a vector of results that belongs at `at` in the output, whose first column is `column`: the
// same bits as the program's steps one by one. A NaN stays.
template <class T>
struct AsComputed {
  template <class Count>
  RAVINE_INLINE Vec<T> operator()(Vec<T> value, const T*, std::int64_t, Count) const {
    return value;
  }
};
template <class T, bool with_whole>
struct Summed {
  const T *columns, *whole, *output;
  Vec<T> floor;

  explicit Summed(const SumEpilogue<T>& sum)
      : columns(sum.columns), whole(sum.whole), output(sum.output), floor(splat(sum.floor)) {}
  template <class Count>
  RAVINE_INLINE Vec<T> operator()(Vec<T> value, const T* at, std::int64_t column, Count n) const {
    value += load(columns + column, n);
    if constexpr (with_whole) value += load(whole + (at - output), n);
    return value < floor ? floor : value;
  }
};

}  // namespace ravine::kernels::RAVINE_ISA
