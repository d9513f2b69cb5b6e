// Elementary functions on Vec<float> and Vec<double>. Written once for both types; the coefficients of each
// are its own minimax polynomials (computed with the Remez algorithm in 40 digits; the error of each stands
// beside it). Errors, proved by tests/cpp/simd/test_math.cpp over the whole range: exp, log, log1p within 1
// ulp; tanh, erf 1.5; expm1, sigmoid, softplus, sin, cos, atan 2; pow 0.6 for float, 3 for double. Special
// values as in C. Results below the smallest normal number may be flushed to zero. The tail of the normal
// distribution is within 3 ulp as far as it is a normal number.
#pragma once

#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

template <class T>
struct FloatFormat;
template <>
struct FloatFormat<float> {
  using Int = std::int32_t;
  static constexpr int mantissa_bits = 23, exponent_bias = 127;
  static constexpr float min_normal = 0x1p-126f, infinity = __builtin_inff(), nan = __builtin_nanf("");
};
template <>
struct FloatFormat<double> {
  using Int = std::int64_t;
  static constexpr int mantissa_bits = 52, exponent_bias = 1023;
  static constexpr double min_normal = 0x1p-1022, infinity = __builtin_inf(), nan = __builtin_nan("");
};
template <class T>
using IntOf = typename FloatFormat<T>::Int;

template <class T>
inline constexpr bool is_float = std::is_same_v<T, float>;

// The bits of a vector as integers of the same size, and back.
template <class T>
RAVINE_INLINE Vec<IntOf<T>> bits_of(std::type_identity_t<Vec<T>> x) {
  return (Vec<IntOf<T>>)x;
}
template <class T>
RAVINE_INLINE Vec<T> from_bits(std::type_identity_t<Vec<IntOf<T>>> bits) {
  return (Vec<T>)bits;
}

// c0 + c1 x + c2 x^2 + ...: Horner's scheme in x^2 on pairs of terms, which waits half as long as in x.
template <class T>
RAVINE_INLINE Vec<T> pairs_of_terms(Vec<T>, Vec<T>, std::type_identity_t<T> c) {
  return splat<T>(c);
}
template <class T, class... Rest>
RAVINE_INLINE Vec<T> pairs_of_terms(Vec<T> x, Vec<T> square, std::type_identity_t<T> c0,
                                    std::type_identity_t<T> c1, Rest... rest) {
  const Vec<T> pair = c1 * x + c0;
  if constexpr (sizeof...(rest) == 0) return pair;
  else return pairs_of_terms<T>(x, square, rest...) * square + pair;
}
template <class T, class... Terms>
RAVINE_INLINE Vec<T> polynomial(Vec<T> x, Terms... c) {
  return pairs_of_terms<T>(x, x * x, c...);
}

// ---- exact operations

template <class T>
RAVINE_INLINE Vec<T> absolute(Vec<T> x) {
  return from_bits<T>(bits_of<T>(x) & ~(IntOf<T>{1} << (8 * sizeof(T) - 1)));
}

template <class T>
RAVINE_INLINE Vec<T> minus_absolute(Vec<T> x) {
  return from_bits<T>(bits_of<T>(x) | (IntOf<T>(1) << (8 * sizeof(T) - 1)));
}

// |magnitude| with the sign of `sign`.
template <class T>
RAVINE_INLINE Vec<T> copy_sign(Vec<T> magnitude, Vec<T> sign) {
  constexpr IntOf<T> sign_bit = IntOf<T>(1) << (8 * sizeof(T) - 1);
  return from_bits<T>((bits_of<T>(magnitude) & ~sign_bit) | (bits_of<T>(sign) & sign_bit));
}

// x within a bound; a NaN stays. Each is one instruction, which yields its second operand for a NaN.
template <class T>
RAVINE_INLINE Vec<T> at_least(Vec<T> x, T low) {
  const Vec<T> lowest = splat<T>(low);
  return lowest > x ? lowest : x;
}
template <class T>
RAVINE_INLINE Vec<T> at_most(Vec<T> x, T high) {
  const Vec<T> highest = splat<T>(high);
  return highest < x ? highest : x;
}

