// What the compiler makes of small graphs: which kernels run, and that the numbers stay right.
#include <algorithm>
#include <cmath>

#include "graph/autodiff.h"
#include "graph_test.h"

namespace ravine::testing {
namespace {

using Names = std::vector<std::string>;

TEST(Fuse, ElementwiseChainIsOneCall) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 3}}), y = graph.input({DType::float32, {3}});
  const Value result = ops::relu(x * 2.0 + y);
  auto program = compile(graph, std::span(&result, 1));
  EXPECT_EQ(kernel_names(*program), Names{"elementwise + mul, add, relu"});
  const auto values = run(*program, {array_of({2, 3}, {1, -2, 3, -4, 5, -6}), array_of({3}, {1, 2, 3})});
  EXPECT_EQ(values[0], (std::vector<float>{3, 0, 9, 0, 12, 0}));
}

TEST(Fuse, AValueThatIsReadOutsideIsAnOutputOfTheGroup) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {4}});
  const Value inner = ops::exp(x), outer = inner * inner;
  const Values outputs{inner, outer};
  auto program = compile(graph, outputs);
  EXPECT_EQ(program->calls().size(), 1u);
  const auto values = run(*program, {array_of({4}, {0, 0, 0, 0})});
  EXPECT_EQ(values[0], (std::vector<float>{1, 1, 1, 1}));
  EXPECT_EQ(values[1], (std::vector<float>{1, 1, 1, 1}));
}

TEST(Fuse, BiasAndActivationRunInsideTheProduct) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 2}}), w = graph.input({DType::float32, {2, 2}});
  const Value bias = graph.input({DType::float32, {2}});
  const Value result = ops::relu(ops::matmul(x, w) + bias);
  auto program = compile(graph, std::span(&result, 1));
  EXPECT_EQ(kernel_names(*program), Names{"gemm + add, relu"});
  const auto values =
      run(*program, {array_of({2, 2}, {1, 2, 3, 4}), array_of({2, 2}, {1, 0, 0, -1}), array_of({2}, {1, 1})});
  EXPECT_EQ(values[0], (std::vector<float>{2, 0, 4, 0}));
}

TEST(Fuse, AnOperandOfAnEpilogueIsCopiedInOrderBeforeTheProductRuns) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 2}}), w = graph.input({DType::float32, {2, 2}});
  const Value other = graph.input({DType::float32, {2, 2}});
  const Value result = ops::matmul(x, w) + ops::transpose(other, {1, 0});
  auto program = compile(graph, std::span(&result, 1));
  EXPECT_EQ(kernel_names(*program), (Names{"elementwise", "gemm + add"}));
  const auto values = run(*program, {array_of({2, 2}, {1, 2, 3, 4}), array_of({2, 2}, {1, 0, 0, 1}),
                                     array_of({2, 2}, {10, 20, 30, 40})});
  EXPECT_EQ(values[0], (std::vector<float>{11, 32, 23, 44}));
}

TEST(Fuse, TheRawProductIsKeptWhenTheBackwardPassNeedsIt) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 2}}), w = graph.input({DType::float32, {2, 2}});
  const Value product = ops::matmul(x, w);
  const Values outputs{product, ops::relu(product)};
  auto program = compile(graph, outputs);
  EXPECT_EQ(program->calls().size(), 1u);
  const auto values = run(*program, {array_of({2, 2}, {1, 2, 3, 4}), array_of({2, 2}, {1, 0, 0, -1})});
  EXPECT_EQ(values[0], (std::vector<float>{1, -2, 3, -4}));
  EXPECT_EQ(values[1], (std::vector<float>{1, 0, 3, 0}));
}

// exp(x) and exp(x) * f(exp(x)) must not fuse around f when f is no elementwise operation.
TEST(Fuse, NeverFusesAroundAnOperationInBetween) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 2}});
  const Value inner = ops::exp(x);
  const Value result = inner + ops::matmul(inner, inner);
  auto program = compile(graph, std::span(&result, 1));
  const auto values = run(*program, {array_of({2, 2}, {0, 0, 0, 0})});
  EXPECT_EQ(values[0], (std::vector<float>{3, 3, 3, 3}));
}

