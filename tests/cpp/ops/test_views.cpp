// Reshaping memory in place: which strides serve, and which ask for a copy.
#include <gtest/gtest.h>

#include "ops/builders.h"
#include "ops/list.h"
#include "rules/op_table.h"

namespace ravine {
namespace {

struct Viewed {
  bool possible;
  StridedView view;
};

Viewed reshaped(const Shape& from, const Strides& strides, const Shape& to) {
  Graph graph(op_table());
  const Value y = graph.apply1("reshape", {graph.input({DType::float32, from})}, {{"shape", to}});
  Viewed result;
  result.possible = y.node->op->view(*y.node, {from, strides, 5}, result.view);
  return result;
}

TEST(ReshapeView, OfDenseMemoryIsDense) {
  const Viewed y = reshaped({4, 6}, {6, 1}, {2, 2, 3, 2});
  ASSERT_TRUE(y.possible);
  EXPECT_EQ(y.view.shape, (Shape{2, 2, 3, 2}));
  EXPECT_EQ(y.view.strides, (Strides{12, 6, 2, 1}));
  EXPECT_EQ(y.view.offset, 5);
}

TEST(ReshapeView, SplitsAnAxisOfATransposedMatrix) {
  const Viewed y = reshaped({6, 4}, {1, 6}, {3, 2, 4});
  ASSERT_TRUE(y.possible);
  EXPECT_EQ(y.view.strides, (Strides{2, 1, 6}));
}

TEST(ReshapeView, DoesNotMergeAxesThatLieApart) {
  EXPECT_FALSE(reshaped({6, 4}, {1, 6}, {24}).possible);
  EXPECT_FALSE(reshaped({6, 4}, {8, 1}, {3, 8}).possible);
  EXPECT_FALSE(reshaped({3, 4}, {0, 1}, {12}).possible);
}

TEST(ReshapeView, KeepsRowsOfASlice) {
  const Viewed y = reshaped({6, 4}, {8, 1}, {2, 3, 2, 2});
  ASSERT_TRUE(y.possible);
  EXPECT_EQ(y.view.strides, (Strides{24, 8, 2, 1}));
}

TEST(ReshapeView, RepeatsABroadcastAxis) {
  const Viewed y = reshaped({6, 4}, {0, 1}, {2, 3, 4});
  ASSERT_TRUE(y.possible);
  EXPECT_EQ(y.view.strides, (Strides{0, 0, 1}));
}

TEST(ReshapeView, IgnoresExtentsOfOne) {
  const Viewed y = reshaped({1, 6, 1, 4}, {99, 4, 77, 1}, {24, 1});
  ASSERT_TRUE(y.possible);
  EXPECT_EQ(y.view.strides[0], 1);
  EXPECT_TRUE(reshaped({1, 1}, {7, 9}, {}).possible);
  EXPECT_TRUE(reshaped({0, 5}, {1, 9}, {5, 0, 2}).possible);
}

TEST(SliceView, StartsAndSteps) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {9, 7}});
  const Value y = ops::slice(x, {1, 2}, {8, 7}, {3, 2});
  EXPECT_EQ(y.shape(), (Shape{3, 3}));
  StridedView view;
  ASSERT_TRUE(y.node->op->view(*y.node, {x.shape(), {7, 1}, 100}, view));
  EXPECT_EQ(view.strides, (Strides{21, 2}));
  EXPECT_EQ(view.offset, 100 + 7 + 2);
}

}  // namespace
}  // namespace ravine
