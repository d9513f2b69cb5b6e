// Functions of one and two numbers that the C library does not have; see host/special.h.
#pragma once

#include <limits>

namespace ravine::host::formula {

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();

double lgamma(double x);  // without the C library's global variable
double erfinv(double y);

double bessel_j0(double x);
double bessel_j1(double x);
double bessel_y0(double x);
double bessel_y1(double x);
double modified_bessel_i0(double x);
double modified_bessel_i1(double x);
double modified_bessel_k0(double x);
double modified_bessel_k1(double x);
double i0e(double x);  // exp(-|x|) I_0(x)
double i1e(double x);
double scaled_modified_bessel_k0(double x);  // exp(x) K_0(x)
double scaled_modified_bessel_k1(double x);
double spherical_bessel_j0(double x);
double airy_ai(double x);

double erfcx(double x);             // exp(x^2) erfc(x)
double ndtr(double x);              // the normal distribution's Phi
double log_ndtr(double x);          // its logarithm
double ndtri(double p);             // its inverse
double igamma(double a, double x);  // the gamma distribution's: lower incomplete gamma function / Gamma(a)
double igammac(double a, double x);

double chebyshev_polynomial_t(double x, double n);
double chebyshev_polynomial_u(double x, double n);
double chebyshev_polynomial_v(double x, double n);
double chebyshev_polynomial_w(double x, double n);
double shifted_chebyshev_polynomial_t(double x, double n);
double shifted_chebyshev_polynomial_u(double x, double n);
double shifted_chebyshev_polynomial_v(double x, double n);
double shifted_chebyshev_polynomial_w(double x, double n);
double hermite_polynomial_h(double x, double n);
double hermite_polynomial_he(double x, double n);
double laguerre_polynomial_l(double x, double n);
double legendre_polynomial_p(double x, double n);

}  // namespace ravine::host::formula
