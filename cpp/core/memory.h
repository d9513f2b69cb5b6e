// Aligned memory.
#pragma once

#include <cstddef>
#include <memory>

namespace ravine {

// 64-byte aligned, from 4 MiB on in huge pages. Size 0 is legal.
using SharedBytes = std::shared_ptr<std::byte[]>;
// Untouched: the pages that are never used cost nothing.
SharedBytes reserve_bytes(std::size_t bytes);
// Zero at first.
SharedBytes allocate_bytes(std::size_t bytes);

}  // namespace ravine
