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

// ---- one operand

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
RAVINE_UNARY(elu, x > T(0) ? x : RAVINE_ISA::expm1<T>(x * p.second) * p.first)
RAVINE_UNARY(tanhshrink, RAVINE_ISA::tanh_shrink<T>(x))
RAVINE_UNARY(floor, round_down<T>(x))
RAVINE_UNARY(ceil, round_up<T>(x))
RAVINE_UNARY(round, round_even<T>(x))

// Factors beside a gate: beyond these sizes every gate below is 0 or 1 to the last bit, and -infinity times
// its 0 would be no number.
inline constexpr double gate_low = -1000, gate_high = 1000;
template <class T>
RAVINE_INLINE Vec<T> within_gate(Vec<T> x) {
  return at_most<T>(at_least<T>(x, T(gate_low)), T(gate_high));
}

RAVINE_UNARY(silu, at_least<T>(x, T(gate_low)) * RAVINE_ISA::sigmoid<T>(x))

// x Phi(x) = max(x, 0) - |x| Phi(-|x|), so that the tail keeps its digits.
struct gelu {
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x) {
    const Vec<T> size = at_most<T>(absolute<T>(x), normal_bound<T>);
    return (x < T(0) ? Vec<T>{} : x) - size * normal_tail<T>(size).probability;
  }
};

// GELU's approximation (Hendrycks and Gimpel) x (1 + tanh(u)) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x +
// 0.044715 x^3).
inline constexpr double gelu_scale = 2 * 0.79788456080286535588, gelu_cubic = 0.044715;
RAVINE_UNARY(gelu_tanh, at_least<T>(x, T(gate_low)) *
                            RAVINE_ISA::sigmoid<T>(T(gelu_scale) * x * (T(gelu_cubic) * x * x + T(1))))

// x tanh(log(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2); beyond the bound the factor is 1.
template <class T>
inline constexpr T mish_bound = is_float<T> ? T(20) : T(40);
struct mish {
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x) {
    const Vec<T> e = RAVINE_ISA::exp<T>(at_most<T>(x, mish_bound<T>)), n = e * (e + T(2));
    return at_least<T>(x, T(gate_low)) * (n / (n + T(2)));
  }
};

struct softsign {  // x / (1 + |x|)
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x) {
    const Vec<T> size = at_most<T>(absolute<T>(x), T(1e30));
    return copy_sign<T>(size / (size + T(1)), x);
  }
};

struct hardswish {  // x min(max(x + 3, 0), 6) / 6
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x) {
    const Vec<T> above = at_least<T>(x, T(-3));
    return above * (at_most<T>(above + T(3), T(6)) * T(1.0 / 6));
  }
};

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
    else return x < T(0) ? -one : positive;  // 0 for a NaN
  }
};
struct clip {
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T> p, Vec<T> x) {
    x = x < p.first ? splat<T>(p.first) : x;
    return x > p.second ? splat<T>(p.second) : x;
  }
};

// ---- two and three operands

RAVINE_BINARY(add, a, b, wrapped_sum(a, b))
RAVINE_BINARY(sub, a, b, wrapped_difference(a, b))
RAVINE_BINARY(mul, a, b, wrapped_product(a, b))
RAVINE_BINARY(div, a, b, a / b)
struct pow {
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> a, Vec<T> b) {
    if constexpr (std::is_floating_point_v<T>) return RAVINE_ISA::pow<T>(a, b);
    else return integer_power<T>(a, b);
  }
};
RAVINE_BINARY(maximum, a, b, RAVINE_ISA::maximum(a, b))
RAVINE_BINARY(minimum, a, b, RAVINE_ISA::minimum(a, b))
struct scale_by_positive {
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T> p, Vec<T> x, Vec<T> dy) {
    // A factor of 0 takes infinities too.
    const Vec<T> scaled = p.first == T(0) ? Vec<T>{} : wrapped_product(dy, splat<T>(p.first));
    return x > T(0) ? dy : scaled;
  }
};
struct multiply_add {
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> a, Vec<T> b, Vec<T> c) {
    return (Vec<T>)(wrapping(a) * wrapping(b) + wrapping(c));
  }
};

