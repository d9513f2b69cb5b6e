// Values kept from run to run: computed once, again when a state changed, shared by programs.
#include "graph/derived.h"

#include <cmath>
#include <thread>

#include "graph_test.h"

namespace ravine::testing {
namespace {

std::unique_ptr<Program> compile_keeping(Graph& graph, const Value& output) {
  CompileOptions options;
  options.keep_derived = true;
  return compile(graph, std::span(&output, 1), options);
}

// x (exp(w) + 1), where a program that keeps the factor has one call per run for the product alone.
struct Scaling {
  explicit Scaling(const Array& w, std::int64_t rows = 1) : graph(op_table()) {
    const Value x = graph.input({DType::float32, {rows, 2}});
    output = x * (ops::exp(graph.state(w)) + 1.0);
    program = compile_keeping(graph, output);
  }
  Graph graph;
  Value output;
  std::unique_ptr<Program> program;
};

TEST(Derived, IsComputedOnceUntilAStateIsWritten) {
  const Array w = array_of({2}, {0, 0}), x = array_of({1, 2}, {1, 2});
  const Scaling scaling(w);
  EXPECT_EQ(kernel_names(*scaling.program), (std::vector<std::string>{"elementwise + mul"}));
  EXPECT_NE(scaling.program->describe().find("kept   add float32 (2,)"), std::string::npos)
      << scaling.program->describe();
  EXPECT_EQ(run(*scaling.program, {x})[0], (std::vector<float>{2, 4}));
  // A write that nobody tells of is not looked for: nothing is computed again.
  w.as<float>()[0] = 1000;
  EXPECT_EQ(run(*scaling.program, {x})[0], (std::vector<float>{2, 4}));
  w.as<float>()[0] = -1000;
  w.writes().written();
  EXPECT_EQ(run(*scaling.program, {x})[0], (std::vector<float>{1, 4}));
}

TEST(Derived, FollowsProgramsThatWrite) {
  const Array w = array_of({2}, {0, 0}), x = array_of({1, 2}, {1, 2});
  const Scaling scaling(w);
  EXPECT_EQ(run(*scaling.program, {x})[0], (std::vector<float>{2, 4}));
  Graph graph(op_table());
  graph.assign(w, graph.state(w) - 1000.0);
  compile(graph, {})->run({}, {});
  EXPECT_EQ(run(*scaling.program, {x})[0], (std::vector<float>{1, 2}));
}

TEST(Derived, IsComputedAtEveryRunWhileAViewIsOpen) {
  const Array w = array_of({2}, {0, 0}), x = array_of({1, 2}, {1, 2});
  const Scaling scaling(w);
  w.writes().open_view();
  for (const float number : {-1000.0f, 0.0f, -1000.0f}) {
    w.as<float>()[0] = number;
    EXPECT_EQ(run(*scaling.program, {x})[0][0], number == 0 ? 2 : 1);
  }
  w.as<float>()[0] = 0;
  w.writes().close_view();
  EXPECT_EQ(run(*scaling.program, {x})[0][0], 2);
}

TEST(Derived, IsSharedByProgramsThatNeedTheSame) {
  const Array w = array_of({2}, {0, 0}), other = array_of({2}, {0, 0});
  const Scaling one(w), two(w, 3), third(other);
  const auto value_of = [](const Scaling& scaling) {
    return Derived::of({scaling.output.node->inputs[1].node, 0}, active_kernels());
  };
  EXPECT_EQ(value_of(one), value_of(two));
  EXPECT_NE(value_of(one), value_of(third));
  const auto before = value_of(one);
  Graph graph(op_table());
  EXPECT_NE(Derived::of(ops::exp(graph.state(w)) + 1.0001, active_kernels()), before);
}

TEST(Derived, ProgramsWithEffectsAndOtherProgramsKeepNothing) {
  const Array w = array_of({2}, {0, 0});
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {1, 2}});
  const Value output = x * (ops::exp(graph.state(w)) + 1.0);
  EXPECT_EQ(compile(graph, std::span(&output, 1))->describe().find("kept"), std::string::npos);
  graph.assign(w, graph.state(w) + 1.0);
  EXPECT_EQ(compile_keeping(graph, output)->describe().find("kept"), std::string::npos);
}

// Programs of two threads read one value while a third writes the state: every result is of a state that was
// there, and the last of the last.
TEST(Derived, ManyThreads) {
  const Array w = array_of({2}, {0, 0}), x = array_of({1, 2}, {1, 1});
  const auto serve = [&] {
    const Scaling scaling(w);
    for (int i = 0; i < 500; ++i) {
      const std::vector<float> y = run(*scaling.program, {x})[0];
      EXPECT_TRUE((y[0] == 2 || y[0] == 1) && (y[1] == 2 || y[1] == 1)) << y[0] << " " << y[1];
    }
  };
  std::thread a(serve), b(serve);
  Graph graph(op_table());
  graph.assign(w, -1000.0 - graph.state(w));
  const auto flip = compile(graph, {});
  for (int i = 0; i < 301; ++i) flip->run({}, {});
  a.join();
  b.join();
  EXPECT_EQ(run(*Scaling(w).program, {x})[0], (std::vector<float>{1, 1}));
}

