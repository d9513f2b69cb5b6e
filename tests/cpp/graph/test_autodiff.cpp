#include "graph/autodiff.h"

#include "core/error.h"
#include "graph_test.h"

namespace ravine::testing {
namespace {

TEST(Autodiff, SumsTheCotangentsOfAValueUsedTwice) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {3}});
  const Value loss = ops::sum(x * x + 3.0 * x);
  const Values outputs = gradients(loss, std::span(&x, 1));
  auto program = compile(graph, outputs);
  EXPECT_EQ(run(*program, {array_of({3}, {1, 2, -1})})[0], (std::vector<float>{5, 7, 1}));
}

TEST(Autodiff, SumsOverBroadcastAxes) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 3}}), b = graph.input({DType::float32, {3}});
  const Value c = graph.input({DType::float32, {2, 1}});
  const Values wrt{b, c};
  auto program = compile(graph, gradients(ops::sum((x + b) * c), wrt));
  const auto values = run(*program, {array_of({2, 3}, {1, 2, 3, 4, 5, 6}), array_of({3}, {0, 0, 1}),
                                     array_of({2, 1}, {10, 100})});
  EXPECT_EQ(values[0], (std::vector<float>{110, 110, 110}));
  EXPECT_EQ(values[1], (std::vector<float>{7, 16}));
}

TEST(Autodiff, SecondDerivative) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2}});
  const Value first = gradients(ops::sum(x * x * x), std::span(&x, 1))[0];
  const Values outputs = gradients(ops::sum(first), std::span(&x, 1));
  EXPECT_EQ(run(*compile(graph, outputs), {array_of({2}, {1, 2})})[0], (std::vector<float>{6, 12}));
}

TEST(Autodiff, ZerosWhereThereIsNoDependence) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2}}), y = graph.input({DType::float32, {2}});
  const Values outputs = gradients(ops::sum(ops::stop_gradient(x) * y), std::span(&x, 1));
  EXPECT_EQ(run(*compile(graph, outputs), {array_of({2}, {1, 2}), array_of({2}, {1, 2})})[0],
            (std::vector<float>{0, 0}));
}

TEST(Autodiff, OfAnInnerValueAndOfWhatItIsMadeFrom) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {1}});
  const Value inner = x * x;
  const Values wrt{x, inner};
  const auto values = run(*compile(graph, gradients(ops::sum(inner * 3.0), wrt)), {array_of({1}, {5})});
  EXPECT_EQ(values[0], (std::vector<float>{30}));
  EXPECT_EQ(values[1], (std::vector<float>{3}));
}

TEST(Autodiff, OnlyScalarsOfFloatingDtype) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2}}), n = graph.input({DType::int64, {}});
  EXPECT_THROW(gradients(x, std::span(&x, 1)), ValueError);
  EXPECT_THROW(gradients(ops::sum(x), std::span(&n, 1)), TypeError);
}

TEST(Graph, AnErrorLeavesTheGraphAsItWas) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 3}}), y = graph.input({DType::float32, {4}});
  const std::size_t before = graph.nodes().size();
  EXPECT_THROW(graph.apply("add", {x, y}), ValueError);
  EXPECT_THROW(graph.apply("no_such_operation", {x}), KeyError);
  EXPECT_EQ(graph.nodes().size(), before);
}

}  // namespace
}  // namespace ravine::testing
