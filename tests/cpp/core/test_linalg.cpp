#include "core/linalg.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/random.h"

namespace ravine {
namespace {

struct Extents {
  std::int64_t rows, columns;
};

std::vector<double> normal_matrix(Extents e, std::uint64_t seed) {
  std::vector<double> matrix(static_cast<std::size_t>(e.rows * e.columns));
  Generator(seed).fill_normal(std::span(matrix), 0, 1);
  return matrix;
}

// The inner product of two columns (rows, for a wide matrix) of two row-major matrices of the same extents.
double inner(Extents e, const std::vector<double>& a, std::int64_t i, const std::vector<double>& b,
             std::int64_t j) {
  const bool wide = e.rows < e.columns;
  double sum = 0;
  for (std::int64_t k = 0; k < std::max(e.rows, e.columns); ++k) {
    const auto at = [&](std::int64_t line) {
      return static_cast<std::size_t>(wide ? line * e.columns + k : k * e.columns + line);
    };
    sum += a[at(i)] * b[at(j)];
  }
  return sum;
}

TEST(Orthonormalize, IsTheSignCorrectedQOfTheMatrix) {
  for (const Extents e :
       {Extents{1, 1}, Extents{5, 5}, Extents{40, 7}, Extents{7, 40}, Extents{1, 9}, Extents{64, 64}}) {
    const std::vector<double> matrix = normal_matrix(e, 4);
    std::vector<double> q = matrix;
    orthonormalize(q, e.rows, e.columns);
    const std::int64_t k = std::min(e.rows, e.columns);
    for (std::int64_t i = 0; i < k; ++i)
      for (std::int64_t j = 0; j < k; ++j) EXPECT_NEAR(inner(e, q, i, q, j), i == j, 1e-13);
    // R = Q' A has a positive diagonal and nothing below it; there is one such Q.
    for (std::int64_t i = 0; i < k; ++i) {
      EXPECT_GT(inner(e, q, i, matrix, i), 0);
      for (std::int64_t j = 0; j < i; ++j) EXPECT_NEAR(inner(e, q, i, matrix, j), 0, 1e-12);
    }
  }
}

TEST(Orthonormalize, EmptyAndMisshaped) {
  orthonormalize({}, 0, 5);
  orthonormalize({}, 3, 0);
  std::vector<double> six(6, 1.0);
  EXPECT_THROW(orthonormalize(six, 2, 2), ValueError);
  EXPECT_THROW(orthonormalize(six, -2, -3), ValueError);
  EXPECT_EQ(six, std::vector<double>(6, 1.0));
}

TEST(Dot, IsExactInDoubleForSmallIntegersOfAnyLengthAndType) {
  for (const std::size_t n : {0, 1, 3, 7, 8, 9, 31, 100}) {
    std::vector<double> a(n);
    std::vector<float> b(n);
    double expected = 0;
    for (std::size_t i = 0; i < n; ++i) {
      a[i] = static_cast<double>(i) - 4;
      b[i] = static_cast<float>(2 * i % 7) - 2;
      expected += a[i] * static_cast<double>(b[i]);
    }
    const std::span<const double> of_a(a);
    const std::span<const float> of_b(b);
    EXPECT_EQ(dot(of_a, of_b), expected);
    EXPECT_EQ(dot(of_b, of_a), expected);
  }
  const std::vector<float> tiny(3, 1e-30f);  // its squares are no floats
  EXPECT_NEAR(dot(std::span<const float>(tiny), std::span<const float>(tiny)) * 1e60, 3, 1e-6);
  EXPECT_THROW(dot(std::span<const float>(tiny), std::span<const double>()), ValueError);
}

TEST(LargestMagnitude, OfNothingNumbersInfinityAndNaN) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const auto largest = [](std::vector<double> x) { return largest_magnitude(std::span<const double>(x)); };
  EXPECT_EQ(largest({}), 0);
  EXPECT_EQ(largest({1, -3, 2}), 3);
  EXPECT_EQ(largest({1, -infinity}), infinity);
  EXPECT_TRUE(std::isnan(largest({infinity, nan, 1})));
}

// A symmetric matrix with the given eigenvalues.
std::vector<double> symmetric_matrix(const std::vector<double>& values, std::uint64_t seed) {
  const auto n = static_cast<std::int64_t>(values.size());
  std::vector<double> basis = normal_matrix({n, n}, seed), matrix(basis.size());
  orthonormalize(basis, n, n);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t k = 0; k < n; ++k)
        matrix[static_cast<std::size_t>(i * n + j)] += basis[static_cast<std::size_t>(i * n + k)] *
                                                       values[static_cast<std::size_t>(k)] *
                                                       basis[static_cast<std::size_t>(j * n + k)];
  return matrix;
}

TEST(SymmetricEigen, FindsValuesAndVectors) {
  const std::vector<double> expected{-3, -1e-3, 0, 0.5, 0.5, 2, 100};
  const std::size_t n = expected.size();
  const std::vector<double> matrix = symmetric_matrix(expected, 3);
  std::vector<double> vectors = matrix, values(n);
  symmetric_eigen(vectors, values);
  for (std::size_t k = 0; k < n; ++k) EXPECT_NEAR(values[k], expected[k], 1e-12);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < n; ++k) {
      double product = 0;
      for (std::size_t j = 0; j < n; ++j) product += matrix[i * n + j] * vectors[j * n + k];
      EXPECT_NEAR(product, values[k] * vectors[i * n + k], 1e-12);
    }
  EXPECT_THROW(symmetric_eigen(vectors, std::span(values).first(3)), ValueError);
}

TEST(SolvePositiveDefinite, SolvesOrLeavesTheRightSide) {
  const std::vector<double> x{1, -2, 3, 0.5};
  const std::vector<double> matrix = symmetric_matrix({1e-4, 1, 7, 50}, 5);
  std::vector<double> b(4), factor = matrix;
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = 0; j < 4; ++j) b[i] += matrix[i * 4 + j] * x[j];
  ASSERT_TRUE(solve_positive_definite(factor, b));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(b[i], x[i], 1e-9);

  for (const std::vector<double>& values :
       {std::vector<double>{-1e-3, 1, 2, 3}, {0, 1, 2, 3}, {1e-17, 1, 2, 3}}) {
    factor = symmetric_matrix(values, 7);
    std::vector<double> right = x;
    EXPECT_FALSE(solve_positive_definite(factor, right));
    EXPECT_EQ(right, x);
  }
}

}  // namespace
}  // namespace ravine
