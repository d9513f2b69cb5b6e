#include <optional>

#include "ops/list.h"
#include "rules/rules.h"

namespace ravine::rules {
namespace {

using Replacement = std::optional<Values>;

// The number that a value consists of, seen through broadcasts and reshapes.
std::optional<double> uniform_constant(const Value& value) {
  const Node* node = value.node;
  while (node->op->kind == OpKind::view && node->inputs.size() == 1) node = node->inputs[0].node;
  if (node->op != &constant_op || node->array.size() != 1) return std::nullopt;
  switch (node->array.dtype()) {
    case DType::float32:
      return *node->array.as<float>();
    case DType::float64:
      return *node->array.as<double>();
    case DType::int32:
      return *node->array.as<std::int32_t>();
    case DType::int64:
      return static_cast<double>(*node->array.as<std::int64_t>());
    default:
      return std::nullopt;
  }
}

// Input `kept` where input `other` consists of the number and the result has the type of what is kept.
template <int kept, int other, int number>
Replacement keep(const Match& match) {
  const Value& value = match.inputs[kept];
  if (uniform_constant(match.inputs[other]) != number || value.type() != match.node.outputs[0])
    return std::nullopt;
  return Values{value};
}

Replacement keep_only_input(const Match& match) {
  if (match.inputs[0].type() != match.node.outputs[0]) return std::nullopt;
  return Values{match.inputs[0]};
}

Replacement undo(const Match& match) {
  const Node& before = *match.inputs[0].node;
  if (before.op != match.node.op) return std::nullopt;
  return Values{before.inputs[0]};
}

Replacement merge_reshapes(const Match& match) {
  const Node& before = *match.inputs[0].node;
  if (before.op != match.node.op) return std::nullopt;
  return match.to().apply(*match.node.op, {before.inputs[0]}, match.node.attrs);
}

bool is_identity(const Axes& axes) {
  for (int axis = 0; axis < axes.rank(); ++axis)
    if (axes[axis] != axis) return false;
  return true;
}

Replacement merge_transposes(const Match& match) {
  const Axes axes = match.node.attrs.dims("axes");
  if (is_identity(axes)) return Values{match.inputs[0]};
  const Node& before = *match.inputs[0].node;
  if (before.op != match.node.op) return std::nullopt;
  const Axes first = before.attrs.dims("axes");
  Axes both;
  for (const std::int64_t axis : axes) both.push_back(first[static_cast<int>(axis)]);
  if (is_identity(both)) return Values{before.inputs[0]};
  return match.to().apply(*match.node.op, {before.inputs[0]}, {{"axes", both}});
}

// x + 0 would turn -0 into 0: the difference cannot be told in any later result but 1 / x, and is accepted.
constexpr Rule rules[] = {
    {"x + 0", &add_op, keep<0, 1, 0>},
    {"0 + x", &add_op, keep<1, 0, 0>},
    {"x - 0", &sub_op, keep<0, 1, 0>},
    {"x * 1", &mul_op, keep<0, 1, 1>},
    {"1 * x", &mul_op, keep<1, 0, 1>},
    {"x / 1", &div_op, keep<0, 1, 1>},
    {"x ** 1", &pow_op, keep<0, 1, 1>},
    {"-(-x)", &neg_op, undo},
    {"identity", &identity_op, keep_only_input},
    {"stop_gradient", &stop_gradient_op, keep_only_input},
    {"cast to its own dtype", &cast_op, keep_only_input},
    {"reshape to its own shape", &reshape_op, keep_only_input},
    {"reshape of a reshape", &reshape_op, merge_reshapes},
    {"broadcast to its own shape", &broadcast_to_op, keep_only_input},
    {"transpose of a transpose", &transpose_op, merge_transposes},
};

}  // namespace

std::span<const Rule> algebra() { return rules; }

}  // namespace ravine::rules
