// The formulas of tile.h's operations, one struct for each name: F::of(parameters, operands...) on Vec<T>.
#pragma once

#include "simd/math.h"

namespace ravine::kernels::RAVINE_ISA {

// A step's constants in the type of its operands.
template <class T>
struct Parameters {
  T first, second;
};

namespace formula {

template <class T>
using P = const Parameters<T>&;

#define RAVINE_UNARY(name, expression)                 \
  struct name {                                        \
    template <class T>                                 \
    RAVINE_INLINE static Vec<T> of(P<T> p, Vec<T> x) { \
      (void)p;                                         \
      return expression;                               \
    }                                                  \
  };
#define RAVINE_BINARY(name, a, b, expression)                    \
  struct name {                                                  \
    template <class T>                                           \
    RAVINE_INLINE static Vec<T> of(P<T> p, Vec<T> a, Vec<T> b) { \
      (void)p;                                                   \
      return expression;                                         \
    }                                                            \
  };
#define RAVINE_COMPARISON(name, symbol)                         \
  struct name {                                                 \
    template <class T>                                          \
    RAVINE_INLINE static Mask<T> of(P<T>, Vec<T> a, Vec<T> b) { \
      return a symbol b;                                        \
    }                                                           \
  };

// ---- one operand --------------------------------------------------------------------------------

RAVINE_UNARY(exp, RAVINE_ISA::exp<T>(x))
RAVINE_UNARY(expm1, RAVINE_ISA::expm1<T>(x))
RAVINE_UNARY(log, RAVINE_ISA::log<T>(x))
RAVINE_UNARY(log1p, RAVINE_ISA::log1p<T>(x))
RAVINE_UNARY(sqrt, square_root<T>(x))
RAVINE_UNARY(rsqrt, T(1) / square_root<T>(x))
RAVINE_UNARY(reciprocal, T(1) / x)
RAVINE_UNARY(sin, RAVINE_ISA::sin<T>(x))
RAVINE_UNARY(cos, RAVINE_ISA::cos<T>(x))
RAVINE_UNARY(atan, RAVINE_ISA::atan<T>(x))
RAVINE_UNARY(tanh, RAVINE_ISA::tanh<T>(x))
RAVINE_UNARY(sigmoid, RAVINE_ISA::sigmoid<T>(x))
RAVINE_UNARY(erf, RAVINE_ISA::erf<T>(x))
RAVINE_UNARY(softplus, RAVINE_ISA::softplus<T>(x))
RAVINE_UNARY(leaky_relu, x < T(0) ? x * p.first : x)
RAVINE_UNARY(elu, x > T(0) ? x : RAVINE_ISA::expm1<T>(x) * p.first)
RAVINE_UNARY(silu, x* RAVINE_ISA::sigmoid<T>(x))
RAVINE_UNARY(floor, round_down<T>(x))
RAVINE_UNARY(ceil, round_up<T>(x))
RAVINE_UNARY(round, round_even<T>(x))

// The normal distribution function.
template <class T>
RAVINE_INLINE Vec<T> normal_cdf(Vec<T> x) {
  constexpr T sqrt_half = T(0.70710678118654752440);
  return T(0.5) * RAVINE_ISA::erf<T>(x * sqrt_half) + T(0.5);
}
RAVINE_UNARY(gelu, x* normal_cdf<T>(x))

// GELU's approximation (Hendrycks and Gimpel) x (1 + tanh(u)) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x +
// 0.044715 x^3).
inline constexpr double gelu_scale = 2 * 0.79788456080286535588, gelu_cubic = 0.044715;
RAVINE_UNARY(gelu_tanh, x* RAVINE_ISA::sigmoid<T>(T(gelu_scale) * x * (T(gelu_cubic) * x * x + T(1))))

RAVINE_UNARY(identity, x)
RAVINE_UNARY(neg, (Vec<T>)(-wrapping(x)))
RAVINE_UNARY(square, wrapped_product(x, x))
RAVINE_UNARY(relu, x < T(0) ? Vec<T>{} : x)  // a NaN stays
struct abs {
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x) {
    if constexpr (std::is_floating_point_v<T>) return absolute<T>(x);
    else if constexpr (std::is_signed_v<T>) return x < T(0) ? (Vec<T>)(-wrapping(x)) : x;
    else return x;
  }
};
struct sign {
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x) {
    const Vec<T> one = splat<T>(1);
    const Vec<T> positive = x > T(0) ? one : Vec<T>{};
    if constexpr (std::is_unsigned_v<T>) return positive;
    else return x < T(0) ? -one : positive;
  }
};
struct clip {
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T> p, Vec<T> x) {
    x = x < p.first ? splat<T>(p.first) : x;
    return x > p.second ? splat<T>(p.second) : x;
  }
};

