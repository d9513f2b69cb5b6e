// Algebra that needs no numbers: what does nothing is removed, what depends on constants only is computed
// now, equal nodes become one.
#include <optional>
#include <string_view>
#include <vector>

#include "graph/eager.h"
#include "graph/passes/known_nodes.h"
#include "graph/passes/rewrite.h"

namespace ravine {
namespace {

// Folded constants are kept with the program: only small ones.
constexpr std::int64_t max_folded_elements = 4096;

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

// `kept` stands for the node's result if it already has its type.
Values only(const Node& node, const Value& kept) {
  return kept.type() == node.outputs[0] ? Values{kept} : Values{};
}

bool neutral(const Value& operand, double number) {
  const std::optional<double> constant = uniform_constant(operand);
  return constant && *constant == number;
}

Values remove_neutral(const Node& node, const Values& inputs) {
  const std::string_view name = node.op->name;
  // x + 0 would turn -0 into 0: the difference cannot be told in any later result but 1 / x, and is accepted.
  if (name == "add" && neutral(inputs[1], 0)) return only(node, inputs[0]);
  if (name == "add" && neutral(inputs[0], 0)) return only(node, inputs[1]);
  if (name == "sub" && neutral(inputs[1], 0)) return only(node, inputs[0]);
  if (name == "mul" && neutral(inputs[1], 1)) return only(node, inputs[0]);
  if (name == "mul" && neutral(inputs[0], 1)) return only(node, inputs[1]);
  if ((name == "div" || name == "pow") && neutral(inputs[1], 1)) return only(node, inputs[0]);
  if (name == "neg" && inputs[0].node->op == node.op) return {inputs[0].node->inputs[0]};
  if (name == "identity" || name == "stop_gradient") return only(node, inputs[0]);
  if (name == "cast" || name == "reshape" || name == "broadcast_to") return only(node, inputs[0]);
  return {};
}

Values merge_views(Graph& to, const Node& node, const Values& inputs) {
  const std::string_view name = node.op->name;
  if (name == "reshape" && inputs[0].node->op == node.op)
    return to.apply(*node.op, {inputs[0].node->inputs[0]}, node.attrs);
  if (name == "transpose") {
    const Axes axes = node.attrs.dims("axes");
    bool unchanged = true;
    for (int axis = 0; axis < axes.rank(); ++axis) unchanged = unchanged && axes[axis] == axis;
    if (unchanged) return {inputs[0]};
    if (inputs[0].node->op == node.op) {
      const Axes before = inputs[0].node->attrs.dims("axes");
      Axes both;
      for (const std::int64_t axis : axes) both.push_back(before[static_cast<int>(axis)]);
      bool cancels = true;
      for (int axis = 0; axis < both.rank(); ++axis) cancels = cancels && both[axis] == axis;
      if (cancels) return {inputs[0].node->inputs[0]};
      return to.apply(*node.op, {inputs[0].node->inputs[0]}, {{"axes", both}});
    }
  }
  return {};
}

// (A B)^T = B^T A^T: the product is then written in the order in which it is wanted. The gradient of a linear
// layer's weight, stored [out, in], has this form.
Values transpose_product(Graph& to, const Node& node, const Values& inputs, const std::vector<int>& uses) {
  if (std::string_view(node.op->name) != "transpose" || node.outputs[0].shape.rank() != 2) return {};
  const Node& product = *inputs[0].node;
  const bool only_use = uses[node.inputs[0].node->id] == 1;
  if (std::string_view(product.op->name) != "matmul" || !only_use || node.attrs.dims("axes")[0] != 1)
    return {};
  if (product.inputs[0].rank() != 2 || product.inputs[1].rank() != 2) return {};
  const auto swapped = [&](const Value& matrix) -> Value {
    const bool undoes = matrix.node->op == node.op && matrix.node->attrs == node.attrs;
    return undoes ? matrix.node->inputs[0] : to.apply(*node.op, {matrix}, node.attrs)[0];
  };
  const Value a = swapped(product.inputs[1]), b = swapped(product.inputs[0]);
  return to.apply(*product.op, {a, b}, product.attrs);
}

// The gradient of a maximum of rectified numbers, the maxima's first: a gradient goes to where the maximum is
// and is scaled there by the sign of the maximum itself, of which there are fewer. The rectified numbers need
// not be kept then.
Values scale_before_max_pool_grad(Graph& to, const Node& node, const Values& inputs,
                                  const std::vector<int>& uses) {
  if (std::string_view(node.op->name) != "scale_by_positive") return {};
  const Node& grad = *inputs[1].node;
  if (grad.op->maxima_input < 0 || uses[node.inputs[1].node->id] != 1) return {};
  const Node& pool = *grad.inputs[1].node;  // grad.inputs are its output's gradient and the indices
  if (pool.op->maxima_output < 0 || pool.inputs[0] != inputs[0]) return {};
  const Value scaled = to.apply(*node.op, {pool.out(0), grad.inputs[0]}, node.attrs)[0];
  return to.apply(*grad.op, {scaled, grad.inputs[1]}, grad.attrs);
}

Values fold_constants(Graph& to, const Node& node, const Values& inputs) {
  const bool computes = node.op->kind == OpKind::compute || node.op->kind == OpKind::tile;
  if (!computes || node.op->random || inputs.empty()) return {};
  for (const TensorType& type : node.outputs)
    if (numel(type.shape) > max_folded_elements) return {};
  std::vector<Array> arrays;
  for (const Value& input : inputs) {
    const std::optional<Array> array = constant_array(input);
    if (!array) return {};
    arrays.push_back(*array);
  }
  Values values;
  for (const Array& result : evaluate(node, arrays)) values.push_back(to.constant(result));
  return values;
}

Values simplified(Graph& to, const Node& node, const Values& inputs, const std::vector<int>& uses) {
  if (node.op->kind == OpKind::effect) return {};
  if (Values product = transpose_product(to, node, inputs, uses); !product.empty()) return product;
  if (Values grad = scale_before_max_pool_grad(to, node, inputs, uses); !grad.empty()) return grad;
  if (Values kept = remove_neutral(node, inputs); !kept.empty()) return kept;
  if (Values merged = merge_views(to, node, inputs); !merged.empty()) return merged;
  return fold_constants(to, node, inputs);
}

}  // namespace

Unit canonicalize(const Unit& unit) {
  const std::vector<int> uses = count_uses(unit);
  KnownNodes known;
  return rewrite(*unit.graph, unit.outputs, [&](Graph& to, const Node& node, const Values& inputs) -> Values {
    const std::size_t first_new = to.nodes().size();
    Values values = simplified(to, node, inputs, uses);
    if (!values.empty()) return known.merged(to, first_new, std::move(values));
    return known.copy_of(to, node, inputs);
  });
}

}  // namespace ravine
