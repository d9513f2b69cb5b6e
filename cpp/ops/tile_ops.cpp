#include "ops/tile_ops.h"

namespace ravine {
namespace {

void check_types(const Node& node, TileTypes types) {
  for (int i = 0; i < node.n_inputs(); ++i) {
    if (types == TileTypes::floating) {
      expect_floating(node, i);
    } else {
      check<TypeError>(node.input_dtype(i) != DType::boolean, node.op->name, ": expected numbers, got ",
                       describe_inputs(node));
    }
  }
}

}  // namespace

void infer_unary(Node& node, TileTypes types) {
  expect_inputs(node, 1);
  check_types(node, types);
  node.outputs = {node.input_type(0)};
}

void infer_binary(Node& node, TileTypes types) {
  expect_inputs(node, 2);
  check_types(node, types);
  expect_one_dtype(node);
  node.outputs = {
      {node.input_dtype(0), broadcast_shapes(node.input_shape(0), node.input_shape(1), node.op->name)}};
}

void check_no_attributes(const Node& node) { node.attrs.check_known(node.op->name, {}); }

}  // namespace ravine
