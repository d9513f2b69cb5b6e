#include <gtest/gtest.h>
#include <ravine/ravine.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "api/expect_error.h"

namespace {

namespace nn = ravine::nn;
namespace ops = ravine::ops;
using ravine::Tensor;

// Two clouds of points and their classes.
struct Points {
  std::vector<float> x;
  std::vector<std::int64_t> y;
  explicit Points(int n) {
    for (int i = 0; i < n; ++i) {
      const float side = i % 2 == 0 ? 1.0f : -1.0f;
      for (int j = 0; j < 4; ++j)
        x.push_back(side * 0.5f + static_cast<float>((i * 7 + j * 5) % 11 - 5) / 10.0f);
      y.push_back(i % 2);
    }
  }
  ravine::View inputs() const { return ravine::view(x, {static_cast<std::int64_t>(y.size()), 4}); }
  ravine::View labels() const { return ravine::view(y); }
};

Tensor classify(const nn::Scope& scope, Tensor x) {
  x = nn::relu(nn::linear(scope / "hidden", x, 16));
  x = nn::dropout(scope, nn::batch_norm(scope / "norm", x), 0.1);
  return nn::linear(scope / "head", x, 2);
}

ravine::Loss cross_entropy(Tensor output, Tensor target) {
  return ravine::loss::cross_entropy(output, target);
}

std::vector<float> floats(const ravine::Array& array) {
  return {array.data<float>(), array.data<float>() + array.size()};
}

std::string temporary_file(const char* name) {
  return (std::filesystem::temp_directory_path() / (std::string(name) + std::to_string(getpid()))).string();
}

TEST(TrainStep, Learns) {
  const Points points(64);
  const ravine::Model model(classify);
  const ravine::TrainStep step(model, cross_entropy, ravine::optim::adam({.lr = 0.01}));
  const double first = step({points.inputs(), points.labels()});
  double last = first;
  for (int i = 0; i < 60; ++i) last = step({points.inputs(), points.labels()});
  EXPECT_LT(last, first / 3);
  EXPECT_EQ(step.steps(), 61);
  EXPECT_EQ(step.lr(), 0.01);
  const ravine::Array logits = model.predict({points.inputs()})[0];
  ASSERT_EQ(logits.shape(), (ravine::Shape{64, 2}));
  int right = 0;
  for (int i = 0; i < 64; ++i)
    right += (logits.data<float>()[2 * i + 1] > logits.data<float>()[2 * i]) ==
             (points.y[static_cast<std::size_t>(i)] == 1);
  EXPECT_GE(right, 62);
  const ravine::StateDict state = model.state_dict();
  EXPECT_EQ(state.size(), 9u);
  EXPECT_EQ(state.at("hidden.weight").shape(), (ravine::Shape{16, 4}));
  EXPECT_EQ(state.at("norm.num_batches_tracked").data<std::int64_t>()[0], 61);
}

// Every layer is recorded, trained and served; its parameters have torch's names and shapes.
TEST(Layers, NamesShapesAndOutputs) {
  struct Case {
    const char* name;
    ravine::Shape input, output;
    std::vector<std::pair<std::string, ravine::Shape>> parameters;
    std::function<Tensor(const nn::Scope&, Tensor)> layer;
  };
  const std::vector<Case> cases{
      {"linear",
       {3, 5},
       {3, 2},
       {{"bias", {2}}, {"weight", {2, 5}}},
       [](const nn::Scope& s, Tensor x) { return nn::linear(s, x, 2); }},
      {"linear of rank 3",
       {3, 2, 5},
       {3, 2, 4},
       {{"weight", {4, 5}}},
       [](const nn::Scope& s, Tensor x) { return nn::linear(s, x, 4, {.bias = false}); }},
      {"conv2d",
       {2, 4, 8, 9},
       {2, 6, 4, 4},
       {{"bias", {6}}, {"weight", {6, 2, 3, 3}}},
       [](const nn::Scope& s, Tensor x) {
         return nn::conv2d(s, x, 6, {3, 3}, {.stride = {2, 2}, .padding = {1, 0}, .groups = 2});
       }},
      {"batch_norm",
       {4, 3, 5, 5},
       {4, 3, 5, 5},
       {{"bias", {3}},
        {"num_batches_tracked", {}},
        {"running_mean", {3}},
        {"running_var", {3}},
        {"weight", {3}}},
       [](const nn::Scope& s, Tensor x) { return nn::batch_norm(s, x); }},
      {"layer_norm",
       {4, 6, 5},
       {4, 6, 5},
       {{"bias", {6, 5}}, {"weight", {6, 5}}},
       [](const nn::Scope& s, Tensor x) { return nn::layer_norm(s, x, 2); }},
      {"group_norm",
       {2, 6, 3, 3},
       {2, 6, 3, 3},
       {{"bias", {6}}, {"weight", {6}}},
       [](const nn::Scope& s, Tensor x) { return nn::group_norm(s, x, 3); }},
      {"group_norm of rows",
       {2, 6},
       {2, 6},
       {{"bias", {6}}, {"weight", {6}}},
       [](const nn::Scope& s, Tensor x) { return nn::group_norm(s, x, 2); }},
      {"rms_norm",
       {4, 5},
       {4, 5},
       {{"weight", {5}}},
       [](const nn::Scope& s, Tensor x) { return nn::rms_norm(s, x); }},
      {"pooling",
       {2, 3, 8, 8},
       {2, 4},
       {{"bias", {4}}, {"weight", {4, 3}}},
       [](const nn::Scope& s, Tensor x) {
         x = nn::avg_pool2d(nn::max_pool2d(x, {2, 2}), {3, 3}, {.stride = {1, 1}, .padding = {1, 1}});
         return nn::linear(s, ops::flatten(nn::adaptive_avg_pool2d(x, {1, 1})), 4);
       }},
      {"activations",
       {2, 3},
       {2, 3},
       {{"weight", {3, 3}}},
       [](const nn::Scope& s, Tensor x) {
         x = nn::linear(s, x, 3, {.bias = false, .weight_init = ravine::init::orthogonal()});
         x = nn::elu(nn::leaky_relu(x)) + nn::gelu(x) + nn::silu(x) + nn::mish(x) + nn::hardswish(x);
         return nn::softplus(x) * nn::sigmoid(x) - nn::tanh(x) / 2;
       }},
      {"dropout",
       {2, 3, 4, 4},
       {2, 3, 4, 4},
       {{"scale", {3, 1, 1}}},
       [](const nn::Scope& s, Tensor x) {
         x = x * s.parameter("scale", {3, 1, 1}, ravine::init::ones());
         return nn::dropout2d(s, nn::dropout(s, x, 0.25), 0.25);
       }},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    const ravine::Model model(one.layer);
    std::vector<float> x(static_cast<std::size_t>(one.input.size()));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((i * 37) % 64) / 32.0f - 1.0f;
    const ravine::TrainStep step(
        model,
        [](Tensor output, Tensor target) { return ravine::Loss(ops::mean(ops::square(output - target))); },
        ravine::optim::sgd({.lr = 0.01}));
    const float zero = 0;
    const double first = step({ravine::view(x, one.input), ravine::view(&zero, {})});
    for (int i = 0; i < 3; ++i) step({ravine::view(x, one.input), ravine::view(&zero, {})});
    EXPECT_TRUE(std::isfinite(first));
    EXPECT_EQ(model.predict({ravine::view(x, one.input)})[0].shape(), one.output);
    const ravine::StateDict state = model.state_dict();
    ASSERT_EQ(state.size(), one.parameters.size());
    for (const auto& [name, shape] : one.parameters) EXPECT_EQ(state.at(name).shape(), shape) << name;
  }
}

TEST(Layers, EmbeddingsAndPadding) {
  const ravine::Model model([](const nn::Scope& scope, Tensor tokens) {
    return ops::mean(nn::embedding(scope / "table", tokens, 5, 3, {.padding_index = 2}), {1});
  });
  const std::vector<std::int64_t> tokens{0, 2, 4, 2};
  const ravine::TrainStep step(
      model, [](Tensor output, Tensor) { return ravine::Loss(ops::sum(ops::square(output - 1.0))); },
      ravine::optim::sgd({.lr = 0.1}));
  step({ravine::view(tokens, {2, 2}), ravine::view(tokens, {2, 2})});
  const ravine::StateDict state = model.state_dict();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(state.at("table.weight").data<float>()[6 + i], 0.0f);
  const std::vector<std::int64_t> outside{0, 5, 4, 2};
  EXPECT_ERROR(model.predict({ravine::view(outside, {2, 2})}), "5");
}

TEST(TrainStep, OneThreadOrThreeGiveTheSameBits) {
  const Points points(50);
  const auto train = [&](int threads) {
    ravine::set_num_threads(threads);
    const ravine::TrainStep step(ravine::Model(classify, {.seed = 5}), cross_entropy,
                                 ravine::optim::adamw({.lr = 0.01}).clip_global_norm(0.5));
    for (int i = 0; i < 5; ++i) step({points.inputs(), points.labels()});
    EXPECT_TRUE(step.gradient_norm().has_value());
    return floats(step.model().predict({points.inputs()})[0]);
  };
  const int before = ravine::num_threads();
  const std::vector<float> one = train(1);
  EXPECT_EQ(train(3), one);
  ravine::set_num_threads(before);
}

TEST(TrainStep, GoesOnFromAFile) {
  const Points points(40);
  const std::string path = temporary_file("ravine-step-");
  const auto make = [] {
    return ravine::TrainStep(ravine::Model(classify, {.seed = 3}), cross_entropy,
                             ravine::optim::sgd({.lr = 0.05, .momentum = 0.9}));
  };
  const ravine::TrainStep whole = make(), second = make();
  for (int i = 0; i < 3; ++i) whole({points.inputs(), points.labels()});
  whole.save(path);
  EXPECT_ERROR(second.restore(path), "has no parameters yet");
  second({points.inputs(), points.labels()});
  second.restore(path);
  EXPECT_EQ(second.steps(), 3);
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(whole({points.inputs(), points.labels()}), second({points.inputs(), points.labels()}));
  EXPECT_EQ(floats(whole.model().state_dict().at("head.weight")),
            floats(second.model().state_dict().at("head.weight")));
  // Another model's file changes nothing.
  const ravine::TrainStep other(
      ravine::Model([](const nn::Scope& scope, Tensor x) { return nn::linear(scope, x, 2); }), cross_entropy,
      ravine::optim::sgd());
  other({points.inputs(), points.labels()});
  EXPECT_ERROR(other.restore(path), "missing 'weight'");
  EXPECT_EQ(other.steps(), 1);
  const ravine::Status status = other.try_restore(path + ".none");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.error().find("No such file"), std::string::npos) << status.error();
  std::filesystem::remove(path);
}

