// Schedule-free rules: averaging in place of a falling learning rate.
#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "optim/rules.h"

namespace ravine::optim {

using namespace common;
using kernels::OptimizerRule;

namespace {

constexpr Scalar scalars[] = {{"weight_sum", 0}, {"lr_max", 0}};

// The weight of the new z in the average x: powers of the largest learning rate so far, so that a warm-up
// counts little.
double next_average_weight(const HyperValues& hyper, Progress& progress) {
  double& weight_sum = progress.scalars[0];
  double& lr_max = progress.scalars[1];
  lr_max = std::max(lr_max, hyper.at("lr"));
  const double weight = std::pow(lr_max, hyper.at("weight_lr_power"));
  weight_sum += weight;
  return weight_sum > 0 ? weight / weight_sum : 0;
}

constexpr Hyperparameter free_sgd_hyper[] = {
    {"lr", 1, 0, infinity}, {"beta", 0.9, 0, 1}, weight_decay, {"weight_lr_power", 2, 0, infinity}, maximize,
};
constexpr Slot free_sgd_slots[] = {{"z"}};

void check_free_sgd(const HyperValues& hyper) {
  check<ValueError>(hyper.at("beta") > 0, "schedule_free_sgd: beta must be above 0, got ", hyper.at("beta"));
}

KernelHyper prepare_free_sgd(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::ScheduleFreeSgdHyper>(hyper, progress);
  numbers.beta = hyper.at("beta");
  numbers.average_weight = next_average_weight(hyper, progress);
  return numbers;
}

constexpr Hyperparameter free_adamw_hyper[] = {
    {"lr", 2.5e-3, 0, infinity},         beta1,    beta2, eps(1e-8), weight_decay,
    {"weight_lr_power", 2, 0, infinity}, maximize,
};
constexpr Slot free_adamw_slots[] = {{"z"}, {"exp_avg_sq"}};

void check_free_adamw(const HyperValues& hyper) {
  check<ValueError>(hyper.at("beta1") > 0, "schedule_free_adamw: beta1 must be above 0, got ",
                    hyper.at("beta1"));
}

KernelHyper prepare_free_adamw(const HyperValues& hyper, Progress& progress) {
  auto numbers = numbers_of<kernels::ScheduleFreeAdamwHyper>(hyper, progress);
  numbers.average_weight = next_average_weight(hyper, progress);
  return numbers;
}

}  // namespace

const Rule schedule_free_sgd_rule{"schedule_free_sgd",
                                  OptimizerRule::schedule_free_sgd,
                                  free_sgd_hyper,
                                  free_sgd_slots,
                                  scalars,
                                  check_free_sgd,
                                  prepare_free_sgd,
                                  26};
const Rule schedule_free_adamw_rule{"schedule_free_adamw",
                                    OptimizerRule::schedule_free_adamw,
                                    free_adamw_hyper,
                                    free_adamw_slots,
                                    scalars,
                                    check_free_adamw,
                                    prepare_free_adamw,
                                    60};

}  // namespace ravine::optim