// Of logits x with the weights a of "yes" and b of "no": a log(1 + e^-x) + b log(1 + e^x). Both logarithms
// are log(1 + e^-|x|), one of them plus |x|, whose weight of 0 takes an infinite logit.
struct logistic_loss {
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x, Vec<T> a, Vec<T> b) {
    const Vec<T> size = absolute<T>(x), weight = x > T(0) ? b : a;
    const Vec<T> both = RAVINE_ISA::log1p<T>(RAVINE_ISA::exp<T>(-size)) * (a + b);
    return both + (weight == T(0) ? Vec<T>{} : size * weight);
  }
};
struct logistic_loss_grad {  // b sigmoid(x) - a sigmoid(-x)
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x, Vec<T> a, Vec<T> b) {
    const Vec<T> e = exp_within_bounds<T>(at_least<T>(minus_absolute<T>(x), exp_low<T>));
    const Vec<T> small = e / (e + T(1)), large = T(1) - small;
    return x < T(0) ? b * small - a * large : b * large - a * small;
  }
};

// ---- gradients

RAVINE_BINARY(tanh_grad, y, dy, dy*(T(1) - y * y))
RAVINE_BINARY(sigmoid_grad, y, dy, dy*(y*(T(1) - y)))
RAVINE_BINARY(elu_grad, x, dy, x > T(0) ? dy : dy * (RAVINE_ISA::exp<T>(x * p.second) * (p.first * p.second)))
RAVINE_BINARY(softplus_grad, x, dy, (dy * RAVINE_ISA::sigmoid<T>(x)))
struct silu_grad {  // s (1 + x (1 - s))
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x, Vec<T> dy) {
    const Vec<T> s = RAVINE_ISA::sigmoid<T>(x);
    return dy * (s * (within_gate<T>(x) * (T(1) - s) + T(1)));
  }
};
struct gelu_grad {  // Phi(x) + x phi(x), which is 1 minus its value at -x
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x, Vec<T> dy) {
    constexpr T density_at_0 = T(0.39894228040143267794);
    const Vec<T> size = at_most<T>(absolute<T>(x), normal_bound<T>);
    const NormalTail<T> tail = normal_tail<T>(size);
    const Vec<T> at_minus = tail.probability - size * density_at_0 * tail.density;
    return dy * (x < T(0) ? at_minus : T(1) - at_minus);
  }
};
struct gelu_tanh_grad {  // s = sigmoid(2 u): s (1 + x (1 - s) 2 u')
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x, Vec<T> dy) {
    x = within_gate<T>(x);
    const Vec<T> square = x * x;
    const Vec<T> s = RAVINE_ISA::sigmoid<T>(T(gelu_scale) * x * (T(gelu_cubic) * square + T(1)));
    const Vec<T> slope = T(gelu_scale) * (T(3 * gelu_cubic) * square + T(1));
    return dy * (s * (x * (T(1) - s) * slope + T(1)));
  }
};
struct mish_grad {  // n / d + 4 x e (1 + e) / d^2 with e = e^x, n = e (e + 2) and d = n + 2
  template <class T>
  RAVINE_INLINE static Vec<T> of(P<T>, Vec<T> x, Vec<T> dy) {
    const Vec<T> e = RAVINE_ISA::exp<T>(at_most<T>(x, mish_bound<T>)), n = e * (e + T(2));
    const Vec<T> inverse = T(1) / (n + T(2));
    const Vec<T> steep = T(4) * within_gate<T>(x) * (e * inverse) * ((e + T(1)) * inverse);
    return dy * (n * inverse + steep);
  }
};
RAVINE_BINARY(hardswish_grad, x, dy, x <= T(-3) ? Vec<T>{} : x < T(3) ? dy * (x * T(1.0 / 3) + T(0.5)) : dy)

// ---- comparisons and logic

RAVINE_COMPARISON(equal, ==)
RAVINE_COMPARISON(not_equal, !=)
RAVINE_COMPARISON(less, <)
RAVINE_COMPARISON(less_equal, <=)
RAVINE_COMPARISON(greater, >)
RAVINE_COMPARISON(greater_equal, >=)
// Operands are bytes 0 or 1; of integers the first three are bitwise.
RAVINE_BINARY(logical_and, a, b, (a & b))
RAVINE_BINARY(logical_or, a, b, a | b)
RAVINE_BINARY(logical_xor, a, b, a ^ b)
RAVINE_UNARY(logical_not, x ^ T(1))

#undef RAVINE_UNARY
#undef RAVINE_BINARY
#undef RAVINE_COMPARISON

}  // namespace formula
}  // namespace ravine::kernels::RAVINE_ISA
