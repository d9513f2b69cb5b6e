#include "limit_loops.h"

#include "simd/vec.h"

namespace ravine::bench::RAVINE_ISA {
namespace {

using kernels::RAVINE_ISA::lanes;
using kernels::RAVINE_ISA::load;
using kernels::RAVINE_ISA::splat;
using kernels::RAVINE_ISA::store;
using Vector = kernels::RAVINE_ISA::Vec<float>;

// 12 independent chains hide the latency of two FMA units; `sink` keeps the loop alive.
double multiply_adds(std::int64_t rounds, float* sink) {
  constexpr int chains = 12;
  Vector sums[chains], factor = splat(0.999f);
  const Vector term = splat(1e-3f);
  for (int c = 0; c < chains; ++c) sums[c] = splat(static_cast<float>(c));
  for (std::int64_t r = 0; r < rounds; ++r) {
    asm volatile("" : "+x"(factor));
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = sums[c] * factor + term;
  }
  for (int c = 1; c < chains; ++c) sums[0] += sums[c];
  store(sink, sums[0]);
  return 2.0 * chains * lanes<float> * static_cast<double>(rounds);
}

// Four vectors a round, with sums of their own, so that no addition waits for another.
template <int n_reads, int n_writes>
void streams(const float* const* reads, float* const* writes, std::int64_t begin, std::int64_t end) {
  constexpr int L = lanes<float>, unroll = 4;
  const float* from[max_streams] = {};
  float* to[max_streams] = {};
  for (int r = 0; r < n_reads; ++r) from[r] = reads[r];
  for (int w = 0; w < n_writes; ++w) to[w] = writes[w];
  Vector kept[unroll] = {};
  for (std::int64_t i = begin; i + unroll * L <= end; i += unroll * L) {
#pragma GCC unroll 4
    for (int u = 0; u < unroll; ++u) {
      Vector sum = splat(1.0f);
      if constexpr (n_reads > 0) sum = load(from[0] + i + u * L);
#pragma GCC unroll 7
      for (int r = 1; r < n_reads; ++r) sum += load(from[r] + i + u * L);
#pragma GCC unroll 7
      for (int w = 0; w < n_writes; ++w) store(to[w] + i + u * L, sum);
      if constexpr (n_writes == 0) kept[u] += sum;
    }
  }
  asm volatile("" : : "x"(kept[0] + kept[1] + kept[2] + kept[3]));
}

}  // namespace

#define RAVINE_WRITES(reads)                                                                       \
  {                                                                                                \
    streams<reads, 0>, streams<reads, 1>, streams<reads, 2>, streams<reads, 3>, streams<reads, 4>, \
        streams<reads, 5>, streams<reads, 6>, streams<reads, 7>                                    \
  }
extern constexpr LimitLoops limit_loops{
    multiply_adds,
    {RAVINE_WRITES(0), RAVINE_WRITES(1), RAVINE_WRITES(2), RAVINE_WRITES(3), RAVINE_WRITES(4),
     RAVINE_WRITES(5), RAVINE_WRITES(6), RAVINE_WRITES(7)}};

}  // namespace ravine::bench::RAVINE_ISA
