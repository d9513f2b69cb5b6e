// Every elementwise operation against float64, for every type it has, at sizes around the vectors and tiles.
#include <map>

#include "kernels/tile_builder.h"

namespace ravine::testing {
namespace {

constexpr std::int64_t sizes[] = {0, 1, 3, 7, 16, 17, 65, 257, 1023, 1024, 1025, 5000};
constexpr double slope = 0.125, alpha = 1.5, low = -0.6, high = 0.7;

// ---- references

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double normal_cdf(double x) { return 0.5 * std::erfc(-x * std::sqrt(0.5)); }
double gelu_tanh_inner(double x) { return std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x); }

using Unary = double (*)(double);
const std::map<TileOp, Unary> unary_float = {
    {TileOp::exp, [](double x) { return std::exp(x); }},
    {TileOp::expm1, [](double x) { return std::expm1(x); }},
    {TileOp::log, [](double x) { return std::log(x); }},
    {TileOp::log1p, [](double x) { return std::log1p(x); }},
    {TileOp::sqrt, [](double x) { return std::sqrt(x); }},
    {TileOp::rsqrt, [](double x) { return 1 / std::sqrt(x); }},
    {TileOp::reciprocal, [](double x) { return 1 / x; }},
    {TileOp::sin, [](double x) { return std::sin(x); }},
    {TileOp::cos, [](double x) { return std::cos(x); }},
    {TileOp::atan, [](double x) { return std::atan(x); }},
    {TileOp::tanh, [](double x) { return std::tanh(x); }},
    {TileOp::sigmoid, sigmoid},
    {TileOp::erf, [](double x) { return std::erf(x); }},
    {TileOp::softplus, [](double x) { return std::log1p(std::exp(x)); }},
    {TileOp::leaky_relu, [](double x) { return x < 0 ? slope * x : x; }},
    {TileOp::elu, [](double x) { return x > 0 ? x : alpha * std::expm1(high * x); }},
    {TileOp::gelu, [](double x) { return x * normal_cdf(x); }},
    {TileOp::gelu_tanh, [](double x) { return 0.5 * x * (1 + std::tanh(gelu_tanh_inner(x))); }},
    {TileOp::silu, [](double x) { return x * sigmoid(x); }},
    {TileOp::mish, [](double x) { return x * std::tanh(std::log1p(std::exp(x))); }},
    {TileOp::softsign, [](double x) { return x / (1 + std::abs(x)); }},
    {TileOp::tanhshrink, [](double x) { return x - std::tanh(x); }},
    {TileOp::hardswish, [](double x) { return x * std::min(std::max(x + 3, 0.0), 6.0) / 6; }},
    {TileOp::floor, [](double x) { return std::floor(x); }},
    {TileOp::ceil, [](double x) { return std::ceil(x); }},
    {TileOp::round, [](double x) { return std::nearbyint(x); }},
};
const std::map<TileOp, Unary> unary_arithmetic = {
    {TileOp::identity, [](double x) { return x; }},
    {TileOp::neg, [](double x) { return -x; }},
    {TileOp::abs, [](double x) { return std::abs(x); }},
    {TileOp::sign, [](double x) { return double((x > 0) - (x < 0)); }},
    {TileOp::square, [](double x) { return x * x; }},
    {TileOp::relu, [](double x) { return x > 0 ? x : 0; }},
    {TileOp::clip, [](double x) { return std::min(std::max(x, low), high); }},
};
using Binary = double (*)(double, double);
const std::map<TileOp, Binary> binary_float = {
    {TileOp::div, [](double a, double b) { return a / b; }},
    {TileOp::gelu_grad,
     [](double x, double dy) {
       return dy * (normal_cdf(x) + x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI));
     }},
    {TileOp::gelu_tanh_grad,
     [](double x, double dy) {
       const double t = std::tanh(gelu_tanh_inner(x));
       return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x));
     }},
    {TileOp::silu_grad, [](double x, double dy) { return dy * sigmoid(x) * (1 + x * (1 - sigmoid(x))); }},
    {TileOp::tanh_grad, [](double y, double dy) { return dy * (1 - y * y); }},
    {TileOp::sigmoid_grad, [](double y, double dy) { return dy * y * (1 - y); }},
    {TileOp::mish_grad,
     [](double x, double dy) {
       const double t = std::tanh(std::log1p(std::exp(x)));
       return dy * (t + x * sigmoid(x) * (1 - t * t));
     }},
    {TileOp::hardswish_grad,
     [](double x, double dy) { return x <= -3 ? 0
                                      : x < 3 ? dy * (x / 3 + 0.5)
                                              : dy; }},
    {TileOp::elu_grad,
     [](double x, double dy) { return x > 0 ? dy : dy * slope * high * std::exp(high * x); }},
    {TileOp::softplus_grad, [](double x, double dy) { return dy * sigmoid(x); }},
};
const std::map<TileOp, Binary> binary_arithmetic = {
    {TileOp::add, [](double a, double b) { return a + b; }},
    {TileOp::sub, [](double a, double b) { return a - b; }},
    {TileOp::mul, [](double a, double b) { return a * b; }},
    {TileOp::maximum, [](double a, double b) { return std::max(a, b); }},
    {TileOp::minimum, [](double a, double b) { return std::min(a, b); }},
    {TileOp::pow, [](double a, double b) { return std::pow(a, b); }},
    {TileOp::scale_by_positive, [](double x, double dy) { return x > 0 ? dy : slope * dy; }},
};
const std::map<TileOp, Binary> comparisons = {
    {TileOp::equal, [](double a, double b) { return double(a == b); }},
    {TileOp::not_equal, [](double a, double b) { return double(a != b); }},
    {TileOp::less, [](double a, double b) { return double(a < b); }},
    {TileOp::less_equal, [](double a, double b) { return double(a <= b); }},
    {TileOp::greater, [](double a, double b) { return double(a > b); }},
    {TileOp::greater_equal, [](double a, double b) { return double(a >= b); }},
};

