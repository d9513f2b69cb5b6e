// Optimizers as programs see them; the kernels' arithmetic has its own tests in kernels/test_optimizer.cpp.
#include "optim/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "graph/autodiff.h"
#include "graph/program.h"
#include "ops/builders.h"
#include "ops/list.h"
#include "rules/op_table.h"

namespace ravine::testing {
namespace {

using optim::Optimizer;

Array filled(const std::vector<float>& values, const Shape& shape, Layout layout = Layout::row_major) {
  Array array(DType::float32, shape, layout);
  std::copy(values.begin(), values.end(), array.as<float>());
  return array;
}

std::vector<float> values_of(const Array& array) {
  return {array.as<float>(), array.as<float>() + array.size()};
}

// Applies the gradients by running a program of nothing else.
void run_step(const std::shared_ptr<Optimizer>& optimizer, const std::vector<Array>& gradients) {
  Graph graph(op_table());
  Values values;
  for (const Array& gradient : gradients) values.push_back(graph.constant(gradient));
  optimizer_step(graph, optimizer, values);
  compile(graph, {})->run({}, {});
}

// ---- numbers

TEST(OptimizerSettings, EveryRuleHasValidDefaults) {
  for (const optim::Rule* listed : optim::all_rules()) {
    const optim::Rule& rule = *listed;
    SCOPED_TRACE(rule.name);
    const Array parameter = filled({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2, 1}, Layout::channels_last);
    Optimizer optimizer(rule.name, {parameter}, {});
    ASSERT_EQ(optimizer.hyper().size(), rule.hyper.size());
    for (std::size_t i = 0; i < rule.hyper.size(); ++i) {
      EXPECT_EQ(optimizer.hyper()[i].first, rule.hyper[i].name);
      EXPECT_EQ(optimizer.hyper()[i].second, rule.hyper[i].otherwise);
      EXPECT_NO_THROW(optimizer.set(rule.hyper[i].name, rule.hyper[i].otherwise));
    }
    for (const auto& slot : optimizer.slots()) {
      ASSERT_EQ(slot.arrays.size(), 1u) << slot.name;
      const auto shape = rule.slots[static_cast<std::size_t>(slot.index)].shape_for(parameter.shape());
      EXPECT_EQ(static_cast<bool>(slot.arrays[0]), shape.has_value()) << slot.name;
      if (!shape) continue;
      EXPECT_EQ(slot.arrays[0].shape(), *shape);
      EXPECT_EQ(slot.arrays[0].layout(), parameter.layout());
    }
  }
}

TEST(OptimizerSettings, RejectsWhatIsNotAllowedAndKeepsWhatWas) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(),
                   infinity = std::numeric_limits<double>::infinity();
  const struct {
    const char* rule;
    const char* name;
    double value;
  } cases[] = {{"sgd", "lr", nan},      {"sgd", "lr", infinity},     {"sgd", "lr", -0.1},
               {"sgd", "momentum", -1}, {"sgd", "weight_decay", -1}, {"sgd", "nesterov", 0.5},
               {"sgd", "nesterov", 1},  {"adam", "beta1", 1},        {"adam", "beta2", -0.1},
               {"adam", "eps", -1e-8},  {"adam", "eps", nan},        {"adam", "amsgrad", 1},
               {"sgd", "momentum", 0.9}};  // the last two need a slot that was not made
  for (const auto& [rule, name, value] : cases) {
    SCOPED_TRACE(std::string(rule) + " " + name);
    Optimizer optimizer(rule, {filled({1}, {1})}, {});
    const auto before = optimizer.hyper();
    EXPECT_THROW(optimizer.set(name, value), ValueError);
    EXPECT_EQ(optimizer.hyper(), before);
  }
  Optimizer optimizer("sgd", {filled({1}, {1})}, {});
  EXPECT_THROW(optimizer.set("beta1", 0.5), KeyError);
  EXPECT_THROW(optimizer.set_step(-1), ValueError);
}

TEST(OptimizerSettings, RejectsBadConstruction) {
  const Array parameter = filled({1}, {1});
  EXPECT_THROW(Optimizer("adagard", {parameter}, {}), KeyError);
  EXPECT_THROW(Optimizer("sgd", {parameter}, {{"betas", 0.9}}), KeyError);
  EXPECT_THROW(Optimizer("sgd", {parameter}, {{"lr", -1}}), ValueError);
  EXPECT_THROW(Optimizer("sgd", {parameter}, {{"nesterov", 1}}), ValueError);
  EXPECT_THROW(Optimizer("sgd", {parameter}, {{"nesterov", 1}, {"momentum", 0.9}, {"dampening", 0.1}}),
               ValueError);
  EXPECT_NO_THROW(Optimizer("sgd", {parameter}, {{"nesterov", 1}, {"momentum", 0.9}}));
  EXPECT_THROW(Optimizer("sgd", {parameter, parameter}, {}), ValueError);
  EXPECT_THROW(Optimizer("sgd", {Array(DType::int64, {3})}, {}), TypeError);
}

TEST(OptimizerSettings, KeepsOnlyTheSlotsThatItsNumbersNeed) {
  const std::vector<Array> parameters{filled({1}, {1})};
  EXPECT_TRUE(Optimizer("sgd", parameters, {}).slots().empty());
  EXPECT_EQ(Optimizer("sgd", parameters, {{"momentum", 0.5}}).slots().size(), 1u);
  EXPECT_EQ(Optimizer("adam", parameters, {}).slots().size(), 2u);
  EXPECT_EQ(Optimizer("adam", parameters, {{"amsgrad", 1}}).slots().size(), 3u);
}

// ---- steps

TEST(OptimizerStep, CompiledProgramFollowsNumbersThatChange) {
  const Array parameter = filled({1, 2, 3}, {3});
  const auto optimizer = std::make_shared<Optimizer>("sgd", std::vector{parameter},
                                                     Optimizer::Settings{{"lr", 0.5}, {"momentum", 0.5}});
  Graph graph(op_table());
  const Value gradient = graph.input({DType::float32, {3}});
  optimizer_step(graph, optimizer, {gradient});
  const auto program = compile(graph, {});
  const float ones[3] = {1, 1, 1};
  const void* inputs[] = {ones};
  program->run(inputs, {});  // buffer 1
  EXPECT_EQ(values_of(parameter), (std::vector<float>{0.5f, 1.5f, 2.5f}));
  optimizer->set("lr", 0.25);
  program->run(inputs, {});  // buffer 1.5
  EXPECT_EQ(values_of(parameter), (std::vector<float>{0.125f, 1.125f, 2.125f}));
  EXPECT_EQ(optimizer->step(), 2);
  EXPECT_EQ(values_of(optimizer->slots()[0].arrays[0]), (std::vector<float>{1.5f, 1.5f, 1.5f}));
  optimizer->set_step(0);  // the buffer is reset to the gradient
  program->run(inputs, {});
  EXPECT_EQ(values_of(parameter), (std::vector<float>{-0.125f, 0.875f, 1.875f}));
}

TEST(OptimizerStep, AdamCorrectsTheBiasByTheStep) {
  const Array parameter = filled({0}, {1});
  const auto optimizer = std::make_shared<Optimizer>("adam", std::vector{parameter},
                                                     Optimizer::Settings{{"lr", 0.1}, {"eps", 0.0}});
  for (int step = 1; step <= 3; ++step) {
    run_step(optimizer, {filled({5}, {1})});
    EXPECT_NEAR(values_of(parameter)[0], -0.1 * step,
                1e-6);  // a constant gradient moves by lr, whatever its size
  }
}

TEST(OptimizerStep, GradientThatLiesInAnotherParameter) {
  // The gradients of sum(p q) are q and p themselves: both must be read before either changes.
  const Array p = filled({1, 2}, {2}), q = filled({10, 20}, {2});
  const auto optimizer =
      std::make_shared<Optimizer>("sgd", std::vector{p, q}, Optimizer::Settings{{"lr", 1}});
  Graph graph(op_table());
  const Value pv = graph.state(p), qv = graph.state(q), loss = ops::sum(pv * qv);
  optimizer_step(graph, optimizer, gradients(loss, Values{pv, qv}));
  compile(graph, {})->run({}, {});
  EXPECT_EQ(values_of(p), (std::vector<float>{-9, -18}));
  EXPECT_EQ(values_of(q), (std::vector<float>{9, 18}));
}

TEST(OptimizerStep, GradientThatLiesInAParameterOfAnotherOptimizer) {
  for (const bool p_first : {true, false}) {
    const Array p = filled({1, 2}, {2}), q = filled({10, 20}, {2});
    const auto of = [](const Array& parameter) {
      return std::make_shared<Optimizer>("sgd", std::vector{parameter}, Optimizer::Settings{{"lr", 1}});
    };
    Graph graph(op_table());
    const Value pv = graph.state(p), qv = graph.state(q), loss = ops::sum(pv * qv);
    const Values slopes = gradients(loss, Values{pv, qv});
    if (p_first) optimizer_step(graph, of(p), {slopes[0]});
    optimizer_step(graph, of(q), {slopes[1]});
    if (!p_first) optimizer_step(graph, of(p), {slopes[0]});
    compile(graph, {})->run({}, {});
    EXPECT_EQ(values_of(p), (std::vector<float>{-9, -18}));
    EXPECT_EQ(values_of(q), (std::vector<float>{9, 18}));
  }
}

TEST(OptimizerStep, MatricesAndVectorsOfOneRule) {
  // Adafactor's first step is lr times the sign of the gradient where that has one size, for weights of
  // rms 1.
  const Array vector = filled({1, -1}, {2}), matrix = filled({1, -1, 1, 1}, {2, 2});
  const auto optimizer =
      std::make_shared<Optimizer>("adafactor", std::vector{matrix, vector}, Optimizer::Settings{{"lr", 0.5}});
  EXPECT_EQ(optimizer->slots().size(), 3u);
  for (const auto& slot : optimizer->slots()) {
    const bool of_vector = slot.name == "variance";
    EXPECT_EQ(static_cast<bool>(slot.arrays[0]), !of_vector) << slot.name;
    EXPECT_EQ(static_cast<bool>(slot.arrays[1]), of_vector) << slot.name;
  }
  run_step(optimizer, {filled({3, 3, -3, 3}, {2, 2}), filled({-2, 2}, {2})});
  const auto expect_near = [](const Array& array, const std::vector<float>& expected) {
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(values_of(array)[i], expected[i], 1e-6f);
  };
  expect_near(matrix, {0.5f, -1.5f, 1.5f, 0.5f});
  expect_near(vector, {1.5f, -1.5f});
  EXPECT_EQ(optimizer->step(), 1);
}

TEST(OptimizerStep, BothPrecisionsAndAllLayouts) {
  const Array image = filled({0, 0, 0, 0, 0, 0, 0, 0}, {2, 2, 1, 2}, Layout::channels_last);
  const Array exact(DType::float64, {2});
  const auto optimizer =
      std::make_shared<Optimizer>("sgd", std::vector{image, exact}, Optimizer::Settings{{"lr", 1}});
  Array gradient(DType::float64, {2});
  gradient.as<double>()[0] = 1e-12;
  run_step(optimizer, {filled({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 1, 2}), gradient});
  // [n, c, w] in row-major order is [n, w, c] in memory.
  EXPECT_EQ(values_of(image), (std::vector<float>{-1, -3, -2, -4, -5, -7, -6, -8}));
  EXPECT_EQ(exact.as<double>()[0], -1e-12);
  EXPECT_EQ(optimizer->step(), 1);
}

TEST(OptimizerStep, RejectsGradientsThatDoNotFit) {
  const auto optimizer =
      std::make_shared<Optimizer>("sgd", std::vector{filled({1, 2}, {2})}, Optimizer::Settings{});
  Graph graph(op_table());
  EXPECT_THROW(optimizer_step(graph, optimizer, {}), ValueError);
  EXPECT_THROW(optimizer_step(graph, optimizer, {graph.constant(filled({1, 2, 3}, {3}))}), ValueError);
  EXPECT_THROW(optimizer_step(graph, optimizer, {graph.constant(Array(DType::float64, {2}))}), ValueError);
  EXPECT_TRUE(graph.effects().empty());
}

TEST(OptimizerStep, NothingChangesWhenTheRunFails) {
  const Array weight = filled({1, 2, 3, 4}, {2, 2});
  const auto optimizer = std::make_shared<Optimizer>("adam", std::vector{weight}, Optimizer::Settings{});
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {1, 2}}), label = graph.input({DType::int64, {1}});
  const Value w = graph.state(weight);
  const Value loss = ops::sum(graph.apply("cross_entropy", {ops::matmul(x, w), label})[0]);
  optimizer_step(graph, optimizer, gradients(loss, Values{w}));
  const auto program = compile(graph, {});
  const float image[2] = {1, 1};
  std::int64_t wrong = 2;
  const void* inputs[] = {image, &wrong};
  EXPECT_THROW(program->run(inputs, {}), ValueError);
  EXPECT_EQ(values_of(weight), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(optimizer->step(), 0);
  EXPECT_EQ(values_of(optimizer->slots()[0].arrays[0]), (std::vector<float>{0, 0, 0, 0}));
  wrong = 1;
  program->run(inputs, {});
  EXPECT_EQ(optimizer->step(), 1);
  EXPECT_NE(values_of(weight), (std::vector<float>{1, 2, 3, 4}));
}

