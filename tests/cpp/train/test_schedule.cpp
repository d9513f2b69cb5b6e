#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "train/schedule.h"

namespace ravine::train {
namespace {

TEST(Schedule, FormulasHaveTheirValues) {
  const struct {
    const char* formula;
    std::vector<double> numbers;
    std::vector<double> expected;
  } cases[] = {
      {"constant", {0.5}, {0.5, 0.5}},
      {"cosine", {1, 4, 0}, {1, 0.5 + std::sqrt(0.125), 0.5, 0.5 - std::sqrt(0.125)}},
      {"cosine_restarts", {1, 2, 2, 0, 0.5}, {1, 0.5, 0.5, 0.25 + std::sqrt(0.5) / 4, 0.25}},
      {"cyclic", {0, 1, 2, 2, 0.5, 1}, {0, 0.5, 1, 0.5, 0, 0.25}},
      {"every", {0.5, 3}, {0, 0, 0.5, 0}},
      {"exponential", {1, 0.5, 1}, {1, 0.5, 0.25}},
      {"exponential_mean_share", {1, 1, 0.5, 1}, {0, 1, 2.0 / 3}},
      {"inverse_sqrt", {1, 1}, {1, std::sqrt(0.5)}},
      {"inverse_time", {1, 1, 1}, {1, 0.5, 1.0 / 3}},
      {"linear", {1, 0, 4}, {1, 0.75, 0.5, 0.25}},
      {"mean_share", {1, 2}, {0, 1, 0, 0.5}},
      {"multi_step", {1, 0.5, 2, 3}, {1, 1, 0.5, 0.25}},
      {"natural_exponential", {1, 1, 1}, {1, std::exp(-1.0)}},
      {"noise_std", {4, 2}, {2, 1}},
      {"one_cycle", {0.1, 0, 5, 2, 1, 4, 0}, {0.1, 0.55, 1, 0.5, 0}},
      {"piecewise", {1, 3, 0.1, 0.5, 0.2}, {0.1, 0.5, 0.5, 0.2}},
      {"polynomial", {1, 4, 2, 0}, {1, 0.5625, 0.25, 0.0625}},
      {"step_decay", {1, 2, 0.5}, {1, 1, 0.5, 0.5, 0.25}},
      {"warmup_constant", {1, 2, 0.1}, {0.1, 0.1}},
      {"warmup_exponential", {1, 2, 0.01}, {0.01, 0.1}},
      {"warmup_linear", {1, 2, 0}, {0, 0.5}},
  };
  std::vector<std::string> tested{"hold", "product", "sequence", "take"};  // in the next test
  for (const auto& [formula, numbers, expected] : cases) {
    SCOPED_TRACE(formula);
    const SchedulePtr schedule = make_schedule(formula, numbers);
    for (std::size_t step = 0; step < expected.size(); ++step)
      EXPECT_NEAR(schedule->at(static_cast<std::int64_t>(step)), expected[step], 1e-15) << "step " << step;
    tested.emplace_back(formula);
  }
  for (const Formula& formula : all_formulas())
    EXPECT_NE(std::find(tested.begin(), tested.end(), formula.name), tested.end()) << formula.name;
}

TEST(Schedule, Compose) {
  const SchedulePtr falling = make_schedule("linear", {1, 0, 2}), half = make_schedule("constant", {0.5});
  const SchedulePtr both = make_schedule("sequence", {}, {falling, half});
  EXPECT_EQ(both->at(1), 0.5);
  EXPECT_EQ(both->at(100), 0.5);
  EXPECT_EQ(both->steps(), std::nullopt);
  EXPECT_EQ(make_schedule("hold", {}, {falling})->at(7), 0.0);
  const SchedulePtr product = make_schedule("product", {}, {falling, half});
  EXPECT_EQ(product->at(1), 0.25);
  EXPECT_EQ(product->steps(), 2);
  EXPECT_EQ(make_schedule("take", {1}, {half})->steps(), 1);
}

TEST(Schedule, RefusesWhatItHasNot) {
  EXPECT_THROW(make_schedule("cosin", {1}), KeyError);
  EXPECT_THROW(make_schedule("cosine", {1}), ValueError);
  EXPECT_THROW(make_schedule("hold", {}), ValueError);
  try {
    make_schedule("linear", {1, 0, 2})->at(2);
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("linear(1, 0, 2) spans 2 steps, and step 2"), std::string::npos)
        << error.what();
  }
}

TEST(Schedule, APlateauFallsWhenTheMetricStandsStill) {
  Plateau plateau(make_schedule("constant", {1}),
                  {.factor = 0.5, .patience = 1, .cooldown = 0, .min_value = 0.2});
  for (const double metric : {1.0, 0.9, 0.9}) plateau.update(metric);
  EXPECT_EQ(plateau.at(0), 1.0);
  plateau.update(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(plateau.at(0), 0.5);
  const Plateau::State kept = plateau.state();
  for (int i = 0; i < 8; ++i) plateau.update(2);
  EXPECT_EQ(plateau.at(0), 0.2);
  plateau.set_state(kept);
  EXPECT_EQ(plateau.at(0), 0.5);
}

TEST(Schedule, ACallbackIsAskedOnceAStep) {
  int asked = 0;
  const Callback callback([&](std::int64_t step) {
    ++asked;
    return static_cast<double>(step);
  });
  EXPECT_EQ(callback.at(3) + callback.at(3) + callback.at(4), 10.0);
  EXPECT_EQ(asked, 2);
  EXPECT_TRUE(callback.foreign());
}

}  // namespace
}  // namespace ravine::train
