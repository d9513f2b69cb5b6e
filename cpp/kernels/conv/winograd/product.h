// The matrix products of Winograd convolution: one small product for each point, C [rows, columns] (+)=
// A [rows, depth] B [depth, columns] where B lies in panels and everything is in the caches.
#pragma once

#include "kernels/base/prefetch.h"
#include "kernels/base/vector_loop.h"

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
  // What will be read or written soon, asked for in steps of so many bytes.
  const std::byte* ahead = nullptr;
  std::int64_t ahead_step = 0;
};

// Where the elements of a column of A lie. By rows, an address is a pointer and a multiple of the stride that
// the processor adds by itself, one pointer for seven rows: a register for each row would be more than there
// are.
template <class T, ProductLayout layout, int rows>
class RowAddresses {
 public:
  RAVINE_INLINE RowAddresses(const T* a, std::int64_t stride)
      : first_(reinterpret_cast<const char*>(a)),
        stride_(stride * static_cast<std::int64_t>(sizeof(T))),
        three_(3 * stride_),
        five_(5 * stride_),
        second_(first_ + 7 * stride_) {}

  RAVINE_INLINE T at(int row) const {
    if constexpr (layout == ProductLayout::by_columns) {
      return reinterpret_cast<const T*>(first_)[row];
    } else {
      const char* const base = row < 7 ? first_ : second_;
      const int place = row % 7;
      const char* const address = place == 3   ? base + three_
                                  : place == 5 ? base + five_
                                  : place == 6 ? base + 2 * three_
                                               : base + place * stride_;
      return *reinterpret_cast<const T*>(address);
    }
  }
  RAVINE_INLINE void advance() {
    const std::int64_t step =
        layout == ProductLayout::by_rows ? static_cast<std::int64_t>(sizeof(T)) : stride_;
    first_ += step;
    second_ += step;
  }
  // Once a column: multiples of the strides are then not computed ahead, into registers of their own.
  RAVINE_INLINE void hide() {
    if constexpr (layout == ProductLayout::by_rows) asm("" : "+r"(stride_), "+r"(three_), "+r"(five_));
  }

 private:
  const char* first_;
  std::int64_t stride_, three_, five_;
  const char* second_;
};

template <class T, ProductLayout layout, int rows, int vectors>
[[gnu::noinline]] void product_kernel(const ProductArgs<T>& args) {
  constexpr int n = lanes<T>;
  Vec<T> sums[rows][vectors];
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[i][v] = Vec<T>{};

  RowAddresses<T, layout, rows> a(args.a, args.a_stride);
  const T* b = args.b;
  const std::int64_t b_stride = args.b_stride;
  const std::byte* ahead = args.ahead;
  const std::int64_t ahead_step = args.ahead_step;
  for (std::int64_t p = args.depth; p > 0; --p, b += b_stride) {
    if constexpr (vectors > 1) {  // products by one vector load as much as L1 gives
      __builtin_prefetch(ahead, 0, 2);
      ahead += ahead_step;
    }
    Vec<T> b_row[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) b_row[v] = load(b + v * n);
    a.hide();
#pragma GCC unroll 14
    for (int i = 0; i < rows; ++i) {
      const Vec<T> element = splat<T>(a.at(i));
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[i][v] += element * b_row[v];
    }
    a.advance();
  }

  T* c = args.c;
  const std::int64_t c_stride = args.c_stride;
  const bool accumulate = args.accumulate;
#pragma GCC unroll 14
  for (int i = 0; i < rows; ++i, c += c_stride)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v)
      store(c + v * n, accumulate ? load(c + v * n) + sums[i][v] : sums[i][v]);
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

// The steps of multiply_panel.
RAVINE_INLINE std::int64_t product_steps(std::int64_t rows, std::int64_t vectors, std::int64_t depth) {
  return ceil_div(rows, product_rows[vectors - 1]) * depth;
}

// C [rows, columns] (+)= A B for one panel of B, `vectors` wide.
template <class T, ProductLayout layout>
RAVINE_INLINE void multiply_panel(ProductArgs<T> args, std::int64_t rows, std::int64_t vectors,
                                  LookAhead& ahead) {
  const std::int64_t height = product_rows[vectors - 1];
  const auto& kernels = product_kernels<T, layout>.of[vectors - 1];
  const Window asked = ahead.next(product_steps(rows, vectors, args.depth));
  args.ahead = asked.bytes > 0 ? asked.begin : reinterpret_cast<const std::byte*>(args.b);
  args.ahead_step = asked.bytes > 0 ? ahead.step() : 0;
  for (; rows > 0; rows -= height) {
    kernels[smaller(rows, height) - 1](args);
    args.a += height * (layout == ProductLayout::by_rows ? args.a_stride : 1);
    args.c += height * args.c_stride;
    args.ahead += args.depth * args.ahead_step;
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