// ---- helpers

// What the types' tests draw from: positive where the operation asks for it.
std::pair<double, double> domain(TileOp op) {
  switch (op) {
    case TileOp::log:
    case TileOp::sqrt:
    case TileOp::rsqrt:
    case TileOp::reciprocal:
    case TileOp::div:
    case TileOp::pow:
      return {0.05, 4};
    case TileOp::log1p:
      return {-0.9, 4};
    default:
      return {-4, 4};
  }
}

// The result as T holds it: integers wrap around.
template <class T>
double wrapped(double value) {
  return static_cast<double>(static_cast<T>(static_cast<std::int64_t>(value)));
}

template <class T>
double tolerance(TileOp op) {
  const bool cancels = op == TileOp::gelu_tanh_grad || op == TileOp::silu_grad;  // in 1 - sigmoid
  return (std::is_same_v<T, float> ? 1e-6 : 2e-15) * (cancels ? 5 : 1);
}

// Runs op on buffers; `in_place` writes over the last operand.
template <class T>
void check_op(const KernelTable& table, TileOp op, std::initializer_list<const Buffer<T>*> operands,
              const std::vector<double>& expected, double first, double second) {
  const auto n = static_cast<std::int64_t>(expected.size());
  SCOPED_TRACE(std::string(kernels::name_of(op)) + " of " + ravine::name_of(dtype_of<T>) +
               " n=" + std::to_string(n));
  for (const bool in_place : {false, true}) {
    Buffer<T> out(n);
    TileBuilder build(table, {n});
    std::vector<std::int16_t> values;
    const Buffer<T>* last = *(operands.end() - 1);
    for (const Buffer<T>* operand : operands)
      values.push_back(build.input(in_place && operand == last ? out : *operand));
    switch (values.size()) {
      case 1:
        build.apply(op, dtype_of<T>, {values[0]}, first, second);
        break;
      case 2:
        build.apply(op, dtype_of<T>, {values[0], values[1]}, first, second);
        break;
      default:
        build.apply(op, dtype_of<T>, {values[0], values[1], values[2]}, first, second);
    }
    build.output(build.last(), out);
    run_same_bits(table, table.elementwise, build.program(), {out.memory()}, {}, [&] {
      if (in_place && n > 0) std::memcpy(out.data(), last->data(), out.memory().size());
    });
    expect_close(out, expected, tolerance<T>(op), tolerance<T>(op), in_place ? "in place" : "");
  }
}

