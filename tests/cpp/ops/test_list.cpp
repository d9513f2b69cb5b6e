// The list of operations as a whole.
#include "ops/list.h"
#include "rules/op_table.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "core/error.h"

namespace ravine {
namespace {

// Their derivative is zero or does not exist; everything else has a rule.
const std::set<std::string> without_gradient = {
    "sign",         "floor",       "ceil",          "round",          "equal",       "not_equal",
    "less",         "less_equal",  "greater",       "greater_equal",  "logical_not", "logical_and",
    "logical_or",   "logical_xor", "stop_gradient", "uniform",        "argmax",      "argmin",
    "one_hot",      "bitwise_and", "bitwise_or",    "bitwise_xor",    "nextafter",   "argsort",
    "cumargmax",    "cumargmin",   "search_sorted", "scatter_winner",

    "coalesce_rows"};

// Operations that differ in what they accept or in their gradients, and compute the same.
const std::map<std::string, std::string> same_step = {{"hardtanh", "clip"},
                                                      {"bitwise_and", "logical_and"},
                                                      {"bitwise_or", "logical_or"},
                                                      {"bitwise_xor", "logical_xor"}};

TEST(OpList, NamesAreDistinctAndFound) {
  std::set<std::string> names;
  for (const Op* op : all_ops()) {
    EXPECT_TRUE(names.insert(op->name).second) << op->name << " is listed twice";
    EXPECT_EQ(&op_table().at(op->name), op);
  }
  EXPECT_GT(names.size(), 80u);
}

TEST(OpList, EveryOperationIsDifferentiableOrKnownNotToBe) {
  for (const Op* op : all_ops()) {
    const bool differentiable = op->gradient != nullptr || op->decompose != nullptr;
    EXPECT_NE(differentiable, without_gradient.contains(op->name)) << op->name;
  }
}

TEST(OpList, EveryOperationCanRun) {
  for (const Op* op : all_ops()) {
    EXPECT_NE(op->infer, nullptr) << op->name;
    switch (op->kind) {
      case OpKind::tile:
        EXPECT_EQ(same_step.contains(op->name) ? same_step.at(op->name) : op->name,
                  kernels::name_of(op->tile));
        break;
      case OpKind::view:
        EXPECT_NE(op->view, nullptr) << op->name;
        break;
      default:
        EXPECT_TRUE(op->lower != nullptr || op->expand != nullptr) << op->name;
    }
  }
}

TEST(OpList, AnUnknownNameIsAKeyErrorWithNeighbours) {
  try {
    op_table().at("sigmoidal");
    FAIL();
  } catch (const KeyError& error) {
    EXPECT_NE(std::string(error.what()).find("unknown operation 'sigmoidal'"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("sigmoid"), std::string::npos);
  }
}

}  // namespace
}  // namespace ravine
