// Plain gradient steps, with momentum, with averaging, by signs.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "optim/rules.h"

namespace ravine::optim {

using namespace common;
using kernels::OptimizerRule;

// ---- SGD

namespace {

constexpr Hyperparameter sgd_hyper[] = {
    lr,           {"momentum", 0, 0, infinity}, {"dampening", 0, -infinity, infinity},
    weight_decay, {"nesterov", 0, 0, 0, true},  maximize,
};
constexpr Slot sgd_slots[] = {{"momentum_buffer", "momentum"}};

void check_sgd(const HyperValues& hyper) {
  check<ValueError>(!hyper.on("nesterov") || (hyper.at("momentum") > 0 && hyper.at("dampening") == 0),
                    "sgd: nesterov needs momentum > 0 and dampening = 0, got momentum = ",
                    hyper.at("momentum"), " and dampening = ", hyper.at("dampening"));
}

KernelHyper prepare_sgd(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::SgdHyper>(hyper, progress);
  numbers.dampening = hyper.at("dampening");
  return numbers;
}

constexpr RowStep sgd_rows{OptimizerRule::sgd, later_step<kernels::SgdHyper, prepare_sgd>};

}  // namespace

const Rule sgd_rule{"sgd",     OptimizerRule::sgd, sgd_hyper, sgd_slots, {},
                    check_sgd, prepare_sgd,        8,         nullptr,   &sgd_rows};

// ---- ASGD

namespace {

constexpr Hyperparameter asgd_hyper[] = {
    {"lr", 1e-2, 0, infinity},
    {"lambd", 1e-4, 0, infinity},
    {"alpha", 0.75, 0, infinity},
    {"t0", 1e6, 0, infinity},
    weight_decay,
    maximize,
};
constexpr Slot asgd_slots[] = {{"ax"}};

// eta = lr / (1 + lambd lr t)^alpha and mu = 1 / max(1, t - t0) for t steps done.
KernelHyper prepare_asgd(const HyperValues& hyper, Progress& progress) {
  const double t = static_cast<double>(progress.step - 1), rate = hyper.at("lr"), lambd = hyper.at("lambd");
  auto numbers = numbers_of<kernels::AsgdHyper>(hyper, progress);
  numbers.eta = rate / std::pow(1 + lambd * rate * t, hyper.at("alpha"));
  numbers.mu = 1 / std::max(1.0, t - hyper.at("t0"));
  numbers.lambd = lambd;
  return numbers;
}

}  // namespace

const Rule asgd_rule{"asgd", OptimizerRule::asgd, asgd_hyper, asgd_slots, {}, nullptr, prepare_asgd, 8};

// ---- Rprop

namespace {

constexpr Hyperparameter rprop_hyper[] = {
    {"lr", 1e-2, 0, infinity},          {"eta_minus", 0.5, 0, 1},
    {"eta_plus", 1.2, 1, infinity},     {"step_size_min", 1e-6, 0, infinity},
    {"step_size_max", 50, 0, infinity}, maximize,
};
constexpr Slot rprop_slots[] = {{"prev"}, {"step_size"}};

void check_rprop(const HyperValues& hyper) {
  check<ValueError>(hyper.at("step_size_min") <= hyper.at("step_size_max"),
                    "rprop: step_size_min = ", hyper.at("step_size_min"),
                    " is above step_size_max = ", hyper.at("step_size_max"));
}

KernelHyper prepare_rprop(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::RpropHyper>(hyper, progress);
  numbers.first_size = hyper.at("lr");
  numbers.eta_minus = hyper.at("eta_minus");
  numbers.eta_plus = hyper.at("eta_plus");
  numbers.size_min = hyper.at("step_size_min");
  numbers.size_max = hyper.at("step_size_max");
  return numbers;
}

}  // namespace

const Rule rprop_rule{"rprop", OptimizerRule::rprop, rprop_hyper,   rprop_slots,
                      {},      check_rprop,          prepare_rprop, 12};

// ---- Lion

namespace {

constexpr Hyperparameter lion_hyper[] = {
    {"lr", 1e-4, 0, infinity}, beta1, {"beta2", 0.99, 0, 1}, weight_decay, maximize,
};
constexpr Slot lion_slots[] = {{"exp_avg"}};

}  // namespace

const Rule lion_rule{"lion",  OptimizerRule::lion,         lion_hyper, lion_slots, {},
                     nullptr, prepare<kernels::LionHyper>, 10};

// ---- LARS

namespace {

constexpr Hyperparameter lars_hyper[] = {
    lr,     {"momentum", 0.9, 0, infinity}, weight_decay, {"trust_coefficient", 0.001, 0, infinity},
    eps(0), {"nesterov", 0, 0, 0, true},    maximize,
};
constexpr Slot lars_slots[] = {{"momentum_buffer"}};

KernelHyper prepare_lars(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::LarsHyper>(hyper, progress);
  numbers.trust_coefficient = hyper.at("trust_coefficient");
  return numbers;
}

}  // namespace

const Rule lars_rule{"lars", OptimizerRule::lars, lars_hyper, lars_slots, {}, nullptr, prepare_lars, 16};

}  // namespace ravine::optim