template <class T>
void check_unary(const KernelTable& table, TileOp op, Unary reference, double first, double second) {
  for (const std::int64_t n : sizes) {
    const auto [lowest, highest] = std::is_same_v<T, std::uint8_t> ? std::pair(0.0, 200.0)
                                   : std::is_integral_v<T>         ? std::pair(-50.0, 50.0)
                                                                   : domain(op);
    const Buffer<T> x = random_buffer<T>(n, 1 + static_cast<std::uint64_t>(n), lowest, highest);
    std::vector<double> expected;
    for (const T v : x) {
      const double value = reference(static_cast<double>(v));
      expected.push_back(std::is_integral_v<T> ? wrapped<T>(value) : value);
    }
    check_op<T>(table, op, {&x}, expected, first, second);
  }
}

template <class T>
void check_binary(const KernelTable& table, TileOp op, Binary reference, double first) {
  for (const std::int64_t n : sizes) {
    const auto [lowest, highest] = std::is_same_v<T, std::uint8_t> ? std::pair(0.0, 200.0)
                                   : std::is_integral_v<T>         ? std::pair(-50.0, 50.0)
                                                                   : domain(op);
    const Buffer<T> a = random_buffer<T>(n, 11 + static_cast<std::uint64_t>(n), lowest, highest);
    const Buffer<T> b = random_buffer<T>(n, 12 + static_cast<std::uint64_t>(n), lowest, highest);
    std::vector<double> expected;
    for (std::int64_t i = 0; i < n; ++i) {
      const double value = reference(static_cast<double>(a[i]), static_cast<double>(b[i]));
      expected.push_back(std::is_integral_v<T> ? wrapped<T>(value) : value);
    }
    check_op<T>(table, op, {&a, &b}, expected, first, high);
  }
}

double first_parameter(TileOp op) {
  switch (op) {
    case TileOp::elu:
      return alpha;
    case TileOp::clip:
      return low;
    default:
      return slope;
  }
}

// ---- tests

TEST(Elementwise, UnaryFloatOperations) {
  on_every_isa([](const KernelTable& table) {
    for (const auto& [op, reference] : unary_float) {
      check_unary<float>(table, op, reference, first_parameter(op), high);
      check_unary<double>(table, op, reference, first_parameter(op), high);
      EXPECT_EQ(table.tile_function(op, DType::int32, DType::int32), nullptr);
    }
  });
}

TEST(Elementwise, UnaryArithmeticOperations) {
  on_every_isa([](const KernelTable& table) {
    for (const auto& [op, reference] : unary_arithmetic) {
      check_unary<float>(table, op, reference, low, high);
      check_unary<double>(table, op, reference, low, high);
      if (op == TileOp::clip) continue;
      check_unary<std::int32_t>(table, op, reference, 0, 0);
      check_unary<std::int64_t>(table, op, reference, 0, 0);
      check_unary<std::uint8_t>(table, op, reference, 0, 0);
    }
  });
}

TEST(Elementwise, BinaryOperations) {
  on_every_isa([](const KernelTable& table) {
    for (const auto& [op, reference] : binary_float) {
      check_binary<float>(table, op, reference, slope);
      check_binary<double>(table, op, reference, slope);
    }
    for (const auto& [op, reference] : binary_arithmetic) {
      check_binary<float>(table, op, reference, slope);
      check_binary<double>(table, op, reference, slope);
      if (op == TileOp::scale_by_positive || op == TileOp::pow) continue;
      check_binary<std::int32_t>(table, op, reference, 0);
      check_binary<std::int64_t>(table, op, reference, 0);
      check_binary<std::uint8_t>(table, op, reference, 0);
    }
  });
}

