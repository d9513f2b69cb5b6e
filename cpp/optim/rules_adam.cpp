// Running means of the gradient over a running second moment.
#include <cmath>

#include "optim/rules.h"

namespace ravine::optim {

using namespace common;
using kernels::OptimizerRule;

namespace {

constexpr Slot two_moments[] = {{"exp_avg"}, {"exp_avg_sq"}};

// ---- Adam, AdamW

constexpr Hyperparameter adam_hyper[] = {
    lr, beta1, beta2, eps(1e-8), weight_decay, decoupled, {"amsgrad", 0, 0, 0, true}, maximize,
};
constexpr Slot adam_slots[] = {{"exp_avg"}, {"exp_avg_sq"}, {"max_exp_avg_sq", "amsgrad"}};

KernelHyper prepare_adam(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::AdamHyper>(hyper, progress);
  numbers.amsgrad = hyper.at("amsgrad");
  return numbers;
}

constexpr RowStep adam_rows{OptimizerRule::adam, prepare_adam};

// ---- SparseAdam

constexpr Hyperparameter sparse_adam_hyper[] = {lr, beta1, beta2, eps(1e-8), maximize};

// eps stands beside the root before it is corrected: (sqrt(v) + eps) / sqrt(1 - beta2^t).
KernelHyper prepare_sparse_adam(const HyperValues& hyper, Progress& progress) {
  const double beta1 = hyper.at("beta1"), beta2 = hyper.at("beta2");
  const double correction2 = bias_correction(beta2, progress.step);
  return kernels::AdamHyper{.lr = hyper.at("lr"),
                            .beta1 = beta1,
                            .beta2 = beta2,
                            .eps = hyper.at("eps") / std::sqrt(correction2),
                            .bias_correction1 = bias_correction(beta1, progress.step),
                            .bias_correction2 = correction2};
}

constexpr RowStep sparse_adam_rows{OptimizerRule::adam, prepare_sparse_adam};

// ---- Adamax

constexpr Hyperparameter adamax_hyper[] = {
    {"lr", 2e-3, 0, infinity}, beta1, beta2, eps(1e-8), weight_decay, maximize,
};
constexpr Slot adamax_slots[] = {{"exp_avg"}, {"exp_inf"}};

// ---- NAdam

constexpr Hyperparameter nadam_hyper[] = {
    {"lr", 2e-3, 0, infinity},
    beta1,
    beta2,
    eps(1e-8),
    weight_decay,
    {"momentum_decay", 4e-3, 0, infinity},
    decoupled,
    maximize,
};
constexpr Scalar nadam_scalars[] = {{"mu_product", 1}};

KernelHyper prepare_nadam(const HyperValues& hyper, Progress& progress) {
  const double t = static_cast<double>(progress.step), b1 = hyper.at("beta1");
  const auto mu_of = [&](double step) {
    return b1 * (1 - 0.5 * std::pow(0.96, step * hyper.at("momentum_decay")));
  };
  const double mu = mu_of(t), mu_next = mu_of(t + 1);
  double& mu_product = progress.scalars[0];
  mu_product *= mu;
  auto numbers = numbers_of<kernels::NadamHyper>(hyper, progress);
  numbers.gradient_share = (1 - mu) / (1 - mu_product);
  numbers.average_share = mu_next / (1 - mu_product * mu_next);
  return numbers;
}

// ---- RAdam

constexpr Hyperparameter radam_hyper[] = {
    lr, beta1, beta2, eps(1e-8), weight_decay, decoupled, maximize,
};

KernelHyper prepare_radam(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::RadamHyper>(hyper, progress);
  const double t = static_cast<double>(progress.step), b2 = numbers.beta2;
  // Lengths of the simple moving average that v comes near to: in the end, and now.
  const double rho_end = 2 / (1 - b2) - 1;
  const double rho = rho_end - 2 * t * std::pow(b2, t) / numbers.bias_correction2;
  numbers.rectification =
      rho > 5 ? std::sqrt((rho - 4) * (rho - 2) * rho_end / ((rho_end - 4) * (rho_end - 2) * rho)) : 0;
  return numbers;
}

// ---- AdaBelief

constexpr Hyperparameter adabelief_hyper[] = {
    lr, beta1, beta2, eps(1e-16), {"eps_root", 1e-16, 0, infinity}, weight_decay, decoupled, maximize,
};
constexpr Slot adabelief_slots[] = {{"exp_avg"}, {"exp_avg_var"}};

// ---- Yogi

constexpr Hyperparameter yogi_hyper[] = {
    {"lr", 1e-2, 0, infinity},
    beta1,
    beta2,
    eps(1e-3),
    {"initial_accumulator_value", 1e-6, 0, infinity},
    weight_decay,
    decoupled,
    maximize,
};

KernelHyper prepare_yogi(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::YogiHyper>(hyper, progress);
  numbers.initial_accumulator = hyper.at("initial_accumulator_value");
  return numbers;
}

// ---- Adan

constexpr Hyperparameter adan_hyper[] = {
    lr,        {"beta1", 0.98, 0, 1},           {"beta2", 0.92, 0, 1}, {"beta3", 0.99, 0, 1},
    eps(1e-8), {"eps_root", 1e-8, 0, infinity}, weight_decay,          maximize,
};
constexpr Slot adan_slots[] = {{"exp_avg"}, {"exp_avg_diff"}, {"exp_avg_sq"}, {"previous_gradient"}};

KernelHyper prepare_adan(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::AdanHyper>(hyper, progress);
  numbers.beta3 = hyper.at("beta3");
  numbers.bias_correction3 = bias_correction(numbers.beta3, progress.step);
  return numbers;
}

// ---- LAMB

constexpr Hyperparameter lamb_hyper[] = {
    lr, beta1, beta2, eps(1e-6), weight_decay, maximize,
};

}  // namespace

const Rule adam_rule{"adam",  OptimizerRule::adam, adam_hyper, adam_slots, {},
                     nullptr, prepare_adam,        30,         nullptr,    &adam_rows};
const Rule sparse_adam_rule{
    "sparse_adam", OptimizerRule::adam, sparse_adam_hyper, two_moments, {}, nullptr, prepare_sparse_adam, 30,
    nullptr,       &sparse_adam_rows};
const Rule adamax_rule{
    "adamax", OptimizerRule::adamax, adamax_hyper, adamax_slots, {}, nullptr, prepare<kernels::AdamaxHyper>,
    24};
const Rule nadam_rule{"nadam", OptimizerRule::nadam, nadam_hyper, two_moments, nadam_scalars,
                      nullptr, prepare_nadam,        40};
const Rule radam_rule{"radam", OptimizerRule::radam, radam_hyper, two_moments, {},
                      nullptr, prepare_radam,        30};
const Rule adabelief_rule{"adabelief",
                          OptimizerRule::adabelief,
                          adabelief_hyper,
                          adabelief_slots,
                          {},
                          nullptr,
                          prepare<kernels::AdabeliefHyper>,
                          36};
const Rule yogi_rule{"yogi", OptimizerRule::yogi, yogi_hyper, two_moments, {}, nullptr, prepare_yogi, 36};
const Rule adan_rule{"adan", OptimizerRule::adan, adan_hyper, adan_slots, {}, nullptr, prepare_adan, 50};
const Rule lamb_rule{"lamb",  OptimizerRule::lamb,         lamb_hyper, two_moments, {},
                     nullptr, prepare<kernels::LambHyper>, 60};

}  // namespace ravine::optim
