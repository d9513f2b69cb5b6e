// Sums or means of squared gradients, without bias correction.
#include "optim/rules.h"

namespace ravine::optim {

using namespace common;
using kernels::OptimizerRule;

namespace {

// ---- Adagrad

constexpr Hyperparameter adagrad_hyper[] = {
    {"lr", 1e-2, 0, infinity},
    {"lr_decay", 0, 0, infinity},
    weight_decay,
    {"initial_accumulator_value", 0, 0, infinity},
    eps(1e-10),
    maximize,
};
constexpr Slot adagrad_slots[] = {{.name = "sum", .begins_as = "initial_accumulator_value"}};

KernelHyper prepare_adagrad(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::AdagradHyper>(hyper, progress);
  numbers.lr /= 1 + static_cast<double>(progress.step - 1) * hyper.at("lr_decay");
  numbers.initial_accumulator = hyper.at("initial_accumulator_value");
  return numbers;
}

constexpr RowStep adagrad_rows{OptimizerRule::adagrad, later_step<kernels::AdagradHyper, prepare_adagrad>};

// ---- row-wise Adagrad: a number a row of matrices, Adagrad for vectors

constexpr Slot rowwise_adagrad_slots[] = {
    {"sum", nullptr,
     [](const Shape& parameter) { return parameter.rank() > 1 ? std::nullopt : std::optional(parameter); },
     "initial_accumulator_value"},
    {"row_sum", nullptr,
     [](const Shape& parameter) {
       Shape shape = Shape::filled(parameter.rank(), 1);
       if (parameter.rank() > 1) shape[0] = parameter[0];
       return parameter.rank() > 1 ? std::optional(shape) : std::nullopt;
     },
     "initial_accumulator_value"},
};

constexpr MatrixStep rowwise_adagrad_matrices{
    &kernels::FloatKernels::rowwise_adagrad_matrices, nullptr, first_axis_by_rest,
    [](const kernels::MatrixShape& shape) { return 8 * static_cast<double>(shape.size()); }};
constexpr RowStep rowwise_adagrad_rows{OptimizerRule::rowwise_adagrad,
                                       later_step<kernels::AdagradHyper, prepare_adagrad>};

// ---- Adadelta

constexpr Hyperparameter adadelta_hyper[] = {
    {"lr", 1, 0, infinity}, {"rho", 0.9, 0, 1}, eps(1e-6), weight_decay, maximize,
};
constexpr Slot adadelta_slots[] = {{"square_avg"}, {"acc_delta"}};

KernelHyper prepare_adadelta(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::AdadeltaHyper>(hyper, progress);
  numbers.rho = hyper.at("rho");
  return numbers;
}

// ---- RMSprop

constexpr Hyperparameter rmsprop_hyper[] = {
    {"lr", 1e-2, 0, infinity},    {"alpha", 0.99, 0, 1},       eps(1e-8), weight_decay,
    {"momentum", 0, 0, infinity}, {"centered", 0, 0, 0, true}, maximize,
};
constexpr Slot rmsprop_slots[] = {{"square_avg"}, {"momentum_buffer", "momentum"}, {"grad_avg", "centered"}};

KernelHyper prepare_rmsprop(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::RmspropHyper>(hyper, progress);
  numbers.alpha = hyper.at("alpha");
  numbers.centered = hyper.at("centered");
  return numbers;
}

}  // namespace

const Rule adagrad_rule{
    "adagrad", OptimizerRule::adagrad, adagrad_hyper, adagrad_slots, {}, nullptr, prepare_adagrad, 26,
    nullptr,   &adagrad_rows};
const Rule rowwise_adagrad_rule{"rowwise_adagrad",
                                OptimizerRule::adagrad,
                                adagrad_hyper,
                                rowwise_adagrad_slots,
                                {},
                                nullptr,
                                prepare_adagrad,
                                26,
                                &rowwise_adagrad_matrices,
                                &rowwise_adagrad_rows};
const Rule adadelta_rule{
    "adadelta", OptimizerRule::adadelta, adadelta_hyper, adadelta_slots, {}, nullptr, prepare_adadelta, 46};
const Rule rmsprop_rule{
    "rmsprop", OptimizerRule::rmsprop, rmsprop_hyper, rmsprop_slots, {}, nullptr, prepare_rmsprop, 30};

}  // namespace ravine::optim
