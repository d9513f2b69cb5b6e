// Random numbers for initial weights and for the order of examples.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ravine/array.h"

namespace ravine {
#pragma GCC visibility push(default)
namespace v1 {

// A sequence of draws: each call is one, and its numbers are a function of the seed, of how many draws there
// were before, and of the element: the same on every machine. Python's, after `rv.seed(seed)`.
class Generator {
 public:
  explicit Generator(std::uint64_t seed = 0);
  Generator(Generator&&) noexcept;
  Generator& operator=(Generator&&) noexcept;
  ~Generator();

  // Fill a floating array; Error for another dtype, bounds that are not finite, low > high, a negative std.
  void uniform(Array& values, double low, double high);
  void normal(Array& values, double mean, double std);
  void truncated_normal(Array& values, double mean, double std, double low, double high);
  // A matrix [first axis, all others] with orthonormal rows or columns, whichever are fewer.
  void orthogonal(Array& values, double gain = 1);

  std::vector<std::int64_t> permutation(std::int64_t n);  // of 0 to n - 1
  std::uint64_t draw_seed();                              // of an independent sequence

 private:
  struct [[gnu::visibility("hidden")]] State;
  std::unique_ptr<State> state_;
};

}  // namespace v1
#pragma GCC visibility pop
}  // namespace ravine
