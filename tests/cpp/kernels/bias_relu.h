// The epilogue that tests of products and convolutions share.
#pragma once

#include "kernel_test.h"

namespace ravine::testing {

using kernels::TileOp;
using kernels::TileProgram;

// max(x + bias, 0) of rows at to_stride, in place, as a product's or convolution's epilogue.
template <class T>
TileProgram bias_relu(const KernelTable& table, std::int64_t rows, std::int64_t columns, const T* bias, T* to,
                      std::int64_t to_stride) {
  TileProgram program;
  program.rank = 2;
  program.extents[0] = rows;
  program.extents[1] = columns;
  program.n_inputs = 2;
  program.inputs[0].dtype = program.inputs[1].dtype = dtype_of<T>;
  program.inputs[0].strides[0] = to_stride;
  program.inputs[0].strides[1] = 1;
  program.inputs[1].data = const_cast<T*>(bias);
  program.inputs[1].strides[1] = 1;
  program.n_steps = 2;
  const TileOp ops[] = {TileOp::add, TileOp::relu};
  for (int s = 0; s < 2; ++s) {
    program.steps[s].op = ops[s];
    program.steps[s].dtype = program.steps[s].result_dtype = dtype_of<T>;
    program.steps[s].function = table.tile_function(ops[s], dtype_of<T>, dtype_of<T>);
  }
  program.steps[0].operands[0] = 0;
  program.steps[0].operands[1] = 1;
  program.steps[1].operands[0] = 2;
  program.n_outputs = 1;
  program.outputs[0].value = 3;
  program.outputs[0].tensor.data = to;
  program.outputs[0].tensor.dtype = dtype_of<T>;
  program.outputs[0].tensor.strides[0] = to_stride;
  program.outputs[0].tensor.strides[1] = 1;
  return program;
}

}  // namespace ravine::testing
