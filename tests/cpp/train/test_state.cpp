#include "train/state.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "graph/autodiff.h"
#include "graph/program.h"
#include "ops/builders.h"
#include "rules/op_table.h"

namespace ravine::train {
namespace {

Description sgd(double lr, std::vector<Stage> stages = {}) {
  Description description;
  description.owner = "SGD";
  description.rule = "sgd";
  description.groups.emplace_back();
  description.groups[0].hyper.push_back({"lr", "lr", lr});
  description.stages = std::move(stages);
  return description;
}

// Parameters w [n], whose gradients are the inputs; one program for each phase.
struct Model {
  std::vector<NamedParameter> parameters;
  std::shared_ptr<TrainState> state;
  std::vector<std::pair<TrainState::Phase, std::unique_ptr<Program>>> programs;

  explicit Model(Description description, std::int64_t n = 4, int n_parameters = 2)
      : state(std::make_shared<TrainState>(std::move(description))) {
    for (int i = 0; i < n_parameters; ++i) {
      parameters.push_back({str("w", i), Array(DType::float64, Shape{n})});
      std::fill_n(weight(i), n, 1.0);
    }
  }
  double* weight(int i) const { return parameters[static_cast<std::size_t>(i)].array.as<double>(); }

  Program& program() {
    for (const auto& [phase, made] : programs)
      if (phase == state->phase()) return *made;
    Graph graph(op_table());
    Values slopes, weights;
    for (const NamedParameter& parameter : parameters) {
      slopes.push_back(graph.input({DType::float64, parameter.array.shape()}));
      weights.push_back(graph.state(parameter.array));
    }
    state->bind(parameters);
    state->record(graph, slopes);
    programs.emplace_back(state->phase(), compile(graph, {}));
    return *programs.back().second;
  }

