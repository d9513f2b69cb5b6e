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
  // What will be read or written soon, from memory to L2: asked for in steps of so many bytes.
  const std::byte* ahead = nullptr;
  std::int64_t ahead_step = 0;
};

// Bytes in memory.
struct Window {
  const std::byte* begin = nullptr;
  std::int64_t bytes = 0;

  Window() = default;
  template <class T>
  Window(const T* array, std::int64_t elements)
      : begin(reinterpret_cast<const std::byte*>(array)),
        bytes(elements * static_cast<std::int64_t>(sizeof(T))) {}
  // Of an array of so many elements the share of `parts` of `count` equal ones, moved by `lead` elements;
  // what is beyond the array is left out.
  template <class T>
  Window(const T* array, std::int64_t elements, Range parts, std::int64_t count, std::int64_t lead) {
    const auto place = [&](std::int64_t part) {
      return smaller(larger(elements * part / larger(count, 1) + lead, 0), elements);
    };
    const std::int64_t first = place(parts.begin), last = place(parts.end);
    begin = reinterpret_cast<const std::byte*>(array + first);
    bytes = (last - first) * static_cast<std::int64_t>(sizeof(T));
  }
};

// Two windows, asked for evenly over as many steps of the products before they are needed. A product has
// loads to spare where its own operands are in L2; and what comes next the hardware does not foresee.
class Ahead {
 public:
  Ahead() = default;
  Ahead(Window first, Window second, std::int64_t steps)
      : now_(first),
        later_(second),
        step_(smaller(divide_up(first.bytes + second.bytes, larger(steps, 1)), cache_line)) {}

  // What a product of so many steps asks for.
  template <class T>
  void point(ProductArgs<T>& args, std::int64_t steps) {
    const std::int64_t bytes = steps * step_;
    if (now_.bytes < bytes) {  // the rest is short
      now_ = later_;
      later_ = {};
    }
    args.ahead = reinterpret_cast<const std::byte*>(args.b);
    args.ahead_step = 0;
    if (now_.bytes < bytes) return;
    args.ahead = now_.begin;
    args.ahead_step = step_;
    now_.begin += bytes;
    now_.bytes -= bytes;
  }

 private:
  static constexpr std::int64_t cache_line = 64;
  Window now_, later_;
  std::int64_t step_ = 0;
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
  return divide_up(rows, product_rows[vectors - 1]) * depth;
}

// C [rows, columns] (+)= A B for one panel of B, `vectors` wide.
template <class T, ProductLayout layout>
RAVINE_INLINE void multiply_panel(ProductArgs<T> args, std::int64_t rows, std::int64_t vectors,
                                  Ahead& ahead) {
  const std::int64_t height = product_rows[vectors - 1];
  const auto& kernels = product_kernels<T, layout>.of[vectors - 1];
  ahead.point(args, product_steps(rows, vectors, args.depth));
  for (; rows > 0; rows -= height) {
    kernels[smaller(rows, height) - 1](args);
    args.a += height * (layout == ProductLayout::by_rows ? args.a_stride : 1);
    args.c += height * args.c_stride;
    args.ahead += args.depth * args.ahead_step;
  }
}

}  // namespace ravine::kernels::RAVINE_ISA
