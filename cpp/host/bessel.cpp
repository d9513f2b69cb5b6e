// Bessel functions and their kin.
#include <cmath>
#include <numbers>

#include "host/formulas.h"

namespace ravine::host::formula {
namespace {

// exp(-x) I_order(x) for x >= 0 and order 0 or 1: the power series, whose terms are all positive, and from 20
// the asymptotic one (DLMF 10.25.2, 10.40.1), whose smallest term is there below rounding.
double scaled_i(int order, double x) {
  constexpr double asymptotic = 20;
  if (x < asymptotic) {
    const double quarter = 0.25 * x * x;
    double term = order == 0 ? 1 : 0.5 * x, sum = term;
    for (int k = 1; term > 1e-17 * sum; ++k) {
      term *= quarter / (k * static_cast<double>(k + order));
      sum += term;
    }
    return sum * std::exp(-x);
  }
  if (x == infinity) return 0;
  double term = 1, sum = 1;
  for (int k = 1; k < 30; ++k) {
    const double odd = 2 * k - 1;
    const double next = -term * (4.0 * order - odd * odd) / (8 * k * x);
    if (std::abs(next) >= std::abs(term) || std::abs(next) < 1e-17) break;
    term = next;
    sum += term;
  }
  return sum / std::sqrt(2 * std::numbers::pi * x);
}

double with_exponential(double scaled, double x) {
  // in two halves, so that what fits into a double does not overflow on the way
  const double half = std::exp(0.5 * std::abs(x));
  return scaled * half * half;
}

// exp(x) K_order(x), x >= 1, from the integral of exp(-x cosh t) cosh(order t) over t >= 0 (DLMF 10.32.9) by
// the trapezoidal rule, which converges exponentially for such an integrand.
double scaled_k_by_integral(double order, double x) {
  const double step = std::fmin(0.125, 0.5 / std::sqrt(x));
  double sum = 0.5;
  for (int i = 1;; ++i) {
    const double t = i * step, half = std::sinh(0.5 * t);
    const double term =
        std::exp(-2 * x * half * half) * std::cosh(order * t);  // cosh t - 1 = 2 sinh(t / 2)^2
    sum += term;
    if (term < 1e-18 * sum) return sum * step;
  }
}

// K_0 below 1 by its power series (DLMF 10.31.2), K_1 from it and the Wronskian of I and K (DLMF 10.28.2).
double k0_by_series(double x) {
  const double quarter = 0.25 * x * x;
  double term = 1, harmonic = 0, sum = 0;
  for (int k = 1; k < 20; ++k) {
    term *= quarter / (static_cast<double>(k) * k);
    harmonic += 1.0 / k;
    sum += term * harmonic;
  }
  return sum - (std::log(0.5 * x) + std::numbers::egamma) * modified_bessel_i0(x);
}
double k1_by_series(double x) {
  return (1 / x - modified_bessel_i1(x) * k0_by_series(x)) / modified_bessel_i0(x);
}

// Values at x <= 0 and infinity, where there is nothing to sum: infinity at the pole, NaN below it.
bool at_border(double x, double* value) {
  if (x > 0 && x < infinity) return false;
  *value = x == 0 ? infinity : x == infinity ? 0 : nan;
  return true;
}

}  // namespace

double bessel_j0(double x) { return ::j0(x); }
double bessel_j1(double x) { return ::j1(x); }
double bessel_y0(double x) { return x < 0 ? nan : x == 0 ? -infinity : ::y0(x); }
double bessel_y1(double x) { return x < 0 ? nan : x == 0 ? -infinity : ::y1(x); }

double i0e(double x) { return x == x ? scaled_i(0, std::abs(x)) : x; }
double i1e(double x) { return x == x ? std::copysign(scaled_i(1, std::abs(x)), x) : x; }
double modified_bessel_i0(double x) {
  return std::abs(x) == infinity ? infinity : with_exponential(i0e(x), x);
}
double modified_bessel_i1(double x) { return std::abs(x) == infinity ? x : with_exponential(i1e(x), x); }

double scaled_modified_bessel_k0(double x) {
  if (double value; at_border(x, &value)) return value;
  return x < 1 ? k0_by_series(x) * std::exp(x) : scaled_k_by_integral(0, x);
}
double scaled_modified_bessel_k1(double x) {
  if (double value; at_border(x, &value)) return value;
  return x < 1 ? k1_by_series(x) * std::exp(x) : scaled_k_by_integral(1, x);
}
double modified_bessel_k0(double x) {
  if (double value; at_border(x, &value)) return value;
  return x < 1 ? k0_by_series(x) : scaled_k_by_integral(0, x) * std::exp(-x);
}
double modified_bessel_k1(double x) {
  if (double value; at_border(x, &value)) return value;
  return x < 1 ? k1_by_series(x) : scaled_k_by_integral(1, x) * std::exp(-x);
}

double spherical_bessel_j0(double x) {
  if (std::abs(x) == infinity) return 0;
  return std::abs(x) < 1e-4 ? 1 - x * x / 6 : std::sin(x) / x;
}

// Maclaurin's series near 0 (DLMF 9.4.1), of long doubles since its terms cancel; K_1/3 above (9.6.2); the
// asymptotic expansion far below 0 (9.7.9).
double airy_ai(double x) {
  constexpr double series_to = 2, series_from = -8;
  if (x > series_to) {
    if (x == infinity) return 0;
    const double zeta = 2.0 / 3 * x * std::sqrt(x);
    return std::sqrt(x / 3) * std::numbers::inv_pi * scaled_k_by_integral(1.0 / 3, zeta) * std::exp(-zeta);
  }
  if (x >= series_from) {
    constexpr long double at_zero = 0.355028053887817239260063186L, slope = -0.258819403792806798405183560L;
    const long double z = x, cube = z * z * z;
    long double f = 1, g = z, even = 1, odd = z;
    for (int k = 1; k < 90; ++k) {
      even *= cube / (static_cast<long double>(3 * k - 1) * (3 * k));
      odd *= cube / (static_cast<long double>(3 * k) * (3 * k + 1));
      f += even;
      g += odd;
    }
    return static_cast<double>(at_zero * f + slope * g);
  }
  if (!(x > -infinity)) return x == x ? 0 : x;
  const double zeta = 2.0 / 3 * -x * std::sqrt(-x), phase = zeta - std::numbers::pi / 4;
  // u_k of DLMF 9.7.2, by turns to the cosine and the sine
  double even = 1, odd = 0, u = 1;
  for (int k = 1; k < 24; ++k) {
    const double next =
        u * (6.0 * k - 5) * (6.0 * k - 3) * (6.0 * k - 1) / (216.0 * k * (2.0 * k - 1) * zeta);
    if (next >= u || next < 1e-18) break;
    u = next;
    const double signed_u = k % 4 < 2 ? u : -u;
    if (k % 2 == 0) even += signed_u;
    else odd += signed_u;
  }
  return (std::cos(phase) * even + std::sin(phase) * odd) /
         (std::sqrt(std::numbers::pi) * std::sqrt(std::sqrt(-x)));
}

}  // namespace ravine::host::formula
