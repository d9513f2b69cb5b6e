// A convolutional network trained through one compiled program: everything below the bindings at once.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "core/thread_count.h"
#include "dispatch/dispatch.h"
#include "graph/autodiff.h"
#include "graph/program.h"
#include "ops/builders.h"
#include "ops/list.h"
#include "optim/optimizer.h"
#include "rules/op_table.h"

namespace ravine::testing {
namespace {

using optim::Optimizer;

constexpr std::int64_t batch = 12, size = 8, channels = 6, classes = 4;

Array uniform(const Shape& shape, double bound, std::mt19937& engine, Layout layout = Layout::row_major) {
  Array array(DType::float32, shape, layout);
  std::uniform_real_distribution<float> numbers(static_cast<float>(-bound), static_cast<float>(bound));
  for (std::int64_t i = 0; i < array.size(); ++i) array.as<float>()[i] = numbers(engine);
  return array;
}

Array filled(const Shape& shape, float value) {
  Array array(DType::float32, shape);
  std::fill_n(array.as<float>(), array.size(), value);
  return array;
}

// Noise with one bright quadrant, whose number is the label.
struct Quadrants {
  Array images{DType::float32, {batch, 1, size, size}};
  Array labels{DType::int64, {batch}};

  Quadrants() {
    std::mt19937 engine(3);
    images = uniform({batch, 1, size, size}, 0.3, engine);
    for (std::int64_t n = 0; n < batch; ++n) {
      const std::int64_t label = n % classes, top = label / 2 * size / 2, left = label % 2 * size / 2;
      labels.as<std::int64_t>()[n] = label;
      for (std::int64_t y = 0; y < size / 2; ++y)
        for (std::int64_t x = 0; x < size / 2; ++x)
          images.as<float>()[(n * size + top + y) * size + left + x] += 1;
    }
  }
};

struct Network {
  std::vector<Array> parameters;
  Array running_mean = filled({channels}, 0);
  std::shared_ptr<Optimizer> optimizer;
  std::unique_ptr<Program> step;

  Network(const char* rule, const Optimizer::Settings& hyper, const kernels::KernelTable* kernels = nullptr) {
    std::mt19937 engine(1);
    Graph graph(op_table());
    Values wrt;
    const auto parameter = [&](const Array& array) {
      parameters.push_back(array);
      wrt.push_back(graph.state(array));
      return wrt.back();
    };
    const Value images = graph.input({DType::float32, {batch, 1, size, size}}, "images");
    const Value labels = graph.input({DType::int64, {batch}}, "labels");

    const ops::ConvOptions same{.padding = {1, 1}};
    Value x = ops::conv2d(images, parameter(uniform({channels, 1, 3, 3}, 0.3, engine, Layout::channels_last)),
                          same);
    const ops::BatchNorm norm =
        ops::batch_norm(x, parameter(filled({channels}, 1)), parameter(filled({channels}, 0)));
    graph.assign(running_mean, graph.state(running_mean) * 0.9 + ops::stop_gradient(norm.mean) * 0.1);
    x = ops::max_pool2d(ops::relu(norm.y), {2, 2});
    // Depthwise, with a residual.
    const Value depthwise = parameter(uniform({channels, 1, 3, 3}, 0.3, engine, Layout::channels_last));
    x = ops::relu(x + ops::conv2d(x, depthwise, {.padding = {1, 1}, .groups = channels}));
    x = ops::adaptive_avg_pool2d(x, {2, 2});
    x = ops::reshape(x, {batch, channels * 4});
    x = ops::layer_norm(x, parameter(filled({channels * 4}, 1)), parameter(filled({channels * 4}, 0)));
    const Value weight = parameter(uniform({classes, channels * 4}, 0.2, engine));
    x = ops::matmul(x, ops::swap_last_axes(weight)) + parameter(filled({classes}, 0));
    const Value loss = ops::cross_entropy(x, labels);

    optimizer = std::make_shared<Optimizer>(rule, parameters, hyper);
    optimizer_step(graph, optimizer, gradients(loss, wrt));
    CompileOptions options;
    options.kernels = kernels;
    step = compile(graph, std::span(&loss, 1), options);
  }

  float train(const Quadrants& data, int steps) {
    float loss = 0;
    const void* inputs[] = {data.images.data(), data.labels.data()};
    void* outputs[] = {&loss};
    for (int i = 0; i < steps; ++i) step->run(inputs, outputs);
    return loss;
  }

  std::vector<Array> state() const {
    std::vector<Array> all = parameters;
    all.push_back(running_mean);
    for (const auto& slot : optimizer->slots()) all.insert(all.end(), slot.arrays.begin(), slot.arrays.end());
    return all;
  }
};

std::vector<float> numbers(const Network& network) {
  std::vector<float> all;
  for (const Array& array : network.state())
    all.insert(all.end(), array.as<float>(), array.as<float>() + array.size());
  return all;
}

const Optimizer::Settings momentum{{"lr", 0.1}, {"momentum", 0.9}, {"nesterov", 1}, {"weight_decay", 1e-4}};
const Optimizer::Settings adamw{
    {"lr", 0.02}, {"decoupled_weight_decay", 1}, {"weight_decay", 1e-2}, {"amsgrad", 1}};

TEST(Training, LearnsOnEveryIsa) {
  const Quadrants data;
  for (const std::string& isa : supported_isas()) {
    SCOPED_TRACE(isa);
    for (const auto& [rule, hyper] : {std::pair{"sgd", momentum}, std::pair{"adam", adamw}}) {
      Network network(rule, hyper, &kernels_of(isa));
      EXPECT_NEAR(network.train(data, 1), std::log(static_cast<double>(classes)), 0.7) << rule;
      EXPECT_LT(network.train(data, 40), 0.05f) << rule;
      EXPECT_EQ(network.optimizer->step(), 41);
    }
  }
}

TEST(Training, SameBitsOnAnyNumberOfThreads) {
  const Quadrants data;
  std::vector<float> expected;
  for (const int threads : {1, 2, 3, 5}) {
    const ThreadsScope scope(threads);
    Network network("adam", adamw);
    network.train(data, 10);
    if (expected.empty()) expected = numbers(network);
    EXPECT_EQ(numbers(network), expected) << threads << " threads";
  }
}

TEST(Training, ResumesExactly) {
  const Quadrants data;
  Network whole("sgd", momentum), first("sgd", momentum), second("sgd", momentum);
  whole.train(data, 10);
  first.train(data, 4);
  const std::vector<Array> from = first.state(), to = second.state();
  for (std::size_t i = 0; i < from.size(); ++i) std::memcpy(to[i].data(), from[i].data(), from[i].bytes());
  second.optimizer->set_step(first.optimizer->step());
  second.train(data, 6);
  EXPECT_EQ(numbers(second), numbers(whole));
}

TEST(Training, RunningMeanFollowsTheBatches) {
  const Quadrants data;
  Network network("sgd", {{"lr", 0}});
  network.train(data, 1);
  const std::vector<float> once(network.running_mean.as<float>(),
                                network.running_mean.as<float>() + channels);
  network.train(data, 1);  // nothing learnt: the same statistics again
  for (std::size_t c = 0; c < once.size(); ++c)
    EXPECT_NEAR(network.running_mean.as<float>()[c], 1.9f * once[c], 1e-6f);
}

}  // namespace
}  // namespace ravine::testing
