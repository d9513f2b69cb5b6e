// Recording: a node that cannot be recorded leaves the graph as it was.
#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "core/error.h"
#include "graph/eager.h"
#include "graph_test.h"

namespace ravine::testing {
namespace {

struct NoTarget final : EffectTarget {};

const Op counted{.name = "counted", .kind = OpKind::effect, .infer = [](Node&) {}};

// One way to add a node.
using Record = void (*)(Graph& graph, Value x, const Array& array);
const std::pair<const char*, Record> ways[] = {
    {"state", [](Graph& graph, Value, const Array& array) { graph.state(array); }},
    {"constant", [](Graph& graph, Value, const Array& array) { graph.constant(array); }},
    {"operation", [](Graph&, Value x, const Array&) { ops::exp(x); }},
    {"operation of two", [](Graph&, Value x, const Array&) { ops::add(x, x); }},
    {"assignment", [](Graph& graph, Value x, const Array& array) { graph.assign(array, x); }},
    {"effect",
     [](Graph& graph, Value x, const Array&) { graph.effect(counted, {x}, std::make_shared<NoTarget>()); }}};

TEST(Graph, AListenerThatThrowsLeavesNoNode) {
  for (const auto& [name, record] : ways) {
    SCOPED_TRACE(name);
    const Array array = array_of({2}, {1, 2});
    Graph graph(op_table());
    const Value x = graph.input({DType::float32, {2}});
    graph.on_record = [](Node&) { fail<FloatingPointError>("as told"); };
    EXPECT_THROW(record(graph, x, array), FloatingPointError);
    EXPECT_EQ(graph.nodes().size(), 1u);
    EXPECT_EQ(graph.effects().size(), 0u);
    // The same again, where nothing throws.
    graph.on_record = nullptr;
    record(graph, x, array);
    EXPECT_EQ(graph.nodes().size(), 2u);
    EXPECT_EQ(graph.nodes().back()->id, 1u);
  }
}

TEST(Graph, AnEagerGraphForgetsWhatFailed) {
  Graph graph(op_table());
  make_eager(graph, /*check_nan=*/true, std::make_shared<RandomState>());
  const Value x = graph.constant(array_of({1}, {-1}));
  EXPECT_THROW(ops::log(x), FloatingPointError);
  EXPECT_EQ(graph.nodes().size(), 1u);
  const Value indices = graph.constant([] {
    Array array(DType::int64, {1});
    array.as<std::int64_t>()[0] = 7;
    return array;
  }());
  EXPECT_THROW(ops::gather_rows(x, indices, 0), ValueError);
  EXPECT_EQ(graph.nodes().size(), 2u);
  // A program of the rest compiles and runs: the failed nodes are in none.
  const Value y = ops::exp(x);
  auto program = compile(graph, std::span(&y, 1));
  EXPECT_NEAR(run(*program)[0][0], std::exp(-1.0f), 1e-6f);
}

TEST(Graph, AFailedRandomNodeTakesNoStream) {
  Graph failed(op_table()), plain(op_table());
  failed.on_record = [](Node&) { fail<RuntimeError>("as told"); };
  EXPECT_THROW(ops::uniform(failed, {4}, DType::float32), RuntimeError);
  failed.on_record = nullptr;
  const Value a = ops::uniform(failed, {4}, DType::float32), b = ops::uniform(plain, {4}, DType::float32);
  EXPECT_EQ(run(*compile(failed, std::span(&a, 1))), run(*compile(plain, std::span(&b, 1))));
}

}  // namespace
}  // namespace ravine::testing
