// Mathematical functions of one or two numbers, most of them the C library's, computed in double.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace ravine::host {

// clang-format off
#define RAVINE_SPECIAL_UNARY(X)                                                                               \
  X(log2) X(log10) X(exp2) X(tan) X(asin) X(acos) X(sinh) X(cosh) X(asinh) X(acosh) X(atanh) X(erfc)          \
  X(erfinv) X(lgamma) X(digamma) X(bessel_j0) X(bessel_j1) X(bessel_y0) X(bessel_y1) X(modified_bessel_i0)   \
  X(modified_bessel_i1) X(modified_bessel_k0) X(modified_bessel_k1) X(i0e) X(i1e)                             \
  X(scaled_modified_bessel_k0) X(scaled_modified_bessel_k1) X(spherical_bessel_j0) X(airy_ai) X(erfcx)        \
  X(ndtr) X(log_ndtr) X(ndtri)
#define RAVINE_SPECIAL_BINARY(X)                                                                              \
  X(atan2) X(hypot) X(logaddexp) X(copysign) X(nextafter)                                                     \
  X(fmod) X(remainder) /* with the sign of the dividend, of the divisor */                                    \
  X(xlogy) X(xlog1py)  /* x log y, x log(1 + y); 0 where x is 0 */                                            \
  X(zeta)              /* Hurwitz's, of (s, q): the sum of (q + k)^-s over k >= 0 */                          \
  X(igamma) X(igammac) X(chebyshev_polynomial_t) X(chebyshev_polynomial_u) X(chebyshev_polynomial_v)          \
  X(chebyshev_polynomial_w) X(shifted_chebyshev_polynomial_t) X(shifted_chebyshev_polynomial_u)               \
  X(shifted_chebyshev_polynomial_v) X(shifted_chebyshev_polynomial_w) X(hermite_polynomial_h)                 \
  X(hermite_polynomial_he) X(laguerre_polynomial_l) X(legendre_polynomial_p)
// clang-format on

enum class Special : std::uint8_t {
#define RAVINE_ENUMERATOR(name) name,
  RAVINE_SPECIAL_UNARY(RAVINE_ENUMERATOR) RAVINE_SPECIAL_BINARY(RAVINE_ENUMERATOR)
#undef RAVINE_ENUMERATOR
};

struct SpecialArgs {
  Special function = Special::log2;
  DType dtype = DType::float32;
  std::int64_t count = 0;
  const void *a = nullptr, *b = nullptr;  // dense; b of functions of two numbers
  void* output = nullptr;
};
// Elements [begin, end).
void special(const SpecialArgs& args, std::int64_t begin, std::int64_t end);

}  // namespace ravine::host
