// Running programs: effects, faults, threads, memory.
#include <cmath>
#include <limits>
#include <memory>
#include <thread>

#include "core/error.h"
#include "core/thread_count.h"
#include "graph/autodiff.h"
#include "graph/follow_up.h"
#include "graph/lowering.h"
#include "graph_test.h"

namespace ravine::testing {
namespace {

TEST(Program, AssignmentsHappenTogetherAtTheEnd) {
  const Array a = array_of({2}, {1, 2}), b = array_of({2}, {10, 20});
  Graph graph(op_table());
  const Value x = graph.state(a), y = graph.state(b);
  const Value sum = x + y;
  graph.assign(a, y);  // swap
  graph.assign(b, x);
  auto program = compile(graph, std::span(&sum, 1));
  EXPECT_EQ(run(*program)[0], (std::vector<float>{11, 22}));
  EXPECT_EQ(a.as<float>()[0], 10);
  EXPECT_EQ(b.as<float>()[1], 2);
}

TEST(Program, AFaultRaisesAndChangesNothing) {
  const Array state = array_of({1}, {5});
  Graph graph(op_table());
  const Value table = graph.input({DType::float32, {3, 2}}), indices = graph.input({DType::int64, {2}});
  const Value rows = ops::gather_rows(table, indices, 0);
  graph.assign(state, graph.state(state) + 1.0);
  auto program = compile(graph, std::span(&rows, 1));
  const Array numbers = array_of({3, 2}, {0, 1, 2, 3, 4, 5});
  Array picked(DType::int64, {2});
  picked.as<std::int64_t>()[0] = 2;
  EXPECT_EQ(run(*program, {numbers, picked})[0], (std::vector<float>{4, 5, 0, 1}));
  EXPECT_EQ(state.as<float>()[0], 6);
  picked.as<std::int64_t>()[1] = 3;
  try {
    run(*program, {numbers, picked});
    FAIL() << "expected ValueError";
  } catch (const ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("3"), std::string::npos) << error.what();
  }
  EXPECT_EQ(state.as<float>()[0], 6);
}

TEST(Program, WhatRunsAfterwardsSeesTheEffectsAndFollowsThemAlone) {
  const float infinity = std::numeric_limits<float>::infinity();
  const Array state = array_of({2}, {1, 1});
  Graph after(op_table());
  after.assign(state, after.state(state) * 10.0);
  Graph graph(op_table());
  const Value loss = graph.input({DType::float32, {}});
  graph.guard(loss);
  graph.assign(state, graph.state(state) + 1.0);
  run_afterwards(graph, compile(after, {}));
  auto program = compile(graph, {});
  run(*program, {array_of({}, {0})});
  EXPECT_EQ(state.as<float>()[1], 20);
  run(*program, {array_of({}, {infinity})});
  EXPECT_EQ(state.as<float>()[1], 20);
  Graph with_input(op_table());
  with_input.assign(state, with_input.input({DType::float32, {2}}));
  EXPECT_THROW(run_afterwards(graph, compile(with_input, {})), ValueError);
}

struct Counter final : EffectTarget {
  int runs = 0;
  bool refusing = false;
  void after_run() override { ++runs; }
  bool refuses() const override { return refusing; }
};

TEST(Program, AGuardLeavesTheEffectsBehindItOut) {
  const float infinity = std::numeric_limits<float>::infinity();
  const Array before = array_of({1}, {0}), after = array_of({1}, {0});
  auto target = std::make_shared<Counter>();
  Graph graph(op_table());
  const Value loss = graph.input({DType::float32, {}});
  const Value output = loss + 1.0;
  graph.assign(before, graph.state(before) + 1.0);
  graph.guard(output);
  graph.guard(target);
  graph.assign(after, graph.state(after) + 1.0);
  auto program = compile(graph, std::span(&output, 1));
  int done = 0, runs = 0;
  for (const float value : {1.0F, std::nanf(""), infinity, -infinity, 2.0F}) {
    for (const bool refusing : {false, true}) {
      target->refusing = refusing;
      run(*program, {array_of({}, {value})});
      const bool refused = refusing || !std::isfinite(value);
      done += refused ? 0 : 1;
      EXPECT_EQ(program->refused(), refused);
      EXPECT_EQ(after.as<float>()[0], static_cast<float>(done));
      EXPECT_EQ(before.as<float>()[0], static_cast<float>(++runs));
      EXPECT_EQ(target->runs, done);
    }
  }
}

TEST(Program, AGuardedStateIsTestedAsItWas) {
  const Array state = array_of({}, {2});
  Graph graph(op_table());
  const Value value = graph.state(state);
  graph.guard(value);
  graph.assign(state, value / graph.scalar(0, DType::float32));
  auto program = compile(graph, {});
  run(*program);
  EXPECT_TRUE(std::isinf(state.as<float>()[0]));
  EXPECT_FALSE(program->refused());
  state.as<float>()[0] = std::nanf("");
  run(*program);
  EXPECT_TRUE(program->refused());
  EXPECT_TRUE(std::isnan(state.as<float>()[0]));
}

TEST(Program, AGuardTakesAScalar) {
  Graph graph(op_table());
  EXPECT_THROW(graph.guard(graph.input({DType::float32, {2}})), ValueError);
}

TEST(Program, ReadingMemoryThatNothingWroteIsRefused) {
  const Op careless{.name = "careless",
                    .infer = [](Node& node) { node.outputs = {node.input_type(0)}; },
                    .lower =
                        [](Lowering& lowering, const Node& node) {
                          const View nothing = lowering.temporary(DType::float32, node.input_shape(0));
                          lowering.copy(nothing, lowering.create(node.out()));
                        }};
  Graph graph(op_table());
  const Value output = graph.apply(careless, {graph.input({DType::float32, {3}})})[0];
  try {
    compile(graph, std::span(&output, 1));
    FAIL() << "expected RuntimeError";
  } catch (const RuntimeError& error) {
    EXPECT_NE(std::string(error.what()).find("reads memory that nothing has written"), std::string::npos)
        << error.what();
  }
}

TEST(Program, SameBitsOnAnyNumberOfThreads) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {257, 129}}), w = graph.input({DType::float32, {129, 65}});
  const Value loss = ops::sum(ops::tanh(ops::matmul(x, w)));
  const Values wrt{x, w};
  Values outputs = gradients(loss, wrt);
  outputs.push_back(loss);
  Array xs(DType::float32, {257, 129}), ws(DType::float32, {129, 65});
  for (std::int64_t i = 0; i < xs.size(); ++i) xs.as<float>()[i] = std::sin(static_cast<float>(i));
  for (std::int64_t i = 0; i < ws.size(); ++i) ws.as<float>()[i] = std::cos(static_cast<float>(i)) * 0.1f;
  auto program = compile(graph, outputs);
  EXPECT_FALSE(program->single_threaded());
  std::vector<std::vector<float>> expected;
  for (const int threads : {1, 2, 3, 5}) {
    const ThreadsScope scope(threads);
    const auto values = run(*program, {xs, ws});
    if (expected.empty()) expected = values;
    EXPECT_EQ(values, expected) << threads << " threads";
  }
}

