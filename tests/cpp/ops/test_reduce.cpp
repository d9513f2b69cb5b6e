// How many kernel calls a reduction takes, and over what.
#include <gtest/gtest.h>

#include <numeric>

#include "graph/graph_test.h"

namespace ravine::testing {
namespace {

std::vector<std::string> calls_of(const Program& program) {
  std::vector<std::string> names;
  for (const KernelCall& call : program.calls()) names.push_back(call.kernel + " " + call.description);
  return names;
}

class Reduction : public ::testing::Test {
 protected:
  std::vector<std::string> calls(Value output) {
    program = compile(graph, std::span(&output, 1));
    return calls_of(*program);
  }
  Graph graph{op_table()};
  std::unique_ptr<Program> program;
  Value x = graph.input({DType::float32, {4, 3, 5, 6}});
};

TEST_F(Reduction, OfTrailingAxesIsOneCall) {
  EXPECT_EQ(calls(ops::sum(x, {2, 3})), (std::vector<std::string>{"sum [12, 30, 1] over the middle axis"}));
}

TEST_F(Reduction, OfLeadingAxesIsOneCall) {
  EXPECT_EQ(calls(ops::sum(x, {0, 1})), (std::vector<std::string>{"sum [1, 12, 30] over the middle axis"}));
}

TEST_F(Reduction, OfAMiddleAxisIsOneCall) {
  EXPECT_EQ(calls(ops::max(x, {2})), (std::vector<std::string>{"max [12, 5, 6] over the middle axis"}));
}

TEST_F(Reduction, OfEverythingIsOneCallInAnyOrderOfAxes) {
  EXPECT_EQ(calls(ops::mean(ops::transpose(x, {2, 0, 3, 1}))),
            (std::vector<std::string>{"mean [1, 360, 1] over the middle axis"}));
}

TEST_F(Reduction, OfImagesThatLieChannelsLastIsOneCall) {
  const Array image(DType::float32, {4, 3, 5, 6}, Layout::channels_last);
  EXPECT_EQ(calls(ops::sum(graph.state(image), {0, 2, 3})),
            (std::vector<std::string>{"sum [1, 120, 3] over the middle axis"}));
}

TEST_F(Reduction, OfSeparatedAxesShortensTheLongestFirst) {
  EXPECT_EQ(calls(ops::sum(x, {0, 2, 3})), (std::vector<std::string>{"sum [12, 30, 1] over the middle axis",
                                                                     "sum [1, 4, 3] over the middle axis"}));
}

TEST_F(Reduction, OfABroadcastCountsInsteadOfReading) {
  const Value row = graph.input({DType::float32, {6}});
  const Value sum = ops::sum(ops::broadcast_to(row, {100, 6}));
  EXPECT_EQ(calls(sum), (std::vector<std::string>{"sum [1, 6, 1] over the middle axis"}));
  Array ones(DType::float32, {6}), unused(DType::float32, {4, 3, 5, 6});
  std::fill_n(ones.as<float>(), 6, 1.0f);
  EXPECT_EQ(run(*program, {unused, ones})[0], (std::vector<float>{600}));
}

TEST_F(Reduction, OfATransposedTensorKeepsItsOrderInMemory) {
  // The kept axes come out in memory order; the sum itself reads without a copy.
  const Value y = ops::sum(ops::transpose(x, {3, 1, 0, 2}), {3});
  EXPECT_EQ(calls(y)[0], "sum [12, 5, 6] over the middle axis");
  Array numbers(DType::float32, {4, 3, 5, 6});
  std::iota(numbers.as<float>(), numbers.as<float>() + numbers.size(), 0.0f);
  const auto got = run(*program, {numbers})[0];
  for (int d = 0; d < 6; ++d)
    for (int b = 0; b < 3; ++b)
      for (int a = 0; a < 4; ++a) {
        float want = 0;
        for (int c = 0; c < 5; ++c) want += static_cast<float>(((a * 3 + b) * 5 + c) * 6 + d);
        EXPECT_EQ(got[static_cast<std::size_t>((d * 3 + b) * 4 + a)], want);
      }
}

TEST_F(Reduction, OfOneElementPerResultStillScales) {
  const Value one = graph.input({DType::float32, {3, 1}});
  const Value y = ops::mean(one, {1});
  calls(y);
  Array unused(DType::float32, {4, 3, 5, 6});
  EXPECT_EQ(run(*program, {unused, array_of({3, 1}, {1, 2, 3})})[0], (std::vector<float>{1, 2, 3}));
}

}  // namespace
}  // namespace ravine::testing
