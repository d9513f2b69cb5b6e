// The loops of tile functions: rows, whole vectors, and a counted rest.
#pragma once

#include "kernels/tile/elementwise.h"
#include "kernels/tile/formulas.h"
#include "simd/philox.h"

namespace ravine::kernels::RAVINE_ISA {

// A constant as T: integers saturate, so that infinite bounds of `clip` keep their meaning.
template <class T>
RAVINE_INLINE T to_parameter(double value) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(value);
  } else {
    constexpr auto bits = 8 * sizeof(T) - (std::is_signed_v<T> ? 1 : 0);
    constexpr T highest = static_cast<T>(~std::uint64_t{0} >> (64 - bits)),
                lowest = std::is_signed_v<T> ? -highest - 1 : 0;
    if (!(value > static_cast<double>(lowest))) return lowest;
    return value >= static_cast<double>(highest) ? highest : static_cast<T>(value);
  }
}

template <class T>
RAVINE_INLINE T* row_of(void* data, std::int64_t row, std::int64_t stride) {
  return static_cast<T*>(data) + row * stride;
}
template <class T>
RAVINE_INLINE const T* row_of(const void* data, std::int64_t row, std::int64_t stride) {
  return static_cast<const T*>(data) + row * stride;
}

// The first `count` of n elements, the rest 0: `count` may be all of them.
template <class T, int n>
RAVINE_INLINE VecN<T, n> load_n(const T* from, std::int64_t count) {
  VecN<T, n> value{};
  if (count >= n) [[likely]]
    std::memcpy(&value, from, sizeof(value));
  else std::memcpy(&value, from, static_cast<std::size_t>(count) * sizeof(T));
  return value;
}
template <class T, int n>
RAVINE_INLINE void store_n(T* to, VecN<T, n> value, std::int64_t count) {
  if (count >= n) [[likely]]
    std::memcpy(to, &value, sizeof(value));
  else std::memcpy(to, &value, static_cast<std::size_t>(count) * sizeof(T));
}

// T... -> T. What the loop needs is copied from the block first, which stores could otherwise change for all
// that the compiler knows.
template <class F, class T, int arity>
void map(void* result, const void* a, const void* b, const void* c, const TileBlock& block,
         const TileStep& step) {
  const Parameters<T> p{to_parameter<T>(step.params[0]), to_parameter<T>(step.params[1])};
  const std::int64_t rows = block.rows, columns = block.columns;
  const std::int64_t to_stride = block.result_stride, x_stride = block.strides[0],
                     y_stride = block.strides[1], z_stride = block.strides[2];
  T* r = static_cast<T*>(result);
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b), *z = static_cast<const T*>(c);
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto value = [&](std::int64_t i, auto... count) RAVINE_INLINE_LAMBDA {
      if constexpr (arity == 1) return F::template of<T>(p, load<T>(x + i, count...));
      else if constexpr (arity == 2)
        return F::template of<T>(p, load<T>(x + i, count...), load<T>(y + i, count...));
      else
        return F::template of<T>(p, load<T>(x + i, count...), load<T>(y + i, count...),
                                 load<T>(z + i, count...));
    };
    std::int64_t i = 0;
    for (; i + lanes<T> <= columns; i += lanes<T>) store<T>(r + i, value(i));
    if (const std::int64_t rest = columns - i; rest > 0) store<T>(r + i, value(i, rest), rest);
    r += to_stride;
    x += x_stride;
    if constexpr (arity > 1) y += y_stride;
    if constexpr (arity > 2) z += z_stride;
  }
}

// body(row, column, count) for n columns at a time and for what is left of a row, where count is less.
template <int n, class Body>
RAVINE_INLINE void for_each_part(std::int64_t rows, std::int64_t columns, Body body) {
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t i = 0;
    for (; i + n <= columns; i += n) body(row, i, std::integral_constant<std::int64_t, n>{});
    if (i < columns) body(row, i, columns - i);
  }
}

// T, T -> bool
template <class F, class T>
void compare(void* result, const void* a, const void* b, const void*, const TileBlock& block,
             const TileStep&) {
  constexpr int n = lanes<T>;
  const TileBlock copied = block;
  for_each_part<n>(copied.rows, copied.columns,
                   [&](std::int64_t row, std::int64_t i, auto count) RAVINE_INLINE_LAMBDA {
                     const T* x = row_of<T>(a, row, copied.strides[0]) + i;
                     const T* y = row_of<T>(b, row, copied.strides[1]) + i;
                     const auto mask = F::template of<T>({}, load_n<T, n>(x, count), load_n<T, n>(y, count));
                     store_n<std::uint8_t, n>(row_of<std::uint8_t>(result, row, copied.result_stride) + i,
                                              convert<std::uint8_t>(mask & 1), count);
                   });
}

