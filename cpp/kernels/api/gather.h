// Gathering and scattering by index along the middle axis of dense [outer, axis, inner]; sums by index.
#pragma once

#include "kernels/api/fault.h"

namespace ravine::kernels {

// Rows (embedding): output[o, j, :] = input[o, indices[j], :] with indices shared by all o; inner is a row's
// length. Elements (torch.gather): output[o, j, i] = input[o, indices[o, j, i], i]. An index outside [0,
// axis) sets the fault and yields 0.
struct GatherArgs {
  std::int64_t outer = 1, axis = 0, inner = 1,
               count = 0;  // count: indices per outer (rows) or per (outer, inner)
  bool per_element = false;
  const void* input = nullptr;
  const void* indices = nullptr;  // int64 or int32, dense [count] or [outer, count, inner]
  DType index_dtype = DType::int64;
  void* output = nullptr;  // dense [outer, count, inner]
  Fault* fault = nullptr;
  std::int32_t fault_code = 1;
};

// Its transpose: output = 0, then output[o, indices[..j..], i] += source[o, j, i] in increasing j.
// Indices equal to skip_index (embedding's padding_idx) add nothing; -1 for none.
struct ScatterAddArgs {
  std::int64_t outer = 1, axis = 0, inner = 1, count = 0;
  bool per_element = false;
  const void* source = nullptr;
  const void* indices = nullptr;
  DType index_dtype = DType::int64;
  std::int64_t skip_index = -1;
  void* output = nullptr;
  Fault* fault = nullptr;
  std::int32_t fault_code = 1;
};

// Sums of the rows of one index: row r of `rows` adds up, in increasing j from 0, the rows source[j, :] with
// indices[j] = unique[r]. `unique` increases; behind its last entry it is -1 and the rows are 0. Negative
// indices add nothing.
struct CoalesceRowsArgs {
  std::int64_t count = 0, inner = 1, extent = 0;
  const void* source = nullptr;           // dense [count, inner]
  const std::int64_t* indices = nullptr;  // dense [count]
  void* rows = nullptr;                   // dense [count, inner]
  std::int64_t* unique = nullptr;         // dense [count]
  Fault* fault = nullptr;
  std::int32_t fault_code = 1;
  void* workspace = nullptr;
};

}  // namespace ravine::kernels