TEST(Elementwise, MultiplyAdd) {
  on_every_isa([](const KernelTable& table) {
    for (const std::int64_t n : sizes) {
      const Buffer<double> a = random_buffer<double>(n, 1), b = random_buffer<double>(n, 2),
                           c = random_buffer<double>(n, 3);
      std::vector<double> expected;
      for (std::int64_t i = 0; i < n; ++i) expected.push_back(a[i] * b[i] + c[i]);
      check_op<double>(table, TileOp::multiply_add, {&a, &b, &c}, expected, 0, 0);
    }
  });
}

TEST(Elementwise, LogisticLossAndItsSlope) {
  on_every_isa([](const KernelTable& table) {
    for (const std::int64_t n : sizes) {
      const Buffer<double> x = random_buffer<double>(n, 4, -30, 30), a = random_buffer<double>(n, 5, 0, 2),
                           b = random_buffer<double>(n, 6, 0, 2);
      std::vector<double> losses, slopes;
      for (std::int64_t i = 0; i < n; ++i) {
        const double far = std::log1p(std::exp(-std::abs(x[i])));
        losses.push_back(a[i] * (std::max(-x[i], 0.0) + far) + b[i] * (std::max(x[i], 0.0) + far));
        slopes.push_back(b[i] * sigmoid(x[i]) - a[i] * sigmoid(-x[i]));
      }
      check_op<double>(table, TileOp::logistic_loss, {&x, &a, &b}, losses, 0, 0);
      check_op<double>(table, TileOp::logistic_loss_grad, {&x, &a, &b}, slopes, 0, 0);
    }
  });
}

TEST(Elementwise, PowersOfIntegersAreExactAndWrapAround) {
  on_every_isa([](const KernelTable& table) {
    const Buffer<std::int64_t> a{3, -3, 7, 10, 2, 0, 1, -1, -1, 2, 0},
        b{33, 33, 22, 18, 64, 0, -5, -3, -4, -1, -2};
    Buffer<std::int64_t> power(a.size());
    TileBuilder build(table, {a.size()});
    const auto x = build.input(a), y = build.input(b);
    build.apply(TileOp::pow, DType::int64, {x, y});
    build.output(build.last(), power);
    run_same_bits(table, table.elementwise, build.program(), {power.memory()});
    const Buffer<std::int64_t> expected{
        5559060566555523, -5559060566555523, 3909821048582988049, 1000000000000000000, 0, 1, 1, -1, 1, 0, 0};
    for (std::int64_t i = 0; i < a.size(); ++i)
      EXPECT_EQ(power[i], expected[i]) << a[i] << " to the " << b[i];
    const Buffer<std::uint8_t> bytes{3, 2, 255, 7}, exponents{5, 8, 2, 255};
    check_op<std::uint8_t>(table, TileOp::pow, {&bytes, &exponents}, {243, 0, 1, 183}, 0, 0);
    const Buffer<std::int32_t> whole{-3, 46341, 2}, by{3, 2, 31};
    check_op<std::int32_t>(table, TileOp::pow, {&whole, &by}, {-27, -2147479015.0, -2147483648.0}, 0, 0);
  });
}

TEST(Elementwise, ClipOfIntegersSaturatesItsBounds) {
  on_every_isa([](const KernelTable& table) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const Buffer<std::int32_t> x{std::numeric_limits<std::int32_t>::min(), -5, 0, 5,
                                 std::numeric_limits<std::int32_t>::max()};
    check_op<std::int32_t>(table, TileOp::clip, {&x}, {-3, -3, 0, 5, 2147483647.0}, -3, infinity);
    check_op<std::int32_t>(table, TileOp::clip, {&x}, {-2147483648.0, -5, 0, 3, 3}, -infinity, 3);
    const Buffer<std::uint8_t> bytes{0, 7, 255};
    check_op<std::uint8_t>(table, TileOp::clip, {&bytes}, {3, 7, 255}, 3, 1e9);
  });
}

