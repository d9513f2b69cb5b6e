// Elementwise programs: the one way in which Ravine fuses. A tile program is a short list of steps (add,
// relu, ...) that runs over an iteration space tile by tile; a tile's values stay in the L1 cache between
// steps. The same program runs on its own, or as the epilogue of a kernel that has just produced a block of
// its output.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/shape.h"
#include "core/team.h"

namespace ravine::kernels {

// ---- the list of elementwise operations
// Types: T is float32 or float64, A any arithmetic type (T, int32, int64, uint8), bool is one byte 0 or 1.
// A row is a name; its formula is in tile/formulas.h. params[] are constants of the step.

// clang-format off
#define RAVINE_UNARY_FLOAT_OPS(X) /* T -> T */                                                                     \
  X(exp) X(expm1) X(log) X(log1p) X(sqrt) X(rsqrt) X(reciprocal) X(sin) X(cos) X(atan) X(tanh) X(sigmoid) X(erf)   \
  X(softplus)   /* log(1 + e^x), stable */                                                                         \
  X(leaky_relu) /* params: slope for x < 0 */                                                                      \
  X(elu)        /* params: alpha, scale of the input */                                                            \
  X(gelu)       /* x Phi(x), by erf */                                                                             \
  X(gelu_tanh)  /* its tanh approximation */                                                                       \
  X(silu) X(mish) X(softsign) X(tanhshrink) X(hardswish) X(floor) X(ceil) X(round)
#define RAVINE_UNARY_ARITHMETIC_OPS(X) /* A -> A */ X(identity) X(neg) X(abs) X(sign) X(square) X(relu)
#define RAVINE_BINARY_FLOAT_OPS(X)     /* T, T -> T */ X(div)                                                       \
  X(gelu_grad) X(gelu_tanh_grad) X(silu_grad) X(mish_grad) X(hardswish_grad) /* (x, dy) -> dy f'(x) */             \
  X(tanh_grad) X(sigmoid_grad)                /* (y, dy) -> dy f'(x) from the output y */                          \
  X(elu_grad)                                 /* (x, dy), params as elu */                                         \
  X(softplus_grad)                            /* (x, dy) */
#define RAVINE_BINARY_ARITHMETIC_OPS(X) /* A, A -> A; scale_by_positive: (x, dy) -> x > 0 ? dy : params[0] dy */    \
  X(add) X(sub) X(mul) X(maximum) X(minimum) X(pow) X(scale_by_positive)
#define RAVINE_TERNARY_FLOAT_OPS(X) /* T, T, T -> T: logits, weights of yes and no -> loss, slope */                \
  X(logistic_loss) X(logistic_loss_grad)
#define RAVINE_TERNARY_OPS(X) /* A, A, A -> A: a b + c */ X(multiply_add)
#define RAVINE_CLIP_OPS(X) /* A -> A, params: low, high; NaN stays NaN */ X(clip)
#define RAVINE_COMPARE_OPS(X) /* A, A -> bool */ X(equal) X(not_equal) X(less) X(less_equal) X(greater) X(greater_equal)
#define RAVINE_LOGICAL_OPS(X) /* bool, bool -> bool; bitwise of integers */ X(logical_and) X(logical_or) X(logical_xor)
#define RAVINE_SPECIAL_OPS(X)                                                                                      \
  X(logical_not) /* bool -> bool */                                                                                \
  X(where)       /* bool, any, any -> any */                                                                       \
  X(cast)        /* any -> any, as C++ converts; to bool: x != 0 */                                                \
  X(uniform)     /* -> T in [0, 1): Philox 4x32-10 of (seed, step, stream, element) */

#define RAVINE_ELEMENTWISE_OPS(X)                                                                                  \
  RAVINE_UNARY_FLOAT_OPS(X) RAVINE_UNARY_ARITHMETIC_OPS(X) RAVINE_CLIP_OPS(X) RAVINE_BINARY_FLOAT_OPS(X)           \
  RAVINE_BINARY_ARITHMETIC_OPS(X) RAVINE_TERNARY_FLOAT_OPS(X) RAVINE_TERNARY_OPS(X) RAVINE_COMPARE_OPS(X)          \
  RAVINE_LOGICAL_OPS(X)                                                                                            \
  RAVINE_SPECIAL_OPS(X)
// clang-format on

enum class TileOp : std::uint8_t {
#define RAVINE_ENUMERATOR(name) name,
  RAVINE_ELEMENTWISE_OPS(RAVINE_ENUMERATOR)
#undef RAVINE_ENUMERATOR
};

const char* name_of(TileOp op);  // "add"
int arity_of(TileOp op);         // 0 to 3

// ---- a program

// Seed and step of a run's random numbers; lives outside programs, read when a step runs.
struct RandomState {
  std::uint64_t seed = 0;
  std::uint64_t step = 0;
};

// The elements that one call of a step's function computes: rows of contiguous elements, rows of result and
// operands lie strides[] elements apart (0: the same row serves all). Element numbers count the iteration
// space in row-major order.
struct TileBlock {
  std::int64_t rows = 0, columns = 0;
  std::int64_t result_stride = 0, strides[3] = {0, 0, 0};
  std::int64_t element = 0, element_stride = 0;  // the number of element (0, 0), and from row to row
};

struct TileStep;
// Computes a block of one step; operands beyond the arity are null. The result may be the same memory, with
// the same stride, as an operand of the same element size.
using TileFunction = void (*)(void* result, const void* a, const void* b, const void* c,
                              const TileBlock& block, const TileStep& step);

struct TileStep {
  TileFunction function = nullptr;  // from KernelTable::tile_function
  TileOp op = TileOp::identity;
  // Of the operands (of the second and third for `where`; of the result for `uniform`).
  DType dtype = DType::float32;
  DType result_dtype = DType::float32;      // differs for comparisons and casts
  std::int16_t operands[3] = {-1, -1, -1};  // value numbers: inputs come first, then one number per step
  double params[2] = {0, 0};
  const RandomState* random = nullptr;  // uniform only
  std::uint32_t stream = 0;             // uniform only: which random node of the graph
};

// A tensor read or written over the iteration space; strides in elements, 0 where it broadcasts.
struct TileTensor {
  void* data = nullptr;
  DType dtype = DType::float32;
  std::int64_t strides[max_rank] = {};
};

struct TileOutput {
  TileTensor tensor;
  std::int16_t value = 0;  // value number; may be an input's (a copy)
  bool unread = false;     // by any call of the program: where it is large it goes past the caches
};

// Limits that the graph compiler keeps when it fuses.
inline constexpr int max_tile_inputs = 16;
inline constexpr int max_tile_steps = 32;
inline constexpr int max_tile_outputs = 8;

// Dimensions are listed outermost first and collapsed by the compiler as far as all tensors allow; rank 0 is
// one element. An input and an output that are the same memory have the same strides (in-place use).
struct TileProgram {
  int rank = 0;
  std::int64_t extents[max_rank] = {};
  TileTensor inputs[max_tile_inputs];
  TileStep steps[max_tile_steps];
  TileOutput outputs[max_tile_outputs];
  int n_inputs = 0, n_steps = 0, n_outputs = 0;
};

// As an epilogue a program has rank 2, [rows, columns] of the producing kernel's whole output, and its input
// 0 is the produced block: the kernel passes its address, `inputs[0].data` is not used. A null pointer to a
// program means none.

}  // namespace ravine::kernels
