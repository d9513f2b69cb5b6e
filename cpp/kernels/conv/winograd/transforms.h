// The transforms of Winograd's minimal filtering (Lavin and Gray, "Fast algorithms for convolutional neural
// networks", CVPR 2016; Toom and Cook before them). A tile of outputs comes from a tile of pixels by few
// multiplications, one for each point of a grid:
//
//   output = A^T [(G filter G^T) * (B^T input B)] A
//
// Each 1-D transform evaluates polynomials at, or interpolates from, points of the projective line.
#pragma once

#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

// 0, +-2/3, +-3/2 and infinity; or infinity, +-1/2 and +-4/3. With these the largest error of F(4, 3) on
// ResNet-18's layers is a sixth of that with the usual 0, +-1, +-2 and infinity. Opposite points share the
// sums of even and of odd powers.
template <class T, int points>
struct ToomCook {
  static_assert(points == 5 || points == 6);
  static constexpr bool zero = points == 6;
  static constexpr int infinity = zero ? 5 : 0;
  static constexpr double a = zero ? 2.0 / 3 : 1.0 / 2, b = zero ? 3.0 / 2 : 4.0 / 3;
  // 1 / the derivative of the product of (x - point) over all finite points, at a and at b.
  static constexpr double at_a = 1 / (2 * a * (zero ? a : 1) * (a * a - b * b));
  static constexpr double at_b = 1 / (2 * b * (zero ? b : 1) * (b * b - a * a));

  struct Powers {
    T of[5];
    constexpr explicit Powers(double x, double scale = 1) : of{} {
      for (T& power : of) {
        power = static_cast<T>(scale);
        scale *= x;
      }
    }
  };
  static constexpr Powers powers_a{a}, powers_b{b}, scaled_a{a, at_a}, scaled_b{b, at_b};

  // B^T
  RAVINE_INLINE static void input(const Vec<T> (&d)[points], Vec<T> (&v)[points]) {
    constexpr T a2 = powers_a.of[2], b2 = powers_b.of[2], sum = static_cast<T>(a * a + b * b);
    constexpr T product = static_cast<T>(a * a * b * b);
    constexpr int s = zero ? 1 : 0;
    const Vec<T> even_a = d[3 + s] - b2 * d[1 + s], odd_a = d[2 + s] - b2 * d[s];
    const Vec<T> even_b = d[3 + s] - a2 * d[1 + s], odd_b = d[2 + s] - a2 * d[s];
    v[1] = even_a + static_cast<T>(a) * odd_a;
    v[2] = even_a - static_cast<T>(a) * odd_a;
    v[3] = even_b + static_cast<T>(b) * odd_b;
    v[4] = even_b - static_cast<T>(b) * odd_b;
    if constexpr (zero) v[0] = product * d[0] + d[4] - sum * d[2];
    v[infinity] = product * d[s] + d[4 + s] - sum * d[2 + s];
  }
  // G: the polynomial with coefficients g, divided by the derivative at each point.
  template <int n>
  RAVINE_INLINE static void evaluate(const Vec<T> (&g)[n], Vec<T> (&u)[points]) {
    evaluate_at<n>(g, scaled_a, u[1], u[2]);
    evaluate_at<n>(g, scaled_b, u[3], u[4]);
    if constexpr (zero) u[0] = g[0];
    u[infinity] = g[n - 1];
  }
  // A^T: the coefficients y of a polynomial, from its products with another.
  template <int n>
  RAVINE_INLINE static void interpolate(const Vec<T> (&p)[points], Vec<T> (&y)[n]) {
    const Vec<T> of_a[2] = {p[1] + p[2], p[1] - p[2]}, of_b[2] = {p[3] + p[4], p[3] - p[4]};
    y[0] = zero ? p[0] + of_a[0] + of_b[0] : of_a[0] + of_b[0];
#pragma GCC unroll 5
    for (int k = 1; k < n - 1; ++k) y[k] = powers_a.of[k] * of_a[k % 2] + powers_b.of[k] * of_b[k % 2];
    constexpr int k = n - 1;
    y[k] = powers_a.of[k] * of_a[k % 2] + (powers_b.of[k] * of_b[k % 2] + p[infinity]);
  }

