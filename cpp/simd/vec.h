// One vector type for the ISA this file is compiled for, on GCC and Clang vector extensions: arithmetic,
// comparisons and ?: work on Vec<T> as on numbers. Counted loads and stores serve the tails, so that a
// formula is written once.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#ifndef RAVINE_ISA
#error "cpp/simd is for the files that are compiled per ISA; RAVINE_ISA names their namespace"
#endif

#define RAVINE_INLINE [[gnu::always_inline]] inline
#define RAVINE_INLINE_LAMBDA __attribute__((always_inline))

namespace ravine::kernels::RAVINE_ISA {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif

// Elements in a vector.
template <class T>
inline constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

template <class T, int n = lanes<T>>
struct VecOf {
  typedef T type __attribute__((vector_size(n * sizeof(T)), aligned(n * sizeof(T))));
  typedef T unaligned __attribute__((vector_size(n * sizeof(T)), aligned(alignof(T)), may_alias));
};
template <class T>
using Vec = typename VecOf<T>::type;
// A vector of n elements: n bytes that belong to n = lanes<float> floats, half a vector, ...
template <class T, int n>
using VecN = typename VecOf<T, n>::type;

// What comparing Vec<T> yields: signed integers of T's size, all bits set where true.
template <class T>
using Mask = decltype(Vec<T>{} == Vec<T>{});

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

// To memory past the caches, at a multiple of vector_bytes; other threads see it after finish_streams().
template <class T>
RAVINE_INLINE void stream(T* to, Vec<T> value) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), (__m512i)value);
#elif defined(__AVX2__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), (__m256i)value);
#else
  store(to, value);
#endif
}
RAVINE_INLINE void finish_streams() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

#if defined(__AVX512BW__)
RAVINE_INLINE __mmask64 first_lanes_mask(std::int64_t n) {
  return _cvtu64_mask64(n >= 64 ? ~0ULL : (1ULL << n) - 1);
}
#endif

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
#if defined(__AVX512BW__)
  if constexpr (sizeof(T) == 1) return (Vec<T>)_mm512_maskz_loadu_epi8(first_lanes_mask(n), from);
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
#if defined(__AVX512BW__)
  if constexpr (sizeof(T) == 1) {
    _mm512_mask_storeu_epi8(to, first_lanes_mask(n), (__m512i)value);
    return;
  }
#endif
  std::memcpy(to, &value, static_cast<std::size_t>(n) * sizeof(T));
}

// ---- selection

template <class T>
RAVINE_INLINE Vec<T> select(Mask<T> mask, std::type_identity_t<Vec<T>> yes, std::type_identity_t<Vec<T>> no) {
  return mask ? yes : no;
}

template <class V>
RAVINE_INLINE V maximum(V a, V b) {  // a NaN wins, as in NumPy
  const V larger = a > b ? a : b;    // b where either is NaN, as the machine's instruction
  return a != a ? a : larger;
}
template <class V>
RAVINE_INLINE V minimum(V a, V b) {
  const V smaller = a < b ? a : b;
  return a != a ? a : smaller;
}

// Lane i of the result: i.
template <class T>
RAVINE_INLINE Vec<T> lane_numbers() {
  Vec<T> numbers;
  for (int i = 0; i < lanes<T>; ++i) numbers[i] = static_cast<T>(i);
  return numbers;
}

// ---- integers that wrap around

// Integers, one or a vector, as unsigned ones, whose arithmetic cannot overflow; others as they are.
template <class V>
RAVINE_INLINE auto wrapping(V value) {
  if constexpr (std::is_integral_v<V>) {
    return static_cast<std::uint64_t>(value);
  } else if constexpr (std::is_floating_point_v<V>) {
    return value;
  } else {
    using T = std::remove_cvref_t<decltype(value[0])>;
    if constexpr (std::is_integral_v<T>) return (VecN<std::make_unsigned_t<T>, sizeof(V) / sizeof(T)>)value;
    else return value;
  }
}
template <class V>
RAVINE_INLINE V wrapped_sum(V a, V b) {
  return (V)(wrapping(a) + wrapping(b));
}
template <class V>
RAVINE_INLINE V wrapped_difference(V a, V b) {
  return (V)(wrapping(a) - wrapping(b));
}
template <class V>
RAVINE_INLINE V wrapped_product(V a, V b) {
  return (V)(wrapping(a) * wrapping(b));
}

// ---- conversion