template <class T>
RAVINE_INLINE Vec<T> square_root(Vec<T> x) {
#if defined(__AVX512F__)  // maskz: GCC 12 warns of the other form
  if constexpr (is_float<T>) return _mm512_maskz_sqrt_ps(0xffff, x);
  else return _mm512_maskz_sqrt_pd(0xff, x);
#elif defined(__AVX2__)
  if constexpr (is_float<T>) return _mm256_sqrt_ps(x);
  else return _mm256_sqrt_pd(x);
#else
  Vec<T> root;
  for (int i = 0; i < lanes<T>; ++i) root[i] = is_float<T> ? __builtin_sqrtf(x[i]) : __builtin_sqrt(x[i]);
  return root;
#endif
}

// To the nearest whole number, halves to even.
template <class T>
RAVINE_INLINE Vec<T> round_even(Vec<T> x) {
  // Beyond 2^mantissa_bits every number is whole; below, adding and subtracting that power rounds.
  const Vec<T> power = splat<T>(T(IntOf<T>{1} << FloatFormat<T>::mantissa_bits)), size = absolute<T>(x);
  const Vec<T> rounded = copy_sign<T>((size + power) - power, x);
  return size < power ? rounded : x;  // x where it is NaN
}
template <class T>
RAVINE_INLINE Vec<T> round_down(Vec<T> x) {
  const Vec<T> rounded = round_even<T>(x);
  return copy_sign<T>(rounded > x ? rounded - T(1) : rounded, x);
}
template <class T>
RAVINE_INLINE Vec<T> round_up(Vec<T> x) {
  const Vec<T> rounded = round_even<T>(x);
  return copy_sign<T>(rounded < x ? rounded + T(1) : rounded, x);
}

// a b - product, exactly, where product = a b rounded.
RAVINE_INLINE Vec<double> product_error(Vec<double> a, Vec<double> b, Vec<double> product) {
#if defined(__AVX512F__)
  return _mm512_fmsub_pd(a, b, product);
#elif defined(__AVX2__)
  return _mm256_fmsub_pd(a, b, product);
#else
  Vec<double> error;
  for (int i = 0; i < lanes<double>; ++i) error[i] = __builtin_fma(a[i], b[i], -product[i]);
  return error;
#endif
}

// ---- exponential

// ln 2 in two parts, the first of which has few bits, so that its products with small integers are exact.
template <class T>
inline constexpr T ln2_high = is_float<T> ? T(0.693359375) : T(6.93147180369123816490e-01);
template <class T>
inline constexpr T ln2_low = is_float<T> ? T(-2.12194440e-4) : T(1.90821492927058770002e-10);

// x = n ln 2 + r with |r| <= ln 2 / 2: Cody and Waite's reduction, n ln2_high is exact.
template <class T>
struct ExpReduction {
  Vec<T> r, n;
  Vec<IntOf<T>> n_int;
};
template <class T>
RAVINE_INLINE ExpReduction<T> reduce_exp(Vec<T> x) {
  constexpr T log2_e = T(1.44269504088896340736);
  // Adding 1.5 2^mantissa_bits leaves the nearest whole number in the low bits.
  constexpr T shift = T(IntOf<T>{3} << (FloatFormat<T>::mantissa_bits - 1));
  const Vec<T> shifted = x * log2_e + shift, n = shifted - shift;
  return {(x - n * ln2_high<T>)-n * ln2_low<T>, n, bits_of<T>(shifted) - bits_of<T>(splat<T>(shift))};
}

// The same of high + low, where low is what the sum would round away.
template <class T>
RAVINE_INLINE ExpReduction<T> reduce_exp(Vec<T> high, Vec<T> low) {
  ExpReduction<T> e = reduce_exp<T>(high + low);
  e.r = (high - e.n * ln2_high<T>)+(low - e.n * ln2_low<T>);
  return e;
}

