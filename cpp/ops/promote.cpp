// The dtype rules that the Python package and other untyped callers see.
#include <algorithm>

#include "ops/builders.h"
#include "ops/list.h"

namespace ravine {
namespace {

using kernels::TileOp;

// What an operation does with dtypes that it does not compute in.
enum class Promotion : std::uint8_t {
  none,
  floating,  // integers and bools become float32
  number,    // bools become int64
  of_bools,  // as number, but of bools alone it has a meaning of its own, or none
  whole,     // rounding: integers stay as they are, bools become int64
  compared,  // bools become uint8
  logical,   // everything becomes bool
  selected,  // where: the two values to one dtype
  extreme,   // max, min: bools go through uint8 and back
  joined,    // one dtype for all inputs
  indexed,   // input 1 is an index: uint8 becomes int64
  one_hot,
};

Promotion promotion_of(TileOp tile) {
  switch (tile) {
#define RAVINE_CASE(name) case TileOp::name:
    RAVINE_UNARY_FLOAT_OPS(RAVINE_CASE)
    return Promotion::floating;
    RAVINE_UNARY_ARITHMETIC_OPS(RAVINE_CASE)
    RAVINE_BINARY_ARITHMETIC_OPS(RAVINE_CASE)
    RAVINE_TERNARY_OPS(RAVINE_CASE)
    RAVINE_CLIP_OPS(RAVINE_CASE)
    return Promotion::number;
    RAVINE_COMPARE_OPS(RAVINE_CASE)
    return Promotion::compared;
    RAVINE_LOGICAL_OPS(RAVINE_CASE)
    case TileOp::logical_not:
      return Promotion::logical;
    case TileOp::where:
      return Promotion::selected;
    case TileOp::cast:
    case TileOp::uniform:
      return Promotion::none;
    default:
      return Promotion::floating;  // the other floating operations of two inputs and three
#undef RAVINE_CASE
  }
}

// What an operation on numbers is on bools, as in NumPy and torch; nullptr: the bools themselves.
struct OfBools {
  const Op* op;
  const Op* of_bools;
};
constexpr OfBools of_bools[] = {
    {&add_op, &logical_or_op},      {&mul_op, &logical_and_op}, {&maximum_op, &logical_or_op},
    {&minimum_op, &logical_and_op}, {&sign_op, nullptr},        {&abs_op, nullptr},
};

Promotion promotion_of(const Op& op) {
  if (&op == &floor_op || &op == &ceil_op || &op == &round_op) return Promotion::whole;
  if (&op == &neg_op || &op == &sub_op) return Promotion::of_bools;
  for (const OfBools& pair : of_bools)
    if (pair.op == &op) return Promotion::of_bools;
  if (&op == &bitwise_and_op || &op == &bitwise_or_op || &op == &bitwise_xor_op) return Promotion::joined;
  if (op.kind == OpKind::tile) return promotion_of(op.tile);
#define RAVINE_IS_OP(name) \
  if (&op == &name##_op) return Promotion::floating;
  RAVINE_SPECIAL_OP_LIST(RAVINE_IS_OP)
#undef RAVINE_IS_OP
  static const std::pair<const Op*, Promotion> rules[] = {
      {&mean_op, Promotion::floating},         {&max_op, Promotion::extreme},
      {&min_op, Promotion::extreme},           {&argmax_op, Promotion::compared},
      {&argmin_op, Promotion::compared},       {&concat_op, Promotion::joined},
      {&gather_op, Promotion::indexed},        {&gather_rows_op, Promotion::indexed},
      {&one_hot_op, Promotion::one_hot},       {&matmul_op, Promotion::joined},
      {&cross_entropy_op, Promotion::indexed}, {&softmax_op, Promotion::floating},
      {&log_softmax_op, Promotion::floating},  {&logsumexp_op, Promotion::floating},
      {&argsort_op, Promotion::compared},      {&search_sorted_op, Promotion::compared},
      {&cumsum_op, Promotion::number},         {&cumargmax_op, Promotion::compared},
      {&cumargmin_op, Promotion::compared},
  };
  for (const auto& [listed, rule] : rules)
    if (listed == &op) return rule;
  return Promotion::none;
}

int order_of(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return 0;
    case DType::uint8:
      return 1;
    case DType::int32:
      return 2;
    case DType::int64:
      return 3;
    case DType::float32:
      return 4;
    case DType::float64:
      return 5;
  }
  unsupported_dtype("promote", dtype);
}

DType common_dtype(const Values& inputs, std::size_t first) {
  DType common = inputs[first].dtype();
  for (std::size_t i = first + 1; i < inputs.size(); ++i)
    if (order_of(inputs[i].dtype()) > order_of(common)) common = inputs[i].dtype();
  return common;
}

void cast_all(Values& inputs, DType dtype, std::size_t first = 0) {
  for (std::size_t i = first; i < inputs.size(); ++i) inputs[i] = ops::cast(inputs[i], dtype);
}

Values apply_to_bools(Graph& graph, const Op& op, Values inputs) {
  for (const OfBools& pair : of_bools)
    if (pair.op == &op)
      return pair.of_bools == nullptr ? inputs : graph.apply(*pair.of_bools, std::move(inputs));
  throw TypeError(str(op.name, ": bools have no sign and no difference; use ",
                      &op == &neg_op ? "logical_not" : "logical_xor", ", or cast them to a number's dtype"));
}

}  // namespace

Values apply_promoted(Graph& graph, std::string_view name, Values inputs, Attrs attrs) {
  const Op& op = graph.ops().at(name);
  const Promotion rule = promotion_of(op);
  const bool foreign = std::any_of(inputs.begin(), inputs.end(),
                                   [&](const Value& input) { return !input || &input.graph() != &graph; });
  // graph.apply says what is wrong with these.
  if (rule == Promotion::none || inputs.empty() || foreign)
    return graph.apply(op, std::move(inputs), std::move(attrs));
  const DType common = common_dtype(inputs, 0);
  switch (rule) {
    case Promotion::none:
      break;
    case Promotion::floating:
      cast_all(inputs, is_floating(common) ? common : DType::float32);
      break;
    case Promotion::of_bools:
      if (common == DType::boolean) return apply_to_bools(graph, op, std::move(inputs));
      cast_all(inputs, common);
      break;
    case Promotion::whole:
      if (!is_floating(common))
        return {common == DType::boolean ? ops::cast(inputs[0], DType::int64) : inputs[0]};
      break;
    case Promotion::number:
      if (&op == &identity_op && common == DType::boolean) return inputs;
      cast_all(inputs, common == DType::boolean ? DType::int64 : common);
      break;
    case Promotion::compared:
      cast_all(inputs, common == DType::boolean ? DType::uint8 : common);
      break;
    case Promotion::logical:
      cast_all(inputs, DType::boolean);
      break;
    case Promotion::selected:
      if (inputs.size() > 1) cast_all(inputs, common_dtype(inputs, 1), 1);
      break;
    case Promotion::extreme:
      if (common == DType::boolean) {
        cast_all(inputs, DType::uint8);
        return {ops::cast(graph.apply(op, std::move(inputs), std::move(attrs))[0], DType::boolean)};
      }
      break;
    case Promotion::joined:
      cast_all(inputs, common);
      break;
    case Promotion::indexed:
      if (inputs.size() > 1 && inputs[1].dtype() == DType::uint8)
        inputs[1] = ops::cast(inputs[1], DType::int64);
      break;
    case Promotion::one_hot: {
      if (inputs[0].dtype() == DType::uint8) inputs[0] = ops::cast(inputs[0], DType::int64);
      const DType wanted = attrs.has("dtype") ? attrs.dtype("dtype") : DType::float32;
      if (is_floating(wanted)) break;
      attrs.set("dtype", DType::float32);
      return {ops::cast(graph.apply(op, std::move(inputs), std::move(attrs))[0], wanted)};
    }
  }
  return graph.apply(op, std::move(inputs), std::move(attrs));
}

}  // namespace ravine
