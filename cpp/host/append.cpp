#include "host/append.h"

#include <algorithm>
#include <cstring>

namespace ravine::host {

void append_rows(const AppendArgs& args, std::int64_t begin_outer, std::int64_t end_outer) {
  // Compared before they are added up: the start is any number.
  const std::int64_t start = std::clamp(*args.start, -args.count, args.rows);
  const std::int64_t first = std::max<std::int64_t>(-start, 0),
                     last = std::min(args.count, args.rows - start);
  const std::size_t whole = static_cast<std::size_t>(args.rows) * args.row_bytes;
  for (std::int64_t o = begin_outer; o < end_outer; ++o) {
    std::byte* const to = args.output + static_cast<std::size_t>(o) * whole;
    if (args.input != nullptr) std::memcpy(to, args.input + static_cast<std::size_t>(o) * whole, whole);
    if (first < last)
      std::memcpy(to + static_cast<std::size_t>(start + first) * args.row_bytes,
                  args.added + static_cast<std::size_t>(o * args.count + first) * args.row_bytes,
                  static_cast<std::size_t>(last - first) * args.row_bytes);
  }
}

}  // namespace ravine::host
