// What a program returns besides its effects changes nothing of these: every value of training graphs, alone
// and all together, is an output, and the parameters become what they become without.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <set>

#include "graph/autodiff.h"
#include "graph/graph_test.h"
#include "optim/optimizer.h"

namespace ravine::testing {
namespace {

using optim::Optimizer;

Array random_array(const Shape& shape, unsigned seed, float scale = 0.3f) {
  Array array(DType::float32, shape);
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> numbers(-scale, scale);
  for (std::int64_t i = 0; i < array.size(); ++i) array.as<float>()[i] = numbers(engine);
  return array;
}

Array labels_below(std::int64_t classes, std::int64_t count) {
  Array array(DType::int64, {count});
  for (std::int64_t i = 0; i < count; ++i) array.as<std::int64_t>()[i] = i * 7 % classes;
  return array;
}

// A loss under construction: its graph, parameters and inputs.
struct Recording {
  Graph graph{op_table()};
  std::vector<Array> parameters, inputs;
  Values wrt;

  Value parameter(const Shape& shape) {
    parameters.push_back(random_array(shape, static_cast<unsigned>(parameters.size() + 1)));
    wrt.push_back(graph.state(parameters.back()));
    return wrt.back();
  }
  Value input(const Array& array) {
    inputs.push_back(array);
    return graph.input({array.dtype(), array.shape()});
  }
  Value linear(Value x, std::int64_t outputs) {
    const Value weight = parameter({outputs, x.shape().back()}), bias = parameter({outputs});
    return ops::matmul(x, ops::swap_last_axes(weight)) + bias;
  }
};

using Build = Value (*)(Recording& to);
struct Model {
  const char* name;
  Build build;
};

// The middle layer is large enough for its update, and its bias's sum, to be fused into the product.
Value dense(Recording& to) {
  Value x = to.input(random_array({16, 80}, 100, 1));
  x = ops::relu(to.linear(ops::relu(to.linear(x, 96)), 112));
  return ops::cross_entropy(to.linear(x, 5), to.input(labels_below(5, 16)));
}

// A bias that two losses and an assignment see; a product of two parameters.
Value shared(Recording& to) {
  const Value x = to.input(random_array({16, 96}, 100, 1));
  const Value weight = to.parameter({96, 96}), bias = to.parameter({96});
  const Value y = ops::tanh(ops::matmul(x, ops::swap_last_axes(weight)) + bias);
  const Value z = ops::matmul(ops::matmul(y, to.parameter({96, 90})), to.parameter({90, 96})) + bias;
  return ops::mean(z * z) + ops::mean(ops::square(bias) + ops::exp(y));
}

Value images(Recording& to) {
  Value x = to.input(random_array({6, 3, 8, 8}, 100, 1));
  x = ops::conv2d(x, to.parameter({8, 3, 3, 3}), {.padding = {1, 1}});
  const Value scale = to.parameter({8}), shift = to.parameter({8});
  x = ops::max_pool2d(ops::relu(ops::batch_norm(x, scale, shift).y), {2, 2});
  x = x + ops::conv2d(x, to.parameter({8, 1, 3, 3}), {.padding = {1, 1}, .groups = 8});
  x = ops::avg_pool2d(x, {2, 2});
  x = ops::relu(to.linear(ops::reshape(x, {6, 32}), 260));
  return ops::cross_entropy(to.linear(x, 4), to.input(labels_below(4, 6)), 0.1);
}

Value sequence(Recording& to) {
  const Value table = to.parameter({11, 96}), scale = to.parameter({96}), shift = to.parameter({96});
  Value x = ops::gather_rows(table, to.input(labels_below(11, 20)), 0);
  x = ops::layer_norm(x, scale, shift);
  x = ops::gelu(to.linear(x, 96)) * ops::sigmoid(to.linear(x, 96));
  return ops::mean(ops::log_softmax(to.linear(x, 7)) * to.input(random_array({20, 7}, 101, 1)));
}

const Model models[] = {{"dense", dense}, {"shared", shared}, {"images", images}, {"sequence", sequence}};

struct Trained {
  std::vector<std::vector<float>> parameters;  // after two steps
  std::vector<std::vector<float>> outputs;     // of the first; of other dtypes than float32 empty
  bool fused = false;                          // an update, or a sum, into a product
};

// Which values a program returns: numbers of nodes.
using Wanted = std::function<Values(const Recording& recording, const Values& gradients)>;

Trained train(const Model& model, const char* rule, const Wanted& wanted) {
  Recording recording;
  const Value loss = model.build(recording);
  const Values gradients_of = gradients(loss, recording.wrt);
  const Values outputs = wanted(recording, gradients_of);
  const auto optimizer =
      std::make_shared<Optimizer>(rule, recording.parameters, Optimizer::Settings{{"lr", 0.01}});
  optimizer_step(recording.graph, optimizer, gradients_of);
  const auto program = compile(recording.graph, outputs);

  std::vector<const void*> from;
  for (const Array& input : recording.inputs) from.push_back(input.data());
  std::vector<Array> results;
  std::vector<void*> to;
  for (const TensorType& type : program->output_types()) {
    results.emplace_back(type.dtype, type.shape);
    to.push_back(results.back().data());
  }
  Trained trained;
  for (const KernelCall& call : program->calls()) trained.fused |= call.kernel == "gemm_update";
  program->run(from, to);
  for (const Array& result : results) {
    trained.outputs.emplace_back();
    if (result.dtype() == DType::float32)
      trained.outputs.back().assign(result.as<float>(), result.as<float>() + result.size());
  }
  program->run(from, to);
  for (const Array& parameter : recording.parameters)
    trained.parameters.emplace_back(parameter.as<float>(), parameter.as<float>() + parameter.size());
  return trained;
}

// Fusion may round otherwise, and no more than that; rules that divide by the size of a gradient magnify it.
void expect_close(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b,
                  float tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].size(), b[i].size()) << "array " << i;
    for (std::size_t j = 0; j < a[i].size(); ++j)
      ASSERT_NEAR(a[i][j], b[i][j], tolerance * (1 + std::abs(b[i][j]))) << "array " << i << ", number " << j;
  }
}