TEST(Fuse, RandomNumbersAreComputedAgainNotStored) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {64}});
  const Value mask = ops::less(ops::uniform(graph, {64}, DType::float32), ops::scalar_like(x, 0.5));
  const Value kept = ops::where(mask, x, ops::scalar_like(x, 0));
  const Value total = ops::sum(kept);
  const Values outputs{kept, ops::where(mask, x * total, ops::scalar_like(x, 0))};
  auto program = compile(graph, outputs);
  const auto values = run(*program, {array_of({64}, std::vector<float>(64, 1.0f))});
  float sum = 0;
  for (const float value : values[0]) sum += value;
  EXPECT_GT(sum, 10);
  EXPECT_LT(sum, 54);
  for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(values[1][i], values[0][i] * sum);
  const auto again = run(*program, {array_of({64}, std::vector<float>(64, 1.0f))});
  EXPECT_NE(values[0], again[0]);  // the next step draws other numbers
}

// The forward pass sees an image with its channels last, the gradient comes in row-major order: one mask all
// the same.
TEST(Fuse, ForwardAndBackwardDropTheSameElementsOfAnImage) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 3, 4, 5}}),
              w = graph.input({DType::float32, {6, 3, 1, 1}});
  const Value weights = graph.input({DType::float32, {2, 6, 4, 5}});
  const Value y = graph.apply1("conv2d", {x, w}, {{"stride", Dims{1, 1}}, {"padding", Dims{0, 0}}});
  const Value mask = ops::less(ops::uniform(graph, y.shape(), DType::float32), ops::scalar_like(y, 0.5));
  const Value dropped = ops::where(mask, y, ops::scalar_like(y, 0));
  const Values outputs{dropped, gradients(ops::sum(dropped * weights), std::span(&y, 1))[0]};
  auto program = compile(graph, outputs);
  const auto ones = [](const Shape& shape) {
    return array_of(shape, std::vector<float>(static_cast<std::size_t>(numel(shape)), 1.0f));
  };
  const auto values = run(*program, {ones(x.shape()), ones(w.shape()), ones(weights.shape())});
  for (std::size_t i = 0; i < values[0].size(); ++i) EXPECT_EQ(values[0][i], 3 * values[1][i]) << i;
}

// (x - m) is read by a later group; that group computes it from x, so that it is never stored.
TEST(Fuse, CheapStepsAreComputedAgainNotStored) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {64, 64}}), m = graph.input({DType::float32, {64}});
  const Value centred = x - m;
  const Value squares = ops::square(centred);
  const Value total = ops::sum(ops::matmul(squares, squares), {0});
  const Values outputs{squares, centred * total};
  auto program = compile(graph, outputs);
  std::size_t stored = 0;
  for (const KernelCall& call : program->calls())
    if (call.kernel == "elementwise") stored += call.writes.size();
  EXPECT_EQ(stored, 2u) << program->describe();
  const auto values = run(*program, {array_of({64, 64}, std::vector<float>(64 * 64, 3.0f)),
                                     array_of({64}, std::vector<float>(64, 2.0f))});
  EXPECT_EQ(values[0][0], 1.0f);
  EXPECT_EQ(values[1][17], 64.0f * 64.0f);
}

TEST(Simplify, RemovesWhatDoesNothingAndFoldsConstants) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 3}});
  const Value twice = ops::transpose(ops::transpose(x, {1, 0}), {1, 0});
  const Value six = graph.scalar(2, DType::float32) * graph.scalar(3, DType::float32);
  const Value result = (twice + 0.0) * 1.0 + six;
  auto program = compile(graph, std::span(&result, 1));
  EXPECT_EQ(kernel_names(*program), Names{"elementwise + add"});
  EXPECT_EQ(run(*program, {array_of({2, 3}, {0, 1, 2, 3, 4, 5})})[0],
            (std::vector<float>{6, 7, 8, 9, 10, 11}));
}

