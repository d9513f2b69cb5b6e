#include "peak.h"

#include <algorithm>
#include <chrono>

namespace ravine::bench {
namespace {

// 12 independent chains hide the latency of two FMA units; `sink` keeps the loop alive.
#define RAVINE_PEAK_LOOP(name, bytes)                                                      \
  double name(long rounds, float* sink) {                                                  \
    typedef float Vector __attribute__((vector_size(bytes)));                              \
    constexpr int chains = 12, n = (bytes) / 4;                                            \
    Vector sums[chains];                                                                   \
    Vector a, b;                                                                           \
    for (int l = 0; l < n; ++l) {                                                          \
      a[l] = 0.999f;                                                                       \
      b[l] = 1e-3f;                                                                        \
    }                                                                                      \
    for (int c = 0; c < chains; ++c) sums[c] = a * static_cast<float>(c);                  \
    for (long r = 0; r < rounds; ++r) {                                                    \
      asm volatile("" : "+x"(a));                                                          \
      _Pragma("GCC unroll 16") for (int c = 0; c < chains; ++c) sums[c] = sums[c] * a + b; \
    }                                                                                      \
    for (int c = 1; c < chains; ++c) sums[0] += sums[c];                                   \
    for (int l = 0; l < n; ++l) sink[l] = sums[0][l];                                      \
    return 2.0 * chains * n * static_cast<double>(rounds);                                 \
  }

#if defined(__x86_64__)
__attribute__((target("avx512f,prefer-vector-width=512"))) RAVINE_PEAK_LOOP(loop_512, 64)
    __attribute__((target("avx2,fma"))) RAVINE_PEAK_LOOP(loop_256, 32)
#endif
        RAVINE_PEAK_LOOP(loop_128, 16)

            double measure() {
  auto loop = loop_128;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) loop = loop_256;
  if (__builtin_cpu_supports("avx512f")) loop = loop_512;
#endif
  float sink[16];
  double best = 0;
  for (int repeat = 0; repeat < 10; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    const double flops = loop(1'000'000, sink);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, flops / seconds.count() * 1e-9);
  }
  return best;
}

}  // namespace

double fma_peak_gflops() {
  static const double peak = measure();
  return peak;
}

}  // namespace ravine::bench