 private:
  // At x, and at -x, where the derivative has the other sign unless 0 is among the points.
  template <int n>
  RAVINE_INLINE static void evaluate_at(const Vec<T> (&g)[n], const Powers& scaled, Vec<T>& at_x,
                                        Vec<T>& opposite) {
    Vec<T> even = scaled.of[0] * g[0], odd = scaled.of[1] * g[1];
#pragma GCC unroll 5
    for (int k = 2; k < n; ++k) (k % 2 == 0 ? even : odd) += scaled.of[k] * g[k];
    at_x = even + odd;
    opposite = zero ? even - odd : odd - even;
  }
};

// A filtering of tiles, alike along both axes. Every pass has its transforms: of the filter to its points
// and of the input's pixels, whose products go to the outputs; the gradient to the filter is filtering too,
// where the gradient of a tile of outputs takes the filter's place, the filter that of the outputs.
//
//   outputs          of a tile
//   pixels, step     of the input that a tile reads, and from tile to tile
//   taps             of the filter
//   points           of products
//   filter_points    of the transformed filter: point p meets filter_point(p)
//   place(i)         of output i in the tile
//   Input, Filter    whose input() and filter() it has: other filterings may share them
template <class T, int n_outputs, int n_taps>
struct Winograd {
  static constexpr int outputs = n_outputs, taps = n_taps, points = outputs + taps - 1;
  static constexpr int pixels = points, step = outputs, filter_points = points;
  static constexpr int filter_point(int point) { return point; }
  static constexpr int place(int output) { return output; }
  using Points = ToomCook<T, points>;
  using Input = Points;
  using Filter = Winograd;

  RAVINE_INLINE static void filter(const Vec<T> (&g)[taps], Vec<T> (&u)[points]) { Points::evaluate(g, u); }
  RAVINE_INLINE static void output(const Vec<T> (&p)[points], Vec<T> (&y)[outputs]) {
    Points::interpolate(p, y);
  }
  RAVINE_INLINE static void grad_output(const Vec<T> (&dy)[outputs], Vec<T> (&w)[points]) {
    Points::evaluate(dy, w);
  }
  RAVINE_INLINE static void grad_filter(const Vec<T> (&p)[points], Vec<T> (&dw)[taps]) {
    Points::interpolate(p, dw);
  }
};

// F(2, 3): 0, +-1 and infinity.
template <class T>
struct Winograd<T, 2, 3> {
  using Input = Winograd;
  using Filter = Winograd;
  static constexpr int outputs = 2, taps = 3, points = 4;
  static constexpr int pixels = points, step = outputs, filter_points = points;
  static constexpr int filter_point(int point) { return point; }
  static constexpr int place(int output) { return output; }

