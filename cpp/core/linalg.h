// Dense linear algebra outside of programs.
#pragma once

#include <cstdint>
#include <span>

namespace ravine {

// Replaces a row-major matrix [rows, columns] by one with orthonormal columns (rows, where there are fewer
// rows than columns): the Q of its, or its transpose's, QR decomposition with a positive diagonal of R. Of a
// matrix of normal numbers that is uniformly distributed over all such matrices; torch.nn.init.orthogonal_
// does the same. Mezzadri, "How to generate random matrices from the classical compact groups" (2007).
void orthonormalize(std::span<double> matrix, std::int64_t rows, std::int64_t columns);

// The sum of a[i] b[i], in double and in an order that depends on the length alone. Of float and double.
template <class A, class B>
double dot(std::span<const A> a, std::span<const B> b);

// The largest |x[i]|, 0 of none; NaN where there is one. Of float and double.
template <class T>
double largest_magnitude(std::span<const T> x);

// Of a symmetric row-major matrix [n, n], of which the lower triangle counts: its eigenvalues, ascending, and
// in the columns of `matrix` eigenvectors of length 1. RuntimeError where the iteration does not converge.
void symmetric_eigen(std::span<double> matrix, std::span<double> values);

// Replaces b by the solution x of matrix x = b for such a matrix, which is overwritten; false, with b as it
// was, where it is not positive definite to the precision of double.
bool solve_positive_definite(std::span<double> matrix, std::span<double> b);

}  // namespace ravine
