// Models and steps that C++ records, saves and loads: no Python takes part.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.h"
#include "model/loaded_step.h"
#include "ops/builders.h"
#include "rules/op_table.h"

namespace ravine {
namespace {

namespace fs = std::filesystem;

// y = sum(x, 1) w / B for x [B, 3], and the loss mean((y - target)^2).
class Loaded : public ::testing::Test {
 protected:
  Loaded() {
    folder_ =
        fs::temp_directory_path() / str("ravine-loaded-", ::getpid(), "-",
                                        ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
    const Array weight(DType::float32, Shape{1});
    *weight.as<float>() = 2;
    states_->arrays = {{"model.w", weight}};
    states_->keys = {{"w", 0}};
  }
  ~Loaded() override { fs::remove_all(folder_); }

  std::string path(const char* name) const { return folder_ / name; }

  StoredGraph graph(bool with_loss) {
    std::vector<std::unique_ptr<Graph>> graphs;
    std::vector<GraphSample> samples;
    for (const std::int64_t batch : {5, 11, 4}) {
      Graph& graph = *graphs.emplace_back(std::make_unique<Graph>(op_table()));
      const Value x = graph.input({DType::float32, {batch, 3}}, "x");
      const Value w = graph.state(states_->arrays[0].second, "w");
      Value result = ops::sum(x, Axes{1}) * w / static_cast<double>(batch);
      if (with_loss) {
        const Value target = graph.input({DType::float32, {batch}}, "target");
        result = ops::sum(ops::square(result - target)) / static_cast<double>(batch);
      }
      samples.push_back({batch, &graph, {result}, {}, {}});
    }
    return fit_graph(samples, [&](const Array& array) { return states_->number_of(array); });
  }

  std::shared_ptr<LoadedModel> model() {
    return std::make_shared<LoadedModel>(LoadedModel::Parts{.graph = graph(false),
                                                            .batches = {.any = true, .least = 1},
                                                            .states = states_,
                                                            .random = random_,
                                                            .notes = "a note"});
  }

  fs::path folder_;
  std::shared_ptr<ModelStates> states_ = std::make_shared<ModelStates>();
  std::shared_ptr<RandomState> random_ = std::make_shared<RandomState>();
};

std::vector<float> ones(std::int64_t count) { return std::vector<float>(static_cast<std::size_t>(count), 1); }

TEST_F(Loaded, AModelServesBatchesOfAnySizeAfterAFile) {
  model()->save(path("model"));
  const std::shared_ptr<LoadedModel> loaded = LoadedModel::load(path("model"));
  EXPECT_EQ(loaded->parts().notes, "a note");
  EXPECT_EQ(to_string(loaded->inputs()[0]->type), "float32 (B, 3)");
  for (const std::int64_t batch : {1, 6, 300}) {
    const std::vector<float> x = ones(3 * batch);
    const InputTensor input{{DType::float32, {batch, 3}}, x.data()};
    const std::vector<Array> results = loaded->predict(std::span(&input, 1));
    ASSERT_EQ(results.size(), 1u);
    ASSERT_EQ(results[0].shape(), (Shape{batch}));
    EXPECT_FLOAT_EQ(results[0].as<float>()[batch - 1], 6.0F / static_cast<float>(batch));
  }
}

TEST_F(Loaded, WhatDoesNotFitIsRefused) {
  const std::shared_ptr<LoadedModel> own = model();
  const std::vector<float> x = ones(12);
  const auto refused = [&](const TensorType& type) {
    const InputTensor input{type, x.data()};
    EXPECT_THROW(own->predict(std::span(&input, 1)), Error) << to_string(type);
  };
  refused({DType::float32, {4, 2}});
  refused({DType::float32, {12}});
  refused({DType::float32, {0, 3}});
  refused({DType::int64, {4, 3}});
  EXPECT_THROW(own->predict(std::span<const InputTensor>()), ValueError);
  EXPECT_THROW(LoadedStep::load(path("nothing")), OSError);
  own->save(path("model"));
  EXPECT_THROW(LoadedStep::load(path("model")), ValueError);
}

TEST_F(Loaded, AStepGoesOnFromItsFile) {
  TrainedModel trained;
  trained.description.owner = "SGD";
  trained.description.rule = "sgd";
  trained.description.groups.emplace_back();
  trained.description.groups[0].hyper = {{"lr", "lr", train::make_schedule("cosine", {0.1, 100, 0})},
                                         {"momentum", "momentum", 0.9}};
  trained.groups = {{"", {}}};
  trained.parameters = {{"w", 0, 0, true}};
  LoadedStep step({.graph = graph(true),
                   .batches = {.any = true, .least = 1},
                   .part_names = {},
                   .counted = false,
                   .trained = {trained},
                   .states = states_,
                   .random = random_,
                   .model = model(),
                   .notes = ""});
  const std::vector<float> x = ones(15), target(5, 3);
  const auto train = [&](LoadedStep& own) {
    const InputTensor inputs[] = {{{DType::float32, {5, 3}}, x.data()},
                                  {{DType::float32, {5}}, target.data()}};
    return own.step(inputs);
  };
  const double first = train(step);
  train(step);
  step.save(path("step"));
  const std::shared_ptr<LoadedStep> loaded = LoadedStep::load(path("step"));
  EXPECT_EQ(loaded->steps(), 2);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(train(*loaded), train(step));
  EXPECT_LT(train(step), first);
  EXPECT_EQ(*loaded->model()->state_dict()[0].second.as<float>() == 2.0F, false);
  EXPECT_THROW(loaded->set_hyper("lr", -1), ValueError);
  EXPECT_THROW(loaded->set_hyper("speed", 1), KeyError);
  loaded->set_hyper("lr", 0.5);
  EXPECT_EQ(loaded->hyper()[0].number, std::optional(0.5));
  EXPECT_EQ(loaded->steps(), 5);
}

TEST_F(Loaded, AFunctionOfTheHostCannotBeSaved) {
  TrainedModel trained;
  trained.description.owner = "SGD";
  trained.description.rule = "sgd";
  trained.description.groups.emplace_back();
  trained.description.groups[0].hyper = {
      {"lr", "lr", train::SchedulePtr(std::make_shared<train::Callback>([](std::int64_t) { return 0.1; }))}};
  trained.groups = {{"", {}}};
  trained.parameters = {{"w", 0, 0, true}};
  LoadedStep step({.graph = graph(true),
                   .batches = {.any = true, .least = 1},
                   .part_names = {},
                   .counted = false,
                   .trained = {trained},
                   .states = states_,
                   .random = random_,
                   .model = nullptr,
                   .notes = ""});
  EXPECT_THROW(step.save(path("step")), ValueError);
  EXPECT_FALSE(fs::exists(path("step")));
  EXPECT_THROW(step.model(), RuntimeError);
}

}  // namespace
}  // namespace ravine
