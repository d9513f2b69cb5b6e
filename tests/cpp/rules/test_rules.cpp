// What each rule makes of its pattern, and of patterns that miss one of its conditions.
#include "rules/rules.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "core/error.h"
#include "graph/autodiff.h"
#include "graph/passes/rule.h"
#include "graph/passes/verify.h"
#include "ops/builders.h"
#include "ops/conv.h"
#include "ops/list.h"
#include "optim/optimizer.h"
#include "rules/op_table.h"

namespace ravine::testing {
namespace {

// "add(matmul(x, w), b)"; ".1" behind an operation: its output 1. Shapes of views are left out.
std::string text(const Value& value) {
  if (!value) return "none";
  const Node& node = *value.node;
  if (!node.name.empty()) return node.name;
  if (node.op == &constant_op) return "constant";
  std::string operands;
  for (const Value& input : node.inputs) operands += str(operands.empty() ? "" : ", ", text(input));
  const std::string call = str(node.op->name, "(", operands, ")");
  return value.index == 0 ? call : str(call, ".", value.index);
}

class Rules : public ::testing::Test {
 protected:
  Value input(const char* name, const Shape& shape) { return graph_.input({DType::float32, shape}, name); }
  Value state(const char* name, const Shape& shape) {
    return graph_.state(Array(DType::float32, shape), name);
  }

  // What a sweep with the rules makes of the values, and of the effects behind them.
  std::string applied(const RuleSet& rules, const Values& outputs) {
    Unit unit = apply_rules(copy_live(graph_, outputs), rules, active_kernels());
    unit = copy_live(*unit.graph, unit.outputs);
    verify(unit, "rules");
    std::string result;
    const auto add = [&](const std::string& part) { result += str(result.empty() ? "" : "; ", part); };
    for (const Value& output : unit.outputs) add(text(output));
    for (const Node* effect : unit.graph->effects()) add(text(effect->out()));
    return result;
  }

