// Sizes that kernels cannot number are refused when an operation is recorded. (Nothing of these sizes
// exists.)
#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "graph/graph_test.h"

namespace ravine::testing {
namespace {

template <class Function>
std::string value_error_of(Function function) {
  try {
    function();
  } catch (const ValueError& error) {
    return error.what();
  }
  return "no ValueError";
}

TEST(Limits, ImagesOfPoolsHaveAtMostAnInt32OfPixels) {
  Graph graph(op_table());
  constexpr std::int64_t side = std::int64_t{1} << 16;
  const Value fits = graph.input({DType::float32, {1, 1, side / 2 - 1, side}});
  const Value large = graph.input({DType::float32, {1, 1, side / 2, side}});
  ops::max_pool2d(fits, {2, 2});
  ops::avg_pool2d(fits, {2, 2});
  for (const auto pool : {ops::max_pool2d, ops::avg_pool2d}) {
    const std::string error = value_error_of([&] { pool(large, {2, 2}, {}); });
    EXPECT_NE(error.find("32768 x 65536 pixels"), std::string::npos) << error;
    EXPECT_NE(error.find("2147483647"), std::string::npos) << error;
  }
  EXPECT_NE(value_error_of([&] {
              ops::adaptive_avg_pool2d(large, {2, 2});
            }).find("pixels"),
            std::string::npos);
}

TEST(Limits, ArgmaxSideBySideHasAtMostAnInt32OfRows) {
  Graph graph(op_table());
  constexpr std::int64_t most = 2147483647;
  for (const auto find : {ops::argmax, ops::argmin}) {
    find(graph.input({DType::uint8, {most, 2}}), 0, false);
    find(graph.input({DType::uint8, {most + 1, 1}}), 0, false);  // one row: its places are int64
    const Value large = graph.input({DType::uint8, {most + 1, 2}});
    const std::string error = value_error_of([&] { find(large, 0, false); });
    EXPECT_NE(error.find("2147483647"), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace ravine::testing
