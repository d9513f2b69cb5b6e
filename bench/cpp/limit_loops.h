// The loops behind limit.h; compiled once per instruction set, as kernels are.
#pragma once

#include <cstdint>

#include "kernels/base/isa.h"

namespace ravine::bench {

inline constexpr int max_streams = 7;

using StreamLoop = void (*)(const float* const* reads, float* const* writes, std::int64_t begin,
                            std::int64_t end);

struct LimitLoops {
  double (*multiply_adds)(std::int64_t rounds, float* sink);  // the operations done
  StreamLoop streams[max_streams + 1][max_streams + 1];       // [reads][writes]
};

#define RAVINE_DECLARE_LOOPS(isa)      \
  namespace isa {                      \
  extern const LimitLoops limit_loops; \
  }
RAVINE_ISA_LIST(RAVINE_DECLARE_LOOPS)
#undef RAVINE_DECLARE_LOOPS

}  // namespace ravine::bench
