// The transforms of Winograd's minimal filtering (Lavin and Gray, "Fast algorithms for convolutional neural
// networks", CVPR 2016; Toom and Cook before them). A tile of outputs x outputs comes from outputs + 2 pixels
// squared by as many multiplications as it has pixels:
//
//   output = A^T [(G filter G^T) * (B^T input B)] A
//
// Each 1-D transform below evaluates at, or interpolates from, points of the projective line. F(4, 3) uses
// 0, +-2/3, +-3/2 and infinity: with these the largest error on ResNet-18's layers is a sixth of that with
// the usual 0, +-1, +-2. F(2, 3) uses 0, +-1 and infinity.
#pragma once

#include "simd/vec.h"

namespace ravine::kernels::RAVINE_ISA {

// outputs of a tile along an axis -> its 1-D transforms. The gradient to the filter is filtering too: the
// gradient of a tile of outputs takes the filter's place, the filter that of the outputs.
template <class T, int outputs>
struct Winograd;

template <class T>
struct Winograd<T, 4> {
  static constexpr int points = 6;
  static constexpr T a = T(2.0 / 3), a2 = T(4.0 / 9), a3 = T(8.0 / 27);
  static constexpr T b = T(3.0 / 2), b2 = T(9.0 / 4), b3 = T(27.0 / 8);
  static constexpr T sum = T(4.0 / 9 + 9.0 / 4);
  // 1 / the derivative of x (x^2 - a^2) (x^2 - b^2) at a and at b.
  static constexpr T at_a = T(1 / (2 * 4.0 / 9 * (4.0 / 9 - 9.0 / 4)));
  static constexpr T at_b = T(1 / (2 * 9.0 / 4 * (9.0 / 4 - 4.0 / 9)));

  // B^T, with a b = 1.
  RAVINE_INLINE static void input(const Vec<T> (&d)[6], Vec<T> (&v)[6]) {
    const Vec<T> even_a = d[4] - b2 * d[2], odd_a = d[3] - b2 * d[1];
    const Vec<T> even_b = d[4] - a2 * d[2], odd_b = d[3] - a2 * d[1];
    v[0] = d[0] + d[4] - sum * d[2];
    v[1] = even_a + a * odd_a;
    v[2] = even_a - a * odd_a;
    v[3] = even_b + b * odd_b;
    v[4] = even_b - b * odd_b;
    v[5] = d[1] + d[5] - sum * d[3];
  }
  // G
  RAVINE_INLINE static void filter(const Vec<T> (&g)[3], Vec<T> (&u)[6]) {
    const Vec<T> even_a = at_a * g[0] + (at_a * a2) * g[2], odd_a = (at_a * a) * g[1];
    const Vec<T> even_b = at_b * g[0] + (at_b * b2) * g[2], odd_b = (at_b * b) * g[1];
    u[0] = g[0];
    u[1] = even_a + odd_a;
    u[2] = even_a - odd_a;
    u[3] = even_b + odd_b;
    u[4] = even_b - odd_b;
    u[5] = g[2];
  }
  // A^T
  RAVINE_INLINE static void output(const Vec<T> (&p)[6], Vec<T> (&y)[4]) {
    const Vec<T> even_a = p[1] + p[2], odd_a = p[1] - p[2], even_b = p[3] + p[4], odd_b = p[3] - p[4];
    y[0] = p[0] + even_a + even_b;
    y[1] = a * odd_a + b * odd_b;
    y[2] = a2 * even_a + b2 * even_b;
    y[3] = a3 * odd_a + (b3 * odd_b + p[5]);
  }
  // G for a filter of four.
  RAVINE_INLINE static void grad_output(const Vec<T> (&dy)[4], Vec<T> (&w)[6]) {
    const Vec<T> even_a = at_a * dy[0] + (at_a * a2) * dy[2],
                 odd_a = (at_a * a) * dy[1] + (at_a * a3) * dy[3];
    const Vec<T> even_b = at_b * dy[0] + (at_b * b2) * dy[2],
                 odd_b = (at_b * b) * dy[1] + (at_b * b3) * dy[3];
    w[0] = dy[0];
    w[1] = even_a + odd_a;
    w[2] = even_a - odd_a;
    w[3] = even_b + odd_b;
    w[4] = even_b - odd_b;
    w[5] = dy[3];
  }
  // A^T for three outputs.
  RAVINE_INLINE static void grad_filter(const Vec<T> (&p)[6], Vec<T> (&dw)[3]) {
    const Vec<T> even_a = p[1] + p[2], even_b = p[3] + p[4];
    dw[0] = p[0] + even_a + even_b;
    dw[1] = a * (p[1] - p[2]) + b * (p[3] - p[4]);
    dw[2] = a2 * even_a + (b2 * even_b + p[5]);
  }
};

template <class T>
struct Winograd<T, 2> {
  static constexpr int points = 4;

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

// A pointer whose history the compiler does not know: dozens of addresses that differ by constants are then
// computed where they are used, and not all kept on the stack.
template <class P>
RAVINE_INLINE P* opaque(P* pointer) {
  asm("" : "+r"(pointer));
  return pointer;
}

// Rows of the result that are computed together: as many as the registers of AVX-512 can hold. The compiler
// drops what a 1-D transform computes for the others, and these groups have no operation in common.
template <int in, int out>
inline constexpr int square_parts = in* out > 20 ? 2 : 1;
template <int parts, int out>
constexpr int row_of_part(int part, int row) {
  if (parts == 1) return row;
  return out == 4 ? part + 2 * row : part * (out / parts) + row;
}

// transform applied to the columns, then to the rows, of a square: load_column(j, column) reads it, for every
// part; store_row(i, row) gets the result.
template <class T, int in, int out, class Transform, class Load, class Store>
RAVINE_INLINE void transform_square(Transform transform, Load load_column, Store store_row) {
  constexpr int parts = square_parts<in, out>, rows = out / parts;
#pragma GCC unroll 2
  for (int part = 0; part < parts; ++part) {
    Vec<T> half[rows][in];
#pragma GCC unroll 6
    for (int j = 0; j < in; ++j) {
      Vec<T> column[in], result[out];
      load_column(j, column);
      transform(column, result);
#pragma GCC unroll 6
      for (int i = 0; i < rows; ++i) half[i][j] = result[row_of_part<parts, out>(part, i)];
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; ++i) {
      Vec<T> result[out];
      transform(half[i], result);
      store_row(row_of_part<parts, out>(part, i), result);
    }
  }
}

// Stores a row of transformed values, `stride` apart.
template <class T, int n>
RAVINE_INLINE void store_points(T* to, std::int64_t stride, const Vec<T> (&row)[n]) {
  T* const first = opaque(to);
#pragma GCC unroll 6
  for (int j = 0; j < n; ++j) store(first + j * stride, row[j]);
}

}  // namespace ravine::kernels::RAVINE_ISA
