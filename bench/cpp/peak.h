// The machine's arithmetic limit, measured in the process that uses it.
#pragma once

namespace ravine::bench {

// Float32 fused multiply-adds of one core, in GFLOP/s, with the widest vectors it has; measured once, best of
// several.
double fma_peak_gflops();

}  // namespace ravine::bench
