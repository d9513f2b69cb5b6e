// Random numbers for initialisation and shuffling. Dropout draws its own inside programs (cpp/simd/philox.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

namespace ravine {

// A sequence of draws: every call below is one, and its numbers are a function of (seed, number of the draw,
// element) alone: the same on every machine, for every number of threads, and in float32 the float64 ones
// rounded. Draws may come from several threads at once; each then has a number of its own.
class Generator {
 public:
  struct State {
    std::uint64_t seed = 0, draws = 0;
  };

  explicit Generator(std::uint64_t seed = 0) : seed_(seed) {}

  void seed(std::uint64_t seed) { set_state({seed, 0}); }
  State state() const { return {seed_.load(), draws_.load()}; }
  void set_state(const State& state);  // continues where state() was taken

  std::uint64_t draw_seed();  // for an independent stream; below 2^63

  // T is float or double. ValueError where a bound is not finite, low > high, or std is negative.
  template <class T>
  void fill_uniform(std::span<T> values, double low,
                    double high);  // [low, high), or low where they are equal
  template <class T>
  void fill_normal(std::span<T> values, double mean, double std);
  // The normal distribution given that the value lies in [low, high].
  template <class T>
  void fill_truncated_normal(std::span<T> values, double mean, double std, double low, double high);

  // The numbers 0 to n - 1, every order equally likely.
  std::vector<std::int64_t> permutation(std::int64_t n);

 private:
  State draw() { return {seed_.load(), draws_.fetch_add(1)}; }

  std::atomic<std::uint64_t> seed_, draws_ = 0;
};

// The generator that this thread draws from: the process's, seeded with 0, or one of its own.
Generator& default_generator();

// Makes this thread draw from `own`, which has to live until another call; nullptr: from the process's
// generator. Returns what it drew from before, in the same sense.
Generator* use_generator(Generator* own);

// x with P(X < x) = p for a standard normal X; p in (0, 1). Relative error about 1e-15 on every machine
// alike.
double inverse_normal_cdf(double p);

}  // namespace ravine
