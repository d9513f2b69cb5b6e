// All kernels of one ISA. Each family's header describes its arguments; cpp/dispatch picks the table at run
// time.
#pragma once

#include <cstddef>

#include "kernels/api/attention.h"
#include "kernels/api/conv.h"
#include "kernels/api/gather.h"
#include "kernels/api/gemm.h"
#include "kernels/api/gemm_update.h"
#include "kernels/api/norm.h"
#include "kernels/api/optimizer.h"
#include "kernels/api/pool.h"
#include "kernels/api/reduce.h"
#include "kernels/api/sequence.h"
#include "kernels/api/softmax.h"
#include "kernels/api/tile.h"
#include "kernels/base/isa.h"

namespace ravine::kernels {

template <class Args>
using Kernel = void (*)(const Args& args, const Team& team);
// Bytes of shared workspace that a kernel needs for these arguments (pointers in them are not read).
template <class Args>
using WorkspaceBytes = std::size_t (*)(const Args& args);

// Into how many pieces a kernel cuts its rows where it gathers statistics; 0: it does not for these
// arguments.
template <class Args>
using StatisticsPieces = std::int64_t (*)(const Args& args);

// The kernels of one floating dtype. X(member, Args)
#define RAVINE_FLOAT_KERNELS(X)               \
  X(gemm, GemmArgs)                           \
  X(gemm_update, GemmUpdateArgs)              \
  X(conv_forward, ConvForwardArgs)            \
  X(conv_grad_input, ConvGradInputArgs)       \
  X(conv_grad_filter, ConvGradFilterArgs)     \
  X(softmax, SoftmaxArgs)                     \
  X(softmax_grad, SoftmaxGradArgs)            \
  X(cross_entropy, CrossEntropyArgs)          \
  X(cross_entropy_grad, CrossEntropyGradArgs) \
  X(column_moments, ColumnMomentsArgs)        \
  X(column_grad_sums, ColumnGradSumsArgs)     \
  X(combine_moments, CombineMomentsArgs)      \
  X(group_norm, GroupNormArgs)                \
  X(group_norm_grad, GroupNormGradArgs)       \
  X(layer_norm, LayerNormArgs)                \
  X(layer_norm_grad, LayerNormGradArgs)       \
  X(max_pool, MaxPoolArgs)                    \
  X(max_pool_grad, MaxPoolGradArgs)           \
  X(avg_pool, AvgPoolArgs)                    \
  X(avg_pool_grad, AvgPoolGradArgs)           \
  X(recurrence, RecurrenceArgs)               \
  X(recurrence_grad, RecurrenceGradArgs)      \
  X(attention, AttentionArgs)                 \
  X(attention_grad, AttentionGradArgs)        \
  X(scatter_add, ScatterAddArgs)              \
  X(coalesce_rows, CoalesceRowsArgs)          \
  X(gradient_norm, GradientNormArgs)          \
  X(optimizer_step, OptimizerArgs)            \
  X(optimizer_rows, OptimizerRowsArgs)        \
  X(adafactor_matrices, MatrixStepArgs)       \
  X(muon_matrices, MatrixStepArgs)            \
  X(rowwise_adagrad_matrices, MatrixStepArgs)

// Those of them that need a shared workspace.
#define RAVINE_WORKSPACE_KERNELS(X)       \
  X(gemm, GemmArgs)                       \
  X(conv_forward, ConvForwardArgs)        \
  X(conv_grad_input, ConvGradInputArgs)   \
  X(conv_grad_filter, ConvGradFilterArgs) \
  X(column_moments, ColumnMomentsArgs)    \
  X(column_grad_sums, ColumnGradSumsArgs) \
  X(group_norm, GroupNormArgs)            \
  X(group_norm_grad, GroupNormGradArgs)   \
  X(layer_norm_grad, LayerNormGradArgs)   \
  X(recurrence, RecurrenceArgs)           \
  X(recurrence_grad, RecurrenceGradArgs)  \
  X(attention_grad, AttentionGradArgs)    \
  X(coalesce_rows, CoalesceRowsArgs)      \
  X(gradient_norm, GradientNormArgs)      \
  X(optimizer_step, OptimizerArgs)        \
  X(adafactor_matrices, MatrixStepArgs)   \
  X(muon_matrices, MatrixStepArgs)

// Those that gather statistics of their result's columns.
#define RAVINE_GATHERING_KERNELS(X) X(conv_forward, ConvForwardArgs)

struct FloatKernels {
#define RAVINE_MEMBER(name, Args) Kernel<Args> name;
  RAVINE_FLOAT_KERNELS(RAVINE_MEMBER)
#undef RAVINE_MEMBER
#define RAVINE_MEMBER(name, Args) WorkspaceBytes<Args> name##_workspace;
  RAVINE_WORKSPACE_KERNELS(RAVINE_MEMBER)
#undef RAVINE_MEMBER
#define RAVINE_MEMBER(name, Args) StatisticsPieces<Args> name##_pieces;
  RAVINE_GATHERING_KERNELS(RAVINE_MEMBER)
#undef RAVINE_MEMBER
};

struct KernelTable {
  const char* isa;            // its namespace: "x86_64_v4"
  int vector_bytes;           // 16, 32, 64
  std::size_t scratch_bytes;  // workspace of its own that a thread must have for any kernel of this table
  FloatKernels float32, float64;

  Kernel<TileProgram> elementwise;
  // The function of a step, or null where the operation has none for these types.
  TileFunction (*tile_function)(TileOp op, DType dtype, DType result_dtype);

  // Of values of the dtype. Bools have sums and products only; null where there is none.
  Kernel<ReduceArgs> (*reduce)(Reduction reduction, DType dtype);
  std::size_t (*reduce_workspace)(Reduction reduction, DType dtype, const ReduceArgs& args);

  Kernel<GatherArgs> (*gather)(DType dtype);  // by element size, so for every dtype

  bool (*conv_can_pool)(const ConvForwardArgs& args);  // float32
  Kernel<WinogradFilterArgs> winograd_filter;          // float32
  std::int64_t (*winograd_filter_elements)(const WinogradFilterArgs& args);

  OptimizerFunctions (*optimizer_functions)(OptimizerRule rule, DType dtype);  // float32 and float64

  const FloatKernels& of(DType dtype) const {
    if (dtype == DType::float32) return float32;
    if (dtype == DType::float64) return float64;
    unsupported_dtype("kernels of floating dtypes", dtype);
  }
};

// One table per compiled ISA: ravine::kernels::x86_64_v4::table.
#define RAVINE_DECLARE_TABLE(isa) \
  namespace isa {                 \
  extern const KernelTable table; \
  }
RAVINE_ISA_LIST(RAVINE_DECLARE_TABLE)
#undef RAVINE_DECLARE_TABLE

}  // namespace ravine::kernels
