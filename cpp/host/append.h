// Copying rows behind those that are there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ravine::host {

// output[o] = input[o] with rows start, start + 1, ... set to those of `added`; what lies outside of [0,
// rows) is left out. Without an input the output's other rows stay as they are.
struct AppendArgs {
  std::int64_t outer = 1, rows = 0, count = 0;
  std::size_t row_bytes = 0;
  const std::byte* input = nullptr;     // dense [outer, rows] rows, or null
  const std::byte* added = nullptr;     // dense [outer, count] rows
  const std::int64_t* start = nullptr;  // a scalar
  std::byte* output = nullptr;          // dense [outer, rows] rows
};
void append_rows(const AppendArgs& args, std::int64_t begin_outer, std::int64_t end_outer);

}  // namespace ravine::host
