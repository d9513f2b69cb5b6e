// Accuracy of the elementary functions (cpp/simd/math.h) over their whole ranges, in units in the last place
// (ulp), and their special values. They are called through the tile functions of each instruction set.
#include <cfloat>

#include "kernels/kernel_test.h"

namespace ravine::testing {
namespace {

using kernels::TileOp;

template <class T>
void apply(const KernelTable& table, TileOp op, Buffer<T>& result, const Buffer<T>& a,
           const Buffer<T>* b = nullptr) {
  kernels::TileStep step;
  step.op = op;
  const kernels::TileBlock block{.rows = 1, .columns = a.size()};
  table.tile_function(op, dtype_of<T>, dtype_of<T>)(result.data(), a.data(),
                                                    b != nullptr ? b->data() : nullptr, nullptr, block, step);
}

// Distance between neighbours of T at `value`; denormal results may be flushed, so it is not below that of
// the least normal number.
template <class T>
long double ulp(long double value) {
  const long double least = std::numeric_limits<T>::min();
  const long double size = std::max(std::abs(value), least);
  return std::ldexp(1.0L, std::ilogb(size) - std::numeric_limits<T>::digits + 1);
}

template <class T>
void expect_ulps(const Buffer<T>& got, const Buffer<T>& x, const std::vector<long double>& expected,
                 double limit, const char* name) {
  double worst = 0;
  T at = 0;
  for (std::int64_t i = 0; i < got.size(); ++i) {
    const long double want = expected[static_cast<std::size_t>(i)];
    if (std::abs(want) > static_cast<long double>(std::numeric_limits<T>::max())) continue;
    if (std::abs(want) < 2 * static_cast<long double>(std::numeric_limits<T>::min())) {
      EXPECT_LE(std::abs(got[i]), 3 * std::numeric_limits<T>::min()) << name << " of " << x[i];
      continue;
    }
    const auto error = static_cast<double>(std::abs(static_cast<long double>(got[i]) - want) / ulp<T>(want));
    if (!(error <= worst)) worst = error, at = x[i];
  }
  EXPECT_LE(worst, limit) << name << " of " << ravine::name_of(dtype_of<T>) << ", worst at " << at;
}

struct Function {
  TileOp op;
  long double (*reference)(long double);
  // Arguments: uniform in [low, high], and of every magnitude below one where the function is defined for
  // both signs; for the logarithms every positive magnitude.
  double low, high;
  bool positive;
  double float_limit, double_limit;  // in ulp
};

const Function functions[] = {
    {TileOp::exp, [](long double x) { return std::exp(x); }, -87, 88.7, false, 1, 1},
    {TileOp::expm1, [](long double x) { return std::expm1(x); }, -30, 88.7, false, 2, 2.2},
    {TileOp::log, [](long double x) { return std::log(x); }, 0.3, 3, true, 1, 1},
    {TileOp::log1p, [](long double x) { return std::log1p(x); }, -0.999, 3, false, 1.2, 1.2},
    {TileOp::tanh, [](long double x) { return std::tanh(x); }, -22, 22, false, 2.7, 2.7},
    {TileOp::sigmoid, [](long double x) { return 1 / (1 + std::exp(-x)); }, -86, 100, false, 2.5, 2.5},
    {TileOp::softplus, [](long double x) { return std::log1p(std::exp(x)); }, -86, 100, false, 2, 2},
    {TileOp::erf, [](long double x) { return std::erf(x); }, -7, 7, false, 2, 2},
    {TileOp::sin, [](long double x) { return std::sin(x); }, -1e6, 1e6, false, 2, 3.5},
    {TileOp::cos, [](long double x) { return std::cos(x); }, -1e6, 1e6, false, 2, 3.5},
    {TileOp::sqrt, [](long double x) { return std::sqrt(x); }, 0, 10, true, 0.5, 0.5},
    {TileOp::rsqrt, [](long double x) { return 1 / std::sqrt(x); }, 0.1, 10, true, 1.5, 1.5},
};

template <class T>
void check_function(const KernelTable& table, const Function& function) {
  constexpr std::int64_t n = 20000;
  Buffer<T> x = random_buffer<T>(3 * n, 1, function.low, function.high);
  std::mt19937_64 engine(2);
  const double log_least = std::log(static_cast<double>(std::numeric_limits<T>::min())),
               log_most = std::log(static_cast<double>(std::numeric_limits<T>::max()));
  std::uniform_real_distribution<double> exponent(0.99 * log_least,
                                                  function.positive ? 0.99 * log_most : 0.0),
      near(-3, 3);
  for (std::int64_t i = n; i < 2 * n; ++i) {
    x[i] = static_cast<T>(std::exp(exponent(engine)));
    if (!function.positive && i % 2 == 1) x[i] = -x[i];
  }
  for (std::int64_t i = 2 * n; i < 3 * n; ++i) {
    const double value = near(engine);
    if (value > function.low && value < function.high) x[i] = static_cast<T>(value);
  }
  Buffer<T> result(x.size());
  apply(table, function.op, result, x);
  std::vector<long double> expected;
  for (const T value : x) expected.push_back(function.reference(value));
  expect_ulps(result, x, expected, std::is_same_v<T, float> ? function.float_limit : function.double_limit,
              kernels::name_of(function.op));
}

TEST(Math, FunctionsAreAccurateOverTheirRanges) {
  on_every_isa([](const KernelTable& table) {
    for (const Function& function : functions) {
      check_function<float>(table, function);
      check_function<double>(table, function);
    }
  });
}

template <class T>
void check_pow(const KernelTable& table, double limit) {
  constexpr std::int64_t n = 20000;
  Buffer<T> x = random_buffer<T>(n, 3, -20, 20), y = random_buffer<T>(n, 4, -4, 4), result(n);
  for (std::int64_t i = 0; i < n; ++i) {
    if (i % 2 == 0) {
      x[i] = std::exp(x[i]);
    } else {  // near one, to high powers
      x[i] = static_cast<T>(1.25 + x[i] / 27);
      y[i] *= 25;
    }
    if (i % 7 == 0) x[i] = -x[i], y[i] = std::nearbyint(y[i]);
  }
  apply(table, TileOp::pow, result, x, &y);
  std::vector<long double> expected;
  for (std::int64_t i = 0; i < n; ++i)
    expected.push_back(std::pow(static_cast<long double>(x[i]), static_cast<long double>(y[i])));
  expect_ulps(result, x, expected, limit, "pow");
}

TEST(Math, PowIsAccurate) {
  on_every_isa([](const KernelTable& table) {
    check_pow<float>(table, 0.6);
    check_pow<double>(table, 3);
  });
}

// ---- special values

template <class T>
bool same(T got, T want) {
  if (std::isnan(want)) return std::isnan(got);
  const T eps = 4 * std::numeric_limits<T>::epsilon();
  return (got == want && std::signbit(got) == std::signbit(want)) ||
         (std::isfinite(want) && want != 0 && std::abs(got - want) <= eps * std::abs(want));
}

template <class T>
void check_special_values(const KernelTable& table) {
  constexpr T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const Buffer<T> x{T(0),     T(-0.0),   infinity, -infinity, nan,  T(1e30), T(-1e30),
                    T(1e-30), T(-1e-30), T(800),   T(-800),   T(1), T(-1),   T(-2)};
  Buffer<T> result(x.size());
  for (const Function& function : functions) {
    if (function.op == TileOp::softplus) continue;  // its reference overflows; test_elementwise.cpp has it
    apply(table, function.op, result, x);
    for (std::int64_t i = 0; i < x.size(); ++i) {
      const T want = static_cast<T>(function.reference(x[i]));
      EXPECT_TRUE(same(result[i], want))
          << kernels::name_of(function.op) << "(" << x[i] << ") of " << ravine::name_of(dtype_of<T>)
          << ": got " << result[i] << ", expected " << want;
    }
  }
  const T bases[] = {T(0), T(-0.0),  1,         -1,  2,       -2,       T(0.5), T(-0.5),
                     3,    infinity, -infinity, nan, T(1e30), T(-1e30), T(2.5), T(-2.5)};
  Buffer<T> a(256), b(256), power(256);
  for (std::int64_t i = 0; i < 256; ++i) a[i] = bases[i / 16], b[i] = bases[i % 16];
  apply(table, TileOp::pow, power, a, &b);
  for (std::int64_t i = 0; i < 256; ++i) {
    const T want = std::pow(a[i], b[i]);
    EXPECT_TRUE(same(power[i], want))
        << a[i] << " to the power " << b[i] << ": got " << power[i] << ", expected " << want;
  }
}

TEST(Math, SpecialValuesAreAsInC) {
  on_every_isa([](const KernelTable& table) {
    check_special_values<float>(table);
    check_special_values<double>(table);
  });
}

template <class T>
void check_rounding(const KernelTable& table) {
  std::vector<T> values{T(0),
                        T(-0.0),
                        T(0.49999997),
                        T(4194304.5),
                        T(8388607.5),
                        T(8388608),
                        T(-8388607.5),
                        T(1e30),
                        std::numeric_limits<T>::infinity(),
                        std::numeric_limits<T>::quiet_NaN()};
  for (int i = -40; i <= 40; ++i) values.push_back(static_cast<T>(i) / 8);
  Buffer<T> x(static_cast<std::int64_t>(values.size())), result(x.size());
  std::copy(values.begin(), values.end(), x.begin());
  const std::pair<TileOp, T (*)(T)> operations[] = {{TileOp::floor, [](T v) { return std::floor(v); }},
                                                    {TileOp::ceil, [](T v) { return std::ceil(v); }},
                                                    {TileOp::round, [](T v) { return std::nearbyint(v); }}};
  for (const auto& [op, reference] : operations) {
    apply(table, op, result, x);
    for (std::int64_t i = 0; i < x.size(); ++i)
      EXPECT_TRUE(same(result[i], reference(x[i])))
          << kernels::name_of(op) << "(" << x[i] << "): got " << result[i];
  }
}

TEST(Math, RoundingIsExact) {
  on_every_isa([](const KernelTable& table) {
    check_rounding<float>(table);
    check_rounding<double>(table);
  });
}

}  // namespace
}  // namespace ravine::testing