TEST(TrainStep, AccumulatesAsOneBatch) {
  const Points points(24);
  const auto weight_after = [&](bool parts) {
    const ravine::TrainStep step(
        ravine::Model([](const nn::Scope& scope, Tensor x) { return nn::linear(scope, x, 2); },
                      {.dtype = ravine::DType::float64}),
        cross_entropy, parts ? ravine::optim::sgd({.lr = 1}).accumulate(2) : ravine::optim::sgd({.lr = 1}));
    if (parts) {  // 8 rows, then 16
      step({ravine::view(points.x.data(), {8, 4}), ravine::view(points.y.data(), {8})});
      EXPECT_EQ(step.steps(), 0);
      step({ravine::view(points.x.data() + 32, {16, 4}), ravine::view(points.y.data() + 8, {16})});
    } else {
      step({points.inputs(), points.labels()});
    }
    EXPECT_EQ(step.steps(), 1);
    const ravine::Array weight = step.model().state_dict().at("weight");
    return std::vector<double>(weight.data<double>(), weight.data<double>() + weight.size());
  };
  const std::vector<double> whole = weight_after(false), parts = weight_after(true);
  for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(whole[i], parts[i], 1e-12);
}

TEST(TrainStep, OptimizersAndTheirOptions) {
  using namespace ravine::optim;
  const Points points(32);
  const std::vector<Optimizer> optimizers{
      sgd({.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-3, .nesterov = true}).clip_value(1).no_decay(),
      adam({.lr = ravine::schedules::cosine(0.01, 100), .amsgrad = true}).clip_norm(1).skip_nonfinite(),
      rmsprop({.momentum = 0.5, .centered = true}).clip_adaptive(0.1),
      lion({.lr = 1e-3}).sam(0.01),
      Optimizer("muon", {{"lr", 0.01}}).group("head.*", {{"lr", 0.001}}),
      adamw().add_noise(1e-4).average(ravine::Schedule("mean_share", {0.0, 1.0})),
  };
  for (const Optimizer& optimizer : optimizers) {
    const ravine::TrainStep step(ravine::Model(classify), cross_entropy, optimizer);
    const double first = step({points.inputs(), points.labels()});
    double last = first;
    for (int i = 0; i < 25; ++i) last = step({points.inputs(), points.labels()});
    EXPECT_LT(last, first);
  }
  EXPECT_ERROR(Optimizer("adm", {}), "adm");
  EXPECT_ERROR(Optimizer("adam", {{"momentum", 0.9}}), "has no number 'momentum', only lr, beta1");
  EXPECT_ERROR(sgd().accumulate(0), "at least 1");
}

