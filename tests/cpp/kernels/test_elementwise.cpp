#include "kernels/kernel_test.h"

namespace ravine::testing {
namespace {

TEST(Elementwise, EveryOperationHasAName) {
  EXPECT_STREQ(kernels::name_of(kernels::TileOp::add), "add");
  EXPECT_EQ(kernels::arity_of(kernels::TileOp::uniform), 0);
}

}  // namespace
}  // namespace ravine::testing