TEST(Program, TwoThreadsRunTwoProgramsAtOnce) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {200, 200}});
  const Value result = ops::matmul(x, x);
  Array xs(DType::float32, {200, 200});
  for (std::int64_t i = 0; i < xs.size(); ++i) xs.as<float>()[i] = std::sin(static_cast<float>(i));
  auto first = compile(graph, std::span(&result, 1));
  auto second = compile(graph, std::span(&result, 1));
  const auto expected = run(*first, {xs});
  const auto repeat = [&](Program& program) {
    for (int i = 0; i < 50; ++i) EXPECT_EQ(run(program, {xs}), expected);
  };
  std::thread other([&] { repeat(*second); });
  repeat(*first);
  other.join();
}

TEST(Program, PoisonedMemoryDoesNotShow) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {33, 17}});
  const Value w = graph.input({DType::float32, {17, 9}});
  const Value y = ops::relu(ops::matmul(x, w));
  const Value result = ops::sum(y * y, {0}) + ops::max(y, {0});
  auto program = compile(graph, std::span(&result, 1));
  const Array xs = array_of({33, 17}, std::vector<float>(33 * 17, 0.5f));
  const Array ws = array_of({17, 9}, std::vector<float>(17 * 9, 0.25f));
  const auto clean = run(*program, {xs, ws});
  set_arena_poisoning(true);
  const auto poisoned = run(*program, {xs, ws});
  set_arena_poisoning(false);
  EXPECT_EQ(clean, poisoned);
}

TEST(Program, DescribeNamesKernelsAndFusedSteps) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 2}}, "image");
  const Value result = ops::relu(ops::matmul(x, x));
  const std::string text = compile(graph, std::span(&result, 1))->describe();
  for (const char* part : {"gemm", "relu", "image", "float32 (2, 2)", "arena"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
}

}  // namespace
}  // namespace ravine::testing