// Q with e^r = 1 + r + r^2 Q(r) for |r| <= ln 2 / 2.
template <class T>
RAVINE_INLINE Vec<T> exp_quadratic(Vec<T> r) {
  if constexpr (is_float<T>)  // relative error 2^-28.5
    return polynomial<T>(r, 5.000000013e-01f, 1.666666653e-01f, 4.166646553e-02f, 8.333360717e-03f,
                         1.393359761e-03f, 1.985779852e-04f);
  else  // 2^-58.4
    return polynomial<T>(r, 0.5, 0.1666666666666667, 0.041666666666666616, 0.008333333333326167,
                         0.0013888888888917957, 0.000198412698747207, 2.4801587245743703e-05,
                         2.7557255514358914e-06, 2.755734961884035e-07, 2.510517357526822e-08,
                         2.088937393168699e-09);
}

// 2^n for a normal result.
template <class T>
RAVINE_INLINE Vec<T> power_of_2(Vec<IntOf<T>> n) {
  return from_bits<T>((n + FloatFormat<T>::exponent_bias) << FloatFormat<T>::mantissa_bits);
}

// Outside these bounds e^x is 0 or infinity all the same.
template <class T>
inline constexpr T exp_low = is_float<T> ? T(-104) : T(-746);
template <class T>
inline constexpr T exp_high = is_float<T> ? T(89) : T(710);

template <class T>
RAVINE_INLINE Vec<T> exp_of(ExpReduction<T> e) {
  const Vec<T> p = e.r * e.r * exp_quadratic<T>(e.r) + e.r + T(1);
#if defined(__AVX512F__)
  if constexpr (is_float<T>) return _mm512_maskz_scalef_ps(0xffff, p, e.n);
  else return _mm512_maskz_scalef_pd(0xff, p, e.n);
#else
  // In two factors, since 2^n alone may overflow or vanish where the result does not.
  const Vec<IntOf<T>> half = e.n_int >> 1;
  return p * power_of_2<T>(half) * power_of_2<T>(e.n_int - half);
#endif
}
template <class T>
RAVINE_INLINE Vec<T> exp_within_bounds(Vec<T> x) {
  return exp_of<T>(reduce_exp<T>(x));
}
template <class T>
RAVINE_INLINE Vec<T> exp(Vec<T> x) {
  return exp_within_bounds<T>(at_most<T>(at_least<T>(x, exp_low<T>), exp_high<T>));
}

template <class T>
RAVINE_INLINE Vec<T> expm1(Vec<T> x) {
  constexpr T low = is_float<T> ? T(-20) : T(-40), high = is_float<T> ? T(89) : T(710);
  const ExpReduction<T> e = reduce_exp<T>(at_most<T>(at_least<T>(x, low), high));
  const Vec<T> p = e.r * e.r * exp_quadratic<T>(e.r) + e.r;
  const Vec<T> half_power = power_of_2<T>(e.n_int - 1);  // half of 2^n, which may overflow
  const Vec<T> half_result = half_power * p + (half_power - T(0.5));
  return x == T(0) ? x : half_result + half_result;
}

// ---- logarithm

// P with log(1 + f) = 2s + s z P(z), s = f / (2 + f), z = s^2, for 1 + f in [sqrt(1/2), sqrt(2)] (the form of
// fdlibm).
template <class T>
RAVINE_INLINE Vec<T> log_polynomial(Vec<T> z) {
  if constexpr (is_float<T>)  // relative error 2^-29.1
    return polynomial<T>(z, 6.666666655e-01f, 4.000012210e-01f, 2.855079761e-01f, 2.333099368e-01f);
  else  // 2^-58.2
    return polynomial<T>(z, 0.6666666666666666, 0.4000000000000088, 0.28571428570801927, 0.2222222239205774,
                         0.18181795606728413, 0.15386241368513218, 0.1326873195788595, 0.13087026075539157);
}

