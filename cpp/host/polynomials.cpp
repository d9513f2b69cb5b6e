// Orthogonal polynomials p_n(x), n whole (a fraction is cut off); 0 for n below 0.
#include <cmath>
#include <limits>

#include "host/formulas.h"

namespace ravine::host::formula {
namespace {

// From here on recurrences would take too long, and Chebyshev's polynomials have closed forms.
constexpr double largest_order = 1e5, closed_form_from = 64;

// p_(k + 1) = next(k, p_k, p_(k - 1)) from p_0 = 1 and p_1 = first.
template <class Next>
double recurrence(double first, double order, Next next) {
  const double n = std::trunc(order);
  if (order != order || first != first) return order + first;
  if (n < 0) return 0;
  if (n > largest_order) return std::numeric_limits<double>::quiet_NaN();
  double before = 1, here = first;
  if (n == 0) return before;
  for (double k = 1; k < n; k += 1) {
    const double after = next(k, here, before);
    before = here;
    here = after;
  }
  return here;
}

// The recurrence of all four of Chebyshev's kinds; `shift` tells them apart in the closed form
// f((n + shift) t) / f(part t), x = cos t, f sine or cosine.
double chebyshev(double first, double x, double order, double shift, double part, bool sine) {
  const double n = std::trunc(order);
  if (n < closed_form_from || !(std::abs(x) < 1))
    return recurrence(first, order,
                      [x](double, double here, double before) { return 2 * x * here - before; });
  const double t = std::acos(x);
  const auto f = [sine](double angle) { return sine ? std::sin(angle) : std::cos(angle); };
  return part == 0 ? f((n + shift) * t) : f((n + shift) * t) / f(part * t);
}

}  // namespace

double chebyshev_polynomial_t(double x, double n) { return chebyshev(x, x, n, 0, 0, false); }
double chebyshev_polynomial_u(double x, double n) { return chebyshev(2 * x, x, n, 1, 1, true); }
double chebyshev_polynomial_v(double x, double n) { return chebyshev(2 * x - 1, x, n, 0.5, 0.5, false); }
double chebyshev_polynomial_w(double x, double n) { return chebyshev(2 * x + 1, x, n, 0.5, 0.5, true); }
double shifted_chebyshev_polynomial_t(double x, double n) { return chebyshev_polynomial_t(2 * x - 1, n); }
double shifted_chebyshev_polynomial_u(double x, double n) { return chebyshev_polynomial_u(2 * x - 1, n); }
double shifted_chebyshev_polynomial_v(double x, double n) { return chebyshev_polynomial_v(2 * x - 1, n); }
double shifted_chebyshev_polynomial_w(double x, double n) { return chebyshev_polynomial_w(2 * x - 1, n); }

double hermite_polynomial_h(double x, double n) {
  return recurrence(2 * x, n,
                    [x](double k, double here, double before) { return 2 * (x * here - k * before); });
}
double hermite_polynomial_he(double x, double n) {
  return recurrence(x, n, [x](double k, double here, double before) { return x * here - k * before; });
}
double laguerre_polynomial_l(double x, double n) {
  return recurrence(1 - x, n, [x](double k, double here, double before) {
    return ((2 * k + 1 - x) * here - k * before) / (k + 1);
  });
}
double legendre_polynomial_p(double x, double n) {
  return recurrence(x, n, [x](double k, double here, double before) {
    return ((2 * k + 1) * x * here - k * before) / (k + 1);
  });
}

}  // namespace ravine::host::formula