// The gradient is scaled by the sign of each maximum, not of all that was rectified; where windows overlap
// and where all of one is negative too.
TEST(Simplify, RectifiersAreDerivedBehindMaxPooling) {
  const auto build = [](Graph& graph, double slope) {
    const Value x = graph.input({DType::float32, {2, 3, 7, 9}});
    const Value y = slope == 0 ? ops::relu(x) : graph.apply1("leaky_relu", {x}, {{"slope", slope}});
    const Value pooled = graph.apply1(
        "max_pool2d", {y}, {{"kernel_size", Dims{3, 2}}, {"stride", Dims{2, 1}}, {"padding", Dims{1, 0}}});
    const Value loss = ops::sum(pooled * graph.input({DType::float32, pooled.shape()}));
    return gradients(loss, std::span(&x, 1))[0];
  };
  for (const double slope : {0.0, 0.1}) {
    Graph graph(op_table());
    const Value gradient = build(graph, slope);
    const Value before_scaling = gradient.node->inputs[1];
    ASSERT_EQ(std::string(before_scaling.node->op->name), "max_pool2d_grad");
    const Value both[] = {gradient, before_scaling};  // which is then wanted as it is
    const auto plain = compile(graph, both), simplified = compile(graph, std::span(&gradient, 1));
    EXPECT_EQ(kernel_names(*simplified).back(), "elementwise") << simplified->describe();  // the copy to NCHW
    Array x(DType::float32, {2, 3, 7, 9}), dy(DType::float32, {2, 3, 4, 8});
    for (std::int64_t i = 0; i < x.size(); ++i)
      x.as<float>()[i] = std::floor(3 * std::sin(static_cast<float>(i * i)) - 1);
    for (std::int64_t i = 0; i < dy.size(); ++i) dy.as<float>()[i] = std::cos(static_cast<float>(i));
    const std::vector<float> actual = run(*simplified, {x, dy})[0];
    const std::vector<float> expected = run(*plain, {x, dy})[0];
    for (std::size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(actual[i], expected[i], slope == 0 ? 0 : 1e-6) << i;
    EXPECT_GT(std::count_if(actual.begin(), actual.end(), [](float value) { return value != 0; }), 40);
    const auto names_scaling = [](const Program& program) {
      std::vector<std::string> shapes;
      for (const KernelCall& call : program.calls())
        if (call.fused.find("scale_by_positive") != std::string::npos) shapes.push_back(call.description);
      return shapes;
    };
    ASSERT_EQ(names_scaling(*simplified).size(), 1u) << simplified->describe();
    EXPECT_NE(names_scaling(*simplified)[0].find("4, 8"), std::string::npos) << simplified->describe();
    EXPECT_NE(names_scaling(*plain)[0].find("7, 9"), std::string::npos) << plain->describe();
  }
}

TEST(Fuse, MaxPoolingTakesBatchNormsLastStepIn) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 3, 6, 9}});
  const Value gamma = graph.input({DType::float32, {3}}), beta = graph.input({DType::float32, {3}});
  const Value y = ops::relu(graph.apply("batch_norm", {x, gamma, beta})[0]);
  const Values pooled = graph.apply("max_pool2d", {y}, {{"kernel_size", Dims{2, 2}}});
  const Value loss = ops::sum(pooled[0] * graph.input({DType::float32, pooled[0].shape()}));
  const Value inputs[] = {x, gamma, beta};
  Values wanted = gradients(loss, inputs);
  wanted.push_back(pooled[0]);
  const auto within = compile(graph, wanted);
  wanted.push_back(y);  // what is wanted is computed by itself
  const auto apart = compile(graph, wanted);
  const auto pools_of = [](const Program& program) {
    std::vector<std::string> names;
    for (const KernelCall& call : program.calls())
      if (call.kernel.find("max_pool2d") != std::string::npos) names.push_back(call.kernel);
    return names;
  };
  EXPECT_EQ(pools_of(*within), (std::vector<std::string>{"normalized_max_pool2d", "max_pool2d_grad"}));
  EXPECT_EQ(pools_of(*apart), (std::vector<std::string>{"max_pool2d", "max_pool2d_grad"}));

  Array images(DType::float32, x.shape()), dy(DType::float32, pooled[0].shape());
  for (std::int64_t i = 0; i < images.size(); ++i)
    images.as<float>()[i] = std::sin(static_cast<float>(i * i));
  for (std::int64_t i = 0; i < dy.size(); ++i) dy.as<float>()[i] = std::cos(static_cast<float>(i));
  const std::vector<Array> values = {images, array_of({3}, {1.5f, -0.5f, 2}),
                                     array_of({3}, {0.1f, 0.2f, -0.3f}), dy};
  const auto actual = run(*within, values), expected = run(*apart, values);
  for (std::size_t output = 0; output < actual.size(); ++output)
    for (std::size_t i = 0; i < actual[output].size(); ++i)
      EXPECT_NEAR(actual[output][i], expected[output][i], 1e-6) << output << ", " << i;
  EXPECT_GT(std::count_if(actual[0].begin(), actual[0].end(), [](float value) { return value != 0; }), 100);
}

