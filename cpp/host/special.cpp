#include "host/special.h"

#include <cmath>
#include <numbers>

#include "core/floating.h"
#include "host/formulas.h"

namespace ravine::host {
namespace formula {
namespace {

using std::acos, std::acosh, std::asin, std::asinh, std::atan2, std::atanh, std::copysign, std::cosh,
    std::erfc, std::exp2, std::fmod, std::hypot, std::log10, std::log2, std::nextafter, std::sinh, std::tan;

// psi(x) = psi(1 - x) - pi / tan(pi x) below 1/2; psi(x) = psi(x + n) - 1 / x - ... - 1 / (x + n - 1) up to
// 10, then the asymptotic series (Abramowitz and Stegun 6.3.7, 6.3.5, 6.3.18).
double digamma(double x) {
  if (x == 0) return std::copysign(infinity, -x);
  if (x == infinity) return x;
  if (x < 0.5) {
    const double fraction = x - std::nearbyint(x);
    if (fraction == 0 || !std::isfinite(x)) return nan;
    return digamma(1 - x) - std::numbers::pi / std::tan(std::numbers::pi * fraction);
  }
  double sum = 0;
  for (; x < 10; x += 1) sum -= 1 / x;
  const double square = 1 / (x * x);
  constexpr double terms[] = {1.0 / 12,  -1.0 / 120,     1.0 / 252, -1.0 / 240,
                              1.0 / 132, -691.0 / 32760, 1.0 / 12};
  double series = 0;
  for (int i = 6; i >= 0; --i) series = square * (series + terms[i]);
  return sum + (std::log(x) - 0.5 / x - series);
}

double logaddexp(double a, double b) {
  if (a == b) return a + std::numbers::ln2;  // also of two infinite ones
  return std::fmax(a, b) + std::log1p(std::exp(-std::abs(a - b)));
}

double remainder(double a, double b) {
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double xlogy(double x, double y) { return x == 0 && y == y ? 0 : x * std::log(y); }
double xlog1py(double x, double y) { return x == 0 && y == y ? 0 : x * std::log1p(y); }

// Terms up to q + k = 9, at least 9 of them, then Euler and Maclaurin's formula. Poles at q = 0, -1, ...; NaN
// below s = 1, and below q = 0 unless s is whole.
double zeta(double s, double q) {
  if (s == 1) return infinity;
  if (!(s > 1) || !(q == q)) return nan;
  if (q <= 0) {
    if (q == std::floor(q)) return infinity;
    if (s != std::floor(s)) return nan;
    // The terms on either side of 0, each a sum of positive ones: however far q lies, they are few.
    const double sign = std::fmod(s, 2) == 0 ? 1 : -1;
    return zeta(s, q - std::floor(q)) + sign * (zeta(s, std::ceil(q) - q) - zeta(s, 1 - q));
  }
  double sum = 0;
  for (int k = 0; k < 9 || q <= 9; ++k, q += 1) sum += std::pow(q, -s);
  constexpr double bernoulli[] = {1.0 / 12,
                                  -1.0 / 720,
                                  1.0 / 30240,
                                  -1.0 / 1209600,
                                  1.0 / 47900160,
                                  -691.0 / 1307674368000,
                                  1.0 / 74724249600,
                                  -3617.0 / 10670622842880000,
                                  43867.0 / 5109094217170944000.0};  // B_2j / (2j)!
  double term = std::pow(q, -s);
  if (q == infinity) return sum;
  sum += q * term / (s - 1) + 0.5 * term;
  term *= s / q;
  for (int j = 0; j < 9; ++j) {
    sum += bernoulli[j] * term;
    term *= (s + 2 * j + 1) * (s + 2 * j + 2) / (q * q);
  }
  return sum;
}

}  // namespace
}  // namespace formula

namespace {

// In double; neighbours depend on the type.
template <Special function, class T>
auto wide(T x) {
  if constexpr (function == Special::nextafter) return x;
  else return static_cast<double>(x);
}

template <class T>
void run(const SpecialArgs& args, std::int64_t begin, std::int64_t end) {
  const T *a = static_cast<const T*>(args.a), *b = static_cast<const T*>(args.b);
  T* y = static_cast<T*>(args.output);
  switch (args.function) {
#define RAVINE_ONE(name)                                                                           \
  case Special::name:                                                                              \
    for (std::int64_t i = begin; i < end; ++i) y[i] = static_cast<T>(formula::name(double(a[i]))); \
    break;
#define RAVINE_TWO(name)                                                                          \
  case Special::name:                                                                             \
    for (std::int64_t i = begin; i < end; ++i)                                                    \
      y[i] = static_cast<T>(formula::name(wide<Special::name>(a[i]), wide<Special::name>(b[i]))); \
    break;
    RAVINE_SPECIAL_UNARY(RAVINE_ONE)
    RAVINE_SPECIAL_BINARY(RAVINE_TWO)
#undef RAVINE_ONE
#undef RAVINE_TWO
  }
}

}  // namespace

void special(const SpecialArgs& args, std::int64_t begin, std::int64_t end) {
  with_floating(args.dtype, "special", [&]<class T>() { run<T>(args, begin, end); });
}

}  // namespace ravine::host
