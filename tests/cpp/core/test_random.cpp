#include "core/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <thread>

#include "core/error.h"
#include "core/philox.h"
#include "core/thread_count.h"

namespace ravine {
namespace {

// The known answers that Random123, the authors' library, is tested with.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (PhiloxCounter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (PhiloxCounter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxCounter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

TEST(InverseNormal, InvertsErfcToRounding) {
  for (double x = -37; x < 8; x += 0.01) {
    const double p = normal_cdf(x);
    if (p >= 1) break;
    // dp/p is about |x| dx in the lower tail; next to 1 the digits of p limit x.
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
    const double tolerance = 3e-15 * (1 + std::abs(x)) + 2e-16 * p / std::max(density, 1e-300);
    EXPECT_NEAR(inverse_normal_cdf(p), x, tolerance) << "p = " << p;
  }
  EXPECT_EQ(inverse_normal_cdf(0.5), 0.0);
}

template <class T, class Fill>
std::vector<T> filled(std::size_t n, Fill fill, std::uint64_t seed = 3) {
  Generator generator(seed);
  std::vector<T> values(n);
  fill(generator, std::span<T>(values));
  return values;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}
double variance_of(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return sum / static_cast<double>(values.size());
}

// Largest distance between the sample's distribution and `cdf` (Kolmogorov and Smirnov), times sqrt(n):
// above 1.95 in one sample of 1000.
template <class Cdf>
double kolmogorov_smirnov(std::vector<double> values, Cdf cdf) {
  std::sort(values.begin(), values.end());
  const double n = static_cast<double>(values.size());
  double distance = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double p = cdf(values[i]);
    distance = std::max({distance, p - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - p});
  }
  return distance * std::sqrt(n);
}

constexpr std::size_t sample = 100001;

TEST(Generator, Uniform) {
  const auto fill = [](Generator& g, auto values) { g.fill_uniform(values, -2.0, 3.0); };
  const auto values = filled<double>(sample, fill);
  EXPECT_LT(kolmogorov_smirnov(values, [](double x) { return (x + 2) / 5; }), 1.95);
  EXPECT_GE(*std::min_element(values.begin(), values.end()), -2.0);
  EXPECT_LT(*std::max_element(values.begin(), values.end()), 3.0);
  const auto rounded = filled<float>(sample, fill);
  for (std::size_t i = 0; i < sample; ++i) EXPECT_EQ(rounded[i], static_cast<float>(values[i]));
}

TEST(Generator, UniformNeverReachesItsUpperBound) {
  // One in 16 of these would round to 1 + 2^-20.
  const float high = 1.0f + 0x1p-20f;
  const auto values =
      filled<float>(sample, [&](Generator& g, auto v) { g.fill_uniform(v, 1.0, static_cast<double>(high)); });
  const std::set<float> distinct(values.begin(), values.end());
  EXPECT_EQ(distinct.size(), 8u);
  EXPECT_EQ(*distinct.begin(), 1.0f);
  EXPECT_LT(*distinct.rbegin(), high);
  for (const float value : filled<float>(9, [](Generator&g, auto v) { g.fill_uniform(v, 0.5, 0.5); }))
    EXPECT_EQ(value, 0.5f);
  const double huge = std::numeric_limits<double>::max();
  for (const double value : filled<double>(99, [&](Generator&g, auto v) { g.fill_uniform(v, -huge, huge); }))
    EXPECT_TRUE(std::isfinite(value));
}

TEST(Generator, Normal) {
  const auto fill = [](Generator& g, auto values) { g.fill_normal(values, 1.5, 2.0); };
  const auto values = filled<double>(sample, fill);
  EXPECT_LT(kolmogorov_smirnov(values, [](double x) { return normal_cdf((x - 1.5) / 2); }), 1.95);
  EXPECT_NEAR(mean_of(values), 1.5, 4 * 2 / std::sqrt(sample));
  EXPECT_NEAR(variance_of(values), 4.0, 4 * 4 * std::sqrt(2.0 / sample));
  const auto rounded = filled<float>(sample, fill);
  for (std::size_t i = 0; i < sample; ++i) EXPECT_EQ(rounded[i], static_cast<float>(values[i]));
}

TEST(Generator, TruncatedNormal) {
  struct Case {
    double mean, std, low, high;
  };
  for (const Case& c : {Case{0, 1, -2, 2}, Case{1, 3, -2, 2}, Case{0, 1, 4, 5}, Case{0, 1, -9, -8},
                        Case{2, 0.5, 1, 9}, Case{-5, 2, -100, -4.9}}) {
    const auto values = filled<double>(
        sample, [&](Generator& g, auto v) { g.fill_truncated_normal(v, c.mean, c.std, c.low, c.high); });
    // Probabilities from the side where they are small.
    const double side = c.low + c.high > 2 * c.mean ? -1 : 1;
    const auto below = [&](double x) { return normal_cdf(side * (x - c.mean) / c.std); };
    const auto cdf = [&](double x) { return (below(x) - below(c.low)) / (below(c.high) - below(c.low)); };
    EXPECT_LT(kolmogorov_smirnov(values, cdf), 1.95) << "[" << c.low << ", " << c.high << "]";
    EXPECT_GE(*std::min_element(values.begin(), values.end()), c.low);
    EXPECT_LE(*std::max_element(values.begin(), values.end()), c.high);
  }
}

TEST(Generator, TruncatedNormalFarOutAndDegenerate) {
  const auto at = [](double mean, double std, double low, double high) {
    return filled<float>(100,
                         [=](Generator& g, auto v) { g.fill_truncated_normal(v, mean, std, low, high); });
  };
  for (const float value : at(0, 1, 50, 60)) EXPECT_EQ(value, 50.0f);
  for (const float value : at(0, 1, -60, -50)) EXPECT_EQ(value, -50.0f);
  for (const float value : at(7, 0, 1, 2)) EXPECT_EQ(value, 2.0f);
  for (const float value : at(0, 1, 3, 3)) EXPECT_EQ(value, 3.0f);
}

TEST(Generator, SameBitsForEveryNumberOfThreads) {
  const auto draw = [](int threads) {
    const ThreadsScope scope(threads);
    return filled<float>(200003, [](Generator& g, auto values) { g.fill_normal(values, 0.0, 1.0); });
  };
  const auto expected = draw(1);
  for (const int threads : {2, 3, 5}) EXPECT_EQ(draw(threads), expected);
}

TEST(Generator, AnElementDoesNotDependOnHowManyAreDrawn) {
  const auto fill = [](Generator& g, auto values) { g.fill_uniform(values, 0.0, 1.0); };
  const auto many = filled<double>(sample, fill), few = filled<double>(5, fill);
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
}

TEST(Generator, GoldenNumbers) {
  // Block (0, 0) of key 0 is Philox's first known answer; the quantile of its upper 52 bits is SciPy's.
  Generator generator(0);
  EXPECT_EQ(generator.draw_seed(), 0xe169c58d6627e8d5u >> 1);
  double normal[1];
  generator.set_state({0, 0});
  generator.fill_normal(std::span<double>(normal), 0.0, 1.0);
  EXPECT_NEAR(normal[0], 1.1775912390542733, 1e-14);
}

TEST(Generator, StateContinuesADrawSequence) {
  Generator first(11), second(5);
  std::vector<double> a(10), b(10);
  first.draw_seed();
  first.permutation(4);
  second.set_state(first.state());
  first.fill_normal(std::span(a), 0, 1);
  second.fill_normal(std::span(b), 0, 1);
  EXPECT_EQ(a, b);
  first.fill_normal(std::span(a), 0, 1);
  EXPECT_NE(a, b);
  first.seed(5);
  second.seed(5);
  EXPECT_EQ(first.draw_seed(), second.draw_seed());
}

TEST(Generator, ThreadsDrawDifferentSeeds) {
  Generator generator(1);
  std::vector<std::vector<std::uint64_t>> drawn(4);
  std::vector<std::thread> threads;
  for (auto& mine : drawn)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) mine.push_back(generator.draw_seed());
    });
  for (std::thread& thread : threads) thread.join();
  std::set<std::uint64_t> distinct, expected;
  for (const auto& mine : drawn) distinct.insert(mine.begin(), mine.end());
  Generator alone(1);
  for (int i = 0; i < 4000; ++i) expected.insert(alone.draw_seed());
  EXPECT_EQ(distinct, expected);
  EXPECT_EQ(distinct.size(), 4000u);
  EXPECT_LT(*distinct.rbegin(), std::uint64_t{1} << 63);
}