template <class T>
void check_comparisons(const KernelTable& table) {
  for (const auto& [op, reference] : comparisons)
    for (const std::int64_t n : sizes) {
      const Buffer<T> a = random_buffer<T>(n, 21, 0, 4);
      Buffer<T> b = random_buffer<T>(n, 22, 0, 4);
      for (std::int64_t i = 0; i < n; i += 3) b[i] = a[i];
      Buffer<bool> out(n);
      TileBuilder build(table, {n});
      const auto x = build.input(a), y = build.input(b);
      build.step(op, dtype_of<T>, DType::boolean, {x, y});
      build.output(build.last(), out);
      run_same_bits(table, table.elementwise, build.program(), {out.memory()});
      for (std::int64_t i = 0; i < n; ++i)
        ASSERT_EQ(out.memory()[static_cast<std::size_t>(i)],
                  std::byte(reference(static_cast<double>(a[i]), static_cast<double>(b[i]))))
            << kernels::name_of(op) << " of " << ravine::name_of(dtype_of<T>) << " at " << i << " of " << n;
    }
}

TEST(Elementwise, Comparisons) {
  on_every_isa([](const KernelTable& table) {
    check_comparisons<float>(table);
    check_comparisons<double>(table);
    check_comparisons<std::int32_t>(table);
    check_comparisons<std::int64_t>(table);
    check_comparisons<std::uint8_t>(table);
    check_comparisons<bool>(table);
  });
}

TEST(Elementwise, Logic) {
  on_every_isa([](const KernelTable& table) {
    const Buffer<bool> a{false, false, true, true}, b{false, true, false, true};
    check_op<bool>(table, TileOp::logical_and, {&a, &b}, {0, 0, 0, 1}, 0, 0);
    check_op<bool>(table, TileOp::logical_or, {&a, &b}, {0, 1, 1, 1}, 0, 0);
    check_op<bool>(table, TileOp::logical_xor, {&a, &b}, {0, 1, 1, 0}, 0, 0);
    check_op<bool>(table, TileOp::logical_not, {&a}, {1, 1, 0, 0}, 0, 0);
    check_op<bool>(table, TileOp::identity, {&a}, {0, 0, 1, 1}, 0, 0);
    const Buffer<std::int64_t> x{12, -1, 0}, y{10, 255, -7};
    check_op<std::int64_t>(table, TileOp::logical_and, {&x, &y}, {8, 255, 0}, 0, 0);
    check_op<std::int64_t>(table, TileOp::logical_or, {&x, &y}, {14, -1, -7}, 0, 0);
    check_op<std::int64_t>(table, TileOp::logical_xor, {&x, &y}, {6, -256, -7}, 0, 0);
    EXPECT_EQ(table.tile_function(TileOp::logical_not, DType::int64, DType::int64), nullptr);
    EXPECT_EQ(table.tile_function(TileOp::logical_and, DType::float32, DType::float32), nullptr);
  });
}

template <class T>
void check_where(const KernelTable& table) {
  for (const std::int64_t n : sizes) {
    const Buffer<bool> condition = random_buffer<bool>(n, 31);
    const Buffer<T> yes = random_buffer<T>(n, 32, 0, 100), no = random_buffer<T>(n, 33, 0, 100);
    Buffer<T> out(n);
    TileBuilder build(table, {n});
    const auto c = build.input(condition), y = build.input(yes), z = build.input(no);
    build.apply(TileOp::where, dtype_of<T>, {c, y, z});
    build.output(build.last(), out);
    run_same_bits(table, table.elementwise, build.program(), {out.memory()});
    for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(out[i], condition[i] ? yes[i] : no[i]) << i << " of " << n;
  }
}

TEST(Elementwise, Where) {
  on_every_isa([](const KernelTable& table) {
    check_where<float>(table);
    check_where<double>(table);
    check_where<std::int32_t>(table);
    check_where<std::int64_t>(table);
    check_where<std::uint8_t>(table);
    check_where<bool>(table);
  });
}

