// The gamma function, and functions of the normal and the gamma distribution.
#include <cmath>
#include <numbers>

#include "host/formulas.h"

namespace ravine::host::formula {
namespace {

// t - log(1 + t), without loss near 0.
double beyond_logarithm(double t) {
  if (std::abs(t) > 0.1) return t - std::log1p(t);
  double power = t * t, sum = 0;
  for (int k = 2; k < 20; ++k, power *= -t) sum += power / k;
  return sum;
}

// x^a exp(-x) / Gamma(a), where a is large by the part that is left of Stirling's series, whose factors would
// overflow: sqrt(a / 2 pi) exp(-a (t - log(1 + t))), t = (x - a) / a.
double gamma_density(double a, double x) {
  if (a < 100) return std::exp(a * std::log(x) - x - lgamma(a));
  const double series = (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / (a * a)) / (a * a)) / a;
  return std::sqrt(a / (2 * std::numbers::pi)) * std::exp(-a * beyond_logarithm((x - a) / a) - series);
}

// From here on the series would take too many terms; the uniform expansion's first term is exact to rounding
// (Temme 1979; DLMF 8.12.3).
constexpr double uniform_from = 1e8;

// The upper function for such an a, or (sign -1) the lower one.
double uniform(double a, double x, double sign) {
  const double t = (x - a) / a;
  const double eta = std::copysign(std::sqrt(2 * beyond_logarithm(t)), t);
  const double first = std::abs(t) < 1e-5 ? -1.0 / 3 + t / 12 : 1 / t - 1 / eta;
  const double rest = first * std::exp(-0.5 * a * eta * eta) / std::sqrt(2 * std::numbers::pi * a);
  return 0.5 * std::erfc(sign * eta * std::sqrt(0.5 * a)) + sign * rest;
}

// The series of the lower function (DLMF 8.7.1), for x below a + 1.
double lower_by_series(double a, double x) {
  double term = 1 / a, sum = term;
  for (double k = a + 1; term > 1e-17 * sum; k += 1) {
    term *= x / k;
    sum += term;
  }
  return sum * gamma_density(a, x);
}

// The continued fraction of the upper function (DLMF 8.9.2) by Lentz's method, for x above a + 1.
double upper_by_fraction(double a, double x) {
  constexpr double tiny = 1e-300;
  double b = x + 1 - a, c = 1 / tiny, d = 1 / b, product = d;
  for (double k = 1; k < 1e6; k += 1) {
    const double numerator = -k * (k - a);
    b += 2;
    d = numerator * d + b;
    d = 1 / (std::abs(d) < tiny ? tiny : d);
    c = b + numerator / c;
    c = std::abs(c) < tiny ? tiny : c;
    const double factor = d * c;
    product *= factor;
    if (std::abs(factor - 1) < 1e-16) break;
  }
  return product * gamma_density(a, x);
}

}  // namespace

double lgamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);  // std::lgamma writes a global variable
}

// Winitzki's approximation (2008), then Halley's method on erf near 0 and on erfc elsewhere, where 1 - |y| is
// exact.
double erfinv(double y) {
  const double size = std::abs(y);
  if (!(size < 1)) return size == 1 ? std::copysign(infinity, y) : nan;
  if (y == 0) return y;
  constexpr double shape = 0.147, offset = 2 / (std::numbers::pi * shape);
  const double logarithm = std::log1p(-size) + std::log1p(size);
  const double t = offset + 0.5 * logarithm, quotient = -logarithm / shape;
  double x = std::sqrt(quotient / (std::sqrt(t * t + quotient) + t));
  for (int step = 0; step < 3; ++step) {
    const double excess = size < 0.5 ? std::erf(x) - size : (1 - size) - std::erfc(x);
    const double newton = excess / (2 * std::numbers::inv_sqrtpi * std::exp(-x * x));
    x -= newton / (1 + x * newton);
  }
  return std::copysign(x, y);
}

double igamma(double a, double x) {
  if (!(a >= 0) || !(x >= 0) || (a == 0 && x == 0) || (a == infinity && x == infinity)) return nan;
  if (a == 0 || x == infinity) return 1;
  if (x == 0 || a == infinity) return 0;
  if (a > uniform_from) return uniform(a, x, -1);
  return x < a + 1 ? lower_by_series(a, x) : 1 - upper_by_fraction(a, x);
}
double igammac(double a, double x) {
  if (!(a >= 0) || !(x >= 0) || (a == 0 && x == 0) || (a == infinity && x == infinity)) return nan;
  if (a == 0 || x == infinity) return 0;
  if (x == 0 || a == infinity) return 1;
  if (a > uniform_from) return uniform(a, x, 1);
  return x < a + 1 ? 1 - lower_by_series(a, x) : upper_by_fraction(a, x);
}

// exp(x^2) erfc(x): the product, and from 3 the continued fraction of erfc (DLMF 7.9.1) from its far end.
double erfcx(double x) {
  if (x < 3) return std::exp(x * x) * std::erfc(x);
  if (x > 1e8) return std::numbers::inv_sqrtpi / x;
  double tail = x;
  for (int k = 80; k > 0; --k) tail = x + 0.5 * k / tail;
  return std::numbers::inv_sqrtpi / tail;
}

double ndtr(double x) { return 0.5 * std::erfc(-x * std::numbers::sqrt2 / 2); }

double log_ndtr(double x) {
  const double t = x * std::numbers::sqrt2 / 2;
  if (x < -1) return x == -infinity ? x : std::log(0.5 * erfcx(-t)) - t * t;
  return std::log1p(-0.5 * std::erfc(t));
}

// Newton's method on the logarithm of the tail, which is almost a parabola, for the smaller of p and 1 - p.
double ndtri(double p) {
  if (!(p > 0 && p < 1)) return p == 0 ? -infinity : p == 1 ? infinity : nan;
  if (p > 0.1 && p < 0.9) return std::numbers::sqrt2 * erfinv(2 * p - 1);
  const bool upper = p > 0.5;
  const double tail = upper ? 1 - p : p, wanted = std::log(tail);
  double x = -std::sqrt(-2 * wanted - std::log(2 * std::numbers::pi * std::fmax(-2 * wanted, 1.0)));
  for (int step = 0; step < 8; ++step) {
    // d log_ndtr / dx = sqrt(2 / pi) / erfcx(-x / sqrt 2)
    const double slope = std::numbers::sqrt2 * std::numbers::inv_sqrtpi / erfcx(-x * std::numbers::sqrt2 / 2);
    const double change = (log_ndtr(x) - wanted) / slope;
    x -= change;
    if (std::abs(change) < 1e-16 * std::abs(x)) break;
  }
  return upper ? -x : x;
}

}  // namespace ravine::host::formula
