// Max-pooling takes BatchNorm's last step and its ReLU in, where nothing else reads what they make: the
// images are read once, and neither the normalised nor the rectified ones are written.
#include <string_view>

#include "graph/passes/rewrite.h"

namespace ravine {
namespace {

// A number for each channel of images.
bool is_column(const Value& value, const Shape& images) { return value.shape() == Shape{1, images[1], 1, 1}; }

}  // namespace

Unit normalize_in_pools(const Unit& unit) {
  std::vector<int> uses(unit.graph->nodes().size(), 0);  // by node id; a wanted output counts as a use
  for (const Node* node : live_nodes(*unit.graph, unit.outputs))
    for (const Value& input : node->inputs) ++uses[input.node->id];
  for (const Value& output : unit.outputs) ++uses[output.node->id];
  // The node of this operation that alone computes an input for the node.
  const auto sole_producer = [&](const Node& node, std::string_view name) -> const Node* {
    const Node& producer = *node.inputs[0].node;
    return producer.op->name == name && uses[producer.id] == 1 ? &producer : nullptr;
  };
  Unit result =
      rewrite(*unit.graph, unit.outputs, [&](Graph& to, const Node& node, const Values& inputs) -> Values {
        if (std::string_view(node.op->name) != "max_pool2d") return {};
        const Node* const relu = sole_producer(node, "relu");
        const Node* const affine = relu != nullptr ? sole_producer(*relu, "multiply_add") : nullptr;
        if (affine == nullptr) return {};
        const Values& operands = inputs[0].node->inputs[0].node->inputs;  // of its copy in the new graph
        const Shape& images = node.input_shape(0);
        if (operands[0].shape() != images || !is_column(operands[1], images) ||
            !is_column(operands[2], images))
          return {};
        return to.apply("normalized_max_pool2d", operands, node.attrs);
      });
  // Without the nodes that nothing reads any more.
  return rewrite(*result.graph, result.outputs,
                 [](Graph&, const Node&, const Values&) -> Values { return {}; });
}

}  // namespace ravine