// Every output of every node that computes, or names what a state holds.
Values all_values(const Recording& recording) {
  Values values;
  for (const auto& node : recording.graph.nodes())
    for (int i = 0; i < static_cast<int>(node->outputs.size()); ++i) values.push_back(node->out(i));
  return values;
}

TEST(Outputs, AllValuesAtOnceChangeNothing) {
  for (const Model& model : models) {
    SCOPED_TRACE(model.name);
    const Trained plain = train(model, "sgd", [](const auto&, const auto&) { return Values{}; });
    const Trained all =
        train(model, "sgd", [](const auto& recording, const auto&) { return all_values(recording); });
    expect_close(all.parameters, plain.parameters, 1e-5f);
  }
}

TEST(Outputs, AnyOneValueIsRightAndChangesNothing) {
  for (const Model& model : models) {
    SCOPED_TRACE(model.name);
    const Trained plain = train(model, "sgd", [](const auto&, const auto&) { return Values{}; });
    const Trained all =
        train(model, "sgd", [](const auto& recording, const auto&) { return all_values(recording); });
    for (std::size_t i = 0; i < all.outputs.size(); ++i) {
      SCOPED_TRACE("value " + std::to_string(i));
      const Trained one = train(
          model, "sgd", [&](const auto& recording, const auto&) { return Values{all_values(recording)[i]}; });
      expect_close(one.parameters, plain.parameters, 1e-5f);
      expect_close(one.outputs, {all.outputs[i]}, 1e-5f);
      if (HasFatalFailure()) return;
    }
  }
}

// A view of a gradient is another value than the gradient.
TEST(Outputs, EveryRuleReturnsItsGradients) {
  const auto views = [](const Recording&, const Values& of) {
    Values values = of;
    for (const Value& gradient : of) values.push_back(ops::reshape(gradient, {numel(gradient.shape())}));
    return values;
  };
  std::set<std::string> fusing;
  for (const optim::Rule* rule : optim::all_rules()) {
    for (const Model& model : models) {
      SCOPED_TRACE(std::string(rule->name) + " " + model.name);
      const Trained plain = train(model, rule->name, [](const auto&, const auto&) { return Values{}; });
      if (plain.fused) fusing.insert(rule->name);
      const Trained returned = train(model, rule->name, views);
      EXPECT_FALSE(returned.fused);  // the gradients of products exist
      const Trained biases = train(model, rule->name, [&](const Recording& recording, const Values& of) {
        Values values;
        for (const Value& gradient : views(recording, of))
          if (gradient.rank() == 1 && gradient.shape()[0] < 500) values.push_back(gradient);
        return values;
      });
      expect_close(returned.parameters, plain.parameters, 2e-3f);
      expect_close(biases.parameters, plain.parameters, 2e-3f);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(fusing.size(), 8u);  // else the case that this is about does not occur
}

// An assignment is the first of the effects: it cannot read what a product computes during an update.
TEST(Outputs, AGradientOfABiasMayAlsoBeAssigned) {
  for (const bool assigned_first : {false, true}) {
    Recording recording;
    const Value loss = dense(recording);
    const Values of = gradients(loss, recording.wrt);
    const Array copy(DType::float32, recording.parameters[3].shape());
    const auto optimizer =
        std::make_shared<Optimizer>("sgd", recording.parameters, Optimizer::Settings{{"lr", 0.01}});
    if (assigned_first) recording.graph.assign(copy, of[3]);
    optimizer_step(recording.graph, optimizer, of);
    if (!assigned_first) recording.graph.assign(copy, of[3]);
    const auto program = compile(recording.graph, {});
    const void* inputs[] = {recording.inputs[0].data(), recording.inputs[1].data()};
    program->run(inputs, {});
    const Trained plain =
        train(models[0], "sgd", [](const Recording&, const Values& all) { return Values{all[3]}; });
    const std::vector<float> got(copy.as<float>(), copy.as<float>() + copy.size());
    expect_close({got}, {plain.outputs[0]}, 1e-5f);
  }
}

}  // namespace
}  // namespace ravine::testing
