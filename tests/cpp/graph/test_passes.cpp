// The list of passes, and what one pass alone makes of a graph.
#include <string>

#include "core/error.h"
#include "graph/autodiff.h"
#include "graph/passes/pipeline.h"
#include "graph/passes/rule.h"
#include "graph/passes/verify.h"
#include "graph_test.h"
#include "rules/rules.h"

namespace ravine::testing {
namespace {

Unit unit_of(const Graph& graph, const Values& outputs) { return copy_live(graph, outputs); }

Unit canonicalize(const Unit& unit) {
  static const RuleSet algebra{rules::algebra()};
  return ravine::canonicalize(unit, algebra, active_kernels());
}

// The operations of a unit's live nodes, without inputs, in order.
std::string operations(const Unit& unit) {
  std::string names;
  for (const Node* node : live_nodes(*unit.graph, unit.outputs)) {
    if (node->op->kind == OpKind::input) continue;
    if (!names.empty()) names += ' ';
    names += node->op->name;
  }
  return names;
}

TEST(Passes, StandInOneListWithNamesOfTheirOwn) {
  std::vector<std::string> names;
  for (const Pass& pass : op_table().passes()) names.emplace_back(pass.name);
  EXPECT_EQ(names, (std::vector<std::string>{
                       "canonicalize", "join_slices", "mask_norm_gradients", "expand", "canonicalize_parts",
                       "prepack_filters", "keep_derived", "pool_in_convolutions", "normalize_in_pools",
                       "compress_argmax", "drop_histories", "append_in_place", "fuse_updates",
                       "fuse_bias_gradients", "fuse", "gather_fused_batch_statistics", "sweep"}));
}

TEST(Canonicalize, MergesEqualNodesAlsoThoseThatRulesMake) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 3}});
  const Value twice = ops::exp(x) + ops::exp(x);
  EXPECT_EQ(operations(canonicalize(unit_of(graph, {twice}))), "exp add");

  // Both reshapes of a reshape become one of x, and so does what reads them.
  const Value six = ops::reshape(x, {6});
  const Value a = ops::reshape(six, {3, 2}), b = ops::reshape(ops::reshape(x, {1, 6}), {3, 2});
  EXPECT_EQ(operations(canonicalize(unit_of(graph, {ops::relu(a), ops::relu(b)}))), "reshape relu");
}

TEST(Canonicalize, KeepsNodesThatDifferInAttributesOrConstants) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 3}});
  const Value rows = ops::sum(x, {0}), columns = ops::sum(x, {1});
  EXPECT_EQ(operations(canonicalize(unit_of(graph, {rows, columns}))), "sum sum");
  EXPECT_EQ(operations(canonicalize(unit_of(graph, {x * 2.0, x * 3.0, x * 2.0}))),
            "constant mul constant mul");
}

TEST(Canonicalize, RemovesWhatDoesNothing) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 3}});
  EXPECT_EQ(operations(canonicalize(unit_of(graph, {ops::relu(x * 1.0 + 0.0)}))), "relu");
}

TEST(Rules, ReturnAGraphWithoutTheirRootsAsItIs) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 3}});
  Unit unit = unit_of(graph, {ops::relu(x)});
  const Graph* before = unit.graph.get();
  const RuleSet pools{rules::pools_in_convolutions(), rules::norms_in_pools(), rules::compressed_argmax()};
  unit = apply_rules(std::move(unit), pools, active_kernels());
  EXPECT_EQ(unit.graph.get(), before);
}

// ---- the verifier

template <class Damage>
std::string complaint(Damage damage) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 3}}), w = graph.input({DType::float32, {3, 4}});
  const Value bias = graph.input({DType::float32, {4}});
  const Value y = ops::relu(ops::matmul(x, w) + bias);
  Unit unit = fuse(unit_of(graph, {y, ops::exp(ops::sum(x, {1})) * 2.0}));
  verify(unit, "fuse");  // well formed so far
  damage(unit);
  try {
    verify(unit, "fuse");
  } catch (const RuntimeError& error) {
    return error.what();
  }
  return "none";
}

Node& node_named(const Unit& unit, std::string_view name) {
  for (const auto& node : unit.graph->nodes())
    if (node->op->name == name) return *node;
  throw std::logic_error("no such node");
}

TEST(Verify, FindsAWrongTypeOrderOrOperand) {
  EXPECT_EQ(complaint([](Unit&) {}), "none");
  EXPECT_EQ(complaint([](Unit& unit) { node_named(unit, "sum").outputs[0].dtype = DType::float64; }),
            "after the pass 'fuse': node 4 (sum) states float64 (2,) as output 0, its operation gives "
            "float32 (2,)");
  EXPECT_NE(complaint([](Unit& unit) {
              node_named(unit, "matmul").outputs[0].shape = Shape{4, 2};
            }).find("its operation gives float32 (2, 4)"),
            std::string::npos);
  EXPECT_NE(complaint([](Unit& unit) {
              node_named(unit, "sum").inputs[0] = unit.outputs[1];
            }).find("comes after it"),
            std::string::npos);
  EXPECT_NE(complaint([](Unit& unit) {
              node_named(unit, "sum").inputs[0].index = 1;
            }).find("is no value of the graph"),
            std::string::npos);
  EXPECT_NE(complaint([](Unit& unit) { node_named(unit, "matmul").inputs.pop_back(); }).find("matmul"),
            std::string::npos);
  EXPECT_NE(complaint([](Unit& unit) { unit.outputs[0] = Value{}; }).find("is no value of the graph"),
            std::string::npos);
}

TEST(Verify, FindsAStepOfAnotherDtype) {
  const std::string found = complaint([](Unit& unit) {
    Node& node = node_named(unit, "matmul");
    auto expression = std::make_shared<TileExpression>(*node.expression);
    expression->steps[0].dtype = DType::int32;
    node.expression = expression;
  });
  EXPECT_NE(found.find("states int32 for its step 'add'"), std::string::npos) << found;
}

TEST(Passes, PrintAGraphALineANode) {
  Graph graph(op_table());
  const Value x = graph.input({DType::float32, {2, 3}}, "x");
  EXPECT_EQ(to_string(unit_of(graph, {ops::sum(x, {1})})),
            "%0 = input() 'x' : float32 (2, 3)\n"
            "%1 = sum(%0) {axes=(1,), keepdims=false} : float32 (2,)\n"
            "return %1\n");
}

}  // namespace
}  // namespace ravine::testing