// BatchNorm's gradient behind a ReLU takes the ReLU's own along: what it let through is seen from x.
TEST(Fuse, BatchNormsGradientRectifiesAsItReads) {
  constexpr std::int64_t n = 4, channels = 3, size = 9;
  const auto build = [](Graph& graph, bool by_relu) {
    const Value x = graph.input({DType::float32, {n, channels, size, size}});
    const Value gamma = graph.input({DType::float32, {channels}});
    const Value beta = graph.input({DType::float32, {channels}});
    const Value sum = graph.apply("batch_norm", {x, gamma, beta})[0];
    const Value y = by_relu ? ops::relu(sum) : graph.apply1("leaky_relu", {sum}, {{"slope", 0.0}});
    const Value loss = ops::sum(y * graph.input({DType::float32, x.shape()}));
    const Value inputs[] = {x, gamma, beta};
    return gradients(loss, inputs);
  };
  Graph rectified(op_table()), plain(op_table());
  const auto within = compile(rectified, build(rectified, true)), apart = compile(plain, build(plain, false));
  const auto sums_of = [](const Program& program) {
    std::vector<std::string> sums;
    for (const KernelCall& call : program.calls())
      if (call.kernel == "column_grad_sums") sums.push_back(call.description);
    return sums;
  };
  ASSERT_EQ(sums_of(*within).size(), 1u) << within->describe();
  EXPECT_NE(sums_of(*within)[0].find("rectified"), std::string::npos) << within->describe();
  EXPECT_EQ(sums_of(*apart)[0].find("rectified"), std::string::npos) << apart->describe();
  EXPECT_EQ(within->calls().size() + 1, apart->calls().size());  // the gradient behind the ReLU is not stored

  Array images(DType::float32, {n, channels, size, size}), dy(DType::float32, images.shape());
  for (std::int64_t i = 0; i < images.size(); ++i)
    images.as<float>()[i] = std::sin(static_cast<float>(i * i));
  for (std::int64_t i = 0; i < dy.size(); ++i) dy.as<float>()[i] = std::cos(static_cast<float>(i));
  const std::vector<Array> values = {images, array_of({3}, {1.5f, -0.5f, 0}),
                                     array_of({3}, {0.1f, 0.2f, -0.3f}), dy};
  EXPECT_EQ(run(*within, values), run(*apart, values));
}

// A corner of a result does not count, the caller's own reading is none of the program's.
TEST(Fuse, ResultsThatTheProgramReadsAgainAreTold) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {64, 64}});
  const Value read = ops::exp(x), corner = ops::sqrt(x), returned = ops::log(x);
  const Values outputs{
      ops::sum(read),
      graph.apply1("slice", {corner}, {{"start", Dims{0, 0}}, {"stop", Dims{1, 2}}, {"step", Dims{1, 1}}}),
      returned};
  const auto program = compile(graph, outputs);
  std::vector<std::string> unread;
  for (const KernelCall& call : program->calls()) {
    if (call.kernel != "elementwise") continue;
    const auto& tiles = *static_cast<const kernels::TileProgram*>(call.args.get());
    for (int o = 0; o < tiles.n_outputs; ++o) {
      const int step = tiles.outputs[o].value - tiles.n_inputs;
      if (tiles.outputs[o].unread)
        unread.push_back(step < 0 ? "copy" : kernels::name_of(tiles.steps[step].op));
    }
  }
  EXPECT_EQ(unread, (Names{"sqrt", "log", "copy"})) << program->describe();
}

TEST(CommonSubexpressions, EqualNodesAreComputedOnce) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {3, 3}});
  const Value result = ops::matmul(x, x) + ops::matmul(x, x);
  auto program = compile(graph, std::span(&result, 1));
  EXPECT_EQ(program->calls().size(), 1u);
}

TEST(InPlace, AChainThroughSumsReusesItsMemory) {
  Graph graph(op_table());
  Value x = graph.input({DType::float32, {1024}});
  for (int i = 0; i < 4; ++i) x = x * ops::sum(ops::exp(x));  // four groups of 4 KiB each
  auto program = compile(graph, std::span(&x, 1));
  EXPECT_LE(program->arena_bytes(), 3 * 4096);
}

}  // namespace
}  // namespace ravine::testing
