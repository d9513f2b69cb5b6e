// The data caches, as the kernels' static models of blocking see them.
#pragma once

#include <cstdint>

namespace ravine {

struct Caches {
  std::int64_t l2_bytes, l3_bytes;  // of one core; its share of what several cores use
};

// This machine's; usual sizes where it does not tell.
Caches caches();

// For tests: the caches of another machine. No result depends on them, the time it takes does.
void set_caches(Caches other);

}  // namespace ravine
