// Order along the last axis, scans along the middle one, and who wins a place that an index names. Each
// function does a part of the work: rows, columns or places [begin, end).
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "kernels/api/fault.h"

namespace ravine::host {

// indices[r] sorts row r of the input: stable, NaN above every number. The workspace is as large as the
// indices.
struct ArgsortArgs {
  DType dtype = DType::float32;
  std::int64_t rows = 0, count = 0;
  bool descending = false;
  const void* input = nullptr;      // dense [rows, count]
  std::int64_t* indices = nullptr;  // dense [rows, count]
  void* workspace = nullptr;
};
void argsort(const ArgsortArgs& args, std::int64_t begin_row, std::int64_t end_row);

// For each value, how many of the ascending `boundaries` are less (right: or equal).
struct SearchSortedArgs {
  DType dtype = DType::float32;
  std::int64_t rows = 0, count = 0, values_per_row = 0;
  bool shared = false;  // one row of boundaries serves all
  bool right = false;
  const void* boundaries = nullptr;  // dense [rows, count], or [count]
  const void* values = nullptr;      // dense [rows, values_per_row]
  std::int64_t* output = nullptr;    // dense [rows, values_per_row]
};
void search_sorted(const SearchSortedArgs& args, std::int64_t begin, std::int64_t end);

// Running sums (of floats in double), or where the largest or smallest so far is: the latest of equal ones,
// the first NaN.
enum class Scan : std::uint8_t { sum, argmax, argmin };
struct ScanArgs {
  DType dtype = DType::float32;
  Scan scan = Scan::sum;
  std::int64_t outer = 1, axis = 0, inner = 1;
  bool reverse = false;         // from the end
  const void* input = nullptr;  // dense [outer, axis, inner]
  void* output = nullptr;       // the same; int64 for argmax and argmin
};
// So many columns go along the axis together; the work is [begin, end) of outer * ceil(inner / scan_columns)
// parts.
inline constexpr std::int64_t scan_columns = 64;
void scan(const ScanArgs& args, std::int64_t begin_part, std::int64_t end_part);

// Which of the positions that point to a place has it: output[o, indices[o, j, i], i] = j, -1 where none
// does. The last of them, or the one with the largest or smallest source (the first of equal ones; a NaN
// wins). An index outside [0, axis) sets the fault.
enum class Winner : std::uint8_t { last, largest, smallest };
struct ScatterWinnerArgs {
  DType dtype = DType::float32, index_dtype = DType::int64;
  std::int64_t outer = 1, axis = 0, inner = 1, count = 0;
  Winner winner = Winner::last;
  const void* source = nullptr;    // dense [outer, count, inner]; of `last` not read
  const void* indices = nullptr;   // the same
  std::int64_t* output = nullptr;  // dense [outer, axis, inner]
  kernels::Fault* fault = nullptr;
  std::int32_t fault_code = 1;
};
void scatter_winner(const ScatterWinnerArgs& args, std::int64_t begin_outer, std::int64_t end_outer);

}  // namespace ravine::host
