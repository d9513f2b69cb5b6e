#include "core/linalg.h"

#include <Eigen/QR>
#include <algorithm>

#include "core/error.h"

namespace ravine {

void orthonormalize(std::span<double> matrix, std::int64_t rows, std::int64_t columns) {
  check<ValueError>(rows >= 0 && columns >= 0 && std::ssize(matrix) == rows * columns,
                    "orthogonal matrix: ", matrix.size(), " elements do not make a matrix of ", rows,
                    " rows and ", columns, " columns");
  if (matrix.empty()) return;
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
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

}  // namespace ravine