// x = 2^e (1 + f) for finite x > 0, with 1 + f in [sqrt(1/2), sqrt(2)).
template <class T>
struct LogReduction {
  Vec<T> f, e;
};
template <class T>
RAVINE_INLINE LogReduction<T> reduce_log(Vec<T> x) {
  constexpr int mantissa_bits = FloatFormat<T>::mantissa_bits;
  const auto denormal = x < FloatFormat<T>::min_normal;
  x = denormal ? x * T(IntOf<T>{1} << mantissa_bits) : x;
  const Vec<IntOf<T>> sqrt_half = bits_of<T>(splat<T>(T(0.70710678118654752440)));
  // (A negative x may wrap around; its result is replaced.)
  const Vec<IntOf<T>> e = wrapped_difference(bits_of<T>(x), sqrt_half) >> mantissa_bits;
  // A small integer as a float: add it to the bits of 1.5 2^mantissa_bits (AVX2 cannot convert 64-bit
  // integers).
  constexpr T shift = T(IntOf<T>{3} << (mantissa_bits - 1));
  const Vec<T> e_float = from_bits<T>(e + bits_of<T>(splat<T>(shift))) - shift;
  return {from_bits<T>(wrapped_difference(bits_of<T>(x), Vec<IntOf<T>>(e << mantissa_bits))) - T(1),
          denormal ? e_float - T(mantissa_bits) : e_float};
}

// log for the special arguments; `value` elsewhere.
template <class T>
RAVINE_INLINE Vec<T> with_log_limits(Vec<T> x, Vec<T> value) {
  constexpr T infinity = FloatFormat<T>::infinity;
  value = x == T(0) ? splat<T>(-infinity) : value;
  value = x < T(0) ? splat<T>(FloatFormat<T>::nan) : value;
  return ((x == infinity) | (x != x)) ? x : value;
}

// log(2^e (1 + f)) + correction. The main term e ln2_high + f is nearly exact; everything small is added
// first.
template <class T>
RAVINE_INLINE Vec<T> log_of(LogReduction<T> x, Vec<T> correction) {
  const Vec<T> s = x.f / (x.f + T(2)), z = s * s, half_square = T(0.5) * x.f * x.f;
  const Vec<T> tail = s * (half_square + z * log_polynomial<T>(z)) + (x.e * ln2_low<T> + correction);
  return x.e * ln2_high<T> + (x.f - (half_square - tail));
}

template <class T>
RAVINE_INLINE Vec<T> log(Vec<T> x) {
  return with_log_limits<T>(x, log_of<T>(reduce_log<T>(x), Vec<T>{}));
}

template <class T>
RAVINE_INLINE Vec<T> log1p(Vec<T> x) {
  // log(1 + x) = log(u) + c / u with u the rounded sum and c what rounding lost.
  const Vec<T> u = x + T(1);
  const Vec<T> c = x >= T(1) ? T(1) - (u - x) : x - (u - T(1));
  const auto regular = (u > T(0)) & (u < FloatFormat<T>::infinity);
  const Vec<T> value = log_of<T>(reduce_log<T>(u), regular ? c / u : Vec<T>{});
  return x == T(0) ? x : with_log_limits<T>(u, value);
}

// ---- power

// |x|^y for |x| > 0, by exp(y log |x|) with more digits than the result has.
RAVINE_INLINE Vec<double> positive_power(Vec<double> x, Vec<double> y) {
  // log x = high + low with an error near 2^-60: 2s is the large term, so s is kept in two parts.
  const LogReduction<double> m = reduce_log<double>(x);
  const Vec<double> denominator = m.f + 2.0;
  const Vec<double> denominator_low = m.f - (denominator - 2.0);
  const Vec<double> s = m.f / denominator, product = s * denominator;
  const Vec<double> s_low =
      ((m.f - product) - product_error(s, denominator, product) - s * denominator_low) / denominator;
  const Vec<double> z = s * s;
  const Vec<double> large = m.e * ln2_high<double>, sum = large + 2.0 * s;
  const Vec<double> sum_low = (large - sum) + 2.0 * s;  // |large| > |2s| or large = 0
  const Vec<double> small =
      s * z * log_polynomial<double>(z) + (m.e * ln2_low<double> + 2.0 * s_low) + sum_low;
  const Vec<double> high = sum + small, low = (sum - high) + small;
  const Vec<double> exponent = y * high;
  const Vec<double> exponent_low = product_error(y, high, exponent) + y * low;
  const Vec<double> result = exp<double>(exponent);
  const Vec<double> corrected = result * exponent_low + result;
  return ((corrected == corrected) & (result < FloatFormat<double>::infinity)) ? corrected : result;
}
RAVINE_INLINE Vec<float> positive_power(Vec<float> x, Vec<float> y) {
  Vec<double> x_low, x_high, y_low, y_high;
  widen(x, x_low, x_high);
  widen(y, y_low, y_high);
  return narrow(exp<double>(y_low * log<double>(x_low)), exp<double>(y_high * log<double>(x_high)));
}

