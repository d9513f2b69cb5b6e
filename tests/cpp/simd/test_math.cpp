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

// Results against the reference: NaN where it is NaN, infinite where it does not fit T, below the least
// normal number where it is (there it may be flushed to zero), else within `limit` ulp.
template <class T, class Reference>
void expect_ulps(const Buffer<T>& got, const Buffer<T>& x, const std::vector<Reference>& expected,
                 double limit, const char* name) {
  constexpr T least = std::numeric_limits<T>::min();
  double worst = 0;
  T at = 0;
  std::int64_t wrong = 0;
  T wrong_at = 0;
  for (std::int64_t i = 0; i < got.size(); ++i) {
    const Reference want = expected[static_cast<std::size_t>(i)];
    bool right = true;
    if (std::isnan(want)) right = std::isnan(got[i]);
    else if (std::isinf(static_cast<T>(want))) right = got[i] == static_cast<T>(want);
    else if (std::abs(want) < static_cast<Reference>(least)) right = std::abs(got[i]) <= least;
    else {
      const auto distance = std::abs(static_cast<long double>(got[i]) - static_cast<long double>(want));
      const auto error = static_cast<double>(distance / ulp<T>(static_cast<long double>(want)));
      if (!(error <= worst)) worst = error, at = x[i];
    }
    if (!right) ++wrong, wrong_at = x[i];
  }
  EXPECT_LE(worst, limit) << name << " of " << ravine::name_of(dtype_of<T>) << ", worst at " << at;
  EXPECT_EQ(wrong, 0) << name << " of " << ravine::name_of(dtype_of<T>) << ", such as " << wrong_at;
}

struct Function {
  TileOp op;
  double (*reference)(double);                 // for float
  long double (*long_reference)(long double);  // for double
  double limit;                                // in ulp, as cpp/simd/math.h promises
};

template <class R>
R sigmoid_of(R x) {
  return 1 / (1 + std::exp(-x));
}
template <class R>
R softplus_of(R x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

#define RAVINE_REFERENCE(f) [](double x) { return f(x); }, [](long double x) { return f(x); }
const Function functions[] = {
    {TileOp::exp, RAVINE_REFERENCE(std::exp), 1},          {TileOp::expm1, RAVINE_REFERENCE(std::expm1), 2},
    {TileOp::log, RAVINE_REFERENCE(std::log), 1},          {TileOp::log1p, RAVINE_REFERENCE(std::log1p), 1},
    {TileOp::tanh, RAVINE_REFERENCE(std::tanh), 1.5},      {TileOp::sigmoid, RAVINE_REFERENCE(sigmoid_of), 2},
    {TileOp::softplus, RAVINE_REFERENCE(softplus_of), 2},  {TileOp::erf, RAVINE_REFERENCE(std::erf), 1.5},
    {TileOp::sin, RAVINE_REFERENCE(std::sin), 2},          {TileOp::cos, RAVINE_REFERENCE(std::cos), 2},
    {TileOp::atan, RAVINE_REFERENCE(std::atan), 2},        {TileOp::sqrt, RAVINE_REFERENCE(std::sqrt), 0.5},
    {TileOp::rsqrt, RAVINE_REFERENCE(1 / std::sqrt), 1.5},
};
#undef RAVINE_REFERENCE

template <class T, class Reference>
void check_functions(const Buffer<T>& x, Reference (*Function::*reference)(Reference)) {
  Buffer<T> result(x.size());
  std::vector<Reference> expected(static_cast<std::size_t>(x.size()));
  for (const Function& function : functions) {
    for (std::int64_t i = 0; i < x.size(); ++i)
      expected[static_cast<std::size_t>(i)] = (function.*reference)(static_cast<Reference>(x[i]));
    on_every_isa([&](const KernelTable& table) {
      apply(table, function.op, result, x);
      expect_ulps(result, x, expected, function.limit, kernels::name_of(function.op));
    });
  }
}

// Every 1021st bit pattern: each exponent with 8,000 mantissas, denormal numbers, NaNs; and what is last of
// its kind.
TEST(Math, FloatFunctionsAreAccurateOverTheWholeRange) {
  std::vector<std::uint32_t> patterns;
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 1021)
    patterns.push_back(static_cast<std::uint32_t>(bits));
  for (const std::uint32_t sign : {0u, 0x80000000u})
    for (const std::uint32_t bits : {0u, 1u, 0x7fffffu, 0x800000u, 0x7f7fffffu, 0x7f800000u, 0x7fc00000u})
      patterns.push_back(sign | bits);
  Buffer<float> x(std::ssize(patterns));
  std::memcpy(x.data(), patterns.data(), x.memory().size());
  check_functions(x, &Function::reference);
}

// Every exponent, the ranges in which functions bend, and the neighbours of multiples of pi / 2.
TEST(Math, DoubleFunctionsAreAccurateOverTheWholeRange) {
  static_assert(std::numeric_limits<long double>::digits >= 64);
  constexpr std::int64_t n = 50000;
  Buffer<double> x(6 * n + 12);
  std::mt19937_64 engine(1);
  std::uniform_real_distribution<double> near(-3, 3), middle(-40, 40), wide(-745, 710), exponent(-60, 10);
  std::uniform_int_distribution<int> quarter(1, 500000);
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint64_t bits = engine();
    std::memcpy(&x[i], &bits, sizeof(bits));
    x[n + i] = near(engine);
    x[2 * n + i] = middle(engine);
    x[3 * n + i] = wide(engine);
    x[4 * n + i] = std::exp2(exponent(engine)) * (i % 2 == 0 ? 1 : -1);
    x[5 * n + i] = 1.57079632679489661923 * quarter(engine);
  }
  using Limits = std::numeric_limits<double>;
  std::int64_t i = 6 * n;
  for (const double value :
       {0.0, Limits::denorm_min(), Limits::min(), Limits::max(), Limits::infinity(), Limits::quiet_NaN()})
    x[i++] = value, x[i++] = -value;
  check_functions(x, &Function::long_reference);
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
    apply(table, function.op, result, x);
    for (std::int64_t i = 0; i < x.size(); ++i) {
      const T want = static_cast<T>(function.long_reference(x[i]));
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