TEST(Generator, PermutationHasEveryNumberOnce) {
  Generator generator(2);
  for (const std::int64_t n : {0, 1, 2, 3, 100, 70001}) {
    std::vector<std::int64_t> order = generator.permutation(n);
    if (n >= 100) {
      EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
    }
    std::sort(order.begin(), order.end());
    for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(order[static_cast<std::size_t>(i)], i);
    EXPECT_EQ(std::ssize(order), n);
  }
}

TEST(Generator, EveryPermutationIsEquallyLikely) {
  Generator generator(7);
  std::map<std::vector<std::int64_t>, int> counts;
  constexpr int draws = 24000;
  for (int i = 0; i < draws; ++i) ++counts[generator.permutation(4)];
  ASSERT_EQ(counts.size(), 24u);
  double chi_square = 0;
  for (const auto& [order, count] : counts)
    chi_square += (count - draws / 24.0) * (count - draws / 24.0) / (draws / 24.0);
  EXPECT_LT(chi_square, 49.7);  // exceeded once in 1000 for 23 degrees of freedom
}

TEST(Generator, BadArguments) {
  Generator generator;
  std::vector<float> values(3, 7.0f);
  const std::span<float> span(values);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(generator.fill_uniform(span, 1, 0), ValueError);
  EXPECT_THROW(generator.fill_uniform(span, nan, 0), ValueError);
  EXPECT_THROW(generator.fill_uniform(span, 0, HUGE_VAL), ValueError);
  EXPECT_THROW(generator.fill_normal(span, 0, -1), ValueError);
  EXPECT_THROW(generator.fill_normal(span, nan, 1), ValueError);
  EXPECT_THROW(generator.fill_truncated_normal(span, 0, 1, 2, 1), ValueError);
  EXPECT_THROW(generator.fill_truncated_normal(span, 0, nan, 1, 2), ValueError);
  EXPECT_THROW(generator.permutation(-1), ValueError);
  EXPECT_EQ(values, std::vector<float>(3, 7.0f));
  EXPECT_EQ(generator.state().draws, 0u);
}

TEST(Generator, TheProcessHasOne) {
  default_generator().seed(9);
  Generator same(9);
  EXPECT_EQ(default_generator().draw_seed(), same.draw_seed());
}

TEST(Generator, AThreadMayHaveItsOwn) {
  default_generator().seed(9);
  const Generator::State before = default_generator().state();
  Generator own(4);
  EXPECT_EQ(use_generator(&own), nullptr);
  EXPECT_EQ(&default_generator(), &own);
  std::thread([] { EXPECT_EQ(default_generator().state().seed, 9u); }).join();
  default_generator().draw_seed();
  EXPECT_EQ(use_generator(nullptr), &own);
  EXPECT_EQ(own.state().draws, 1u);
  EXPECT_EQ(default_generator().state().draws, before.draws);
}

}  // namespace
}  // namespace ravine
