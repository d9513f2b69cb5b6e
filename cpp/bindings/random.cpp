#include "core/random.h"

#include <mutex>
#include <span>

#include "bindings/bindings.h"
#include "core/error.h"
#include "core/linalg.h"
#include "core/memory_error.h"
#include "graph/random_state.h"

namespace ravine::bindings {
namespace {

template <class Fill>
void fill(const Array& array, const char* what, Fill&& fill_span) {
  check<TypeError>(is_floating(array.dtype()), what, ": got an array of ", name_of(array.dtype()),
                   ", expected float32 or float64");
  const auto size = static_cast<std::size_t>(array.size());
  if (array.dtype() == DType::float32) {
    fill_span(std::span<float>(array.as<float>(), size));
  } else {
    fill_span(std::span<double>(array.as<double>(), size));
  }
  array.writes().written();
}

py::array permutation(std::int64_t n, std::uint64_t seed) {
  check<ValueError>(n >= 0, "permutation: n is ", n, ", expected 0 or more");
  py::array result = new_array(DType::int64, Shape{n});
  const std::vector<std::int64_t> order = with_memory(
      static_cast<std::size_t>(n) * sizeof(std::int64_t),
      [n] { return str("the order of ", n, " examples"); },
      [n, seed] { return Generator(seed).permutation(n); });
  std::copy(order.begin(), order.end(), static_cast<std::int64_t*>(result.mutable_data()));
  return result;
}

py::array orthogonal(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  check<ValueError>(rows >= 1 && columns >= 1, "orthogonal: got ", rows, " rows and ", columns,
                    " columns, expected at least one of each");
  py::array result = new_array(DType::float64, Shape{rows, columns});
  const std::span<double> matrix(static_cast<double*>(result.mutable_data()),
                                 static_cast<std::size_t>(rows * columns));
  Generator(seed).fill_normal(matrix, 0, 1);
  orthonormalize(matrix, rows, columns);
  return result;
}

template <auto number>
std::uint64_t number_of(RandomState& state) {
  const std::lock_guard lock(state.mutex);
  return state.*number;
}
template <auto number>
void set_number_of(RandomState& state, std::uint64_t value) {
  const std::lock_guard lock(state.mutex);
  state.*number = value;
}

}  // namespace

void bind_random(py::module_& module) {
  py::class_<RandomState, std::shared_ptr<RandomState>>(
      module, "RandomState",
      "Seed and step of a program's random numbers; every run that draws advances the step.")
      .def(py::init([](std::uint64_t seed) {
             auto state = std::make_shared<RandomState>();
             state->seed = seed;
             return state;
           }),
           py::arg("seed"))
      .def_property("seed", &number_of<&RandomState::seed>, &set_number_of<&RandomState::seed>)
      .def_property("step", &number_of<&RandomState::step>, &set_number_of<&RandomState::step>);

  py::class_<Generator>(module, "Generator", "Random numbers for initialisation and shuffling.")
      .def(py::init<std::uint64_t>(), py::arg("seed"));
  module.def(
      "use_generator", &use_generator, py::arg("own").none(true), py::return_value_policy::reference,
      "Makes this thread draw from a generator that lives on, or the process's (None); returns the one "
      "before.");
  module.def(
      "seed", [](std::uint64_t seed) { default_generator().seed(seed); }, py::arg("seed"));
  module.def("draw_seed", [] { return default_generator().draw_seed(); });
  module.def("orthogonal", &orthogonal, py::arg("rows"), py::arg("columns"), py::arg("seed"));
  module.def("permutation", &permutation, py::arg("n"), py::arg("seed"));
  module.def(
      "fill_uniform",
      [](const Array& array, double low, double high) {
        fill(array, "fill_uniform",
             [&](auto values) { default_generator().fill_uniform(values, low, high); });
      },
      py::arg("array"), py::arg("low"), py::arg("high"));
  module.def(
      "fill_normal",
      [](const Array& array, double mean, double std) {
        fill(array, "fill_normal", [&](auto values) { default_generator().fill_normal(values, mean, std); });
      },
      py::arg("array"), py::arg("mean"), py::arg("std"));
  module.def(
      "fill_trunc_normal",
      [](const Array& array, double mean, double std, double low, double high) {
        fill(array, "fill_trunc_normal",
             [&](auto values) { default_generator().fill_truncated_normal(values, mean, std, low, high); });
      },
      py::arg("array"), py::arg("mean"), py::arg("std"), py::arg("low"), py::arg("high"));
}

}  // namespace ravine::bindings