template <class T>
RAVINE_INLINE Vec<T> pow(Vec<T> x, Vec<T> y) {
  constexpr T infinity = FloatFormat<T>::infinity;
  const Vec<T> size = absolute<T>(x), y_size = absolute<T>(y);
  Vec<T> result = positive_power(size, y);
  // 0 and infinity to a power, and powers of infinity, leave the range of the formula above.
  const auto grows = ((size > T(1)) & (y > T(0))) | ((size < T(1)) & (y < T(0)));
  const auto extreme = (size == T(0)) | (size == infinity) | (y_size == infinity);
  const auto known = (x == x) & (y == y);
  result = (extreme & known) ? (grows ? splat<T>(infinity) : Vec<T>{}) : result;
  result = ((size == T(1)) & known) ? splat<T>(1) : result;
  result = known ? result : x + y;
  const auto whole = round_even<T>(y) == y;
  const auto odd = whole & (round_even<T>(y * T(0.5)) != y * T(0.5));
  const auto negative = bits_of<T>(x) < 0;
  result = (negative & odd) ? -result : result;
  result = ((x < T(0)) & (size < infinity) & (y_size < infinity) & ~whole) ? splat<T>(FloatFormat<T>::nan)
                                                                           : result;
  return ((y == T(0)) | (x == T(1))) ? splat<T>(1) : result;
}

// Of integers, by repeated squaring; what does not fit wraps around. A negative exponent has the whole part
// of the result: 0 except for the bases 1 and -1.
template <class T>
RAVINE_INLINE Vec<T> integer_power(Vec<T> base, Vec<T> exponent) {
  const Vec<T> one = splat<T>(1), zero{};
  const auto odd = (exponent & 1) != 0;
  Vec<T> left = exponent;
  if constexpr (std::is_signed_v<T>) left = exponent < 0 ? zero : exponent;
  Vec<T> result = one, square = base;
  while (any(left != zero)) {
    result = (left & 1) != 0 ? wrapped_product(result, square) : result;
    square = wrapped_product(square, square);
    left >>= 1;
  }
  if constexpr (std::is_signed_v<T>) {
    const Vec<T> of_minus_one = odd ? -one : one;
    const Vec<T> inverse = base == one ? one : base == -one ? of_minus_one : zero;
    result = exponent < 0 ? inverse : result;
  }
  return result;
}

// ---- functions of the exponential

// z P(z) with tanh(x) = x + x z P(z), z = x^2, for |x| <= tanh_near.
template <class T>
inline constexpr T tanh_near = T(0.55);
template <class T>
RAVINE_INLINE Vec<T> tanh_near_zero(Vec<T> z) {
  if constexpr (is_float<T>)  // relative error 2^-29.8
    return z * polynomial<T>(z, -3.333331756e-01f, 1.333258614e-01f, -5.385230995e-02f, 2.107167921e-02f,
                             -6.274239734e-03f);
  else  // 2^-60.6
    return z * polynomial<T>(z, -0.33333333333333298, 0.13333333333326621, -0.053968253963760637,
                             0.021869488385856556, -0.0088632326014516307, 0.0035920920305231719,
                             -0.0014555428462079583, 0.00058844448771172134, -0.00023338156831815697,
                             8.3316450808737008e-05, -1.9494689104903158e-05);
}

// 1 - 2 / (e^(2|x|) + 1), for |x| > tanh_near: near 0 it would lose digits.
template <class T>
RAVINE_INLINE Vec<T> tanh_far(Vec<T> size) {
  return T(1) - T(2) / (exp_within_bounds<T>(at_most<T>(size + size, exp_high<T>)) + T(1));
}

