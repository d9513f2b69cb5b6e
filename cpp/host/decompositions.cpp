#include "host/decompositions.h"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/LU>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>

namespace ravine::host {
namespace {

using Matrix = Eigen::MatrixXd;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Eigen::Map<const RowMajor> read(const double* data, std::int64_t rows, std::int64_t columns) {
  return {data, static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(columns)};
}
Eigen::Map<RowMajor> written(double* data, std::int64_t rows, std::int64_t columns) {
  return {data, static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(columns)};
}

}  // namespace

bool solve(const double* a, const double* b, double* x, std::int64_t n, std::int64_t columns) {
  if (n == 0 || columns == 0) return true;
  const Eigen::PartialPivLU<Matrix> lu{Matrix(read(a, n, n))};
  written(x, n, columns) = lu.solve(Matrix(read(b, n, columns)));
  return (lu.matrixLU().diagonal().array() != 0).all();
}

void solve_triangular(const double* a, const double* b, double* x, std::int64_t n, std::int64_t columns,
                      bool upper, bool unit) {
  if (n == 0 || columns == 0) return;
  const auto matrix = read(a, n, n);
  Matrix result = read(b, n, columns);
  if (upper && unit) matrix.triangularView<Eigen::UnitUpper>().solveInPlace(result);
  else if (upper) matrix.triangularView<Eigen::Upper>().solveInPlace(result);
  else if (unit) matrix.triangularView<Eigen::UnitLower>().solveInPlace(result);
  else matrix.triangularView<Eigen::Lower>().solveInPlace(result);
  written(x, n, columns) = result;
}

bool cholesky(const double* a, double* l, std::int64_t n) {
  if (n == 0) return true;
  const Eigen::LLT<Matrix> decomposition{Matrix(read(a, n, n))};
  written(l, n, n) = Matrix(decomposition.matrixL());
  return decomposition.info() == Eigen::Success;
}

void qr(const double* a, double* q, double* r, std::int64_t rows, std::int64_t columns, bool complete) {
  const std::int64_t k = complete ? rows : std::min(rows, columns);
  if (rows == 0) return;
  if (columns == 0) {
    written(q, rows, k) = Matrix::Identity(rows, k);
    return;
  }
  const Eigen::HouseholderQR<Matrix> decomposition{Matrix(read(a, rows, columns))};
  written(q, rows, k) = decomposition.householderQ() * Matrix::Identity(rows, k);
  written(r, k, columns) = Matrix(decomposition.matrixQR().topRows(k).triangularView<Eigen::Upper>());
}

bool eigh(const double* a, double* values, double* vectors, std::int64_t n) {
  if (n == 0) return true;
  const Eigen::SelfAdjointEigenSolver<Matrix> solver{Matrix(read(a, n, n))};
  written(values, n, 1) = solver.eigenvalues();
  written(vectors, n, n) = solver.eigenvectors();
  return solver.info() == Eigen::Success;
}

bool svd(const double* a, double* u, double* s, double* vh, std::int64_t rows, std::int64_t columns,
         bool full) {
  const std::int64_t k = std::min(rows, columns);
  if (k == 0) {
    if (full) {
      written(u, rows, rows) = Matrix::Identity(rows, rows);
      written(vh, columns, columns) = Matrix::Identity(columns, columns);
    }
    return true;
  }
  const Matrix matrix = read(a, rows, columns);
  if (!matrix.allFinite()) return false;
  const Eigen::BDCSVD<Matrix> solver(
      matrix, full ? Eigen::ComputeFullU | Eigen::ComputeFullV : Eigen::ComputeThinU | Eigen::ComputeThinV);
  written(u, rows, full ? rows : k) = solver.matrixU();
  written(s, k, 1) = solver.singularValues();
  written(vh, full ? columns : k, columns) = solver.matrixV().transpose();
  return true;
}

void determinant(const double* a, std::int64_t n, double& det, double& sign, double& log_size) {
  det = sign = 1;
  log_size = 0;
  if (n == 0) return;
  const Eigen::PartialPivLU<Matrix> lu{Matrix(read(a, n, n))};
  det = lu.determinant();
  sign = static_cast<double>(lu.permutationP().determinant());
  for (const double pivot : lu.matrixLU().diagonal()) {
    sign *= pivot < 0 ? -1.0 : pivot > 0 ? 1.0 : pivot;  // 0 or NaN
    log_size += std::log(std::abs(pivot));
  }
}

}  // namespace ravine::host
