// Reductions of every type over rows, columns and strided tensors, against float64.
#include <algorithm>

#include "kernels/kernel_test.h"

namespace ravine::testing {
namespace {

using kernels::ReduceArgs;
using kernels::Reduction;

struct Shape3 {
  std::int64_t outer, reduced, inner;
};
enum class Order { row_major, reduced_last, outer_last, gaps };

// Strides for a tensor [outer, reduced, inner] laid out in another order; returns how many elements it spans.
std::int64_t set_strides(ReduceArgs& args, Order order) {
  const std::int64_t o = std::max<std::int64_t>(args.outer, 1), r = std::max<std::int64_t>(args.reduced, 1),
                     i = std::max<std::int64_t>(args.inner, 1);
  switch (order) {
    case Order::row_major:
      args.outer_stride = r * i, args.reduced_stride = i, args.inner_stride = 1;
      break;
    case Order::reduced_last:
      args.outer_stride = r * i, args.inner_stride = r, args.reduced_stride = 1;
      break;
    case Order::outer_last:
      args.reduced_stride = i * o, args.inner_stride = o, args.outer_stride = 1;
      break;
    case Order::gaps:
      args.inner_stride = 2, args.reduced_stride = 2 * i + 1, args.outer_stride = (2 * i + 1) * r + 3;
      break;
  }
  return (o - 1) * args.outer_stride + (r - 1) * args.reduced_stride + (i - 1) * args.inner_stride + 1;
}

// The elements of one result, in order.
template <class T>
std::vector<T> slice(const ReduceArgs& args, std::int64_t result) {
  std::vector<T> values;
  const T* first = static_cast<const T*>(args.input) + result / args.inner * args.outer_stride +
                   result % args.inner * args.inner_stride;
  for (std::int64_t r = 0; r < args.reduced; ++r) values.push_back(first[r * args.reduced_stride]);
  return values;
}

template <class T>
struct Expected {
  double value, tolerance;
};

template <class T>
Expected<T> reference(Reduction reduction, const std::vector<T>& values, double scale) {
  constexpr double eps = std::is_same_v<T, float> ? 3e-7 : std::is_same_v<T, double> ? 1e-15 : 0;
  switch (reduction) {
    case Reduction::sum: {
      if constexpr (std::is_integral_v<T>) {
        std::int64_t sum = 0;
        for (const T v : values) sum += v;
        return {static_cast<double>(sum), 0};
      }
      long double sum = 0, size = 0;
      for (const T v : values) sum += v, size += std::abs(static_cast<long double>(v));
      return {static_cast<double>(sum * scale), static_cast<double>(size) * eps * std::abs(scale)};
    }
    case Reduction::prod: {
      if constexpr (std::is_integral_v<T>) {
        std::uint64_t product = 1;
        for (const T v : values) product *= static_cast<std::uint64_t>(v);
        return {static_cast<double>(static_cast<std::int64_t>(product)), 0};
      }
      long double product = 1;
      for (const T v : values) product *= v;
      const auto n = static_cast<double>(values.size());
      return {static_cast<double>(product), std::abs(static_cast<double>(product)) * eps * (1 + n / 8)};
    }
    case Reduction::max:
      return {static_cast<double>(*std::max_element(values.begin(), values.end())), 0};
    case Reduction::min:
      return {static_cast<double>(*std::min_element(values.begin(), values.end())), 0};
    case Reduction::argmax:
      return {double(std::max_element(values.begin(), values.end()) - values.begin()), 0};
    case Reduction::argmin:
      return {double(std::min_element(values.begin(), values.end()) - values.begin()), 0};
  }
  return {};
}

template <class T, class Result>
void check_results(const KernelTable& table, Reduction reduction, ReduceArgs args) {
  const std::int64_t n = args.outer * args.inner;
  Buffer<Result> out(n);
  Buffer<std::byte> workspace(
      static_cast<std::int64_t>(table.reduce_workspace(reduction, dtype_of<T>, args)));
  args.output = out.data();
  args.workspace = workspace.data();
  run_same_bits(table, table.reduce(reduction, dtype_of<T>), args, {out.memory()}, {workspace.memory()});
  for (std::int64_t i = 0; i < n; ++i) {
    const auto [value, tolerance] = reference<T>(reduction, slice<T>(args, i), args.scale);
    ASSERT_NEAR(static_cast<double>(out[i]), value, tolerance) << "result " << i << " of " << n;
  }
}

template <class T>
void check_reductions(const KernelTable& table, Shape3 shape, Order order) {
  ReduceArgs args{.outer = shape.outer, .reduced = shape.reduced, .inner = shape.inner};
  const std::int64_t n = set_strides(args, order);
  SCOPED_TRACE(std::string(ravine::name_of(dtype_of<T>)) + " [" + std::to_string(shape.outer) + ", " +
               std::to_string(shape.reduced) + ", " + std::to_string(shape.inner) + "] order " +
               std::to_string(static_cast<int>(order)));
  const double low = std::is_floating_point_v<T> ? -1.2 : std::is_unsigned_v<T> ? 0 : -40;
  const Buffer<T> x =
      random_buffer<T>(n, static_cast<std::uint64_t>(n), low, std::is_floating_point_v<T> ? 1.2 : 40);
  args.input = x.data();
  using Total = std::conditional_t<std::is_integral_v<T>, std::int64_t, T>;
  check_results<T, Total>(table, Reduction::sum, args);
  if (std::is_floating_point_v<T>) {
    args.scale = 0.37;
    check_results<T, T>(table, Reduction::sum, args);
    args.scale = 1;
  }
  if (shape.reduced < 80) check_results<T, Total>(table, Reduction::prod, args);
  if (shape.reduced == 0) return;
  check_results<T, T>(table, Reduction::max, args);
  check_results<T, T>(table, Reduction::min, args);
  check_results<T, std::int64_t>(table, Reduction::argmax, args);
  check_results<T, std::int64_t>(table, Reduction::argmin, args);
}

constexpr Shape3 shapes[] = {{1, 1, 1},     {3, 10, 1},   {1, 10, 3},   {7, 17, 5},    {128, 10, 1},
                             {1, 300, 64},  {2, 65, 129}, {1, 5000, 1}, {1, 70000, 1}, {5, 2500, 1},
                             {1, 20000, 3}, {2, 9, 2100}, {4, 128, 16}, {0, 5, 3},     {3, 5, 0},
                             {3, 0, 4},     {2, 0, 1},    {1, 64, 17}};

template <class T>
void check_all(const KernelTable& table) {
  for (const Shape3 shape : shapes)
    for (const Order order : {Order::row_major, Order::reduced_last, Order::outer_last, Order::gaps}) {
      check_reductions<T>(table, shape, order);
      if (::testing::Test::HasFailure()) return;
    }
}

TEST(Reduce, Float32) { on_every_isa(check_all<float>); }
TEST(Reduce, Float64) { on_every_isa(check_all<double>); }
TEST(Reduce, Int32) { on_every_isa(check_all<std::int32_t>); }
TEST(Reduce, Int64) { on_every_isa(check_all<std::int64_t>); }
TEST(Reduce, UInt8) { on_every_isa(check_all<std::uint8_t>); }

// A bool is counted as 0 or 1, whatever its byte.
TEST(Reduce, BoolsAreCounted) {
  on_every_isa([](const KernelTable& table) {
    for (const Shape3 shape : shapes)
      for (const Order order : {Order::row_major, Order::reduced_last, Order::outer_last, Order::gaps}) {
        ReduceArgs args{.outer = shape.outer, .reduced = shape.reduced, .inner = shape.inner};
        const Buffer<std::uint8_t> x = random_buffer<std::uint8_t>(set_strides(args, order), 7, 0, 3);
        args.input = x.data();
        const std::int64_t n = args.outer * args.inner;
        for (const Reduction reduction : {Reduction::sum, Reduction::prod}) {
          Buffer<std::int64_t> out(n);
          Buffer<std::byte> workspace(
              static_cast<std::int64_t>(table.reduce_workspace(reduction, DType::boolean, args)));
          args.output = out.data();
          args.workspace = workspace.data();
          run_same_bits(table, table.reduce(reduction, DType::boolean), args, {out.memory()},
                        {workspace.memory()});
          for (std::int64_t i = 0; i < n; ++i) {
            const std::vector<std::uint8_t> values = slice<std::uint8_t>(args, i);
            const auto count = std::count_if(values.begin(), values.end(), [](int v) { return v != 0; });
            const auto all = static_cast<std::int64_t>(values.size());
            ASSERT_EQ(out[i], reduction == Reduction::sum ? count : count == all ? 1 : 0);
          }
        }
      }
  });
  for (const Reduction other : {Reduction::max, Reduction::min})
    EXPECT_EQ(active_kernels().reduce(other, DType::boolean), nullptr);
}

// What a narrow type cannot hold.
TEST(Reduce, IntegersAreSummedInInt64) {
  on_every_isa([](const KernelTable& table) {
    constexpr std::int64_t n = 100'003;
    Buffer<std::int32_t> x(n);
    for (std::int32_t& v : x) v = 2'000'000'011;
    for (const std::int64_t inner : {1, 7}) {
      Buffer<std::int64_t> out(inner);
      ReduceArgs args{.reduced = n / inner,
                      .inner = inner,
                      .input = x.data(),
                      .reduced_stride = inner,
                      .output = out.data()};
      Buffer<std::byte> workspace(
          static_cast<std::int64_t>(table.reduce_workspace(Reduction::sum, DType::int32, args)));
      args.workspace = workspace.data();
      run_same_bits(table, table.reduce(Reduction::sum, DType::int32), args, {out.memory()},
                    {workspace.memory()});
      for (const std::int64_t v : out) EXPECT_EQ(v, n / inner * std::int64_t{2'000'000'011});
    }
  });
}

// A running sum in float32 is off by 4 % in the first of these.
TEST(Reduce, LongSumsStayAccurate) {
  on_every_isa([](const KernelTable& table) {
    constexpr std::int64_t n = 4'000'000;
    Buffer<float> x(n);
    for (float& v : x) v = 0.1f;
    for (const auto& [reduced, inner] :
         {std::pair<std::int64_t, std::int64_t>{n, 1}, {n / 2, 2}, {n / 16, 16}}) {
      Buffer<float> out(inner);
      ReduceArgs args{.reduced = reduced,
                      .inner = inner,
                      .input = x.data(),
                      .reduced_stride = inner,
                      .output = out.data()};
      Buffer<std::byte> workspace(
          static_cast<std::int64_t>(table.reduce_workspace(Reduction::sum, DType::float32, args)));
      args.workspace = workspace.data();
      run(table, table.reduce(Reduction::sum, DType::float32), args, 2);
      const double expected = static_cast<double>(0.1f) * static_cast<double>(reduced);
      for (const float v : out) EXPECT_NEAR(v / expected, 1, 4e-7) << "inner " << inner;
    }
  });
}

TEST(Reduce, NotANumberWinsAndTheFirstOfEqualsIsChosen) {
  on_every_isa([](const KernelTable& table) {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN();
    for (const std::int64_t n : {5, 40, 3000, 50000})
      for (const std::int64_t inner : {1, 3}) {
        Buffer<float> x(n * inner);
        for (float& v : x) v = 1;
        const std::int64_t first = n / 2, second = n - 1;
        for (std::int64_t c = 0; c < inner; ++c) x[first * inner + c] = x[second * inner + c] = 2;
        const auto run_one = [&](Reduction reduction, auto& out) {
          ReduceArgs args{
              .reduced = n, .inner = inner, .input = x.data(), .reduced_stride = inner, .output = out.data()};
          Buffer<std::byte> workspace(
              static_cast<std::int64_t>(table.reduce_workspace(reduction, DType::float32, args)));
          args.workspace = workspace.data();
          run_same_bits(table, table.reduce(reduction, DType::float32), args, {out.memory()},
                        {workspace.memory()});
        };
        Buffer<std::int64_t> index(inner);
        Buffer<float> value(inner);
        run_one(Reduction::argmax, index);
        for (const std::int64_t i : index) EXPECT_EQ(i, first) << n;
        run_one(Reduction::argmin, index);
        for (const std::int64_t i : index) EXPECT_EQ(i, 0) << n;
        for (std::int64_t c = 0; c < inner; ++c) x[(first + 1) * inner + c] = x[second * inner + c] = nan;
        for (const Reduction reduction : {Reduction::argmax, Reduction::argmin}) {
          run_one(reduction, index);
          for (const std::int64_t i : index) EXPECT_EQ(i, first + 1) << n;
        }
        for (const Reduction reduction : {Reduction::max, Reduction::min, Reduction::sum}) {
          run_one(reduction, value);
          for (const float v : value) EXPECT_TRUE(std::isnan(v)) << n;
        }
      }
  });
}

}  // namespace
}  // namespace ravine::testing
