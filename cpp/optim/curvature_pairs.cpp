#include "optim/curvature_pairs.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/linalg.h"
#include "optim/two_loops.h"

namespace ravine::optim {
namespace {

template <class T>
double inner(std::span<const T> a, std::span<const T> b) {
  return dot(a, b);
}

// d += factor x
template <class T>
void add_multiple(std::span<T> d, double factor, const std::vector<T>& x) {
  for (std::size_t i = 0; i < d.size(); ++i)
    d[i] = static_cast<T>(static_cast<double>(d[i]) + factor * static_cast<double>(x[i]));
}

}  // namespace

template <class T>
CurvaturePairs<T>::CurvaturePairs(std::size_t most) : most_(most) {
  check<ValueError>(most > 0, "curvature pairs: room for at least one is needed");
}

template <class T>
bool CurvaturePairs<T>::add(std::span<const T> s, std::span<const T> y) {
  check<ValueError>(pairs_.empty() || s.size() == pairs_.back().s.size(), "curvature pairs: got ", s.size(),
                    " numbers, expected ", pairs_.empty() ? 0 : pairs_.back().s.size());
  const double sy = inner<T>(s, y), yy = inner<T>(y, y);
  if (!(sy > std::numeric_limits<double>::epsilon() * yy)) return false;
  Pair pair;
  if (pairs_.size() == most_) {
    pair = std::move(pairs_.front());
    pairs_.pop_front();
  }
  pair.s.assign(s.begin(), s.end());
  pair.y.assign(y.begin(), y.end());
  pair.rho = 1 / sy;
  pairs_.push_back(std::move(pair));
  scale_ = sy / yy;
  return true;
}

template <class T>
void CurvaturePairs<T>::direction(std::span<const T> g, std::span<T> result) const {
  check<ValueError>(g.size() == result.size() && (pairs_.empty() || g.size() == pairs_.back().s.size()),
                    "curvature pairs: got ", g.size(), " numbers, expected ",
                    pairs_.empty() ? result.size() : pairs_.back().s.size());
  std::transform(g.begin(), g.end(), result.begin(), [](T x) { return -x; });
  if (pairs_.empty()) return;
  two_loops(
      result, pairs_.size(), [&](std::size_t i) -> const Pair& { return pairs_[pairs_.size() - 1 - i]; },
      [](std::span<const T> a, std::span<const T> b) { return inner<T>(a, b); },
      [](std::span<T> q, double factor, const std::vector<T>& x) { add_multiple(q, factor, x); },
      [](std::span<T> q, double factor, const std::vector<T>& x) { add_multiple(q, -factor, x); },
      [&](std::span<T> q) {
        for (T& x : q) x = static_cast<T>(scale_ * static_cast<double>(x));
      });
}

template class CurvaturePairs<float>;
template class CurvaturePairs<double>;

}  // namespace ravine::optim
