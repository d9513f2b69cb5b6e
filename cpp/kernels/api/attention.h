// Scaled dot-product attention, a batch of heads a call:
//
//   output = dropout(softmax(scale Q K^T + mask)) V
//
// forward and backward, without an array of queries x keys in memory. A query whose keys are all masked has
// the output 0, as without keys.
#pragma once

#include <cstdint>

#include "kernels/api/tile.h"

namespace ravine::kernels {

// A batch of matrices; the elements of a row are contiguous.
struct AttentionOperand {
  const void* data = nullptr;
  std::int64_t row_stride = 0;
  std::int64_t batch_strides[max_rank] = {};  // 0 where the batch axis broadcasts
};
struct AttentionResult {
  void* data = nullptr;
  std::int64_t row_stride = 0;
  std::int64_t batch_strides[max_rank] = {};
};

enum class AttentionMask : std::uint8_t {
  none,
  boolean,   // bytes; 0: the query does not see the key
  additive,  // to the scaled products
};

// What both directions know. Extents may be 0.
struct AttentionShape {
  int batch_rank = 0;
  std::int64_t batch_extents[max_rank] = {};
  std::int64_t queries = 0, keys = 0;
  std::int64_t depth = 0;    // features of a query and of a key, at most max_attention_features
  std::int64_t columns = 0;  // features of a value, at most as many
  double scale = 1;
  bool causal = false;  // query i sees keys 0 .. i only, whatever the mask allows
  AttentionOperand query, key, value;
  AttentionMask mask_kind = AttentionMask::none;
  AttentionOperand mask;  // [queries, keys]; row_stride may be 0

  // The probability that a weight is dropped, and whose random numbers say so: word i * row + j of the node's
  // stream for query i of all and key j, where row is `keys` in whole groups of words.
  double dropout = 0;
  std::uint32_t stream = 0;
};

// Bounds what a block of a few rows takes of a thread's scratch.
inline constexpr std::int64_t max_attention_features = 8192;

struct AttentionArgs : AttentionShape {
  AttentionResult output;    // [queries, columns]
  void* log_sums = nullptr;  // [batch, queries]: log of the sum of exponentials; infinity if there are none
  const RandomState* random = nullptr;
  std::int64_t* drawn = nullptr;  // with dropout, [2]: seed and step of this run
};

struct AttentionGradArgs : AttentionShape {
  AttentionOperand output, grad_output;
  const void* log_sums = nullptr;  // what the forward kernel left
  const std::int64_t* drawn = nullptr;
  AttentionResult grad_query, grad_key, grad_value;  // of every head of the batch, broadcast ones included
  void* workspace = nullptr;
};

}  // namespace ravine::kernels