  Graph graph_{op_table()};
};

// ---- slices

TEST_F(Rules, SlicesOfAGradientAreJoined) {
  const RuleSet slices{rules::joined_slices()};
  const Value a = input("a", {1, 3}), b = input("b", {2, 3}), c = input("c", {1, 3}), y = input("y", {5, 3});
  const auto at = [](Value x, std::int64_t before) {
    return ops::pad(x, Dims{before, 0}, Dims{5 - before - x.shape()[0], 0});
  };
  EXPECT_EQ(applied(slices, {at(c, 3) + at(b, 1) + at(a, 0)}), "concat(a, b, c, broadcast_to(constant))");
  EXPECT_EQ(applied(slices, {at(a, 4) + y + at(c, 0)}), "add(concat(c, broadcast_to(constant), a), y)");
  // What overlaps goes into another buffer.
  EXPECT_EQ(applied(slices, {at(a, 0) + at(b, 0) + at(c, 1)}),
            "add(concat(a, c, broadcast_to(constant)), concat(b, broadcast_to(constant)))");
}

TEST_F(Rules, SumsOfOtherThingsStay) {
  const RuleSet slices{rules::joined_slices()};
  const Value a = input("a", {1, 3}), b = input("b", {1, 3}), y = input("y", {2, 3});
  const Value first = ops::pad(a, {0, 0}, {1, 0}), second = ops::pad(b, {1, 0}, {0, 0});
  EXPECT_EQ(applied(slices, {first + y}), "add(pad(a), y)");
  EXPECT_EQ(applied(slices, {first + ops::pad(b, {1, 0}, {0, 0}, 1)}), "add(pad(a), pad(b))");
  EXPECT_EQ(applied(slices, {first * second}), "mul(pad(a), pad(b))");
  const Value wide = input("w", {1, 2});
  EXPECT_EQ(applied(slices, {first + ops::pad(wide, {1, 1}, {0, 0})}), "add(pad(a), pad(w))");
}

// ---- algebra

TEST_F(Rules, WhatDoesNothingIsRemoved) {
  const RuleSet algebra{rules::algebra()};
  const Value x = input("x", {2, 3});
  EXPECT_EQ(applied(algebra, {x + 0.0}), "x");
  EXPECT_EQ(applied(algebra, {0.0 + x}), "x");
  EXPECT_EQ(applied(algebra, {x - 0.0}), "x");
  EXPECT_EQ(applied(algebra, {x * 1.0}), "x");
  EXPECT_EQ(applied(algebra, {1.0 * x}), "x");
  EXPECT_EQ(applied(algebra, {x / 1.0}), "x");
  EXPECT_EQ(applied(algebra, {ops::pow(x, ops::scalar_like(x, 1))}), "x");
  EXPECT_EQ(applied(algebra, {-(-x)}), "x");
  EXPECT_EQ(applied(algebra, {ops::stop_gradient(x)}), "x");
  EXPECT_EQ(applied(algebra, {graph_.apply1("cast", {x}, {{"dtype", DType::float32}})}), "x");
  EXPECT_EQ(applied(algebra, {ops::broadcast_to(x, {2, 3})}), "x");
}

TEST_F(Rules, WhatDoesSomethingStays) {
  const RuleSet algebra{rules::algebra()};
  const Value x = input("x", {2, 3}), s = input("s", {});
  EXPECT_EQ(applied(algebra, {0.0 - x}), "sub(constant, x)");
  EXPECT_EQ(applied(algebra, {1.0 / x}), "div(constant, x)");
  EXPECT_EQ(applied(algebra, {x * 2.0}), "mul(x, constant)");
  // The result has another shape than what would be kept.
  EXPECT_EQ(applied(algebra, {s + graph_.filled(0, {DType::float32, {4}})}),
            "add(s, broadcast_to(constant))");
}

TEST_F(Rules, ViewsOfViewsAreOne) {
  const RuleSet algebra{rules::algebra()};
  const Value x = input("x", {2, 3, 4});
  EXPECT_EQ(applied(algebra, {ops::reshape(ops::reshape(x, {6, 4}), {24})}), "reshape(x)");
  EXPECT_EQ(applied(algebra, {ops::transpose(ops::transpose(x, {1, 2, 0}), {2, 0, 1})}), "x");
  EXPECT_EQ(applied(algebra, {ops::transpose(ops::transpose(x, {1, 2, 0}), {1, 2, 0})}), "transpose(x)");
  EXPECT_EQ(applied(algebra, {ops::transpose(x, {0, 1, 2})}), "x");
}

// ---- linear

TEST_F(Rules, ATransposedProductIsAProduct) {
  const RuleSet set{rules::transposed_products()};
  const Value x = input("x", {8, 3}), dy = input("dy", {8, 4});
  const Value product = ops::matmul(ops::swap_last_axes(x), dy);
  EXPECT_EQ(applied(set, {ops::swap_last_axes(product)}), "matmul(transpose(dy), x)");
  // Also wanted as it is: it is computed once.
  EXPECT_EQ(applied(set, {ops::swap_last_axes(product), product}),
            "transpose(matmul(transpose(x), dy)); matmul(transpose(x), dy)");
}

TEST_F(Rules, AProductSumsTheRowsThatItReads) {
  const RuleSet set{rules::fused_bias_gradients()};
  const Value x = input("x", {8, 3}), dy = input("dy", {8, 4});
  const Value weight = ops::matmul(ops::swap_last_axes(dy), x), bias = ops::sum(dy, {0});
  EXPECT_EQ(applied(set, {weight, bias}),
            "matmul_row_sums(transpose(dy), x); matmul_row_sums(transpose(dy), x).1");
  // Columns are not what the product reads together; no transpose, no sum.
  EXPECT_EQ(applied(set, {weight, ops::sum(dy, {1})}), "matmul(transpose(dy), x); sum(dy)");
  EXPECT_EQ(applied(set, {ops::matmul(dy, ops::swap_last_axes(dy)), bias}),
            "matmul(dy, transpose(dy)); sum(dy)");
}

TEST_F(Rules, ASumThatIsReadBeforeTheProductStays) {
  const RuleSet set{rules::fused_bias_gradients()};
  const Value x = input("x", {8, 3}), dy = input("dy", {8, 4});
  const Value bias = ops::sum(dy, {0});
  const Value early = ops::relu(bias);
  const Value weight = ops::matmul(ops::swap_last_axes(dy), x);
  EXPECT_EQ(applied(set, {early, weight}), "relu(sum(dy)); matmul(transpose(dy), x)");
}

struct Linear {
  Array weight{DType::float32, {256, 512}}, bias{DType::float32, {256}};
  std::shared_ptr<optim::Optimizer> optimizer = std::make_shared<optim::Optimizer>(
      "sgd", std::vector<Array>{weight, bias}, optim::Optimizer::Settings{{"lr", 0.1}});
};

TEST_F(Rules, AnUpdateIsDoneByTheProductAlone) {
  const Linear layer;
  const Value x = input("x", {8, 512}), dy = input("dy", {8, 256});
  const Value weight = ops::matmul(ops::swap_last_axes(dy), x), bias = ops::sum(dy, {0});
  optim::optimizer_step(graph_, layer.optimizer, {weight, bias});
  const RuleSet update{rules::fused_updates()};
  EXPECT_EQ(applied(update, {}),
            "matmul_update(transpose(dy), x); "
            "optimizer_step(matmul_update(transpose(dy), x), sum(dy))");
  // A gradient that is also wanted is computed.
  EXPECT_EQ(applied(update, {weight}),
            "matmul(transpose(dy), x); optimizer_step(matmul(transpose(dy), x), sum(dy))");
}

TEST_F(Rules, AnUpdateSumsRowsForLaterEffectsAlone) {
  const Linear layer;
  const Value x = input("x", {8, 512}), dy = input("dy", {8, 256});
  const Value weight = ops::matmul(ops::swap_last_axes(dy), x), bias = ops::sum(dy, {0});
  optim::optimizer_step(graph_, layer.optimizer, {weight, bias});
  const RuleSet update{rules::fused_updates()}, sums{rules::fused_bias_gradients()};
  const auto both = [&](const Values& outputs) {
    Unit unit = apply_rules(copy_live(graph_, outputs), update, active_kernels());
    unit = apply_rules(std::move(unit), sums, active_kernels());
    unit = copy_live(*unit.graph, unit.outputs);
    verify(unit, "rules");
    return text(unit.graph->effects().back()->out());
  };
  EXPECT_EQ(both({}), "optimizer_step(matmul_update(transpose(dy), x), matmul_update(transpose(dy), x).1)");
  // Outputs are made ready before any effect.
  EXPECT_EQ(both({bias}), "optimizer_step(matmul_update(transpose(dy), x), sum(dy))");
}

TEST_F(Rules, SmallAndUnevenUpdatesStayWithTheOptimizer) {
  const RuleSet update{rules::fused_updates()};
  const Array small(DType::float32, {8, 16});
  const auto optimizer = std::make_shared<optim::Optimizer>("sgd", std::vector<Array>{small},
                                                            optim::Optimizer::Settings{{"lr", 0.1}});
  const Value x = input("x", {8, 16}), dy = input("dy", {8, 8});
  optim::optimizer_step(graph_, optimizer, {ops::matmul(ops::swap_last_axes(dy), x)});
  EXPECT_EQ(applied(update, {}), "optimizer_step(matmul(transpose(dy), x))");
}

TEST_F(Rules, AProductOfAStateDoesNotWaitForUpdates) {
  const Linear layer;
  const RuleSet update{rules::fused_updates()};
  const Value dy = input("dy", {8, 256});
  const Value weight = ops::matmul(ops::swap_last_axes(dy), state("s", {8, 512}));
  optim::optimizer_step(graph_, layer.optimizer, {weight, ops::sum(dy, {0})});
  EXPECT_EQ(applied(update, {}), "optimizer_step(matmul(transpose(dy), s), sum(dy))");
}

// ---- norms

TEST_F(Rules, TheGradientOfARectifiedNormReadsNoRectifiedImages) {
  const RuleSet set{rules::norm_relu_gradients()};
  const Value x = input("x", {8, 3}), g = input("g", {3}), b = input("b", {3}), dy = input("dy", {8, 3});
  const ops::BatchNorm norm = ops::batch_norm(x, g, b);
  const Value rectified = ops::relu(norm.y);
  const Value gated = graph_.apply1("scale_by_positive", {rectified, dy}, {{"slope", 0.0}});
  const Attrs eps = norm.y.node->attrs;
  const Values grads = graph_.apply("batch_norm_grad", {x, gated, norm.mean, norm.variance, g}, eps);
  EXPECT_EQ(applied(set, {grads[0]}),
            "batch_norm_relu_grad(x, dy, batch_norm(x, g, b).1, batch_norm(x, g, b).2, g, b)");
  EXPECT_EQ(applied(set, {grads[2]}),
            "batch_norm_relu_grad(x, dy, batch_norm(x, g, b).1, batch_norm(x, g, b).2, g, b).2");
  // LeakyReLU, and another tensor between the norm and the ReLU.
  const Value leaky = graph_.apply1("scale_by_positive", {rectified, dy}, {{"slope", 0.1}});
  EXPECT_EQ(applied(set, {graph_.apply("batch_norm_grad", {x, leaky, norm.mean, norm.variance, g}, eps)[0]})
                .find("batch_norm_relu_grad"),
            std::string::npos);
  const Value residual = graph_.apply1("scale_by_positive", {ops::relu(norm.y + dy), dy}, {{"slope", 0.0}});
  EXPECT_EQ(
      applied(set, {graph_.apply("batch_norm_grad", {x, residual, norm.mean, norm.variance, g}, eps)[0]})
          .find("batch_norm_relu_grad"),
      std::string::npos);
}

// ---- convolutions

ops::ConvOptions same_size() { return {.stride = {1, 1}, .padding = {1, 1}}; }

TEST_F(Rules, AChainOfNumbersOfChannelsGoesIntoTheFilter) {
  const RuleSet set{rules::prepacked_filters()};
  const Value x = input("x", {2, 3, 8, 8}), w = state("w", {5, 3, 1, 1});
  const Value scale = state("scale", {1, 5, 1, 1}), shift = state("shift", {1, 5, 1, 1});
  const Value y = ops::conv2d(x, w);
  EXPECT_EQ(applied(set, {y * scale + shift}), "add(conv2d(x, mul(w, reshape(reshape(scale)))), shift)");
  EXPECT_EQ(applied(set, {(y - shift) * scale}),
            "add(conv2d(x, mul(w, reshape(reshape(scale)))), mul(neg(shift), scale))");
  EXPECT_EQ(applied(set, {graph_.apply1("multiply_add", {y, scale, shift})}),
            "add(conv2d(x, mul(w, reshape(reshape(scale)))), shift)");
  // Nothing multiplies; not per channel; an input changes from run to run; the convolution is also read.
  EXPECT_EQ(applied(set, {y + shift}), "add(conv2d(x, w), shift)");
  EXPECT_EQ(applied(set, {y * state("image", {1, 1, 8, 8})}), "mul(conv2d(x, w), image)");
  EXPECT_EQ(applied(set, {y * input("t", {1, 5, 1, 1})}), "mul(conv2d(x, w), t)");
  EXPECT_EQ(applied(set, {y * scale, y}), "mul(conv2d(x, w), scale); conv2d(x, w)");
}

TEST_F(Rules, AFilterIsPrepackedWhereItsAlgorithmWantsThat) {
  const RuleSet set{rules::prepacked_filters()};
  const Value x = input("x", {8, 64, 32, 32});
  const std::string fixed = applied(set, {ops::conv2d(x, state("w", {64, 64, 3, 3}), same_size())});
  EXPECT_EQ(fixed, "conv2d_prepacked(x, winograd_filter(w))");
  const std::string changing = applied(set, {ops::conv2d(x, input("v", {64, 64, 3, 3}), same_size())});
  EXPECT_EQ(changing, "conv2d(x, v)");
}

TEST_F(Rules, AConvolutionGathersTheMomentsOfWhatItComputes) {
  const RuleSet set{rules::fused_batch_statistics()};
  const Value x = input("x", {8, 64, 32, 32}), w = input("w", {64, 64, 3, 3});
  const Value y = ops::conv2d(x, w, same_size());
  const Values moments = graph_.apply("column_moments", {y});
  EXPECT_EQ(applied(set, moments),
            "combine_moments(conv2d_moments(x, w).1); "
            "combine_moments(conv2d_moments(x, w).1).1");
  EXPECT_EQ(applied(set, {graph_.apply("column_moments", {ops::relu(y)})[0]}),
            "column_moments(relu(conv2d(x, w)))");
}

// ---- pools

TEST_F(Rules, APoolGoesIntoAConvolutionBeforeWhatKeepsTheOrder) {
  const RuleSet set{rules::pools_in_convolutions()};
  const Value x = input("x", {4, 3, 16, 16}), w = input("w", {16, 3, 3, 3}), b = input("b", {1, 16, 1, 1});
  const Value y = ops::conv2d(x, w, same_size());
  EXPECT_EQ(applied(set, {ops::max_pool2d(ops::relu(y + b), {2, 2})}),
            "relu(add(conv2d_prepacked(x, w), b))");
  // Overlapping windows; the images are also wanted; something that does not keep the order.
  EXPECT_EQ(applied(set, {ops::max_pool2d(ops::relu(y), {3, 3}, {.stride = {2, 2}})}),
            "max_pool2d(relu(conv2d(x, w)))");
  EXPECT_EQ(applied(set, {ops::max_pool2d(ops::relu(y), {2, 2}), y}),
            "max_pool2d(relu(conv2d(x, w))); conv2d(x, w)");
  EXPECT_EQ(applied(set, {ops::max_pool2d(ops::abs(y), {2, 2})}), "max_pool2d(abs(conv2d(x, w)))");
  // Someone asks where the maxima were.
  const Value places = ops::max_pool2d(ops::relu(y), {2, 2}).node->out(1);
  EXPECT_EQ(applied(set, {places}), "max_pool2d(relu(conv2d(x, w))).1");
}

TEST_F(Rules, APoolNormalisesAndRectifiesWhatItReads) {
  const RuleSet set{rules::norms_in_pools()};
  const Value x = input("x", {4, 3, 8, 8}), a = input("a", {1, 3, 1, 1}), b = input("b", {1, 3, 1, 1});
  const Value normalized = graph_.apply1("multiply_add", {x, a, b});
  const Value rectified = ops::relu(normalized);
  EXPECT_EQ(applied(set, {ops::max_pool2d(rectified, {2, 2})}), "normalized_max_pool2d(x, a, b)");
  EXPECT_EQ(applied(set, {ops::max_pool2d(rectified, {2, 2}), rectified}),
            "max_pool2d(relu(multiply_add(x, a, b))); relu(multiply_add(x, a, b))");
}

TEST_F(Rules, MaximaAreToldByOffsetsToGradientsAlone) {
  const RuleSet set{rules::compressed_argmax()};
  const Value x = input("x", {4, 3, 8, 8});
  const Value y = ops::max_pool2d(x, {2, 2});
  const Value dx = gradients(ops::sum(y), Values{x})[0];
  const auto dtype_of_places = [&](const Values& outputs) {
    Unit unit = apply_rules(copy_live(graph_, outputs), set, active_kernels());
    verify(unit, "rules");
    for (const auto& node : unit.graph->nodes())
      if (node->op == &max_pool2d_op) return node->outputs[1].dtype;
    return DType::boolean;
  };
  EXPECT_EQ(dtype_of_places({dx}), DType::uint8);
  EXPECT_EQ(dtype_of_places({dx, y.node->out(1)}), DType::int64);
}

TEST_F(Rules, AGradientIsScaledBeforeAPoolSpreadsIt) {
  const RuleSet set{rules::pool_relu_gradients()};
  const Value x = input("x", {4, 3, 8, 8});
  const Value y = ops::max_pool2d(ops::relu(x), {2, 2});
  const std::string found = applied(set, {gradients(ops::sum(y), Values{x})[0]});
  EXPECT_EQ(found.substr(0, found.find('(')), "max_pool2d_grad") << found;
  EXPECT_NE(found.find("scale_by_positive(max_pool2d(relu(x))"), std::string::npos) << found;
}

// ---- sequences

TEST_F(Rules, AHistoryIsKeptForGradientsAlone) {
  const RuleSet set{rules::unread_histories()};
  const Value gates = input("gates", {3, 2, 8}), weight = input("weight", {8, 2});
  const Values results = graph_.apply(lstm_op, {gates, weight});
  const Value by_weight = gradients(ops::sum(results[2]), Values{weight})[0];
  const auto outputs_of_layer = [&](const Values& outputs) {
    Unit unit = apply_rules(copy_live(graph_, outputs), set, active_kernels());
    verify(unit, "rules");
    for (const auto& node : unit.graph->nodes())
      if (node->op == &lstm_op) return node->outputs.size();
    return std::size_t{0};
  };
  EXPECT_EQ(outputs_of_layer({results[0], results[2]}), 3u);
  EXPECT_EQ(outputs_of_layer({results[0], by_weight}), 5u);
  EXPECT_EQ(outputs_of_layer({results[0], results[4]}), 5u);
}

// ---- states

TEST_F(Rules, RowsAreAppendedInPlaceToAStateThatNothingElseReads) {
  const RuleSet set{rules::appended_rows()};
  enum class OldState { unread, read, output };
  const Array array(DType::float32, {3, 5, 2}), other(DType::float32, {3, 5, 2});
  const auto is_in_place = [&](const Array& target, OldState old) {
    Graph graph(op_table());
    const Value state = graph.state(array), rows = graph.input({DType::float32, {3, 1, 2}}),
                start = graph.input({DType::int64, {}});
    const Value whole = graph.apply1("append_rows", {state, rows, start});
    graph.assign(target, whole);
    Values outputs{ops::relu(whole)};
    if (old != OldState::unread) outputs.push_back(old == OldState::read ? ops::relu(state) : state);
    const Unit unit = apply_rules(copy_live(graph, outputs), set, active_kernels());
    verify(unit, "rules");
    for (const auto& node : unit.graph->nodes())
      if (node->op == &append_rows_op) return node->attrs.flag("in_place", false);
    return false;
  };
  EXPECT_TRUE(is_in_place(array, OldState::unread));
  EXPECT_FALSE(is_in_place(array, OldState::read));
  EXPECT_FALSE(is_in_place(array, OldState::output));
  EXPECT_FALSE(is_in_place(other, OldState::unread));
}

}  // namespace
}  // namespace ravine::testing
