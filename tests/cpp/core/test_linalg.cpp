#include "core/linalg.h"

#include <gtest/gtest.h>

#include <cmath>
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

}  // namespace
}  // namespace ravine
