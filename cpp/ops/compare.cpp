// Comparisons, logic and selection.
#include "ops/tile_ops.h"

namespace ravine {
namespace {

void infer_compare(Node& node) {
  infer_binary_plain<TileTypes::arithmetic>(node);
  node.outputs[0].dtype = DType::boolean;
}

void infer_logical(Node& node) {
  check_no_attributes(node);
  const bool negation = node.op == &logical_not_op;
  expect_inputs(node, negation ? 1 : 2);
  for (const Value& input : node.inputs)
    check<TypeError>(input.dtype() == DType::boolean, node.op->name, ": expected bool, got ",
                     describe_inputs(node));
  const Shape shape = negation ? node.input_shape(0)
                               : broadcast_shapes(node.input_shape(0), node.input_shape(1), node.op->name);
  node.outputs = {{DType::boolean, shape}};
}

// Integers bit by bit; of bools the same as logic.
void infer_bitwise(Node& node) {
  check_no_attributes(node);
  expect_inputs(node, 2);
  for (const Value& input : node.inputs)
    check<TypeError>(!is_floating(input.dtype()), node.op->name, ": expected integers or bools, got ",
                     describe_inputs(node));
  expect_one_dtype(node);
  node.outputs = {
      {node.input_dtype(0), broadcast_shapes(node.input_shape(0), node.input_shape(1), node.op->name)}};
}

void infer_where(Node& node) {
  check_no_attributes(node);
  expect_inputs(node, 3);
  check<TypeError>(node.input_dtype(0) == DType::boolean, "where: the condition must be bool, got ",
                   describe_inputs(node));
  expect_one_dtype(node, 1);
  const Shape values = broadcast_shapes(node.input_shape(1), node.input_shape(2), "where");
  node.outputs = {{node.input_dtype(1), broadcast_shapes(node.input_shape(0), values, "where")}};
}

Values where_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value condition = node.inputs[0], dy = cotangents[0], zero = ops::scalar_like(dy, 0);
  return {Value{}, ops::where(condition, dy, zero), ops::where(condition, zero, dy)};
}

constexpr Op compare(const char* name, TileOp tile) {
  return Op{.name = name, .kind = OpKind::tile, .infer = infer_compare, .tile = tile};
}
constexpr Op logical(const char* name, TileOp tile) {
  return Op{.name = name, .kind = OpKind::tile, .infer = infer_logical, .tile = tile};
}
constexpr Op bitwise(const char* name, TileOp tile) {
  return Op{.name = name, .kind = OpKind::tile, .infer = infer_bitwise, .tile = tile};
}

}  // namespace

constinit const Op equal_op = compare("equal", TileOp::equal);
constinit const Op not_equal_op = compare("not_equal", TileOp::not_equal);
constinit const Op less_op = compare("less", TileOp::less);
constinit const Op less_equal_op = compare("less_equal", TileOp::less_equal);
constinit const Op greater_op = compare("greater", TileOp::greater);
constinit const Op greater_equal_op = compare("greater_equal", TileOp::greater_equal);

constinit const Op logical_not_op = logical("logical_not", TileOp::logical_not);
constinit const Op logical_and_op = logical("logical_and", TileOp::logical_and);
constinit const Op logical_or_op = logical("logical_or", TileOp::logical_or);
constinit const Op logical_xor_op = logical("logical_xor", TileOp::logical_xor);

constinit const Op bitwise_and_op = bitwise("bitwise_and", TileOp::logical_and);
constinit const Op bitwise_or_op = bitwise("bitwise_or", TileOp::logical_or);
constinit const Op bitwise_xor_op = bitwise("bitwise_xor", TileOp::logical_xor);

constinit const Op where_op{.name = "where",
                            .kind = OpKind::tile,
                            .infer = infer_where,
                            .gradient = where_gradient,
                            .tile = TileOp::where};

}  // namespace ravine
