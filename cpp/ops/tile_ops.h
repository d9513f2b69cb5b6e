// How elementwise operations are defined: one line each, with shape and dtype rules and the gradient's
// formula. Constants of a step are attributes: clip {low, high}, leaky_relu and scale_by_positive {slope},
// elu and elu_grad {alpha, input_scale}.
#pragma once

#include "kernels/api/tile.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {

using kernels::TileOp;
using GradientRule = Values (*)(const Node& node, std::span<const Value> cotangents);

// Which dtypes an operation takes.
enum class TileTypes : std::uint8_t { floating, arithmetic };  // arithmetic: everything but bool

void infer_unary(Node& node, TileTypes types);
void infer_binary(Node& node, TileTypes types);
void check_no_attributes(const Node& node);

// d inputs from inputs, output and d output: rule(x, y, dy) of one input.
template <auto rule>
Values unary_gradient(const Node& node, std::span<const Value> cotangents) {
  return {rule(node.inputs[0], node.out(), cotangents[0])};
}
// rule(a, b, y, dy) gives both cotangents.
template <auto rule>
Values binary_gradient(const Node& node, std::span<const Value> cotangents) {
  return rule(node.inputs[0], node.inputs[1], node.out(), cotangents[0]);
}

template <TileTypes types>
void infer_unary_plain(Node& node) {
  check_no_attributes(node);
  infer_unary(node, types);
}
template <TileTypes types>
void infer_binary_plain(Node& node) {
  check_no_attributes(node);
  infer_binary(node, types);
}

template <TileTypes types = TileTypes::floating>
constexpr Op unary_op(const char* name, TileOp tile, GradientRule gradient) {
  return Op{.name = name,
            .kind = OpKind::tile,
            .infer = infer_unary_plain<types>,
            .gradient = gradient,
            .tile = tile};
}
template <TileTypes types = TileTypes::floating>
constexpr Op binary_op(const char* name, TileOp tile, GradientRule gradient) {
  return Op{.name = name,
            .kind = OpKind::tile,
            .infer = infer_binary_plain<types>,
            .gradient = gradient,
            .tile = tile};
}

}  // namespace ravine