// Two programs list the same values in opposite orders, one of them twice, while both values are computed
// again and again: no thread waits for another that waits for it.
TEST(Derived, ReadersInOppositeOrdersAndWriters) {
  const Array v = array_of({2}, {0, 0}), w = array_of({2}, {0, 0}), x = array_of({1, 2}, {1, 1});
  const auto value_of = [](const Array& state) {
    Graph graph(op_table());
    return Derived::of(ops::exp(graph.state(state)) + 1.0, active_kernels());
  };
  const std::shared_ptr<Derived> a = value_of(v), b = value_of(w);
  const auto read = [](const std::vector<std::shared_ptr<Derived>>& values, const Array& state) {
    for (int i = 0; i < 2000; ++i) {
      state.writes().written();
      const DerivedReaders readers(values);
      for (const auto& value : values) EXPECT_EQ(value->value().as<float>()[0], 2);
    }
  };
  std::thread first(read, std::vector{a, b, a}, v), second(read, std::vector{b, a}, w);
  first.join();
  second.join();
  // Everything was let go: a writer waits for nobody.
  for (const auto& value : {a, b}) {
    value->lock().lock();
    value->lock().unlock();
  }
}

// A convolution with a bias and what BatchNorm makes of running statistics, against the same unfolded.
TEST(Derived, ChainsBehindConvolutionsGoIntoTheFilter) {
  Array w(DType::float32, {20, 6, 3, 3}, Layout::channels_last), x(DType::float32, {2, 6, 9, 8});
  for (std::int64_t i = 0; i < w.size(); ++i) w.as<float>()[i] = std::sin(static_cast<float>(i));
  for (std::int64_t i = 0; i < x.size(); ++i) x.as<float>()[i] = std::cos(static_cast<float>(i));
  std::vector<Array> columns;
  for (int k = 0; k < 5; ++k) {
    columns.emplace_back(DType::float32, Shape{1, 20, 1, 1});
    for (std::int64_t i = 0; i < 20; ++i)
      columns.back().as<float>()[i] = 1.5f + std::sin(static_cast<float>(i * 7 + k));
  }
  for (const std::int64_t stride : {1, 2})
    for (const int form : {0, 1, 2, 3}) {
      SCOPED_TRACE(form);
      Graph graph(op_table());
      Values c;
      for (const Array& array : columns) c.push_back(graph.state(array));
      Value y = graph.apply1("conv2d", {graph.input({DType::float32, {2, 6, 9, 8}}), graph.state(w)},
                             {{"stride", Dims{stride, stride}}, {"padding", Dims{1, 1}}});
      if (form == 0) y = (y + c[0] - c[1]) * c[2] + c[3];
      if (form == 1) y = graph.apply1("multiply_add", {c[0] - y, c[2], c[1]});
      if (form == 2) y = graph.apply1("multiply_add", {c[4], y * 0.5, c[1]}) * c[0];
      if (form == 3) y = y * graph.scalar(-2, DType::float32);
      y = ops::relu(y);
      const auto plain = compile(graph, std::span(&y, 1)), folded = compile_keeping(graph, y);
      EXPECT_EQ(kernel_names(*folded).size(), 3u) << folded->describe();
      EXPECT_EQ(kernel_names(*folded)[1], form == 3 ? "conv2d + relu" : "conv2d + add, relu");
      const std::vector<float> expected = run(*plain, {x})[0], actual = run(*folded, {x})[0];
      float largest = 0;
      for (const float value : expected) largest = std::max(largest, std::abs(value));
      EXPECT_GT(largest, 1);
      for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_NEAR(actual[i], expected[i], 1e-5f * largest) << i;
    }
}

// What something else reads, or what is not per channel, stays as it is.
TEST(Derived, ConvolutionsThatAreReadElsewhereKeepTheirValue) {
  Array w(DType::float32, {8, 4, 3, 3}, Layout::channels_last);
  for (std::int64_t i = 0; i < w.size(); ++i) w.as<float>()[i] = std::sin(static_cast<float>(i));
  const Array scale = array_of({1, 8, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8});
  Graph graph(op_table());
  const Value y = graph.apply1("conv2d", {graph.input({DType::float32, {1, 4, 6, 6}}), graph.state(w)});
  const Value outputs[] = {y, y * graph.state(scale)};
  CompileOptions options;
  options.keep_derived = true;
  const auto program = compile(graph, outputs, options);
  Array x(DType::float32, {1, 4, 6, 6});
  for (std::int64_t i = 0; i < x.size(); ++i) x.as<float>()[i] = std::cos(static_cast<float>(i));
  const auto results = run(*program, {x});
  for (std::size_t i = 0; i < results[0].size(); ++i)
    EXPECT_EQ(results[1][i], results[0][i] * static_cast<float>(i / 16 + 1)) << i;
}

}  // namespace
}  // namespace ravine::testing
