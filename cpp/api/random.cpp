
#include <cmath>
#include <cstring>
#include <numeric>

#include "api/access.h"

namespace ravine::v1 {
namespace {

// The span of a floating array.
template <class Fill>
void fill(Array& values, const char* what, Fill&& fill_span) {
  const auto size = static_cast<std::size_t>(values.size());
  if (values.dtype() == DType::float32) {
    fill_span(std::span(values.data<float>(), size));
  } else {
    check<TypeError>(values.dtype() == DType::float64, what, ": got an array of ", name_of(values.dtype()),
                     ", expected float32 or float64");
    fill_span(std::span(values.data<double>(), size));
  }
}

struct Fans {
  double in, out;
};
Fans fans_of(const Array& values, const char* what) {
  const Shape& shape = values.shape();
  check<ValueError>(shape.rank() >= 2, what, ": fans need a weight of at least 2 dimensions, got shape ",
                    to_string(shape));
  const auto field = static_cast<double>(
      std::accumulate(shape.begin() + 2, shape.end(), std::int64_t{1}, std::multiplies<>()));
  return {static_cast<double>(shape[1]) * field, static_cast<double>(shape[0]) * field};
}

double kaiming_std(const Array& values, init::Fan fan, double gain, const char* what) {
  const Fans fans = fans_of(values, what);
  return gain / std::sqrt(std::max(fan == init::Fan::in ? fans.in : fans.out, 1.0));
}

}  // namespace

struct Generator::State {
  ravine::Generator generator;
};

Generator::Generator(std::uint64_t seed) : state_(new State{ravine::Generator(seed)}) {}
Generator::Generator(Generator&&) noexcept = default;
Generator& Generator::operator=(Generator&&) noexcept = default;
Generator::~Generator() = default;

void Generator::uniform(Array& values, double low, double high) {
  fill(values, "uniform", [&](auto span) { state_->generator.fill_uniform(span, low, high); });
}
void Generator::normal(Array& values, double mean, double std) {
  fill(values, "normal", [&](auto span) { state_->generator.fill_normal(span, mean, std); });
}
void Generator::truncated_normal(Array& values, double mean, double std, double low, double high) {
  fill(values, "truncated_normal",
       [&](auto span) { state_->generator.fill_truncated_normal(span, mean, std, low, high); });
}
void Generator::orthogonal(Array& values, double gain) {
  check<ValueError>(values.shape().rank() >= 2, "orthogonal: at least 2 dimensions are needed, got shape ",
                    to_string(values.shape()));
  const std::uint64_t seed = draw_seed();
  fill(values, "orthogonal", [&](auto span) {
    if (span.empty()) return;
    std::vector<double> matrix(span.size());
    ravine::Generator(seed).fill_normal(std::span(matrix), 0, 1);
    const std::int64_t rows = values.shape()[0];
    orthonormalize(matrix, rows, static_cast<std::int64_t>(matrix.size()) / rows);
    for (std::size_t i = 0; i < span.size(); ++i)
      span[i] = static_cast<std::remove_reference_t<decltype(span[i])>>(gain * matrix[i]);
  });
}

std::vector<std::int64_t> Generator::permutation(std::int64_t n) {
  check<ValueError>(n >= 0, "permutation: n is ", n, ", expected 0 or more");
  return state_->generator.permutation(n);
}
std::uint64_t Generator::draw_seed() { return state_->generator.draw_seed(); }

namespace init {

Initializer constant(double value) {
  return {[value](Array& values, Generator&) {
            fill(values, "constant", [&](auto span) {
              std::fill(span.begin(), span.end(), static_cast<typename decltype(span)::value_type>(value));
            });
          },
          true};
}
Initializer zeros() { return constant(0); }
Initializer ones() { return constant(1); }
Initializer uniform(double low, double high) {
  return {[=](Array& values, Generator& random) { random.uniform(values, low, high); }, true};
}
Initializer normal(double mean, double std) {
  return {[=](Array& values, Generator& random) { random.normal(values, mean, std); }, true};
}
Initializer truncated_normal(double mean, double std, double low, double high) {
  return {[=](Array& values, Generator& random) { random.truncated_normal(values, mean, std, low, high); },
          true};
}
Initializer xavier_uniform(double gain) {
  return {[=](Array& values, Generator& random) {
            const Fans fans = fans_of(values, "xavier_uniform");
            const double bound = gain * std::sqrt(6.0 / std::max(1.0, fans.in + fans.out));
            random.uniform(values, -bound, bound);
          },
          true};
}
Initializer xavier_normal(double gain) {
  return {[=](Array& values, Generator& random) {
            const Fans fans = fans_of(values, "xavier_normal");
            random.normal(values, 0, gain * std::sqrt(2.0 / std::max(1.0, fans.in + fans.out)));
          },
          true};
}
Initializer kaiming_uniform(Fan fan, double gain) {
  return {[=](Array& values, Generator& random) {
            const double bound = std::sqrt(3.0) * kaiming_std(values, fan, gain, "kaiming_uniform");
            random.uniform(values, -bound, bound);
          },
          true};
}
Initializer kaiming_normal(Fan fan, double gain) {
  return {[=](Array& values, Generator& random) {
            random.normal(values, 0, kaiming_std(values, fan, gain, "kaiming_normal"));
          },
          true};
}
Initializer orthogonal(double gain) {
  return {[=](Array& values, Generator& random) { random.orthogonal(values, gain); }, false};
}
Initializer fan_in_uniform() {  // as torch writes it, by the gain of a leaky ReLU of slope sqrt(5)
  return kaiming_uniform(Fan::in, std::sqrt(2.0 / (1 + std::pow(std::sqrt(5.0), 2))));
}
Initializer from(Array given) {
  return {[given = std::make_shared<const Array>(std::move(given))](Array& values, Generator&) {
            check<ValueError>(given->shape() == values.shape(), "init::from: the array has the shape ",
                              to_string(given->shape()), ", the parameter ", to_string(values.shape()));
            check<TypeError>(given->dtype() == values.dtype(), "init::from: the array is of ",
                             name_of(given->dtype()), ", the parameter of ", name_of(values.dtype()));
            std::memcpy(values.data(), given->data(), values.bytes());
          },
          false};
}

}  // namespace init
}  // namespace ravine::v1