template <class From, class To>
void check_cast(const KernelTable& table) {
  for (const std::int64_t n : sizes) {
    const double lowest = std::is_unsigned_v<From> || std::is_unsigned_v<To> ? 0 : -100;
    Buffer<From> x = random_buffer<From>(n, 41, lowest, 100);
    for (std::int64_t i = 0; i < n; i += 5) x[i] = From(0);
    Buffer<To> out(n);
    TileBuilder build(table, {n});
    const auto v = build.input(x);
    build.step(TileOp::cast, dtype_of<From>, dtype_of<To>, {v});
    build.output(build.last(), out);
    run_same_bits(table, table.elementwise, build.program(), {out.memory()});
    for (std::int64_t i = 0; i < n; ++i)
      ASSERT_EQ(out[i], static_cast<To>(x[i])) << ravine::name_of(dtype_of<From>) << " to "
                                               << ravine::name_of(dtype_of<To>) << " at " << i << " of " << n;
  }
}
template <class From>
void check_casts(const KernelTable& table) {
  check_cast<From, float>(table);
  check_cast<From, double>(table);
  check_cast<From, std::int32_t>(table);
  check_cast<From, std::int64_t>(table);
  check_cast<From, std::uint8_t>(table);
  check_cast<From, bool>(table);
}

TEST(Elementwise, Cast) {
  on_every_isa([](const KernelTable& table) {
    check_casts<float>(table);
    check_casts<double>(table);
    check_casts<std::int32_t>(table);
    check_casts<std::int64_t>(table);
    check_casts<std::uint8_t>(table);
    check_casts<bool>(table);
  });
}

TEST(Elementwise, NotANumberAndInfinity) {
  on_every_isa([](const KernelTable& table) {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN(),
                    infinity = std::numeric_limits<float>::infinity();
    const Buffer<float> a{nan, 1, nan, -infinity, 0}, b{1, nan, nan, infinity, 3};
    check_op<float>(table, TileOp::maximum, {&a, &b}, {nan, nan, nan, infinity, 3}, 0, 0);
    check_op<float>(table, TileOp::minimum, {&a, &b}, {nan, nan, nan, -infinity, 0}, 0, 0);
    check_op<float>(table, TileOp::relu, {&a}, {nan, 1, nan, 0, 0}, 0, 0);
    check_op<float>(table, TileOp::leaky_relu, {&a}, {nan, 1, nan, -infinity, 0}, 0.1, 0);
    check_op<float>(table, TileOp::elu, {&a}, {nan, 1, nan, -2, 0}, 2, 1);
    check_op<float>(table, TileOp::clip, {&a}, {nan, 1, nan, 0.5, 0.5}, 0.5, 2);
    check_op<float>(table, TileOp::clip, {&b}, {1, nan, nan, 2, 2}, 0.5, 2);
    check_op<float>(table, TileOp::sigmoid, {&b}, {sigmoid(1), nan, nan, 1, sigmoid(3)}, 0, 0);
    check_op<float>(table, TileOp::sigmoid, {&a}, {nan, sigmoid(1), nan, 0, 0.5}, 0, 0);
    check_op<float>(table, TileOp::softplus, {&b},
                    {std::log1p(std::exp(1)), nan, nan, infinity, std::log1p(std::exp(3))}, 0, 0);
    check_op<float>(table, TileOp::softplus, {&a}, {nan, std::log1p(std::exp(1)), nan, 0, std::log(2)}, 0, 0);
  });
}

TEST(Elementwise, LimitsAtInfinity) {
  on_every_isa([](const KernelTable& table) {
    constexpr double infinity = std::numeric_limits<double>::infinity(),
                     nan = std::numeric_limits<double>::quiet_NaN();
    const Buffer<double> x{infinity, -infinity, nan}, one{1, 1, 1};
    const std::vector<double> of_x{infinity, 0, nan};
    for (const TileOp op : {TileOp::gelu, TileOp::gelu_tanh, TileOp::silu, TileOp::mish, TileOp::hardswish})
      check_op<double>(table, op, {&x}, of_x, 0, 0);
    check_op<double>(table, TileOp::softsign, {&x}, {1, -1, nan}, 0, 0);
    check_op<double>(table, TileOp::tanhshrink, {&x}, {infinity, -infinity, nan}, 0, 0);
    for (const TileOp op : {TileOp::gelu_grad, TileOp::gelu_tanh_grad, TileOp::silu_grad, TileOp::mish_grad})
      check_op<double>(table, op, {&x, &one}, {1, 0, nan}, 0, 0);
    check_op<double>(table, TileOp::elu_grad, {&x, &one}, {1, 0, nan}, 2, 0.5);
    const Buffer<double> logits{-infinity, infinity, infinity, -infinity, nan}, yes{0, 1, 0, 1, 0},
        no{1, 0, 1, 0, 1};
    check_op<double>(table, TileOp::logistic_loss, {&logits, &yes, &no}, {0, 0, infinity, infinity, nan}, 0,
                     0);
    check_op<double>(table, TileOp::logistic_loss_grad, {&logits, &yes, &no}, {0, 0, 1, -1, nan}, 0, 0);
    // What is switched off is 0, whatever comes from above.
    const Buffer<double> off{-1, 0, 1, -2}, above{infinity, nan, 3, -infinity};
    check_op<double>(table, TileOp::scale_by_positive, {&off, &above}, {0, 0, 3, 0}, 0, 0);
  });
}

