// Only +, -, *, / and sqrt are used on floating numbers, without contraction (see CMakeLists.txt): these
// round alike everywhere, the functions of <cmath> do not.
#include "core/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "core/error.h"
#include "core/philox.h"
#include "core/team.h"
#include "core/thread_count.h"

namespace ravine {
namespace {

// Block number `block` of a draw.
PhiloxCounter random_block(const Generator::State& draw, std::uint64_t block) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  return philox4x32({low(block), high(block), low(draw.draws), high(draw.draws)},
                    {low(draw.seed), high(draw.seed)});
}

// A block has two numbers of 64 bits.
std::uint64_t number_of(const PhiloxCounter& block, std::size_t which) {
  return block[2 * which] | std::uint64_t{block[2 * which + 1]} << 32;
}

// values[i] = value_of(number i of the draw)
template <class T, class ValueOf>
void fill(const Generator::State& draw, std::span<T> values, ValueOf value_of) {
  constexpr std::size_t piece = 1 << 14;
  struct Call {
    const Generator::State& draw;
    std::span<T> values;
    ValueOf& value_of;
  } call{draw, values, value_of};
  const std::size_t pieces = (values.size() + piece - 1) / piece;
  const auto fill_pieces = [](void* context, const Team& team) noexcept {
    const Call& self = *static_cast<const Call*>(context);
    const std::size_t n = self.values.size();
    const Pieces mine = pieces_of(static_cast<std::int64_t>((n + piece - 1) / piece), team);
    const std::size_t end = std::min(n, static_cast<std::size_t>(mine.end) * piece);
    for (std::size_t i = static_cast<std::size_t>(mine.begin) * piece; i < end; i += 2) {
      const PhiloxCounter block = random_block(self.draw, i / 2);
      self.values[i] = self.value_of(number_of(block, 0));
      if (i + 1 < end) self.values[i + 1] = self.value_of(number_of(block, 1));
    }
  };
  run_on_team(pieces < 4 ? 1 : num_threads(), 0, fill_pieces, &call, TeamSize::adaptive);
}

// Multiples of 2^-53 in [0, 1).
double uniform_of(std::uint64_t number) { return static_cast<double>(number >> 11) * 0x1p-53; }
// Odd multiples of 2^-53 in (0, 1): symmetric about 1/2, never 0 or 1.
double open_uniform_of(std::uint64_t number) { return (static_cast<double>(number >> 12) + 0.5) * 0x1p-52; }

void check_finite(const char* name, double value) {
  check<ValueError>(std::isfinite(value), "random numbers: ", name, " must be finite, got ", value);
}

// Natural logarithm by the series of 2 artanh((m - 1) / (m + 1)) for a mantissa m near 1.
double log_of(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < 0.70710678118654752) {
    mantissa *= 2;
    --exponent;
  }
  const double s = (mantissa - 1) / (mantissa + 1), square = s * s;
  double sum = 0;
  for (int k = 12; k >= 0; --k) sum = sum * square + 1.0 / (2 * k + 1);
  return exponent * 0.69314718055994531 + 2 * s * sum;
}

// c[0] + c[1] x + c[2] x^2 + ...
template <std::size_t N>
double polynomial(const double (&c)[N], double x) {
  double sum = 0;
  for (std::size_t i = N; i-- > 0;) sum = sum * x + c[i];
  return sum;
}

// The inverse of inverse_normal_cdf for x <= 0: bisection over the numbers between 1e-300 and 1/2, whose bits
// are ordered as they are.
double normal_cdf_below_zero(double x) {
  std::uint64_t low = std::bit_cast<std::uint64_t>(1e-300), high = std::bit_cast<std::uint64_t>(0.5);
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    (inverse_normal_cdf(std::bit_cast<double>(middle)) < x ? low : high) = middle;
  }
  return std::bit_cast<double>(high);
}

}  // namespace

// Algorithm AS 241 (PPND16): Wichura, "The percentage points of the normal distribution", Applied Statistics
// 37 (1988).
double inverse_normal_cdf(double p) {
  static constexpr double a[] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                                 1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                 3.3430575583588128105e+4, 2.5090809287301226727e+3};
  static constexpr double b[] = {1,
                                 4.2313330701600911252e+1,
                                 6.8718700749205790830e+2,
                                 5.3941960214247511077e+3,
                                 2.1213794301586595867e+4,
                                 3.9307895800092710610e+4,
                                 2.8729085735721942674e+4,
                                 5.2264952788528545610e+3};
  static constexpr double c[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                 5.76949722146069140550e0,  3.64784832476320460504e0,
                                 1.27045825245236838258e0,  2.41780725177450611770e-1,
                                 2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double d[] = {1,
                                 2.05319162663775882187e0,
                                 1.67638483018380384940e0,
                                 6.89767334985100004550e-1,
                                 1.48103976427480074590e-1,
                                 1.51986665636164571966e-2,
                                 5.47593808499534494600e-4,
                                 1.05075007164441684324e-9};
  static constexpr double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                 1.78482653991729133580e0,  2.96560571828504891230e-1,
                                 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                 2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr double f[] = {1,
                                 5.99832206555887937690e-1,
                                 1.36929880922735805310e-1,
                                 1.48753612908506148525e-2,
                                 7.86869131145613259100e-4,
                                 1.84631831751005468180e-5,
                                 1.42151175831644588870e-7,
                                 2.04426310338993978564e-15};
  const double q = p - 0.5;
  if (q <= 0.425 && q >= -0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(a, r) / polynomial(b, r);
  }
  const double r = std::sqrt(-log_of(q < 0 ? p : 1 - p));
  const double x =
      r <= 5 ? polynomial(c, r - 1.6) / polynomial(d, r - 1.6) : polynomial(e, r - 5) / polynomial(f, r - 5);
  return q < 0 ? -x : x;
}

