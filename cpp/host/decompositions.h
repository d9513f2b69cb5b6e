// Solving and decomposing one dense matrix in double: row-major, without gaps, in and out.
#pragma once

#include <cstdint>

namespace ravine::host {

// x with a x = b for a [n, n] and b, x [n, columns]; false where a pivot is 0 (x is then not finite).
bool solve(const double* a, const double* b, double* x, std::int64_t n, std::int64_t columns);

// The same for a triangular matrix, of which the other half is not read; `unit`: its diagonal counts as ones.
void solve_triangular(const double* a, const double* b, double* x, std::int64_t n, std::int64_t columns,
                      bool upper, bool unit);

// The lower triangle l with l l^T = a, of which the lower half counts; false where a is not positive
// definite.
bool cholesky(const double* a, double* l, std::int64_t n);

// a [rows, columns] = q r with q [rows, k], r [k, columns]; k is the smaller extent, or rows where
// `complete`.
void qr(const double* a, double* q, double* r, std::int64_t rows, std::int64_t columns, bool complete);

// Eigenvalues, ascending, and eigenvectors in the columns, of a symmetric matrix whose lower half counts;
// false where the iteration does not converge.
bool eigh(const double* a, double* values, double* vectors, std::int64_t n);

// a = u diag(s) vh with s descending; u [rows, k], vh [k, columns], or square where `full`; false where the
// matrix is not finite.
bool svd(const double* a, double* u, double* s, double* vh, std::int64_t rows, std::int64_t columns,
         bool full);

// Determinant, and its sign and the logarithm of its size (0 and -infinity where it is 0).
void determinant(const double* a, std::int64_t n, double& det, double& sign, double& log_size);

}  // namespace ravine::host
