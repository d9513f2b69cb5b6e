// The matrix products of Winograd convolution: one small product for each point, C [rows, columns] (+)=
// A [rows, depth] B [depth, columns] where B lies in panels and everything is in the caches.
#pragma once

#include "kernels/gemm_pack.h"

namespace ravine::kernels::RAVINE_ISA {

// Vectors of the widest panel of B, and the rows of C that its micro-kernel holds in registers.
#if defined(__AVX512F__)
inline constexpr int product_vectors = 4;
inline constexpr int product_rows[product_vectors] = {14, 12, 8, 6};
#elif defined(__AVX2__)
inline constexpr int product_vectors = 2;
inline constexpr int product_rows[product_vectors] = {10, 6};
#else
inline constexpr int product_vectors = 2;
inline constexpr int product_rows[product_vectors] = {8, 4};
#endif

// Element (i, p) of A is a[i * row + p * step]; one of the strides is 1.
enum class ProductLayout { by_rows, by_columns };

template <class T>
struct ProductArgs {
  const T* a;
  std::int64_t a_stride;  // the stride that is not 1
  const T* b;             // [depth][b_stride], from which whole vectors are read
  std::int64_t b_stride;
  T* c;
  std::int64_t c_stride;
  std::int64_t depth;
  bool accumulate;  // add to what C holds
};

template <class T, ProductLayout layout, int rows, int vectors>
[[gnu::noinline]] void product_kernel(const ProductArgs<T>& args) {
  constexpr int n = lanes<T>;
  Vec<T> sums[rows][vectors];
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[i][v] = Vec<T>{};

  const std::int64_t a_stride = args.a_stride, b_stride = args.b_stride;
  const T *a = args.a, *b = args.b;
  for (std::int64_t p = args.depth; p > 0; --p, b += b_stride) {
    Vec<T> b_row[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) b_row[v] = load(b + v * n);
#pragma GCC unroll 14
    for (int i = 0; i < rows; ++i) {
      const Vec<T> element = splat<T>(layout == ProductLayout::by_rows ? a[i * a_stride] : a[i]);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[i][v] += element * b_row[v];
    }
    a += layout == ProductLayout::by_rows ? 1 : a_stride;
  }

  T* c = args.c;
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i, c += args.c_stride)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
      store(c + v * n, args.accumulate ? load(c + v * n) + sums[i][v] : sums[i][v]);
}

template <class T, ProductLayout layout>
struct ProductKernels {
  using Kernel = void (*)(const ProductArgs<T>&);
  Kernel of[product_vectors][product_rows[0]];  // [vectors - 1][rows - 1]

  template <int vectors, int rows>
  constexpr void fill() {
    of[vectors - 1][rows - 1] = product_kernel<T, layout, rows, vectors>;
    if constexpr (rows < product_rows[vectors - 1]) fill<vectors, rows + 1>();
    else if constexpr (vectors < product_vectors) fill<vectors + 1, 1>();
  }
  constexpr ProductKernels() : of{} { fill<1, 1>(); }
};
template <class T, ProductLayout layout>
inline constexpr ProductKernels<T, layout> product_kernels{};

// C [rows, columns] (+)= A B for one panel of B, `vectors` wide.
template <class T, ProductLayout layout>
RAVINE_INLINE void multiply_panel(ProductArgs<T> args, std::int64_t rows, std::int64_t vectors) {
  const std::int64_t height = product_rows[vectors - 1];
  const auto& kernels = product_kernels<T, layout>.of[vectors - 1];
  for (; rows > 0; rows -= height) {
    kernels[smaller(rows, height) - 1](args);
    args.a += height * (layout == ProductLayout::by_rows ? args.a_stride : 1);
    args.c += height * args.c_stride;
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
