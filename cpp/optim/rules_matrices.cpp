// Rules that see a parameter of two axes and more as a matrix, and others as a vector.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "optim/rules.h"

namespace ravine::optim {

using namespace common;
using kernels::FloatKernels;
using kernels::MatrixShape;
using kernels::OptimizerRule;

namespace {

std::optional<Shape> of_vector(const Shape& parameter) {
  return parameter.rank() > 1 ? std::nullopt : std::optional(parameter);
}
std::optional<Shape> of_matrix(const Shape& parameter) {
  return parameter.rank() > 1 ? std::optional(parameter) : std::nullopt;
}
// The shape without an axis, which counts from the end.
std::optional<Shape> without(const Shape& parameter, int axis) {
  if (parameter.rank() < 2) return std::nullopt;
  Shape shape = parameter;
  shape[parameter.rank() - axis] = 1;
  return shape;
}

// ---- Adafactor

constexpr Hyperparameter adafactor_hyper[] = {
    {"lr", 1e-2, 0, infinity},
    {"beta2_decay", -0.8, -infinity, infinity},
    {"eps1", 0, 0, infinity},
    {"machine_eps", 1, 0, 0, true},  // that of the dtype in the place of eps1
    {"eps2", 1e-3, 0, infinity},
    {"d", 1, 1, infinity},
    weight_decay,
    maximize,
};
constexpr Slot adafactor_slots[] = {
    {"variance", nullptr, of_vector},
    {"row_var", nullptr, [](const Shape& parameter) { return without(parameter, 1); }},
    {"col_var", nullptr, [](const Shape& parameter) { return without(parameter, 2); }},
};

void check_adafactor(const HyperValues& hyper) {
  check<ValueError>(hyper.at("beta2_decay") <= 0, "adafactor: beta2_decay must be at most 0, got ",
                    hyper.at("beta2_decay"));
}

KernelHyper prepare_adafactor(const HyperValues& hyper, Progress& progress) {
  const double t = static_cast<double>(progress.step);
  return kernels::AdafactorHyper{.rate = std::min(hyper.at("lr"), 1 / std::sqrt(t)),
                                 .share = std::pow(t, hyper.at("beta2_decay")),
                                 .machine_eps = hyper.at("machine_eps"),
                                 .eps1 = hyper.at("eps1"),
                                 .eps2 = hyper.at("eps2"),
                                 .d = hyper.at("d"),
                                 .decay = hyper.at("lr") * hyper.at("weight_decay")};
}

// The last two axes are rows and columns, axes before them count matrices.
MatrixShape last_two_axes(const Shape& parameter, Layout layout) {
  const int rank = parameter.rank();
  if (layout == Layout::channels_last)
    return {.batch = parameter[0], .rows = parameter[2], .columns = parameter[3], .inner = parameter[1]};
  MatrixShape shape{.rows = parameter[rank - 2], .columns = parameter[rank - 1]};
  for (int axis = 0; axis < rank - 2; ++axis) shape.batch *= parameter[axis];
  return shape;
}

constexpr MatrixStep adafactor_matrices{
    &FloatKernels::adafactor_matrices, &FloatKernels::adafactor_matrices_workspace, last_two_axes,
    [](const MatrixShape& shape) { return 20 * static_cast<double>(shape.size()); }};

// ---- Muon

constexpr Hyperparameter muon_hyper[] = {
    lr,
    {"weight_decay", 0.1, 0, infinity},
    {"momentum", 0.95, 0, 1},
    {"nesterov", 1, 0, 0, true},
    {"ns_a", 3.4445, -infinity, infinity},
    {"ns_b", -4.775, -infinity, infinity},
    {"ns_c", 2.0315, -infinity, infinity},
    eps(1e-7),
    {"ns_steps", 5, 1, 1e6},
    {"match_rms_adamw", 0, 0, 0, true},
    {"adam_lr", 1e-3, 0, infinity},
    {"adam_beta1", 0.9, 0, 1},
    {"adam_beta2", 0.999, 0, 1},
    maximize,
};
constexpr Slot muon_slots[] = {
    {"exp_avg", nullptr, of_vector},
    {"exp_avg_sq", nullptr, of_vector},
    {"momentum_buffer", nullptr, of_matrix},
};

void check_muon(const HyperValues& hyper) {
  check<ValueError>(hyper.at("ns_steps") == std::floor(hyper.at("ns_steps")),
                    "muon: ns_steps must be a whole number, got ", hyper.at("ns_steps"));
}

KernelHyper prepare_muon(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::MuonHyper>(hyper, progress);
  const double beta1 = hyper.at("adam_beta1"), beta2 = hyper.at("adam_beta2");
  numbers.adam = {.lr = hyper.at("adam_lr"),
                  .beta1 = beta1,
                  .beta2 = beta2,
                  .weight_decay = numbers.weight_decay,
                  .decoupled = 1,
                  .bias_correction1 = bias_correction(beta1, progress.step),
                  .bias_correction2 = bias_correction(beta2, progress.step)};
  numbers.a = hyper.at("ns_a");
  numbers.b = hyper.at("ns_b");
  numbers.c = hyper.at("ns_c");
  numbers.iterations = hyper.at("ns_steps");
  numbers.match_rms_adamw = hyper.at("match_rms_adamw");
  return numbers;
}

constexpr MatrixStep muon_matrices{&FloatKernels::muon_matrices, &FloatKernels::muon_matrices_workspace,
                                   first_axis_by_rest,
                                   [](const MatrixShape& shape) {  // of five iterations
                                     return 30 * static_cast<double>(shape.size()) *
                                            static_cast<double>(std::min(shape.rows, shape.columns));
                                   }};

}  // namespace

MatrixShape common::first_axis_by_rest(const Shape& parameter, Layout) {
  MatrixShape shape{.rows = parameter[0], .columns = 1};
  for (int axis = 1; axis < parameter.rank(); ++axis) shape.columns *= parameter[axis];
  return shape;
}

const Rule adafactor_rule{"adafactor",
                          OptimizerRule::adafactor,
                          adafactor_hyper,
                          adafactor_slots,
                          {},
                          check_adafactor,
                          prepare_adafactor,
                          40,
                          &adafactor_matrices};
const Rule muon_rule{"muon",     OptimizerRule::adam, muon_hyper, muon_slots,    {},
                     check_muon, prepare_muon,        30,         &muon_matrices};

}  // namespace ravine::optim