  RAVINE_INLINE static void input(const Vec<T> (&d)[4], Vec<T> (&v)[4]) {
    v[0] = d[0] - d[2];
    v[1] = d[2] + d[1];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
  RAVINE_INLINE static void filter(const Vec<T> (&g)[3], Vec<T> (&u)[4]) {
    const Vec<T> even = T(0.5) * (g[0] + g[2]), odd = T(0.5) * g[1];
    u[0] = g[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = g[2];
  }
  RAVINE_INLINE static void output(const Vec<T> (&p)[4], Vec<T> (&y)[2]) {
    y[0] = p[0] + p[1] + p[2];
    y[1] = p[1] - p[2] + p[3];
  }
  RAVINE_INLINE static void grad_output(const Vec<T> (&dy)[2], Vec<T> (&w)[4]) {
    const Vec<T> even = T(0.5) * dy[0], odd = T(0.5) * dy[1];
    w[0] = dy[0];
    w[1] = even + odd;
    w[2] = even - odd;
    w[3] = dy[1];
  }
  RAVINE_INLINE static void grad_filter(const Vec<T> (&p)[4], Vec<T> (&dw)[3]) {
    const Vec<T> even = p[1] + p[2];
    dw[0] = p[0] + even;
    dw[1] = p[1] - p[2];
    dw[2] = even + p[3];
  }
};

// 0, 1 and infinity.
template <class T>
struct ToomCook<T, 3> {
  RAVINE_INLINE static void input(const Vec<T> (&d)[3], Vec<T> (&v)[3]) {
    v[0] = d[0] - d[1];
    v[1] = d[1];
    v[2] = d[2] - d[1];
  }
  RAVINE_INLINE static void evaluate(const Vec<T> (&g)[2], Vec<T> (&u)[3]) {
    u[0] = g[0];
    u[1] = g[0] + g[1];
    u[2] = g[1];
  }
  RAVINE_INLINE static void interpolate(const Vec<T> (&p)[3], Vec<T> (&y)[2]) {
    y[0] = p[0] + p[1];
    y[1] = p[1] + p[2];
  }
};

// Three taps at every other pixel: the outer two filter the even pixels, F(n, 2), and the middle one
// multiplies the odd pixels as they are, which are the last n points. 81 products for 16 outputs instead of
// 144 where n is 4, 25 for 4 instead of 36 where it is 2.
template <class T, int n>
struct StridedWinograd {
  static constexpr int outputs = n, taps = 3, even_points = n + 1, points = even_points + n;
  static constexpr int pixels = points, step = 2 * n, filter_points = even_points + 1;
  static constexpr int filter_point(int point) { return point < even_points ? point : even_points; }
  static constexpr int place(int output) { return output; }
  using Even = ToomCook<T, even_points>;
  using Input = StridedWinograd;
  using Filter = StridedWinograd;

  RAVINE_INLINE static void input(const Vec<T> (&d)[pixels], Vec<T> (&v)[points]) {
    Vec<T> even[even_points], of_even[even_points];
#pragma GCC unroll 5
    for (int i = 0; i < even_points; ++i) even[i] = d[2 * i];
    Even::input(even, of_even);
#pragma GCC unroll 5
    for (int i = 0; i < even_points; ++i) v[i] = of_even[i];
#pragma GCC unroll 4
    for (int i = 0; i < n; ++i) v[even_points + i] = d[2 * i + 1];
  }
  RAVINE_INLINE static void filter(const Vec<T> (&g)[taps], Vec<T> (&u)[filter_points]) {
    const Vec<T> outer[2] = {g[0], g[2]};
    Vec<T> of_outer[even_points];
    Even::evaluate(outer, of_outer);
#pragma GCC unroll 5
    for (int i = 0; i < even_points; ++i) u[i] = of_outer[i];
    u[even_points] = g[1];
  }
  RAVINE_INLINE static void output(const Vec<T> (&p)[points], Vec<T> (&y)[outputs]) {
    Vec<T> even[even_points];
#pragma GCC unroll 5
    for (int i = 0; i < even_points; ++i) even[i] = p[i];
    Even::interpolate(even, y);
#pragma GCC unroll 4
    for (int i = 0; i < n; ++i) y[i] += p[even_points + i];
  }
  RAVINE_INLINE static void grad_output(const Vec<T> (&dy)[outputs], Vec<T> (&w)[points]) {
    Vec<T> even[even_points];
    Even::evaluate(dy, even);
#pragma GCC unroll 5
    for (int i = 0; i < even_points; ++i) w[i] = even[i];
#pragma GCC unroll 4
    for (int i = 0; i < n; ++i) w[even_points + i] = dy[i];
  }
  RAVINE_INLINE static void grad_filter(const Vec<T> (&p)[filter_points], Vec<T> (&dw)[taps]) {
    Vec<T> even[even_points], outer[2];
#pragma GCC unroll 5
    for (int i = 0; i < even_points; ++i) even[i] = p[i];
    Even::interpolate(even, outer);
    dw[0] = outer[0];
    dw[1] = p[even_points];
    dw[2] = outer[1];
  }
};

// The gradient to the input of the same, where the image's first pixel meets the middle tap (one pixel of
// padding): 2n pixels from n + 1 outputs' gradients. Pixels 1, 3, ... are the first n outputs, the even ones
// the others.
template <class T, int n>
struct TransposedWinograd {
  static constexpr int outputs = 2 * n, taps = 3, outer_points = n + 1, points = outer_points + n;
  static constexpr int pixels = n + 1, step = n, filter_points = outer_points + 1;
  static constexpr int filter_point(int point) { return point < outer_points ? point : outer_points; }
  static constexpr int place(int output) { return output < n ? 2 * output + 1 : 2 * (output - n); }
  using Outer = ToomCook<T, outer_points>;
  using Input = TransposedWinograd;
  using Filter = StridedWinograd<T, n>;

  RAVINE_INLINE static void input(const Vec<T> (&d)[pixels], Vec<T> (&v)[points]) {
    Vec<T> outer[outer_points];
    Outer::input(d, outer);
#pragma GCC unroll 5
    for (int i = 0; i < outer_points; ++i) v[i] = outer[i];
#pragma GCC unroll 4
    for (int i = 0; i < n; ++i) v[outer_points + i] = d[i];
  }
  RAVINE_INLINE static void output(const Vec<T> (&p)[points], Vec<T> (&y)[outputs]) {
    Vec<T> of_outer[outer_points], outer[n];
#pragma GCC unroll 5
    for (int i = 0; i < outer_points; ++i) of_outer[i] = p[i];
    Outer::interpolate(of_outer, outer);
#pragma GCC unroll 4
    for (int i = 0; i < n; ++i) {
      y[i] = outer[i];
      y[n + i] = p[outer_points + i];
    }
  }
};

// A pointer whose history the compiler does not know: dozens of addresses that differ by constants are then
// computed where they are used, and not all kept on the stack.
template <class P>
RAVINE_INLINE P* opaque(P* pointer) {
  asm("" : "+r"(pointer));
  return pointer;
}

// Rows of the result that are computed together: as many as the registers of AVX-512 can hold. The compiler
// drops what a 1-D transform computes for the others. Outputs share most with those two further, points with
// their neighbours.
template <int in, int out>
struct SquareParts {
  static constexpr int parts = in * out <= 20 ? 1 : in * out <= 45 ? 2 : out == 9 ? 3 : 4;
  static constexpr bool interleaved = out == 4 || out == 5;
  static constexpr int most = (out + parts - 1) / parts;
  static constexpr int rows(int part) {
    return interleaved                ? (out - part + parts - 1) / parts
           : (part + 1) * most <= out ? most
                                      : out - part * most;
  }
  static constexpr int row(int part, int i) { return interleaved ? part + parts * i : part * most + i; }
};

// transform applied to the columns, then to the rows, of a square: load_column(j, column) reads it, for every
// part; store_row(i, row) gets the result.
template <class T, int in, int out, int part = 0, class Transform, class Load, class Store>
RAVINE_INLINE void transform_square(Transform transform, Load load_column, Store store_row) {
  using Parts = SquareParts<in, out>;
  constexpr int rows = Parts::rows(part);
  Vec<T> half[rows][in];
#pragma GCC unroll 9
  for (int j = 0; j < in; ++j) {
    Vec<T> column[in], result[out];
    load_column(j, column);
    transform(column, result);
#pragma GCC unroll 9
    for (int i = 0; i < rows; ++i) half[i][j] = result[Parts::row(part, i)];
  }
#pragma GCC unroll 9
  for (int i = 0; i < rows; ++i) {
    Vec<T> result[out];
    transform(half[i], result);
    store_row(Parts::row(part, i), result);
  }
  if constexpr (part + 1 < Parts::parts)
    transform_square<T, in, out, part + 1>(transform, load_column, store_row);
}

// Stores a row of transformed values, `stride` apart.
template <class T, int n>
RAVINE_INLINE void store_points(T* to, std::int64_t stride, const Vec<T> (&row)[n]) {
  T* const first = opaque(to);
#pragma GCC unroll 9
  for (int j = 0; j < n; ++j) store(first + j * stride, row[j]);
}

}  // namespace ravine::kernels::RAVINE_ISA
