// C = A B on every ISA against a plain float64 triple loop.
#include "bias_relu.h"
#include "kernel_test.h"
#include "reference.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "core/caches.h"

namespace ravine::testing {
namespace {

using kernels::GemmArgs;

// How a matrix [rows, columns] lies in memory.
enum class Order { row_major, padded_rows, column_major, padded_columns, every_second };

struct Strides {
  std::int64_t row, column, size;
};
Strides strides_of(Order order, std::int64_t rows, std::int64_t columns) {
  switch (order) {
    case Order::row_major:
      return {columns, 1, rows * columns};
    case Order::padded_rows:
      return {columns + 5, 1, rows * (columns + 5)};
    case Order::column_major:
      return {1, rows, rows * columns};
    case Order::padded_columns:
      return {1, rows + 3, (rows + 3) * columns};
    case Order::every_second:
      return {2 * columns + 1, 2, rows * (2 * columns + 1)};
  }
  return {};
}

struct Case {
  std::int64_t m, n, k;
  Order a = Order::row_major, b = Order::row_major;
  std::vector<std::int64_t> batch = {};
  bool a_shared = false, b_shared = false;  // broadcast over the first batch axis
  bool accumulate = false, epilogue = false;
  std::int64_t c_padding = 0;
};

std::string describe(const Case& c) {
  std::ostringstream text;
  text << c.m << "x" << c.n << "x" << c.k << " a" << static_cast<int>(c.a) << " b" << static_cast<int>(c.b)
       << " batch";
  for (std::int64_t extent : c.batch) text << " " << extent;
  text << (c.accumulate ? " accumulate" : "") << (c.epilogue ? " epilogue" : "");
  return text.str();
}

template <class T>
void check(const KernelTable& table, const Case& c) {
  SCOPED_TRACE(describe(c));
  std::int64_t batch = 1;
  for (std::int64_t extent : c.batch) batch *= extent;
  const Strides a_strides = strides_of(c.a, c.m, c.k), b_strides = strides_of(c.b, c.k, c.n);
  const std::int64_t c_stride = c.n + c.c_padding, c_size = c.m * c_stride;

  GemmArgs args;
  args.m = c.m;
  args.n = c.n;
  args.k = c.k;
  args.batch_rank = static_cast<int>(c.batch.size());
  std::int64_t a_count = 1, b_count = 1, c_count = 1;
  for (int d = args.batch_rank - 1; d >= 0; --d) {
    args.batch_extents[d] = c.batch[d];
    const bool first = d == 0;
    args.a.batch_strides[d] = first && c.a_shared ? 0 : a_count * a_strides.size;
    args.b.batch_strides[d] = first && c.b_shared ? 0 : b_count * b_strides.size;
    args.c.batch_strides[d] = c_count * c_size;
    if (!(first && c.a_shared)) a_count *= c.batch[d];
    if (!(first && c.b_shared)) b_count *= c.batch[d];
    c_count *= c.batch[d];
  }
  const Buffer<T> a = random_buffer<T>(a_count * a_strides.size, 1);
  const Buffer<T> b = random_buffer<T>(b_count * b_strides.size, 2);
  const Buffer<T> before = random_buffer<T>(batch * c_size, 3), bias = random_buffer<T>(c.n, 4);
  Buffer<T> result(batch * c_size);
  args.a.data = const_cast<T*>(a.data());
  args.a.row_stride = a_strides.row;
  args.a.column_stride = a_strides.column;
  args.b.data = const_cast<T*>(b.data());
  args.b.row_stride = b_strides.row;
  args.b.column_stride = b_strides.column;
  args.c.data = result.data();
  args.c.row_stride = c_stride;
  args.c.column_stride = 1;
  args.accumulate = c.accumulate;
  const bool with_row_sums = c.batch.empty() && c.n > 0 && !c.accumulate;
  Buffer<T> row_sums(with_row_sums ? c.m : 0);
  if (with_row_sums) args.row_sums = row_sums.data();
  const TileProgram epilogue = bias_relu<T>(table, batch * c.m, c.n, bias.data(), result.data(), c_stride);
  if (c.epilogue) args.epilogue = &epilogue;

  using Sum = std::conditional_t<std::is_same_v<T, double>, long double, double>;
  std::vector<Sum> sums_of_products(c.m * c.n);
  std::vector<double> expected(result.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::int64_t index = 0; index < batch; ++index) {
    std::int64_t rest = index, a_at = 0, b_at = 0;
    for (int d = args.batch_rank - 1; d >= 0; --d) {
      a_at += rest % c.batch[d] * args.a.batch_strides[d];
      b_at += rest % c.batch[d] * args.b.batch_strides[d];
      rest /= c.batch[d];
    }
    std::fill(sums_of_products.begin(), sums_of_products.end(), 0);
    add_product(c.m, c.n, c.k, MatrixView<T>{a.data() + a_at, a_strides.row, a_strides.column},
                MatrixView<T>{b.data() + b_at, b_strides.row, b_strides.column}, sums_of_products.data());
    for (std::int64_t i = 0; i < c.m; ++i)
      for (std::int64_t j = 0; j < c.n; ++j) {
        const std::int64_t at = index * c_size + i * c_stride + j;
        const Sum sum = sums_of_products[i * c.n + j] + (c.accumulate ? before[at] : T{0});
        expected[at] = static_cast<double>(c.epilogue ? std::max(sum + bias[j], Sum{0}) : sum);
      }
  }

  const auto& kernels = table.of(dtype_of<T>);
  const std::size_t bytes = kernels.gemm_workspace(args);
  Buffer<std::uint8_t> workspace(static_cast<std::int64_t>(bytes));
  args.workspace = workspace.data();
  run_same_bits(table, kernels.gemm, args, {result.memory(), row_sums.memory()}, {workspace.memory()}, [&] {
    if (!c.accumulate) return;
    for (std::int64_t row = 0; row < batch * c.m; ++row)
      for (std::int64_t j = 0; j < c.n; ++j) result[row * c_stride + j] = before[row * c_stride + j];
  });
  const double epsilon = std::numeric_limits<T>::epsilon();
  // Rounding of a sum grows with the length of its longest run, at most 1024 numbers, and with the root of
  // the number of runs.
  const auto k = static_cast<double>(c.k);
  const double rounding = epsilon * (8 + std::sqrt(k * std::min(k, 1024.0)));
  expect_close(result, expected, 2 * epsilon, rounding);
  std::vector<double> sums(row_sums.size(), 0);
  for (std::size_t i = 0; i < sums.size(); ++i)
    for (std::int64_t p = 0; p < c.k; ++p)
      sums[i] += a[static_cast<std::int64_t>(i) * a_strides.row + p * a_strides.column];
  expect_close(row_sums, sums, 2 * epsilon, rounding, "sums of A's rows");
}

void check_both(const std::vector<Case>& cases) {
  on_every_isa([&](const KernelTable& table) {
    for (const Case& c : cases) {
      check<float>(table, c);
      check<double>(table, c);
      if (::testing::Test::HasFailure()) return;
    }
  });
}

constexpr Order orders[] = {Order::row_major, Order::padded_rows, Order::column_major, Order::padded_columns,
                            Order::every_second};

TEST(Gemm, OddSizes) {
  std::vector<Case> cases;
  for (std::int64_t m : {1, 3, 9, 65})
    for (std::int64_t n : {1, 7, 17, 65, 130})
      for (std::int64_t k : {1, 3, 33, 200}) cases.push_back({m, n, k});
  check_both(cases);
}

TEST(Gemm, EveryOrderOfTheOperands) {
  std::vector<Case> cases;
  for (Order a : orders)
    for (Order b : orders)
      for (const auto& [m, n, k] : {std::array<std::int64_t, 3>{1, 21, 40},
                                    {5, 70, 19},
                                    {20, 51, 37},
                                    {33, 8, 65},
                                    {110, 120, 13},
                                    {9, 300, 210}})
        cases.push_back({m, n, k, a, b});
  check_both(cases);
}

// More rows, columns and depth than one block of each, so that all loops turn.
TEST(Gemm, SeveralBlocks) {
  check_both({{203, 701, 1003},
              {203, 701, 405, Order::column_major, Order::column_major},
              {203, 701, 405, Order::column_major, Order::row_major},
              {150, 600, 700, Order::column_major, Order::row_major},
              {150, 600, 700, Order::padded_rows, Order::padded_rows},
              {100, 150, 700},
              {40, 1100, 2000},
              {33, 300, 2100, Order::padded_rows, Order::padded_columns},
              {12, 1400, 1100},
              {60, 700, 1100, Order::row_major, Order::column_major},
              {300, 20, 1100, Order::padded_rows, Order::row_major}});
}

// Every remainder of rows behind full tiles, A packed beside it at an odd depth.
TEST(Gemm, LastRows) {
  std::vector<Case> cases;
  for (std::int64_t m = 13; m <= 24; ++m)
    for (Order a : {Order::row_major, Order::every_second}) cases.push_back({m, 260, 75, a});
  check_both(cases);
}

// Few tiles and a long k: k is cut.
TEST(Gemm, LongDepth) {
  check_both(
      {{5, 7, 5000}, {10, 64, 3001, Order::column_major}, {1, 1, 1999}, {30, 40, 1100, Order::every_second}});
  Case batched{6, 9, 2100};
  batched.batch = {2, 3};
  batched.accumulate = batched.epilogue = true;
  check_both({batched});
}

TEST(Gemm, AccumulateEpilogueAndPaddedC) {
  std::vector<Case> cases;
  for (Order b : {Order::row_major, Order::column_major})
    for (const auto& [m, n, k] :
         {std::array<std::int64_t, 3>{3, 37, 50}, {32, 130, 64}, {150, 90, 600}, {40, 10, 2000}})
      for (bool accumulate : {false, true})
        for (bool epilogue : {false, true}) {
          Case c{m, n, k, Order::row_major, b};
          c.accumulate = accumulate;
          c.epilogue = epilogue;
          c.c_padding = accumulate ? 3 : 0;
          cases.push_back(c);
        }
  check_both(cases);
}

TEST(Gemm, BatchesAndBroadcast) {
  std::vector<Case> cases;
  for (const auto& [m, n, k] :
       {std::array<std::int64_t, 3>{17, 19, 23}, {2, 40, 9}, {20, 33, 7}, {70, 100, 64}})
    for (Order b : {Order::row_major, Order::column_major}) {
      Case c{m, n, k, Order::row_major, b};
      c.batch = {3, 2};
      cases.push_back(c);
      c.a_shared = true;
      cases.push_back(c);
      c.b_shared = true;
      c.epilogue = true;
      cases.push_back(c);
      c.batch = {7};
      c.a_shared = false;
      cases.push_back(c);
    }
  check_both(cases);
}

// What a thread keeps in its caches decides about blocks and strips, and about no bit.
TEST(Gemm, SameBitsForOtherCaches) {
  const Caches here = caches();
  on_every_isa([&](const KernelTable& table) {
    GemmArgs args;
    args.m = 250, args.n = 470, args.k = 1100;
    const Buffer<float> a = random_buffer<float>(args.m * args.k, 1),
                        b = random_buffer<float>(args.k * args.n, 2);
    args.a.data = const_cast<float*>(a.data()), args.a.row_stride = args.k;
    args.b.data = const_cast<float*>(b.data()), args.b.row_stride = args.n;
    Buffer<float> expected(args.m * args.n), result(args.m * args.n);
    args.c.row_stride = args.n;
    args.c.data = expected.data();
    run(table, table.of(DType::float32).gemm, args);
    for (const Caches& other : {Caches{1, 1}, Caches{256 << 10, 1 << 20}, Caches{16 << 20, 512 << 20}}) {
      set_caches(other);
      args.c.data = result.data();
      for (const int threads : {1, 3}) {
        poison(result.memory());
        run(table, table.of(DType::float32).gemm, args, threads);
        EXPECT_EQ(std::memcmp(result.data(), expected.data(), result.memory().size()), 0)
            << "L2 of " << other.l2_bytes << " bytes, " << threads << " threads";
      }
    }
    set_caches(here);
  });
}

TEST(Gemm, EmptyExtents) {
  std::vector<Case> cases;
  for (Order b : {Order::row_major, Order::column_major})
    for (const auto& [m, n, k] :
         {std::array<std::int64_t, 3>{0, 5, 7}, {5, 0, 7}, {5, 7, 0}, {40, 70, 0}, {0, 0, 0}})
      for (bool accumulate : {false, true}) {
        Case c{m, n, k, Order::row_major, b};
        c.accumulate = accumulate;
        c.epilogue = true;
        cases.push_back(c);
        c.batch = {0, 3};
        cases.push_back(c);
      }
  check_both(cases);
}

}  // namespace
}  // namespace ravine::testing