// ---- two and three operands ---------------------------------------------------------------------

RAVINE_BINARY(add, a, b, wrapped_sum(a, b))
RAVINE_BINARY(sub, a, b, wrapped_difference(a, b))
RAVINE_BINARY(mul, a, b, wrapped_product(a, b))
RAVINE_BINARY(div, a, b, a / b)
RAVINE_BINARY(pow, a, b, RAVINE_ISA::pow<T>(a, b))
RAVINE_BINARY(maximum, a, b, RAVINE_ISA::maximum(a, b))
RAVINE_BINARY(minimum, a, b, RAVINE_ISA::minimum(a, b))
RAVINE_BINARY(scale_by_positive, x, dy, x > T(0) ? dy : wrapped_product(dy, splat<T>(p.first)))
struct multiply_add {
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> a, Vec<T> b, Vec<T> c) {
    return (Vec<T>)(wrapping(a) * wrapping(b) + wrapping(c));
  }
};

// ---- gradients ----------------------------------------------------------------------------------

RAVINE_BINARY(tanh_grad, y, dy, dy*(T(1) - y * y))
RAVINE_BINARY(sigmoid_grad, y, dy, dy*(y*(T(1) - y)))
RAVINE_BINARY(elu_grad, y, dy, y > T(0) ? dy : dy * (y + p.first))
RAVINE_BINARY(softplus_grad, x, dy, (dy * RAVINE_ISA::sigmoid<T>(x)))
struct silu_grad {  // s (1 + x (1 - s))
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x, Vec<T> dy) {
    const Vec<T> s = RAVINE_ISA::sigmoid<T>(x);
    return dy * (s * (x * (T(1) - s) + T(1)));
  }
};
struct gelu_grad {  // Phi(x) + x phi(x)
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x, Vec<T> dy) {
    constexpr T density_at_0 = T(0.39894228040143267794);
    const Vec<T> density = RAVINE_ISA::exp<T>(T(-0.5) * x * x) * density_at_0;
    return dy * (normal_cdf<T>(x) + x * density);
  }
};
struct gelu_tanh_grad {  // s = sigmoid(2 u): s + x s (1 - s) 2 u'
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x, Vec<T> dy) {
    const Vec<T> square = x * x;
    const Vec<T> s = RAVINE_ISA::sigmoid<T>(T(gelu_scale) * x * (T(gelu_cubic) * square + T(1)));
    const Vec<T> slope = T(gelu_scale) * (T(3 * gelu_cubic) * square + T(1));
    return dy * (s + x * s * (T(1) - s) * slope);
  }
};

// ---- comparisons and logic ----------------------------------------------------------------------

RAVINE_COMPARISON(equal, ==)
RAVINE_COMPARISON(not_equal, !=)
RAVINE_COMPARISON(less, <)
RAVINE_COMPARISON(less_equal, <=)
RAVINE_COMPARISON(greater, >)
RAVINE_COMPARISON(greater_equal, >=)
// Operands are bytes 0 or 1.
RAVINE_BINARY(logical_and, a, b, (a & b))
RAVINE_BINARY(logical_or, a, b, a | b)
RAVINE_BINARY(logical_xor, a, b, a ^ b)
RAVINE_UNARY(logical_not, x ^ T(1))

#undef RAVINE_UNARY
#undef RAVINE_BINARY
#undef RAVINE_COMPARISON

}  // namespace formula
}  // namespace ravine::kernels::RAVINE_ISA
