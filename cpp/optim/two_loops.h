// The direction of limited-memory BFGS (Liu and Nocedal 1989): H g for the inverse Hessian H that the last
// steps s and the changes y of the gradient along them describe.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace ravine::optim {

// q becomes H q by the two-loop recursion (Nocedal and Wright 2006, algorithm 7.4). `pair(i)` has s, y and
// rho = 1 / s·y, the newest for i = 0; one with rho = 0 changes nothing. The caller says how to compute with
// its vectors: dot(a, b), add(q, factor, x) for q += factor x, subtract(q, factor, x), and scale(q) for the
// first H.
template <class Vector, class PairAt, class Dot, class Add, class Subtract, class Scale>
void two_loops(Vector& q, std::size_t n_pairs, PairAt pair, Dot dot, Add add, Subtract subtract,
               Scale scale) {
  std::vector<decltype(pair(0).rho * dot(pair(0).s, q))> weights;
  for (std::size_t i = 0; i < n_pairs; ++i) {
    weights.push_back(pair(i).rho * dot(pair(i).s, q));
    subtract(q, weights[i], pair(i).y);
  }
  scale(q);
  for (std::size_t i = n_pairs; i-- > 0;) add(q, weights[i] - pair(i).rho * dot(pair(i).y, q), pair(i).s);
}

}  // namespace ravine::optim
