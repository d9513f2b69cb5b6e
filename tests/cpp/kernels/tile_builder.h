// Writes tile programs for tests, a line for each input, step and output.
#pragma once

#include <initializer_list>
#include <span>

#include "kernels/kernel_test.h"

namespace ravine::testing {

using kernels::TileOp;
using kernels::TileProgram;

class TileBuilder {
 public:
  TileBuilder(const KernelTable& table, std::initializer_list<std::int64_t> extents)
      : TileBuilder(table, std::span(extents.begin(), extents.size())) {}
  TileBuilder(const KernelTable& table, std::span<const std::int64_t> extents) : table_(table) {
    program_.rank = static_cast<int>(extents.size());
    for (std::size_t d = 0; d < extents.size(); ++d) program_.extents[d] = extents[d];
  }

  // Inputs come before steps. Without strides the tensor is dense in row-major order.
  template <class T>
  std::int16_t input(const T* data, std::initializer_list<std::int64_t> strides) {
    return input(data, std::span(strides.begin(), strides.size()));
  }
  template <class T>
  std::int16_t input(const T* data, std::span<const std::int64_t> strides) {
    fill(program_.inputs[program_.n_inputs], data, strides);
    return static_cast<std::int16_t>(program_.n_inputs++);
  }
  template <class T>
  std::int16_t input(const Buffer<T>& buffer) {
    return input(buffer.data(), dense());
  }

  kernels::TileStep& step(TileOp op, DType dtype, DType result_dtype,
                          std::initializer_list<std::int16_t> operands) {
    kernels::TileStep& step = program_.steps[program_.n_steps++];
    step.op = op;
    step.dtype = dtype;
    step.result_dtype = result_dtype;
    step.function = table_.tile_function(op, dtype, result_dtype);
    EXPECT_NE(step.function, nullptr) << kernels::name_of(op) << " of " << ravine::name_of(dtype);
    EXPECT_EQ(static_cast<int>(operands.size()), kernels::arity_of(op));
    int k = 0;
    for (const std::int16_t operand : operands) step.operands[k++] = operand;
    return step;
  }
  // The value number of the result.
  std::int16_t apply(TileOp op, DType dtype, std::initializer_list<std::int16_t> operands, double first = 0,
                     double second = 0) {
    kernels::TileStep& added = step(op, dtype, dtype, operands);
    added.params[0] = first;
    added.params[1] = second;
    return last();
  }
  std::int16_t last() const { return static_cast<std::int16_t>(program_.n_inputs + program_.n_steps - 1); }

  template <class T>
  void output(std::int16_t value, T* data, std::span<const std::int64_t> strides) {
    kernels::TileOutput& output = program_.outputs[program_.n_outputs++];
    output.value = value;
    fill(output.tensor, data, strides);
  }
  template <class T>
  void output(std::int16_t value, T* data, std::initializer_list<std::int64_t> strides) {
    output(value, data, std::span(strides.begin(), strides.size()));
  }
  template <class T>
  void output(std::int16_t value, Buffer<T>& buffer) {
    output(value, buffer.data(), dense());
  }

  const TileProgram& program() const { return program_; }
  // No call of the program reads the outputs again.
  void set_unread() {
    for (int o = 0; o < program_.n_outputs; ++o) program_.outputs[o].unread = true;
  }

 private:
  std::span<const std::int64_t> dense() {
    std::int64_t stride = 1;
    for (int d = program_.rank - 1; d >= 0; --d) {
      dense_[d] = stride;
      stride *= program_.extents[d];
    }
    return {dense_, static_cast<std::size_t>(program_.rank)};
  }
  template <class T>
  void fill(kernels::TileTensor& tensor, const T* data, std::span<const std::int64_t> strides) {
    tensor.data = const_cast<T*>(data);
    tensor.dtype = dtype_of<T>;
    EXPECT_EQ(static_cast<int>(strides.size()), program_.rank);
    for (std::size_t d = 0; d < strides.size(); ++d) tensor.strides[d] = strides[d];
  }

  const KernelTable& table_;
  TileProgram program_;
  std::int64_t dense_[max_rank] = {};
};

}  // namespace ravine::testing