TEST(TrainStep, NumbersChangeBetweenCalls) {
  const Points points(16);
  const ravine::TrainStep step(ravine::Model(classify), cross_entropy, ravine::optim::sgd({.lr = 0.1}));
  step({points.inputs(), points.labels()});
  step.set_optimizer(ravine::optim::sgd({.lr = -1}));
  const std::vector<float> before = floats(step.model().state_dict().at("head.weight"));
  EXPECT_ERROR(step({points.inputs(), points.labels()}), "lr must be at least 0, got -1");
  EXPECT_EQ(floats(step.model().state_dict().at("head.weight")), before);
  step.set_optimizer(ravine::optim::sgd({.lr = 0.25, .momentum = 0.9}));  // another slot: recorded again
  step({points.inputs(), points.labels()});
  EXPECT_EQ(step.lr(), 0.25);
  EXPECT_EQ(step.steps(), 2);
}

TEST(TrainStep, BadInputsChangeNothing) {
  const Points points(16);
  const ravine::TrainStep step(ravine::Model(classify), cross_entropy, ravine::optim::sgd());
  step({points.inputs(), points.labels()});
  std::vector<std::int64_t> wrong = points.y;
  wrong[3] = 7;
  std::vector<float> infinite = points.x;
  infinite[5] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> before = floats(step.model().state_dict().at("hidden.weight"));
  EXPECT_ERROR(step({points.inputs(), ravine::view(wrong)}), "7");
  EXPECT_ERROR(step({points.inputs()}), "the model's inputs and a target");
  EXPECT_ERROR(step({points.inputs(), ravine::view(points.y.data(), {8})}), "integer labels of shape (16,)");
  EXPECT_ERROR(step({ravine::view(points.x, {8, 8}), ravine::view(points.y.data(), {8})}),
               "'hidden.weight' is");
  EXPECT_ERROR(step({ravine::view(points.x.data(), {0, 4}), ravine::view(points.y.data(), {0})}), "empty");
  EXPECT_TRUE(std::isnan(step({ravine::view(infinite, {16, 4}), points.labels()})));
  EXPECT_EQ(step.skipped(), 1);
  EXPECT_EQ(step.steps(), 1);
  EXPECT_EQ(floats(step.model().state_dict().at("hidden.weight")), before);
  const ravine::View batch[] = {points.inputs(), ravine::view(wrong)};
  const ravine::Result<double> result = step.try_step(batch);
  EXPECT_FALSE(result.ok());
  EXPECT_NE(result.error().find("7"), std::string::npos);
}