template <class T>
RAVINE_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> size = absolute<T>(x);
  const Vec<T> near = size * tanh_near_zero<T>(x * x) + size;
  return copy_sign<T>(size < tanh_near<T> ? near : tanh_far<T>(size), x);
}

// x - tanh(x), which loses no digits near 0.
template <class T>
RAVINE_INLINE Vec<T> tanh_shrink(Vec<T> x) {
  const Vec<T> size = absolute<T>(x);
  const Vec<T> near = -(size * tanh_near_zero<T>(x * x));
  return copy_sign<T>(size < tanh_near<T> ? near : size - tanh_far<T>(size), x);
}

// With e = e^-|x| and c = e / (1 + e): 1 - c for x >= 0, else e - e c, in both of which c's error counts
// little.
template <class T>
RAVINE_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> e = exp_within_bounds<T>(at_least<T>(minus_absolute<T>(x), exp_low<T>));
  const Vec<T> whole = x < T(0) ? e : splat<T>(1);
  return whole - whole * (e / (e + T(1)));
}

template <class T>
RAVINE_INLINE Vec<T> softplus(Vec<T> x) {
  return (x < T(0) ? Vec<T>{} : x) + log1p<T>(exp<T>(minus_absolute<T>(x)));
}

// ---- error function

template <class T>
RAVINE_INLINE Vec<T> erf(Vec<T> x) {
  const Vec<T> size = absolute<T>(x), z = x * x;
  Vec<T> small, log_erfc;
  if constexpr (is_float<T>) {
    // erf(x) = x + x P(x^2) on [0, 1], relative error 2^-29.6; log(erfc(x)) on [1, 4], error in erfc 2^-29.9
    small = polynomial<T>(z, 1.28379166e-01f, -3.761262582e-01f, 1.128358515e-01f, -2.685381192e-02f,
                          5.188327665e-03f, -8.010193446e-04f, 7.853860784e-05f);
    const Vec<T> t = (size > T(4) ? splat<T>(4) : size) - T(1);
    log_erfc = polynomial<T>(t, -1.849605516e+00f, -2.638966816e+00f, -8.431183369e-01f, -4.150068602e-02f,
                             9.890887810e-03f, -1.826159945e-03f, 1.855730737e-04f);
  } else {  // 2^-62.7; [1, 6], 2^-59.5
    small =
        polynomial<T>(z, 0.1283791670955126, -0.3761263890318375, 0.11283791670954857, -0.026866170645072893,
                      0.005223977624780862, -0.000854832697874194, 0.0001205533103689036,
                      -1.4925593506671345e-05, 1.646097281353705e-06, -1.6350025185895177e-07,
                      1.4657879597306717e-08, -1.136566502864451e-09, 5.945260200617797e-11);
    const Vec<T> t = (size > T(6) ? splat<T>(6) : size) - T(1);
    log_erfc = polynomial<T>(
        t, -1.8496055099332482, -2.638967514234788, -0.8431072563586768, -0.04156109804180815,
        0.010033825374405109, -0.0019779025678845793, 0.00023732248130730856, 2.6277875689803716e-05,
        -2.7159113931553362e-05, 9.608903715915952e-06, -2.0597766184338103e-06, 1.428797006590398e-07,
        9.754448131722796e-08, -5.2036481217150423e-08, 1.4910969278688944e-08, -2.8639245420828517e-09,
        3.6822977287375277e-10, -2.8813850312423702e-11, 1.0390280363333865e-12);
  }
  const Vec<T> large = copy_sign<T>(T(1) - exp<T>(log_erfc), x);
  return size < T(1) ? x * small + x : (x == x ? large : x);
}

// ---- tail of the normal distribution

// Beyond this size even e^(-x^2 / 2) is 0.
template <class T>
inline constexpr T normal_bound = is_float<T> ? T(14.5) : T(39);

