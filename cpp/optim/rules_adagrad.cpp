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
constexpr Slot adagrad_slots[] = {{"sum"}};

KernelHyper prepare_adagrad(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::AdagradHyper>(hyper, progress);
  numbers.lr /= 1 + static_cast<double>(progress.step - 1) * hyper.at("lr_decay");
  numbers.initial_accumulator = hyper.at("initial_accumulator_value");
  return numbers;
}

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
    "adagrad", OptimizerRule::adagrad, adagrad_hyper, adagrad_slots, {}, nullptr, prepare_adagrad, 26};
const Rule adadelta_rule{
    "adadelta", OptimizerRule::adadelta, adadelta_hyper, adadelta_slots, {}, nullptr, prepare_adadelta, 46};
const Rule rmsprop_rule{
    "rmsprop", OptimizerRule::rmsprop, rmsprop_hyper, rmsprop_slots, {}, nullptr, prepare_rmsprop, 30};

}  // namespace ravine::optim
