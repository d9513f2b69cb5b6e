#include <optional>
#include <variant>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "core/error.h"
#include "core/linalg.h"
#include "optim/curvature_pairs.h"

namespace ravine::bindings {
namespace {

using optim::CurvaturePairs;

template <class T>
bool holds(const py::array& array) {
  return py::isinstance<py::array_t<T, py::array::c_style>>(array) && is_dense(array);
}

template <class T>
std::span<const T> numbers(const py::array& array, const char* what) {
  if (!holds<T>(array))
    fail<TypeError>(what, ": an aligned C-contiguous array of ",
                    sizeof(T) == sizeof(float) ? "float32" : "float64", " is expected, got ",
                    std::string(py::str(array.dtype())));
  return {static_cast<const T*>(array.data()), static_cast<std::size_t>(array.size())};
}

double dot_of(const py::array& a, const py::array& b) {
  const auto with = [&]<class A>(std::span<const A> numbers_of_a) {
    return holds<float>(b) ? dot(numbers_of_a, numbers<float>(b, "dot"))
                           : dot(numbers_of_a, numbers<double>(b, "dot"));
  };
  return holds<float>(a) ? with(numbers<float>(a, "dot")) : with(numbers<double>(a, "dot"));
}

double largest_of(const py::array& x) {
  return holds<float>(x) ? largest_magnitude(numbers<float>(x, "largest_magnitude"))
                         : largest_magnitude(numbers<double>(x, "largest_magnitude"));
}

// A copy in float64, to be overwritten.
py::array matrix_of(const py::array& array, const char* what) {
  check<ValueError>(array.ndim() == 2 && array.shape(0) == array.shape(1), what,
                    ": a square matrix is expected, got shape ", shape_of(array));
  return as_contiguous(array, DType::float64, what).attr("copy")().cast<py::array>();
}

std::span<double> writable(py::array& array) {
  return {static_cast<double*>(array.mutable_data()), static_cast<std::size_t>(array.size())};
}

py::tuple eigen_of(const py::array& symmetric) {
  py::array vectors = matrix_of(symmetric, "symmetric_eigen");
  py::array values = new_array(DType::float64, Shape{vectors.shape(0)});
  const std::span<double> matrix = writable(vectors), into = writable(values);
  {
    const GilRelease release;
    symmetric_eigen(matrix, into);
  }
  return py::make_tuple(values, vectors);
}

std::optional<py::array> solve(const py::array& symmetric, const py::array& b) {
  py::array factor = matrix_of(symmetric, "solve_positive_definite");
  py::array x = as_contiguous(b, DType::float64, "solve_positive_definite").attr("copy")().cast<py::array>();
  const std::span<double> matrix = writable(factor), right = writable(x);
  check<ValueError>(b.ndim() == 1 && b.shape(0) == symmetric.shape(0),
                    "solve_positive_definite: a matrix of shape ", shape_of(symmetric), " and b of shape ",
                    shape_of(b));
  bool solved = false;
  {
    const GilRelease release;
    solved = solve_positive_definite(matrix, right);
  }
  return solved ? std::optional(x) : std::nullopt;
}

// Of either dtype.
class Pairs {
 public:
  Pairs(const std::string& dtype, std::size_t most) : pairs_(CurvaturePairs<double>(most)) {
    check<TypeError>(dtype == "float32" || dtype == "float64",
                     "CurvaturePairs: float32 or float64 is expected, got ", dtype);
    if (dtype == "float32") pairs_ = CurvaturePairs<float>(most);
  }
  bool add(const py::array& s, const py::array& y) {
    return std::visit(
        [&]<class T>(CurvaturePairs<T>& pairs) {
          return pairs.add(numbers<T>(s, "CurvaturePairs"), numbers<T>(y, "CurvaturePairs"));
        },
        pairs_);
  }
  void clear() {
    std::visit([](auto& pairs) { pairs.clear(); }, pairs_);
  }
  py::array direction(const py::array& g) const {
    return std::visit(
        [&]<class T>(const CurvaturePairs<T>& pairs) -> py::array {
          const std::span<const T> gradient = numbers<T>(g, "CurvaturePairs");
          py::array_t<T> result(g.size());
          const std::span<T> into(result.mutable_data(), gradient.size());
          {
            const GilRelease release;
            pairs.direction(gradient, into);
          }
          return result;
        },
        pairs_);
  }

 private:
  std::variant<CurvaturePairs<float>, CurvaturePairs<double>> pairs_;
};

}  // namespace

void bind_minimize(py::module_& module) {
  module.def("dot", &dot_of, py::arg("a"), py::arg("b"),
             "The inner product in float64, in an order that depends on the length alone.");
  module.def("largest_magnitude", &largest_of, py::arg("x"), "The largest |x|; NaN where there is one.");
  module.def("symmetric_eigen", &eigen_of, py::arg("matrix"),
             "Eigenvalues, ascending, and eigenvectors in the columns of a symmetric matrix [n, n].");
  module.def("solve_positive_definite", &solve, py::arg("matrix"), py::arg("b"),
             "The solution of matrix x = b; None where the matrix is not positive definite.");
  py::class_<Pairs>(module, "CurvaturePairs", "The inverse Hessian H of limited-memory BFGS.")
      .def(py::init<const std::string&, std::size_t>(), py::arg("dtype"), py::arg("most"))
      .def("add", &Pairs::add, py::arg("s"), py::arg("y"),
           "Adds a step and the change of the gradient; False where their curvature is not above rounding.")
      .def("clear", &Pairs::clear)
      .def("direction", &Pairs::direction, py::arg("g"), "-H g.");
}

}  // namespace ravine::bindings