TEST(TrainStep, AStepOverAFunction) {
  const Points points(16);
  const ravine::Model model([](const nn::Scope& scope, Tensor x) { return nn::linear(scope / "out", x, 1); });
  const ravine::TrainStep step(
      model, ravine::StepFunction([](const nn::Scope& scope, std::span<const Tensor> batch) {
        const Tensor y = nn::linear(scope / "out", batch[0], 1);
        return ravine::Loss(ops::mean(ops::square(ops::flatten(y, 0) - ops::cast(batch[1], y.dtype()))) +
                            0.01 *
                                ops::sum(ops::square(scope.parameter("shift", {1}, ravine::init::ones()))));
      }),
      ravine::optim::sgd({.lr = 0.1}));
  const double first = step({points.inputs(), points.labels()});
  for (int i = 0; i < 20; ++i) step({points.inputs(), points.labels()});
  EXPECT_LT(step({points.inputs(), points.labels()}), first);
  EXPECT_LT(model.state_dict().at("shift").data<float>()[0], 1.0f);
  EXPECT_EQ(model.predict({points.inputs()})[0].shape(), (ravine::Shape{16, 1}));
}

TEST(Model, SaysWhatIsWrong) {
  const Points points(4);
  const ravine::Model model(classify);
  EXPECT_ERROR(model.state_dict(), "has no parameters yet");
  EXPECT_ERROR(model.predict({points.inputs(), points.inputs()}), "it has one input, got 2");
  EXPECT_ERROR(ravine::Model([](const nn::Scope&, Tensor) { return Tensor(); }).predict({points.inputs()}),
               "made by none");
  EXPECT_ERROR(ravine::Model([](const nn::Scope&, Tensor x) {
                 return ops::apply("rleu", {x});
               }).predict({points.inputs()}),
               "relu");
  model.predict({points.inputs()});
  ravine::StateDict state = model.state_dict();
  state.erase("head.bias");
  state.emplace("tail", ravine::Array(ravine::DType::float32, {1}));
  EXPECT_ERROR(model.load_state_dict(state), "unexpected 'tail'; missing 'head.bias'");
  // A failed beginning leaves nothing behind.
  int calls = 0;
  const ravine::Model late([&](const nn::Scope& scope, Tensor x) {
    x = nn::linear(scope / "first", x, 3);
    if (++calls == 1) throw std::runtime_error("not yet");
    return nn::linear(scope / "second", x, 2);
  });
  EXPECT_THROW(late.predict({points.inputs()}), std::runtime_error);
  EXPECT_EQ(late.predict({points.inputs()})[0].shape(), (ravine::Shape{4, 2}));
  EXPECT_EQ(late.state_dict().size(), 4u);
}

