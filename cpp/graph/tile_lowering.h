// From a fused expression on views to the tile program that the kernels run.
#pragma once

#include <vector>

#include "graph/lowering.h"

namespace ravine {

// True where every step that reads input `input` comes before or with the step of output `output`: the output
// may then be written over the input.
bool overwrites(const TileExpression& expression, int input, std::size_t output);

struct TileCall {
  Lowering& lowering;
  const TileExpression& expression;
  std::vector<View> inputs{};   // shapes that broadcast to the outputs'
  std::vector<View> outputs{};  // one shape and order

  // A call of its own over the outputs, in their memory order.
  void emit(const char* kernel);

  // As an epilogue: two dimensions, the memory order of input 0 cut into rows and columns.
  void build_matrix(kernels::TileProgram& program, std::int64_t rows, std::int64_t columns) const;
  // Binds the pointers of an epilogue's program; its input 0 comes from the kernel.
  void bind(kernels::TileProgram& program, int call) const;

 private:
  void build_steps(kernels::TileProgram& program) const;
};

// Lowers a node of fused_op.
void lower_fused(Lowering& lowering, const Node& node);

}  // namespace ravine
