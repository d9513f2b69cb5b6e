#include "core/linalg.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"

namespace ravine {

namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<RowMajor> square_matrix(std::span<double> matrix, std::size_t n) {
  check<ValueError>(matrix.size() == n * n, "linalg: ", matrix.size(), " elements do not make a matrix of ",
                    n, " rows and columns");
  const auto rows = static_cast<Eigen::Index>(n);
  return {matrix.data(), rows, rows};
}

}  // namespace

void orthonormalize(std::span<double> matrix, std::int64_t rows, std::int64_t columns) {
  check<ValueError>(rows >= 0 && columns >= 0 && std::ssize(matrix) == rows * columns,
                    "orthogonal matrix: ", matrix.size(), " elements do not make a matrix of ", rows,
                    " rows and ", columns, " columns");
  if (matrix.empty()) return;
  Eigen::Map<RowMajor> values(matrix.data(), rows, columns);
  const bool wide = rows < columns;
  const std::int64_t k = std::min(rows, columns);
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(wide ? Eigen::MatrixXd(values.transpose())
                                                      : Eigen::MatrixXd(values));
  Eigen::MatrixXd q = qr.householderQ() * Eigen::MatrixXd::Identity(std::max(rows, columns), k);
  for (std::int64_t i = 0; i < k; ++i)
    if (qr.matrixQR()(i, i) < 0) q.col(i) = -q.col(i);
  if (wide) values = q.transpose();
  else values = q;
}

template <class A, class B>
double dot(std::span<const A> a, std::span<const B> b) {
  check<ValueError>(a.size() == b.size(), "dot: got ", a.size(), " and ", b.size(), " elements");
  constexpr std::size_t lanes = 8;
  std::array<double, lanes> sums{};
  std::size_t i = 0;
  for (; i + lanes <= a.size(); i += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane)
      sums[lane] += static_cast<double>(a[i + lane]) * static_cast<double>(b[i + lane]);
  for (std::size_t lane = 0; i + lane < a.size(); ++lane)
    sums[lane] += static_cast<double>(a[i + lane]) * static_cast<double>(b[i + lane]);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}
template double dot(std::span<const float>, std::span<const float>);
template double dot(std::span<const float>, std::span<const double>);
template double dot(std::span<const double>, std::span<const float>);
template double dot(std::span<const double>, std::span<const double>);

template <class T>
double largest_magnitude(std::span<const T> x) {
  double largest = 0;
  for (const T value : x) {
    const double size = std::abs(static_cast<double>(value));
    if (!(size <= largest)) largest = size;  // a NaN comes in, and no number is larger than it
    if (std::isnan(largest)) break;
  }
  return largest;
}
template double largest_magnitude(std::span<const float>);
template double largest_magnitude(std::span<const double>);

void symmetric_eigen(std::span<double> matrix, std::span<double> values) {
  Eigen::Map<RowMajor> rows = square_matrix(matrix, values.size());
  if (values.empty()) return;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(rows);
  check<RuntimeError>(solver.info() == Eigen::Success, "symmetric_eigen: no convergence for a matrix of ",
                      values.size(), " rows");
  std::copy_n(solver.eigenvalues().data(), values.size(), values.begin());
  rows = solver.eigenvectors();
}

bool solve_positive_definite(std::span<double> matrix, std::span<double> b) {
  Eigen::Map<RowMajor> rows = square_matrix(matrix, b.size());
  if (b.empty()) return true;
  const Eigen::LLT<Eigen::Ref<RowMajor>> cholesky(rows);
  if (cholesky.info() != Eigen::Success) return false;
  if (!(cholesky.rcond() > 1e-13)) return false;  // rounding decides the solution
  Eigen::Map<Eigen::VectorXd> right(b.data(), static_cast<Eigen::Index>(b.size()));
  right = cholesky.solve(right).eval();
  return true;
}

}  // namespace ravine