TEST(Model, WeightsInAFile) {
  const Points points(4);
  const std::string path = temporary_file("ravine-weights-");
  const ravine::Model one(classify, {.seed = 1}), other(classify, {.seed = 2});
  const std::vector<float> expected = floats(one.predict({points.inputs()})[0]);
  EXPECT_NE(floats(other.predict({points.inputs()})[0]), expected);
  one.save_weights(path);
  other.load_weights(path);
  EXPECT_EQ(floats(other.predict({points.inputs()})[0]), expected);
  EXPECT_FALSE(other.try_load_weights(path + ".none").ok());
  std::filesystem::remove(path);
  // Into memory of the caller's, in which nothing is written where it does not fit.
  std::vector<float> memory(8, -1.0f);
  const ravine::View inputs[] = {points.inputs()};
  const std::span<std::byte> outputs[] = {std::as_writable_bytes(std::span(memory))};
  one.predict_into(inputs, outputs);
  EXPECT_EQ(memory, expected);
  const std::span<std::byte> small[] = {outputs[0].first(16)};
  EXPECT_ERROR(one.predict_into(inputs, small), "32 bytes, got memory of 16");
}

// Every prediction sees the weights of one step: the model's outputs are all the same number then.
TEST(Model, PredictionsBesideTrainingSeeOneStep) {
  constexpr int width = 512;
  const ravine::Model model([](const nn::Scope& scope, Tensor x) {
    const Tensor first = scope.parameter("first", {width}, ravine::init::zeros());
    const Tensor last = scope.parameter("last", {width}, ravine::init::zeros());
    return ops::concat(std::vector<Tensor>{x + first, x + last}, 1);
  });
  const ravine::TrainStep step(
      model, [](Tensor output, Tensor) { return ravine::Loss(ops::sum(output)); },
      ravine::optim::sgd({.lr = 1}));
  const std::vector<float> zeros(width, 0.0f);
  const ravine::View x = ravine::view(zeros, {1, width});
  step({x, x});
  std::atomic<bool> stop{false};
  std::atomic<int> mixed{0}, backwards{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back([&] {
      float newest = 0;
      while (!stop) {
        const ravine::Array out = model.predict({x})[0];
        const float* values = out.data<float>();
        for (int j = 1; j < 2 * width; ++j) mixed += values[j] != values[0];
        backwards += values[0] > newest;  // weights only fall
        newest = values[0];
      }
    });
  for (int i = 0; i < 300; ++i) step({x, x});
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(mixed, 0);
  EXPECT_EQ(backwards, 0);
  EXPECT_EQ(model.predict({x})[0].data<float>()[0], -301.0f);
}

TEST(Model, ManyThreadsPredictAlike) {
  const Points points(33);
  const ravine::Model model(classify);
  const std::vector<float> expected = floats(model.predict({points.inputs()})[0]);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int j = 0; j < 50; ++j) {
        const std::int64_t rows = 1 + (i * 50 + j) % 33;
        const std::vector<float> out = floats(model.predict({ravine::view(points.x.data(), {rows, 4})})[0]);
        for (std::size_t k = 0; k < out.size(); ++k) wrong += std::abs(out[k] - expected[k]) > 1e-5f;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
