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

}  // namespace ravine