void Generator::set_state(const State& state) {
  seed_ = state.seed;
  draws_ = state.draws;
}

std::uint64_t Generator::draw_seed() { return number_of(random_block(draw(), 0), 0) >> 1; }

template <class T>
void Generator::fill_uniform(std::span<T> values, double low, double high) {
  check_finite("low", low);
  check_finite("high", high);
  check<ValueError>(low <= high, "random numbers: low must not exceed high, got ", low, " and ", high);
  const T lowest = static_cast<T>(low), limit = static_cast<T>(high);
  // Rounding may reach `high`, which is outside.
  const T largest = limit > lowest ? std::nextafter(limit, lowest) : lowest;
  fill(draw(), values, [=](std::uint64_t number) {
    const double u = uniform_of(number);
    const T value = static_cast<T>(low * (1 - u) + high * u);  // does not overflow where high - low would
    return value < lowest ? lowest : value > largest ? largest : value;
  });
}
template void Generator::fill_uniform<float>(std::span<float>, double, double);
template void Generator::fill_uniform<double>(std::span<double>, double, double);

template <class T>
void Generator::fill_normal(std::span<T> values, double mean, double std) {
  check_finite("mean", mean);
  check_finite("std", std);
  check<ValueError>(std >= 0, "random numbers: std must not be negative, got ", std);
  fill(draw(), values, [=](std::uint64_t number) {
    return static_cast<T>(mean + std * inverse_normal_cdf(open_uniform_of(number)));
  });
}
template void Generator::fill_normal<float>(std::span<float>, double, double);
template void Generator::fill_normal<double>(std::span<double>, double, double);

template <class T>
void Generator::fill_truncated_normal(std::span<T> values, double mean, double std, double low, double high) {
  check_finite("mean", mean);
  check_finite("std", std);
  check_finite("low", low);
  check_finite("high", high);
  check<ValueError>(std >= 0, "random numbers: std must not be negative, got ", std);
  check<ValueError>(low <= high, "random numbers: low must not exceed high, got ", low, " and ", high);
  const T lowest = static_cast<T>(low), highest = static_cast<T>(high);
  const auto clamp = [=](double value) {
    const T rounded = static_cast<T>(value);
    return rounded < lowest ? lowest : rounded > highest ? highest : rounded;
  };
  const State draw = this->draw();
  if (std == 0 || low == high) {
    for (T& value : values) value = clamp(mean);
    return;
  }
  // By symmetry the interval's middle is put at or below 0, where small probabilities keep their digits.
  const bool mirrored = (low - mean) + (high - mean) > 0;
  const double a = (mirrored ? mean - high : low - mean) / std,
               b = (mirrored ? mean - low : high - mean) / std;
  const double p_low = normal_cdf_below_zero(a);
  const double p_high = b <= 0 ? normal_cdf_below_zero(b) : 1 - normal_cdf_below_zero(-b);
  const double scale = mirrored ? -std : std;
  fill(draw, values, [=](std::uint64_t number) {
    const double u = open_uniform_of(number);
    return clamp(mean + scale * inverse_normal_cdf(p_low + (p_high - p_low) * u));
  });
}
template void Generator::fill_truncated_normal<float>(std::span<float>, double, double, double, double);
template void Generator::fill_truncated_normal<double>(std::span<double>, double, double, double, double);

// Fisher and Yates' shuffle. An index below `bound` is the high half of a product, redrawn where that would
// favour some: Lemire, "Fast random integer generation in an interval" (2019).
std::vector<std::int64_t> Generator::permutation(std::int64_t n) {
  check<ValueError>(n >= 0, "permutation: n must not be negative, got ", n);
  __extension__ typedef unsigned __int128 Product;
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  const State draw = this->draw();
  std::uint64_t next = 0;
  PhiloxCounter block{};
  const auto number = [&] {
    if (next % 2 == 0) block = random_block(draw, next / 2);
    return number_of(block, next++ % 2);
  };
  for (std::uint64_t bound = order.size(); bound > 1; --bound) {
    Product product = static_cast<Product>(number()) * bound;
    if (static_cast<std::uint64_t>(product) < bound) {
      const std::uint64_t surplus = (0 - bound) % bound;  // 2^64 mod bound
      while (static_cast<std::uint64_t>(product) < surplus) product = static_cast<Product>(number()) * bound;
    }
    std::swap(order[bound - 1], order[static_cast<std::size_t>(product >> 64)]);
  }
  return order;
}

namespace {
thread_local Generator* generator_of_thread = nullptr;
}

Generator& default_generator() {
  static Generator generator;
  return generator_of_thread != nullptr ? *generator_of_thread : generator;
}

Generator* use_generator(Generator* own) { return std::exchange(generator_of_thread, own); }

}  // namespace ravine
