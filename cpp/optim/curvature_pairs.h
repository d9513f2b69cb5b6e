// The memory of limited-memory BFGS (Liu and Nocedal 1989): an inverse Hessian H described by the last steps
// s and the changes y of the gradient along them.
#pragma once

#include <cstddef>
#include <deque>
#include <span>
#include <vector>

namespace ravine::optim {

// T is float or double; inner products are in double, summed in an order that depends on the length alone.
template <class T>
class CurvaturePairs {
 public:
  explicit CurvaturePairs(std::size_t most);  // ValueError where that is 0

  // Adds a pair, in the place of the oldest where there are as many as may be. False, and nothing changes,
  // where its curvature s·y / y·y is not above rounding.
  bool add(std::span<const T> s, std::span<const T> y);
  void clear() { pairs_.clear(); }

  // -H g, by the two-loop recursion (Nocedal and Wright 2006, algorithm 7.4); -g without pairs.
  void direction(std::span<const T> g, std::span<T> result) const;

 private:
  struct Pair {
    std::vector<T> s, y;
    double rho;  // 1 / s·y
  };

  std::size_t most_;
  std::deque<Pair> pairs_;  // the newest last
  double scale_ = 1;        // of the first H: s·y / y·y of the newest pair
};

extern template class CurvaturePairs<float>;
extern template class CurvaturePairs<double>;

}  // namespace ravine::optim