// e^(-x^2 / 2) and the probability of a normal number above x, erfc(x / sqrt(2)) / 2, for 0 <= x <=
// normal_bound.
template <class T>
struct NormalTail {
  Vec<T> density, probability;
};
template <class T>
RAVINE_INLINE NormalTail<T> normal_tail(Vec<T> x) {
  // x^2 in two parts, the first of which is exact: the square alone would cost x^2 / 2 ulp.
  constexpr IntOf<T> low_bits = (IntOf<T>{1} << (FloatFormat<T>::mantissa_bits / 2 + 1)) - 1;
  const Vec<T> high = from_bits<T>(bits_of<T>(x) & ~low_bits);
  const Vec<T> main = T(-0.5) * high * high, rest = T(-0.5) * (x - high) * (x + high);
  const Vec<T> density = exp_of<T>(reduce_exp<T>(main, rest));
  Vec<T> ratio;                 // of the probability to the density: t P(t) with t = c / (c + x)
  if constexpr (is_float<T>) {  // relative error 2^-26.8
    const Vec<T> t = T(4) / (x + T(4));
    ratio = t * polynomial<T>(t, 9.974604277e-02f, 9.952676318e-02f, 9.524576035e-02f, 7.320112954e-02f,
                              8.332709595e-02f, 1.86774666e-02f, 2.151296172e-02f, 5.667931119e-02f,
                              -6.486850805e-02f, 1.695198109e-02f);
  } else {  // 2^-57.9; in t - 1/2, whose powers cancel little
    const Vec<T> t = T(6) / (x + T(6));
    ratio =
        t * polynomial<T>(t - T(0.5), 0.1295586286488937, 0.23366967653028852, 0.37931259454318931,
                          0.55187144770078721, 0.71459798891103369, 0.8142945710106378, 0.80183376714033982,
                          0.66102006416104175, 0.42793901373384312, 0.18189697798959914, 0.005609824864385002,
                          -0.061904357291097497, -0.04420419586742458, -0.0014685279751325329,
                          0.018560735060226458, 0.0098285795267332443, -0.0047102396577905867,
                          -0.0067779112866186784, 0.00043432151032160342, 0.0037523484722522246,
                          1.1740596038081924e-6, -0.0016481207848568048, 0.0004834055684127491);
  }
  return {density, density * ratio};
}

// ---- sine and cosine

// Beyond this the reduction below loses digits; the C library serves (such arguments are rare).
inline constexpr double trigonometric_limit = 8e5;

// x = q pi/2 + r with |r| <= pi/4 (a little more by rounding), for |x| < trigonometric_limit.
// pi/2 in three parts (fdlibm's); the first two have 33 bits, so that their products with q are exact.
RAVINE_INLINE void reduce_trigonometric(Vec<double> x, Vec<double>& r, Vec<std::int64_t>& quadrant) {
  constexpr double shift = 0x1.8p52;
  const Vec<double> shifted = x * 6.36619772367581382433e-01 + shift, q = shifted - shift;
  quadrant = bits_of<double>(shifted) & 3;
  r = ((x - q * 1.57079632673412561417e+00) - q * 6.07710050630396597660e-11) -
      q * 2.02226624879595063154e-21;
}