// Relative to numbers however small: what a formula of numbers near 1 would lose.
TEST(Elementwise, TailsKeepTheirDigits) {
  on_every_isa([](const KernelTable& table) {
    const Buffer<double> x{-5.5, -10, -20, -30, -36}, one{1, 1, 1, 1, 1};
    const auto of_each = [&](auto f) {
      std::vector<double> values;
      for (const double value : x) values.push_back(static_cast<double>(f(static_cast<long double>(value))));
      return values;
    };
    using Real = long double;
    const auto tail = [](Real v) { return std::erfc(-v / std::sqrt(Real(2))) / 2; };
    const auto density = [](Real v) { return std::exp(-v * v / 2) / std::sqrt(2 * std::acos(Real(-1))); };
    const auto gate = [](Real v) { return 1 / (1 + std::exp(-v)); };
    const auto expect_tail = [&](TileOp op, bool gradient, const std::vector<double>& expected,
                                 double limit) {
      Buffer<double> out(x.size());
      TileBuilder build(table, {x.size()});
      const auto input = build.input(x);
      if (gradient) build.apply(op, DType::float64, {input, build.input(one)}, 1, 1);
      else build.apply(op, DType::float64, {input}, 1, 1);
      build.output(build.last(), out);
      run(table, table.elementwise, build.program());
      expect_close(out, expected, limit, 0, kernels::name_of(op));
    };
    expect_tail(TileOp::gelu, false, of_each([&](Real v) { return v * tail(v); }), 2e-15);
    expect_tail(TileOp::gelu_grad, true, of_each([&](Real v) { return tail(v) + v * density(v); }), 2e-15);
    expect_tail(TileOp::silu, false, of_each([&](Real v) { return v * gate(v); }), 1e-15);
    expect_tail(TileOp::silu_grad, true, of_each([&](Real v) { return gate(v) * (1 + v * (1 - gate(v))); }),
                1e-15);
    expect_tail(TileOp::mish, false, of_each([](Real v) { return v * std::tanh(std::log1p(std::exp(v))); }),
                2e-15);
    expect_tail(TileOp::elu_grad, true, of_each([](Real v) { return std::exp(v); }), 1e-15);
  });
}

TEST(Elementwise, EveryOperationIsTestedAndNamed) {
  EXPECT_STREQ(kernels::name_of(TileOp::exp), "exp");
  EXPECT_STREQ(kernels::name_of(TileOp::uniform), "uniform");
  EXPECT_EQ(kernels::arity_of(TileOp::uniform), 0);
  EXPECT_EQ(kernels::arity_of(TileOp::where), 3);
#define RAVINE_COUNT(name) +1
  const std::size_t count = 0 RAVINE_ELEMENTWISE_OPS(RAVINE_COUNT);
#undef RAVINE_COUNT
  // multiply_add; logistic_loss and its slope; logic; where, cast, uniform and clip (among the unary ones)
  const std::size_t others = 1 + 2 + 4 + 4;
  EXPECT_EQ(unary_float.size() + unary_arithmetic.size() + binary_float.size() + binary_arithmetic.size() +
                comparisons.size() + others - 1,
            count);
}

}  // namespace
}  // namespace ravine::testing
