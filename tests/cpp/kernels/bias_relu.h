// The epilogues that tests of products and convolutions share.
#pragma once

#include "kernel_test.h"

namespace ravine::testing {

using kernels::TileOp;
using kernels::TileProgram;

// x + bias, + residual where there is one, rectified or not, of rows at to_stride, as the residual's.
template <class T>
TileProgram sum_epilogue(const KernelTable& table, std::int64_t rows, std::int64_t columns, const T* bias,
                         const T* residual, bool rectified, T* to, std::int64_t to_stride) {
  TileProgram program;
  program.rank = 2;
  program.extents[0] = rows;
  program.extents[1] = columns;
  const auto add_input = [&](const T* data, std::int64_t row_stride) {
    kernels::TileTensor& input = program.inputs[program.n_inputs++];
    input.data = const_cast<T*>(data);
    input.dtype = dtype_of<T>;
    input.strides[0] = row_stride;
    input.strides[1] = 1;
  };
  add_input(nullptr, to_stride);
  add_input(bias, 0);
  if (residual != nullptr) add_input(residual, to_stride);
  std::int16_t last = 0;
  const auto add_step = [&](TileOp op, std::int16_t operand) {
    kernels::TileStep& step = program.steps[program.n_steps++];
    step.op = op;
    step.dtype = step.result_dtype = dtype_of<T>;
    step.function = table.tile_function(op, dtype_of<T>, dtype_of<T>);
    step.operands[0] = last;
    step.operands[1] = operand;
    last = static_cast<std::int16_t>(program.n_inputs + program.n_steps - 1);
  };
  add_step(TileOp::add, 1);
  if (residual != nullptr) add_step(TileOp::add, 2);
  if (rectified) add_step(TileOp::relu, -1);
  program.n_outputs = 1;
  program.outputs[0].value = last;
  program.outputs[0].tensor.data = to;
  program.outputs[0].tensor.dtype = dtype_of<T>;
  program.outputs[0].tensor.strides[0] = to_stride;
  program.outputs[0].tensor.strides[1] = 1;
  return program;
}

// max(x + bias, 0)
template <class T>
TileProgram bias_relu(const KernelTable& table, std::int64_t rows, std::int64_t columns, const T* bias, T* to,
                      std::int64_t to_stride) {
  return sum_epilogue<T>(table, rows, columns, bias, nullptr, true, to, to_stride);
}

}  // namespace ravine::testing