// bool, T, T -> T; T stands for every type of its size.
template <class T>
void choose(void* result, const void* a, const void* b, const void* c, const TileBlock& block,
            const TileStep&) {
  constexpr int n = lanes<T>;
  const TileBlock copied = block;
  for_each_part<n>(copied.rows, copied.columns,
                   [&](std::int64_t row, std::int64_t i, auto count) RAVINE_INLINE_LAMBDA {
                     const std::uint8_t* condition = row_of<std::uint8_t>(a, row, copied.strides[0]) + i;
                     const T* yes = row_of<T>(b, row, copied.strides[1]) + i;
                     const T* no = row_of<T>(c, row, copied.strides[2]) + i;
                     const Vec<T> mask = convert<T>(load_n<std::uint8_t, n>(condition, count));
                     store_n<T, n>(row_of<T>(result, row, copied.result_stride) + i,
                                   mask != T(0) ? load_n<T, n>(yes, count) : load_n<T, n>(no, count), count);
                   });
}

// From -> To; bool is a byte 0 or 1.
template <class From, class To, bool to_bool>
void convert_elements(void* result, const void* a, const void*, const void*, const TileBlock& block,
                      const TileStep&) {
  constexpr int n = lanes<From> < lanes<To> ? lanes<From> : lanes<To>;
  for (std::int64_t row = 0; row < block.rows; ++row) {
    To* r = row_of<To>(result, row, block.result_stride);
    const From* x = row_of<From>(a, row, block.strides[0]);
    for (std::int64_t i = 0; i < block.columns; i += n) {
      const std::int64_t count = block.columns - i;
      const VecN<From, n> value = load_n<From, n>(x + i, count);
      if constexpr (to_bool) store_n<To, n>(r + i, convert<To>((value != From(0)) & 1), count);
      else if constexpr (std::is_floating_point_v<From> &&
                         sizeof(To) == 1)  // through int32, which keeps the low bits
        store_n<To, n>(r + i, convert<To>(convert<std::int32_t>(value)), count);
      else store_n<To, n>(r + i, convert<To>(value), count);
    }
  }
}

// -> T in [0, 1). A float takes one random word (its upper 24 bits), a double two (53 bits): element e of
// float is word e of the node; element e of double takes words 64 (e / 32) + e % 16 + (e / 16 % 2) 32 and the
// sixteenth after it.
template <class T>
void uniform(void* result, const void*, const void*, const void*, const TileBlock& block,
             const TileStep& step) {
  constexpr int per_group = is_float<T> ? words_per_group : words_per_group / 2;
  const std::uint64_t seed = step.random->seed, step_number = step.random->step;
  const std::int64_t columns = block.columns;
  constexpr int at_once = lanes<T> >= 8 ? 2 : 1;  // groups
  alignas(64) std::uint32_t words[at_once * words_per_group];
  // Elements of `groups` groups from one on.
  const auto fill = [&](T* to, std::int64_t group, auto groups) RAVINE_INLINE_LAMBDA {
    random_groups<groups>(seed, step_number, step.stream, static_cast<std::uint64_t>(group), words);
    for (int j = 0; j < groups * per_group; j += is_float<T> ? lanes<T> : 1) {
      if constexpr (is_float<T>) {
        const auto bits = (Vec<std::int32_t>)(load<std::uint32_t>(words + j) >> 8);
        store<T>(to + j, convert<T>(bits) * 0x1p-24f);
      } else {
        const int at = (j / 16) * 32 + j % 16;
        const std::uint64_t both = (static_cast<std::uint64_t>(words[at]) << 32) | words[at + 16];
        to[j] = static_cast<double>(static_cast<std::int64_t>(both >> 11)) * 0x1p-53;
      }
    }
  };
  for (std::int64_t row = 0; row < block.rows; ++row) {
    T* r = row_of<T>(result, row, block.result_stride);
    const std::int64_t first = block.element + row * block.element_stride;
    for (std::int64_t i = 0; i < columns;) {
      const std::int64_t group = (first + i) / per_group, inside = (first + i) % per_group;
      const std::int64_t left = columns - i, in_group = per_group - inside;
      if (inside == 0 && left >= at_once * per_group) {
        fill(r + i, group, std::integral_constant<int, at_once>{});
        i += at_once * per_group;
        continue;
      }
      const std::int64_t count = left < in_group ? left : in_group;
      alignas(64) T numbers[per_group];
      fill(numbers, group, std::integral_constant<int, 1>{});
      std::memcpy(r + i, numbers + inside, static_cast<std::size_t>(count) * sizeof(T));
      i += count;
    }
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
