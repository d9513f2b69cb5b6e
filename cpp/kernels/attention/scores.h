// What becomes of a row of scores: masks, exponentials, dropout.
#pragma once

#include "kernels/attention/blocks.h"
#include "kernels/base/vector_loop.h"
#include "simd/math.h"
#include "simd/philox.h"

namespace ravine::kernels::RAVINE_ISA {

template <class T>
inline constexpr T hidden_score = -FloatFormat<T>::infinity;

// e^x for x <= 0, or above by a rounding; 0 if that is no normal number.
template <class T>
RAVINE_INLINE Vec<T> exp_of_not_positive(Vec<T> x) {
  constexpr T low = is_float<T> ? T(-87) : T(-708);
  const ExpReduction<T> e = reduce_exp<T>(at_least<T>(x, low));
  const Vec<T> p = e.r * e.r * exp_quadratic<T>(e.r) + e.r + T(1);
  return x < low ? Vec<T>{} : p * power_of_2<T>(e.n_int);
}

// The mask of a head.
template <class T>
class HeadMask {
 public:
  HeadMask(const AttentionShape& shape, std::int64_t head)
      : kind_(shape.mask_kind),
        row_stride_(shape.mask.row_stride),
        offset_(head_offset(shape, shape.mask.batch_strides, head)),
        data_(shape.mask.data) {}

  // scores[j] of query i and key first + j, j < count.
  void apply(T* scores, std::int64_t i, std::int64_t first, std::int64_t count) const {
    if (kind_ == AttentionMask::none) return;
    const std::int64_t at = offset_ + i * row_stride_ + first;
    if (kind_ == AttentionMask::additive) {
      const T* const added = static_cast<const T*>(data_) + at;
      for_each_vector<T>(count, [&](std::int64_t j, auto n) RAVINE_INLINE_LAMBDA {
        store(scores + j, load(scores + j, n) + load(added + j, n), n);
      });
      return;
    }
    const std::uint8_t* const seen = static_cast<const std::uint8_t*>(data_) + at;
    for (std::int64_t j = 0; j < count; ++j) scores[j] = seen[j] != 0 ? scores[j] : hidden_score<T>;
  }

  // The end of the keys that any of the queries sees, as far as booleans say so; at most `end`.
  std::int64_t end_of_seen(Range queries, std::int64_t end) const {
    if (kind_ != AttentionMask::boolean) return end;
    std::int64_t found = 0;
    for (std::int64_t i = queries.end; i-- > queries.begin && found < end;) {
      const std::uint8_t* const seen = static_cast<const std::uint8_t*>(data_) + offset_ + i * row_stride_;
      std::int64_t last = end;
      while (last > found && seen[last - 1] == 0) --last;
      found = last;
      if (row_stride_ == 0) break;
    }
    return found;
  }

  // Whether no query sees any of the keys, as far as booleans say so.
  bool hides(Range queries, Range keys) const {
    if (kind_ != AttentionMask::boolean) return false;
    const std::int64_t end = row_stride_ == 0 ? queries.begin + 1 : queries.end;
    for (std::int64_t i = queries.begin; i < end; ++i) {
      const std::uint8_t* const seen =
          static_cast<const std::uint8_t*>(data_) + offset_ + i * row_stride_ + keys.begin;
      std::uint8_t any = 0;
      for (std::int64_t j = 0; j < keys.size(); ++j) any |= seen[j];
      if (any != 0) return false;
    }
    return true;
  }

 private:
  AttentionMask kind_;
  std::int64_t row_stride_, offset_;
  const void* data_;
};

// Dropout of weights: random numbers are a function of the query and the key, so that both directions have
// the same.
template <class T>
class WeightDropout {
 public:
  WeightDropout(const AttentionShape& shape, std::uint64_t seed, std::uint64_t step)
      : seed_(seed),
        step_(step),
        stream_(shape.stream),
        groups_per_row_(ceil_div(shape.keys, words_per_group)),
        kept_(shape.dropout < 1 ? static_cast<T>(1 / (1 - shape.dropout)) : T(0)) {
    // Numbers in [0, 1) of 24 bits are compared with the probability as float32, as operations on tensors
    // would.
    const double bound = static_cast<double>(static_cast<float>(shape.dropout)) * 0x1p24;
    least_ = static_cast<std::uint32_t>(bound);
    if (static_cast<double>(least_) < bound) ++least_;
  }

  // factors[j], j < count: of the weight of key first + j, `row` being the query's number in all heads.
  [[gnu::noinline]] void draw(T* factors, std::int64_t row, std::int64_t first, std::int64_t count) const {
    alignas(64) std::uint32_t words[words_per_group];
    for (std::int64_t j = 0; j < count;) {
      const std::int64_t group = (first + j) / words_per_group, inside = (first + j) % words_per_group;
      random_groups<1>(seed_, step_, stream_, static_cast<std::uint64_t>(row * groups_per_row_ + group),
                       words);
      const std::int64_t end = smaller(count, j + words_per_group - inside);
      const std::uint32_t* const from = words + inside - j;
      for (; j < end; ++j) factors[j] = (from[j] >> 8) >= least_ ? kept_ : T(0);
    }
  }

 private:
  std::uint64_t seed_, step_;
  std::uint32_t stream_, least_;
  std::int64_t groups_per_row_;
  T kept_;
};

}  // namespace ravine::kernels::RAVINE_ISA