#if defined(__AVX2__)
// As many bytes as a vector has lanes of T, as unsigned integers of T's size. (GCC 12 takes them one by one.)
template <class T, class V>
RAVINE_INLINE auto wide_bytes(V bytes) {
  std::uint64_t parts[2] = {};
  std::memcpy(parts, &bytes, sizeof(bytes));
  const __m128i low = _mm_set_epi64x(static_cast<long long>(parts[1]), static_cast<long long>(parts[0]));
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return (Vec<std::int32_t>)_mm512_maskz_cvtepu8_epi32(0xffff, low);
  else return (Vec<std::int64_t>)_mm512_maskz_cvtepu8_epi64(0xff, low);
#else
  if constexpr (sizeof(T) == 4) return (Vec<std::int32_t>)_mm256_cvtepu8_epi32(low);
  else return (Vec<std::int64_t>)_mm256_cvtepu8_epi64(low);
#endif
}
#endif

// As C++ converts, lane by lane; the result has as many lanes.
template <class To, class V>
RAVINE_INLINE auto convert(V value) {
  using From = std::remove_cvref_t<decltype(value[0])>;
  constexpr int n = sizeof(V) / sizeof(From);
#if defined(__AVX2__)
  if constexpr (std::is_same_v<From, std::uint8_t> && sizeof(To) >= 4 && n == lanes<To>)
    return __builtin_convertvector(wide_bytes<To>(value), VecN<To, n>);
  else
#endif
    return __builtin_convertvector(value, VecN<To, n>);
}

// The two halves of a vector, in order; fixed-size copies, which compile to register moves.
template <class Half, class V>
RAVINE_INLINE void split(V value, Half& low, Half& high) {
  static_assert(2 * sizeof(Half) == sizeof(V));
#if defined(__AVX512F__)  // GCC 12 goes through memory
  if constexpr (sizeof(V) == 64) {
    low = (Half)_mm512_maskz_extracti64x4_epi64(0xf, (__m512i)value, 0);
    high = (Half)_mm512_maskz_extracti64x4_epi64(0xf, (__m512i)value, 1);
    return;
  }
#endif
  std::memcpy(&low, &value, sizeof(Half));
  std::memcpy(&high, reinterpret_cast<const char*>(&value) + sizeof(Half), sizeof(Half));
}
template <class Half, int... lane>
RAVINE_INLINE auto end_to_end(Half low, Half high, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(low, high, lane...);
}
template <class V, class Half>
RAVINE_INLINE V join(Half low, Half high) {
  static_assert(2 * sizeof(Half) == sizeof(V));
  return (V)end_to_end(low, high, std::make_integer_sequence<int, 2 * sizeof(low) / sizeof(low[0])>{});
}

RAVINE_INLINE void widen(Vec<float> value, Vec<double>& low, Vec<double>& high) {
  VecN<float, lanes<double>> first, second;
  split(value, first, second);
#if defined(__AVX512F__)  // GCC 12 converts in two steps
  low = _mm512_maskz_cvtps_pd(0xff, first);
  high = _mm512_maskz_cvtps_pd(0xff, second);
#else
  low = convert<double>(first);
  high = convert<double>(second);
#endif
}
RAVINE_INLINE Vec<float> narrow(Vec<double> low, Vec<double> high) {
  return join<Vec<float>>(convert<float>(low), convert<float>(high));
}

// ---- reductions over lanes, in a fixed order: halves against halves

template <class T, int n = lanes<T>, class Combine>
RAVINE_INLINE T reduce_lanes(VecN<T, n> value, Combine combine) {
  if constexpr (n == 2) {
    return combine(value[0], value[1]);
  } else {
    VecN<T, n / 2> low, high;
    split(value, low, high);
    return reduce_lanes<T, n / 2>(combine(low, high), combine);
  }
}

template <class T>
RAVINE_INLINE T sum_of_lanes(std::type_identity_t<Vec<T>> value) {
  return reduce_lanes<T>(value, [](auto a, auto b) RAVINE_INLINE_LAMBDA { return wrapped_sum(a, b); });
}
template <class T>
RAVINE_INLINE T max_of_lanes(std::type_identity_t<Vec<T>> value) {  // a NaN wins
  return reduce_lanes<T>(value, [](auto a, auto b) RAVINE_INLINE_LAMBDA { return maximum(a, b); });
}
template <class T>
RAVINE_INLINE T min_of_lanes(std::type_identity_t<Vec<T>> value) {
  return reduce_lanes<T>(value, [](auto a, auto b) RAVINE_INLINE_LAMBDA { return minimum(a, b); });
}

// True where any lane of a comparison is true.
template <class M>
RAVINE_INLINE bool any(M mask) {
  Vec<std::int64_t> words;
  static_assert(sizeof(words) == sizeof(mask));
  std::memcpy(&words, &mask, sizeof(mask));
  return reduce_lanes<std::int64_t>(
             words, [](auto a, auto b) RAVINE_INLINE_LAMBDA { return decltype(a)(a | b); }) != 0;
}

}  // namespace ravine::kernels::RAVINE_ISA
