// Which dtype an operation computes in.
#include <gtest/gtest.h>

#include "core/error.h"
#include "ops/builders.h"
#include "ops/list.h"
#include "rules/op_table.h"

namespace ravine {
namespace {

class Promotion : public ::testing::Test {
 protected:
  Value tensor(DType dtype) { return graph.input({dtype, {4}}); }
  DType result(const char* name, const Values& inputs, Attrs attrs = {}) {
    return apply_promoted(graph, name, inputs, std::move(attrs))[0].dtype();
  }
  Graph graph{op_table()};
  Value flag = tensor(DType::boolean), byte = tensor(DType::uint8), whole = tensor(DType::int32),
        wide = tensor(DType::int64), real = tensor(DType::float32), fine = tensor(DType::float64);
};

TEST_F(Promotion, ArithmeticTakesTheWiderDtype) {
  EXPECT_EQ(result("add", {real, fine}), DType::float64);
  EXPECT_EQ(result("mul", {wide, real}), DType::float32);
  EXPECT_EQ(result("sub", {whole, wide}), DType::int64);
  EXPECT_EQ(result("maximum", {byte, whole}), DType::int32);
  EXPECT_EQ(result("add", {flag, byte}), DType::uint8);
  EXPECT_EQ(result("add", {flag, wide}), DType::int64);
  EXPECT_EQ(result("square", {flag}), DType::int64);
  EXPECT_EQ(result("multiply_add", {real, whole, fine}), DType::float64);
}

TEST_F(Promotion, WhatNeedsRealNumbersMakesThem) {
  EXPECT_EQ(result("div", {whole, wide}), DType::float32);
  EXPECT_EQ(result("exp", {wide}), DType::float32);
  EXPECT_EQ(result("mean", {flag}), DType::float32);
}

TEST_F(Promotion, IntegersStayIntegersWhereTheResultIsOne) {
  EXPECT_EQ(result("pow", {whole, whole}), DType::int32);
  EXPECT_EQ(result("pow", {byte, real}), DType::float32);
  for (const char* name : {"floor", "ceil", "round", "sign"}) EXPECT_EQ(result(name, {whole}), DType::int32);
  EXPECT_EQ(result("floor", {fine}), DType::float64);
  EXPECT_EQ(result("bitwise_and", {flag, byte}), DType::uint8);
  EXPECT_THROW(result("bitwise_or", {whole, real}), TypeError);
}

TEST_F(Promotion, BoolsAloneAreLogic) {
  for (const char* name : {"add", "mul", "maximum", "minimum", "bitwise_xor"})
    EXPECT_EQ(result(name, {flag, flag}), DType::boolean) << name;
  EXPECT_EQ(result("sign", {flag}), DType::boolean);
  EXPECT_THROW(result("neg", {flag}), TypeError);
  EXPECT_THROW(result("sub", {flag, flag}), TypeError);
}

TEST_F(Promotion, ComparisonsAndLogicGiveBool) {
  EXPECT_EQ(result("less", {flag, flag}), DType::boolean);
  EXPECT_EQ(result("equal", {whole, fine}), DType::boolean);
  EXPECT_EQ(result("logical_and", {real, flag}), DType::boolean);
}

TEST_F(Promotion, CountingIsInInt64) {
  EXPECT_EQ(result("sum", {flag}), DType::int64);
  EXPECT_EQ(result("sum", {byte}), DType::int64);
  EXPECT_EQ(result("prod", {whole}), DType::int64);
  EXPECT_EQ(result("max", {flag}), DType::boolean);
  EXPECT_EQ(result("argmax", {flag}, {{"axis", std::int64_t{0}}}), DType::int64);
}

TEST_F(Promotion, TheConditionOfWhereIsLeftAlone) {
  EXPECT_EQ(result("where", {flag, whole, real}), DType::float32);
  EXPECT_THROW(result("where", {whole, real, real}), TypeError);
}

TEST_F(Promotion, OneHotComesInAnyDtype) {
  for (const DType dtype : {DType::boolean, DType::int64, DType::float64})
    EXPECT_EQ(result("one_hot", {byte}, {{"classes", std::int64_t{9}}, {"dtype", dtype}}), dtype);
}

TEST_F(Promotion, ApplyItselfDoesNotConvert) {
  EXPECT_THROW(graph.apply("add", {real, fine}), TypeError);
  EXPECT_THROW(graph.apply("exp", {wide}), TypeError);
  EXPECT_THROW(graph.apply("exp", {whole}), TypeError);
  EXPECT_THROW(graph.apply("logical_and", {real, flag}), TypeError);
}

TEST_F(Promotion, ErrorsAreThoseOfTheOperation) {
  Graph other(op_table());
  EXPECT_THROW(apply_promoted(graph, "add", {real, other.input({DType::float32, {4}})}), ValueError);
  EXPECT_THROW(apply_promoted(graph, "add", {real}), TypeError);
  EXPECT_THROW(apply_promoted(graph, "add", {}), TypeError);
  EXPECT_THROW(apply_promoted(graph, "where", {flag}), TypeError);
  EXPECT_THROW(apply_promoted(graph, "add", {real, real}, {{"axis", std::int64_t{0}}}), TypeError);
  EXPECT_THROW(apply_promoted(graph, "no_such_operation", {real}), KeyError);
}

}  // namespace
}  // namespace ravine