  void step(double slope) {
    const std::vector<double> slopes(static_cast<std::size_t>(parameters[0].array.size()), slope);
    const std::vector<const void*> inputs(parameters.size(), slopes.data());
    program().run(inputs, {});
  }
};

TEST(TrainState, CountsWhatItUpdates) {
  Model model(sgd(0.5));
  model.step(1);
  model.step(1);
  EXPECT_EQ(model.weight(0)[0], 0.0);
  EXPECT_EQ(model.state->steps(), 2);
  EXPECT_EQ(model.state->lr(), 0.5);
  EXPECT_EQ(model.programs.size(), 1u);
}

TEST(TrainState, NumbersChangeBetweenRuns) {
  Model model(sgd(1, {make_stage("clip_by_value", {{"bound", 0.5}})}));
  model.step(3);
  EXPECT_EQ(model.weight(1)[2], 0.5);
  model.state->describe(sgd(2, {make_stage("clip_by_value", {{"bound", 0.125}})}));
  EXPECT_EQ(model.state->generation(), 1u);
  model.step(3);
  EXPECT_EQ(model.weight(1)[2], 0.25);
  // Turned off, it asks for another program.
  model.state->describe(sgd(2));
  EXPECT_EQ(model.state->generation(), 2u);
  EXPECT_THROW(model.step(3), RuntimeError);
  EXPECT_EQ(model.weight(1)[2], 0.25);
  model.programs.clear();
  model.step(3);
  EXPECT_EQ(model.weight(1)[2], -5.75);
  EXPECT_EQ(model.state->steps(), 3);
}

TEST(TrainState, AnInvalidNumberChangesNothing) {
  Model model(sgd(0.5));
  Description description = sgd(0);
  description.groups[0].hyper[0].number = make_schedule("linear", {0.5, -0.5, 2});
  model.state->describe(description);
  model.step(1);
  model.step(1);  // 0
  try {
    model.step(1);
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("spans 2 steps"), std::string::npos) << error.what();
  }
  description.groups[0].hyper[0].number = make_schedule("constant", {-1});
  model.state->describe(description);
  try {
    model.step(1);
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_STREQ(error.what(), "SGD: lr in step 2 must be a finite number at least 0, got -1.0");
  }
  EXPECT_EQ(model.weight(0)[0], 0.5);
  EXPECT_EQ(model.state->steps(), 2);
}

TEST(TrainState, GathersGradients) {
  Model model(sgd(1, {make_stage("accumulate", {{"calls", 2}})}));
  for (const double slope : {1.0, 3.0, 5.0}) model.step(slope);
  EXPECT_EQ(model.weight(0)[0], -1.0);
  EXPECT_EQ(model.state->steps(), 1);
  EXPECT_EQ(model.state->gathered(), 1);
  Model other(sgd(1, {make_stage("accumulate", {{"calls", 2}})}));
  other.state->load_state_dict(model.state->state_dict(), other.parameters);
  other.step(1);
  EXPECT_EQ(other.weight(0)[0], 1 - 3.0);
}

TEST(TrainState, SkipsWhatIsNotFinite) {
  Model model(sgd(1, {make_stage("skip_nonfinite", {})}));
  model.step(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(model.weight(0)[0], 1.0);
  EXPECT_EQ(model.state->skipped(), 1);
  EXPECT_EQ(model.state->steps(), 0);
  model.step(1);
  EXPECT_EQ(model.weight(0)[0], 0.0);
  EXPECT_EQ(model.state->steps(), 1);
}

TEST(TrainState, ParametersLeaveAndComeBack) {
  Model model(sgd(1));
  Description momentum = sgd(1);
  momentum.groups[0].hyper.push_back({"momentum", "momentum", 0.5});
  model.state->describe(momentum);
  model.step(1);
  std::vector<NamedParameter> all = model.parameters;
  model.parameters.pop_back();
  model.programs.clear();
  model.step(1);
  EXPECT_EQ(model.weight(0)[0], 1 - 1 - 1.5);
  model.parameters = all;
  model.programs.clear();
  model.step(0);
  EXPECT_EQ(model.weight(1)[0], 1 - 1 - 0.5);
  const NamedArrays state = model.state->state_dict();
  for (const auto& [key, array] : state) {
    if (!key.starts_with("optimizer.") || !key.ends_with(".step")) continue;
    EXPECT_EQ(*array.as<std::int64_t>(), key == "optimizer.w0.step" ? 3 : 2) << key;
  }
}

TEST(TrainState, LoadsAllOrNothing) {
  Model model(sgd(1));
  model.step(1);
  NamedArrays state = model.state->state_dict();
  state.emplace_back("optimizer.w0.momentum", Array(DType::float64, Shape{4}));
  state.emplace_back("optimizer.w9.step", Array::scalar(1, DType::int64));
  state.emplace_back("preconditioner.w0.s", Array(DType::float64, Shape{4}));
  state.emplace_back("w0.step", Array::scalar(1, DType::int64));
  state[0].second = Array::scalar(-1, DType::int64);
  try {
    model.state->load_state_dict(state, model.parameters);
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_STREQ(
        error.what(),
        "load_state_dict of SGD: unexpected key w0.step; optimizer.steps: expected a number of steps, "
        "got -1; unexpected key optimizer.w9.step; unexpected key optimizer.w0.momentum; unexpected "
        "key preconditioner.w0.s");
  }
  model.step(1);
  EXPECT_EQ(model.state->steps(), 2);
}

TEST(TrainState, AveragesAndSlowWeights) {
  Description description = sgd(1);
  description.average = make_schedule("mean_share", {0, 1});
  description.slow = make_schedule("every", {0.5, 2});
  Model model(description);
  model.step(1);  // 0
  model.step(1);  // -1, and the slow weight 1 moves half the way: 0
  EXPECT_EQ(model.weight(0)[0], 0.0);
  EXPECT_TRUE(model.state->keeps_average());
  const NamedArrays averages = model.state->averages(model.parameters);
  ASSERT_EQ(averages.size(), 2u);
  EXPECT_EQ(averages[0].second.as<double>()[0], 0.0);
  EXPECT_FALSE(model.state->refuse_runs(true));
  EXPECT_THROW(model.step(1), RuntimeError);
  EXPECT_EQ(model.state->steps(), 2);
}

// Whoever reads beside a training thread sees one step.
TEST(TrainState, AReaderSeesOneStep) {
  Model model(sgd(1), 1 << 12, 3);
  model.step(1);
  std::atomic<bool> stop{false};
  std::thread trainer([&] {
    while (!stop) model.step(1);
  });
  for (int i = 0; i < 50; ++i) {
    std::int64_t steps = -1;
    for (const auto& [key, array] : model.state->state_dict()) {
      if (!key.starts_with("optimizer.")) continue;
      if (key == "optimizer.steps") steps = *array.as<std::int64_t>();
      EXPECT_EQ(*array.as<std::int64_t>(), steps) << key;
    }
  }
  stop = true;
  trainer.join();
  EXPECT_EQ(model.weight(2)[0], 1.0 - static_cast<double>(model.state->steps()));
}

// The largest and the least number of each parameter, in one program.
std::unique_ptr<Program> limits_of(const Model& model) {
  Graph graph(op_table());
  Values limits;
  for (const NamedParameter& parameter : model.parameters)
    for (const char* op : {"max", "min"})
      limits.push_back(
          graph.apply1(op, {graph.state(parameter.array)}, {{"axes", Axes{0}}, {"keepdims", false}}));
  CompileOptions options;
  options.keep_derived = true;
  return compile(graph, limits, options);
}

std::vector<double> values_of(Program& program) {
  std::vector<double> values(program.output_types().size());
  std::vector<void*> outputs;
  for (double& value : values) outputs.push_back(&value);
  program.run({}, outputs);
  return values;
}

TEST(TrainState, PredictionsBesideATrainingThreadAreOfOneStep) {
  const std::int64_t n = 1 << 15;
  Model model(sgd(1), n, 3);
  const std::unique_ptr<Program> early = limits_of(model);  // before anybody trains
  EXPECT_EQ(values_of(*early), std::vector<double>(6, 1.0));
  model.step(1);
  EXPECT_EQ(values_of(*early), std::vector<double>(6, 0.0));  // in the thread that trains
  std::atomic<bool> stop{false};
  std::thread trainer([&] {
    while (!stop) model.step(1);
  });
  const auto predict = [&](Program& program) {
    double last = 1;
    for (int i = 0; i < 50; ++i) {
      const double least = 1 - static_cast<double>(model.state->steps());
      const std::vector<double> values = values_of(program);
      EXPECT_EQ(values, std::vector<double>(6, values[0]));
      EXPECT_LE(values[0], std::min(last, least));  // none older than what was there before
      last = values[0];
    }
  };
  const std::unique_ptr<Program> other = limits_of(model);
  std::vector<std::thread> readers;
  for (Program* program : {early.get(), other.get(), other.get()})
    readers.emplace_back([&predict, program] { predict(*program); });
  for (std::thread& reader : readers) reader.join();
  stop = true;
  trainer.join();
  const double now = 1 - static_cast<double>(model.state->steps());
  EXPECT_EQ(values_of(*early), std::vector<double>(6, now));
  model.programs.clear();
  model.state.reset();
  std::fill_n(model.weight(0), n, 7.0);  // nobody trains it any more, so it is read itself
  EXPECT_EQ(values_of(*early)[0], 7.0);
}

TEST(TrainState, RefusesStagesThatDoNotGoTogether) {
  EXPECT_THROW(TrainState(sgd(
                   1, {make_stage("accumulate", {{"calls", 2}}), make_stage("accumulate", {{"calls", 2}})})),
               ValueError);
  EXPECT_THROW(make_stage("clip", {}), KeyError);
  EXPECT_THROW(make_stage("clip_by_norm", {}), ValueError);
  Model sam(sgd(1, {make_stage("sam", {{"rho", 0.1}})}));
  EXPECT_THROW(sam.step(1), ValueError);  // needs the loss
}

}  // namespace
}  // namespace ravine::train
