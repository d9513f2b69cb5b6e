#include "optim/curvature_pairs.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <vector>

#include "core/error.h"
#include "core/random.h"

namespace ravine::optim {
namespace {

template <class T>
std::vector<T> normals(std::size_t n, std::uint64_t seed) {
  std::vector<T> x(n);
  Generator(seed).fill_normal(std::span<T>(x), 0, 1);
  return x;
}

template <class T>
Eigen::VectorXd vector_of(const std::vector<T>& x) {
  return Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>>(x.data(), static_cast<Eigen::Index>(x.size()))
      .template cast<double>();
}

// Beside the matrix that BFGS updates with the same pairs (Nocedal and Wright 2006, eq. 6.17).
template <class T>
void expect_bfgs(double tolerance) {
  constexpr std::size_t n = 11, most = 3;
  CurvaturePairs<T> pairs(most);
  const std::vector<T> g = normals<T>(n, 1);
  std::vector<T> d(n);
  pairs.direction(g, d);
  EXPECT_EQ(vector_of(d), -vector_of(g));

  std::vector<std::pair<Eigen::VectorXd, Eigen::VectorXd>> kept;
  for (std::uint64_t i = 0; i < 6; ++i) {
    const std::vector<T> s = normals<T>(n, 10 + i);
    std::vector<T> y = normals<T>(n, 20 + i);
    for (std::size_t j = 0; j < n; ++j) y[j] = s[j] + y[j] / 8;
    ASSERT_TRUE(pairs.add(s, y));
    std::vector<T> uphill = y;
    for (T& x : uphill) x = -x;
    EXPECT_FALSE(pairs.add(s, uphill));
    kept.emplace_back(vector_of(s), vector_of(y));
    if (kept.size() > most) kept.erase(kept.begin());

    const auto& [s_last, y_last] = kept.back();
    const Eigen::MatrixXd one = Eigen::MatrixXd::Identity(n, n);
    Eigen::MatrixXd h = one * (s_last.dot(y_last) / y_last.squaredNorm());
    for (const auto& [step, change] : kept) {
      const double rho = 1 / step.dot(change);
      const Eigen::MatrixXd left = one - rho * step * change.transpose();
      h = (left * h * left.transpose() + rho * step * step.transpose()).eval();
    }
    pairs.direction(g, d);
    EXPECT_LT((vector_of(d) + h * vector_of(g)).norm(), tolerance * vector_of(g).norm());
  }
  pairs.clear();
  pairs.direction(g, d);
  EXPECT_EQ(vector_of(d), -vector_of(g));
}

TEST(CurvaturePairs, GiveTheDirectionOfBfgsInDouble) { expect_bfgs<double>(1e-13); }
TEST(CurvaturePairs, GiveTheDirectionOfBfgsInFloat) { expect_bfgs<float>(1e-5); }

TEST(CurvaturePairs, RefuseNoRoomAndOtherLengths) {
  EXPECT_THROW(CurvaturePairs<float>(0), ValueError);
  CurvaturePairs<double> pairs(2);
  const std::vector<double> x{1, 2};
  ASSERT_TRUE(pairs.add(x, x));
  const std::vector<double> longer{1, 2, 3};
  EXPECT_THROW(pairs.add(longer, longer), ValueError);
  EXPECT_THROW(pairs.add(x, longer), ValueError);
  std::vector<double> d(3);
  EXPECT_THROW(pairs.direction(std::vector<double>(3), d), ValueError);
}

}  // namespace
}  // namespace ravine::optim