template <class T>
RAVINE_INLINE Vec<T> sine_or_cosine(Vec<T> x, int quadrants_ahead) {
  Vec<T> r;
  Vec<IntOf<T>> quadrant;
  if constexpr (is_float<T>) {  // in double precision, where two parts of pi/2 would do
    Vec<double> low, high;
    Vec<std::int64_t> q_low, q_high;
    widen(x, low, high);
    reduce_trigonometric(low, low, q_low);
    reduce_trigonometric(high, high, q_high);
    r = narrow(low, high);
    quadrant = join<Vec<std::int32_t>>(convert<std::int32_t>(q_low), convert<std::int32_t>(q_high));
  } else {
    reduce_trigonometric(x, r, quadrant);
  }
  quadrant += static_cast<IntOf<T>>(quadrants_ahead);
  const Vec<T> z = r * r;
  Vec<T> sine, cosine;          // sin r = r + r z S(z), cos r = 1 - z / 2 + z^2 C(z)
  if constexpr (is_float<T>) {  // relative errors of S and C 2^-32.4, 2^-34.0
    sine = polynomial<T>(z, -1.666666666e-01f, 8.333331864e-03f, -1.984008197e-04f, 2.724941118e-06f);
    cosine = polynomial<T>(z, 4.166666666e-02f, -1.388888767e-03f, 2.480059784e-05f, -2.730068539e-07f);
  } else {  // 2^-63.6, 2^-65.8
    sine = polynomial<T>(z, -0.16666666666666666, 0.008333333333333331, -0.00019841269841265027,
                         2.755731921931341e-06, -2.5052106224402757e-08, 1.6058530460598475e-10,
                         -7.586634559858069e-13);
    cosine = polynomial<T>(z, 0.041666666666666664, -0.0013888888888888887, 2.4801587301584632e-05,
                           -2.75573192213935e-07, 2.0876755788168225e-09, -1.1470460468164218e-11,
                           4.745849245225351e-14);
  }
  sine = r + r * z * sine;
  cosine = (z * z * cosine - T(0.5) * z) + T(1);
  const Vec<T> value = (quadrant & 1) != 0 ? cosine : sine;
  return (quadrant & 2) != 0 ? -value : value;
}

template <class T>
RAVINE_INLINE Vec<T> sin(Vec<T> x) {
  Vec<T> result = sine_or_cosine<T>(x, 0);
  result = x == T(0) ? x : result;
  if (any(~(absolute<T>(x) < T(trigonometric_limit)))) [[unlikely]]
    for (int i = 0; i < lanes<T>; ++i) result[i] = is_float<T> ? __builtin_sinf(x[i]) : __builtin_sin(x[i]);
  return result;
}
template <class T>
RAVINE_INLINE Vec<T> cos(Vec<T> x) {
  Vec<T> result = sine_or_cosine<T>(x, 1);
  if (any(~(absolute<T>(x) < T(trigonometric_limit)))) [[unlikely]]
    for (int i = 0; i < lanes<T>; ++i) result[i] = is_float<T> ? __builtin_cosf(x[i]) : __builtin_cos(x[i]);
  return result;
}

// ---- arctangent

// atan(t) of t = |x| is pi/4 + atan((t - 1) / (t + 1)) on (1/2, 2], where t - 1 is exact, and pi/2 - atan(1 /
// t) beyond: one division, and r in [-1/2, 1/2].
template <class T>
RAVINE_INLINE Vec<T> atan(Vec<T> x) {
  constexpr T quarter = T(0.78539816339744830962);
  // What T cannot hold of pi/4.
  constexpr T quarter_low =
      is_float<T> ? T(0.78539816339744830962 - double(quarter)) : T(0x1.1a62633145c07p-55);
  const Vec<T> size = absolute<T>(x);
  const auto turned = size > T(0.5), steep = size > T(2);
  const Vec<T> over = steep ? splat<T>(-1) : size - T(1), under = steep ? size : size + T(1);
  const Vec<T> r = turned ? over / under : size, z = r * r;
  const Vec<T> quarters = steep ? splat<T>(2) : turned ? splat<T>(1) : Vec<T>{};
  Vec<T> tail;                // atan r = r + r z P(z)
  if constexpr (is_float<T>)  // relative error 2^-31.9
    tail = polynomial<T>(z, -3.333332691e-01f, 1.999948897e-01f, -1.427206031e-01f, 1.094081866e-01f,
                         -7.983405047e-02f, 3.871349869e-02f);
  else  // 2^-62.0
    tail =
        polynomial<T>(z, -0.33333333333333312, 0.1999999999999324, -0.14285714284958079, 0.11111111068417186,
                      -0.090909076654034989, 0.076922769983447204, -0.066662179868902647,
                      0.058777627555158559, -0.052297701070177851, 0.045885550821190348,
                      -0.037097593343159786, 0.02362589819741112, -0.0083479504528498871);
  return copy_sign<T>(quarters * quarter + (r + (r * z * tail + quarters * quarter_low)), x);
}

}  // namespace ravine::kernels::RAVINE_ISA