TEST(OptimizerStep, EmptyParameters) {
  const Array nothing(DType::float32, {0, 3});
  const auto optimizer = std::make_shared<Optimizer>("adam", std::vector{nothing}, Optimizer::Settings{});
  run_step(optimizer, {Array(DType::float32, {0, 3})});
  EXPECT_EQ(optimizer->step(), 1);
  run_step(std::make_shared<Optimizer>("sgd", std::vector<Array>{}, Optimizer::Settings{}), {});
}

// ---- clipping

// Programs hold addresses in the clipping that they were compiled for. One that was replaced meanwhile, and
// is gone, is not read (AddressSanitizer would say so): the run is refused, and nothing changes.
TEST(OptimizerClipping, AProgramRefusesToRunWithAnother) {
  const auto clipping_of = [](double bound) {
    auto clipping = std::make_shared<optim::Clipping>(1);
    clipping->clip_value = bound;
    return clipping;
  };
  for (const bool clipped_first : {false, true}) {
    const Array parameter = filled({1, 2}, {2});
    auto optimizer =
        std::make_shared<Optimizer>("sgd", std::vector{parameter}, Optimizer::Settings{{"lr", 1}});
    if (clipped_first) optimizer->set_clipping(clipping_of(0.5), 0);
    const auto compiled = [&] {
      Graph graph(op_table());
      const Values gradients{graph.constant(filled({3, -0.25}, {2}))};
      if (optimizer->clipping() != nullptr) gradient_norm(graph, optimizer, gradients);
      optimizer_step(graph, optimizer, gradients);
      return compile(graph, {});
    };
    const auto before = compiled();
    before->run({}, {});
    const float bounded = clipped_first ? 0.5f : 3.0f;
    EXPECT_EQ(values_of(parameter), (std::vector<float>{1 - bounded, 2.25f}));
    optimizer->set_clipping(clipping_of(0.125),
                            0);  // the first one, if there was one, is the program's alone
    try {
      before->run({}, {});
      FAIL() << "expected RuntimeError";
    } catch (const RuntimeError& error) {
      EXPECT_NE(std::string(error.what()).find("set_clipping"), std::string::npos) << error.what();
    }
    EXPECT_EQ(values_of(parameter), (std::vector<float>{1 - bounded, 2.25f}));
    EXPECT_EQ(optimizer->step(), 1);
    compiled()->run({}, {});
    EXPECT_EQ(values_of(parameter), (std::vector<float>{1 - bounded - 0.125f, 2.375f}));
  }
}

}  // namespace
}  // namespace ravine::testing
