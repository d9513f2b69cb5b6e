// SplitMix64: numbers that look random, each a function of a seed and of its place alone.
// Source: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", 2014.
#pragma once

#include <cstdint>

namespace ravine {

// Number `place` of the seed's stream.
inline std::uint64_t number_at(std::uint64_t seed, std::uint64_t place) {
  std::uint64_t x = (place + 1) * 0x9E3779B97F4A7C15u + seed;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// The same as a number in [0, 1).
inline double uniform_at(std::uint64_t seed, std::uint64_t place) {
  return static_cast<double>(number_at(seed, place) >> 11) * 0x1p-53;
}

}  // namespace ravine
