// One vector type for the ISA this file is compiled for, on GCC and Clang vector extensions: arithmetic, comparisons
// and ?: work on Vec<T> as on numbers. Counted loads and stores serve the tails, so that a formula is written once.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#ifndef RAVINE_ISA
#error "cpp/simd is for the files that are compiled per ISA; RAVINE_ISA names their namespace"
#endif

#define RAVINE_INLINE [[gnu::always_inline]] inline

namespace ravine::kernels::RAVINE_ISA {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif

template <class T>
struct VecOf {
  typedef T type __attribute__((vector_size(vector_bytes), aligned(vector_bytes)));
  typedef T unaligned __attribute__((vector_size(vector_bytes), aligned(alignof(T)), may_alias));
};
template <class T>
using Vec = typename VecOf<T>::type;

// Elements in a vector.
template <class T>
inline constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

template <class T>
RAVINE_INLINE Vec<T> splat(T value) {
  return value - Vec<T>{};
}

template <class T>
RAVINE_INLINE Vec<T> load(const T* from) {
  return *reinterpret_cast<const typename VecOf<T>::unaligned*>(from);
}

template <class T>
RAVINE_INLINE void store(T* to, Vec<T> value) {
  *reinterpret_cast<typename VecOf<T>::unaligned*>(to) = value;
}

// The first n lanes (0 <= n <= lanes), the others 0; memory beyond them is not touched.
template <class T>
RAVINE_INLINE Vec<T> load(const T* from, std::int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return (Vec<T>)_mm512_maskz_loadu_epi32(_cvtu32_mask16((1u << n) - 1), from);
  } else if constexpr (sizeof(T) == 8) {
    return (Vec<T>)_mm512_maskz_loadu_epi64(_cvtu32_mask8((1u << n) - 1), from);
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
    return (Vec<T>)_mm256_maskload_epi32(reinterpret_cast<const int*>(from), mask);
  } else if constexpr (sizeof(T) == 8) {
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    const __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), lane);
    return (Vec<T>)_mm256_maskload_epi64(reinterpret_cast<const long long*>(from), mask);
  }
#endif
  Vec<T> value{};
  std::memcpy(&value, from, static_cast<std::size_t>(n) * sizeof(T));
  return value;
}

template <class T>
RAVINE_INLINE void store(T* to, Vec<T> value, std::int64_t n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_epi32(to, _cvtu32_mask16((1u << n) - 1), (__m512i)value);
    return;
  } else if constexpr (sizeof(T) == 8) {
    _mm512_mask_storeu_epi64(to, _cvtu32_mask8((1u << n) - 1), (__m512i)value);
    return;
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
    _mm256_maskstore_epi32(reinterpret_cast<int*>(to), mask, (__m256i)value);
    return;
  } else if constexpr (sizeof(T) == 8) {
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    const __m256i mask = _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), lane);
    _mm256_maskstore_epi64(reinterpret_cast<long long*>(to), mask, (__m256i)value);
    return;
  }
#endif
  std::memcpy(to, &value, static_cast<std::size_t>(n) * sizeof(T));
}

}  // namespace ravine::kernels::RAVINE_ISA
