// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), many counters at
// once.
#pragma once

#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

using Words = Vec<std::uint32_t>;

// The high and low 32 bits of a constant times each word.
RAVINE_INLINE void multiply_wide(Words x, std::uint32_t factor, Words& high, Words& low) {
  low = x * factor;
#if defined(__AVX512F__)
  const __m512i f = _mm512_set1_epi32(static_cast<int>(factor));
  const __m512i even = _mm512_maskz_mul_epu32(0xff, (__m512i)x, f);
  const __m512i odd = _mm512_maskz_mul_epu32(0xff, _mm512_maskz_srli_epi64(0xff, (__m512i)x, 32), f);
  high = (Words)_mm512_mask_blend_epi32(0xaaaa, _mm512_maskz_srli_epi64(0xff, even, 32), odd);
#elif defined(__AVX2__)
  const __m256i f = _mm256_set1_epi32(static_cast<int>(factor));
  const __m256i even = _mm256_mul_epu32((__m256i)x, f),
                odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)x, 32), f);
  high = (Words)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
#else
  for (int i = 0; i < lanes<std::uint32_t>; ++i)
    high[i] = static_cast<std::uint32_t>((static_cast<std::uint64_t>(x[i]) * factor) >> 32);
#endif
}

// Ten rounds on the counters (c[.][0], ..., c[.][3]) of every lane; several sets at once, as a round waits
// for the one before.
template <int sets>
RAVINE_INLINE void philox(Words (&c)[sets][4], std::uint64_t key) {
  auto key_low = static_cast<std::uint32_t>(key), key_high = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 4
    for (int set = 0; set < sets; ++set) {
      Words high0, low0, high1, low1;
      multiply_wide(c[set][0], 0xD2511F53u, high0, low0);
      multiply_wide(c[set][2], 0xCD9E8D57u, high1, low1);
      c[set][0] = high1 ^ c[set][1] ^ key_low;
      c[set][1] = low1;
      c[set][2] = high0 ^ c[set][3] ^ key_high;
      c[set][3] = low0;
    }
    key_low += 0x9E3779B9u;
    key_high += 0xBB67AE85u;
  }
}

// The random words of a node of the graph are cut into groups of 64: group g holds the outputs of the
// counters 16 g to 16 g + 15, first all their first words, then all the second ones, and so on. So every ISA
// fills a group with plain stores and gets the same bits. Counter i is (i low, stream, step low, step's next
// 16 bits | i high << 16).
inline constexpr int words_per_group = 64;

// Consecutive groups.
template <int groups>
RAVINE_INLINE void random_groups(std::uint64_t seed, std::uint64_t step, std::uint32_t stream,
                                 std::uint64_t group, std::uint32_t* words) {
  constexpr int per_word = words_per_group / 4;  // counters of a group
  constexpr int per_set = lanes<std::uint32_t>, sets = per_word / per_set;
  Words c[groups * sets][4];
#pragma GCC unroll 8
  for (int set = 0; set < groups * sets; ++set) {
    const std::uint64_t index =
        group * per_word + static_cast<std::uint64_t>(set * per_set);  // no carry in its lanes
    c[set][0] = lane_numbers<std::uint32_t>() + static_cast<std::uint32_t>(index);
    c[set][1] = splat(stream);
    c[set][2] = splat(static_cast<std::uint32_t>(step));
    c[set][3] = splat(static_cast<std::uint32_t>(((step >> 32) & 0xffff) | (index >> 32 << 16)));
  }
  philox(c, seed);
#pragma GCC unroll 8
  for (int set = 0; set < groups * sets; ++set)
#pragma GCC unroll 4
    for (int word = 0; word < 4; ++word)
      store(words + set / sets * words_per_group + word * per_word + set % sets * per_set, c[set][word]);
}

}  // namespace ravine::kernels::RAVINE_ISA
