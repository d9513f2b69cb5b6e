// Max-pooling joins its neighbours. In training it takes BatchNorm's last step and its ReLU in, where nothing
// else reads what they make: the images are read once, and neither the normalised nor the rectified ones are
// written. Where nobody asks which pixels were the largest, a convolution pools its own outputs; where the
// gradient alone does, a byte tells it.
#include <algorithm>
#include <utility>
#include <vector>

#include "graph/passes/rewrite.h"
#include "kernels/pool.h"

namespace ravine {
namespace {

// A number for each channel of images.
bool is_column(const Value& value, const Shape& images) { return value.shape() == Shape{1, images[1], 1, 1}; }

bool has_max_pools(const Unit& unit) {
  const auto nodes = unit.graph->nodes();
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const auto& node) { return node->op->maxima_output >= 0; });
}

// The size of a max-pooling's square windows, side by side and all of them whole; 0 where they are not.
std::int64_t window_size(const Node& pool) {
  const Dims kernel = pool.attrs.dims("kernel_size");
  const bool side_by_side = kernel[0] == kernel[1] && pool.attrs.dims("stride") == kernel &&
                            pool.attrs.dims("padding") == Dims{0, 0} &&
                            pool.attrs.dims("dilation") == Dims{1, 1} && !pool.attrs.flag("ceil_mode", false);
  return side_by_side ? kernel[0] : 0;
}

bool is_tile(const Node& node, kernels::TileOp tile) {
  return node.op->kind == OpKind::tile && node.op->tile == tile;
}

// The input of an elementwise step that keeps the order of each channel's pixels, or -1: pooled before the
// step or behind it, they are the same.
int ordered_input(const Node& node) {
  if (is_tile(node, kernels::TileOp::relu)) return 0;
  if (!is_tile(node, kernels::TileOp::add)) return -1;
  const Shape& images = node.outputs[0].shape;
  for (const int i : {0, 1})
    if (node.input_shape(i) == images && is_column(node.inputs[static_cast<std::size_t>(1 - i)], images))
      return i;
  return -1;
}

enum class Readers : std::uint8_t { any, no_gradient };

// By node id: poolings of which someone reads where their maxima were; or someone else than gradients does.
std::vector<bool> maxima_read(const Unit& unit, Readers readers) {
  std::vector<bool> read(unit.graph->nodes().size(), false);
  const auto visit = [&](const Value& value) {
    if (value.index == value.node->op->maxima_output) read[value.node->id] = true;
  };
  for (const Node* node : live_nodes(*unit.graph, unit.outputs))
    for (int i = 0; i < node->n_inputs(); ++i)
      if (readers == Readers::any || i != node->op->maxima_input)
        visit(node->inputs[static_cast<std::size_t>(i)]);
  for (const Value& output : unit.outputs) visit(output);
  return read;
}

}  // namespace

Unit pool_in_products(Unit unit, const kernels::KernelTable& kernels) {
  if (!has_max_pools(unit)) return unit;
  const std::vector<int> uses = count_uses(unit);
  const std::vector<bool> indices_read = maxima_read(unit, Readers::any);
  return rewrite(*unit.graph, unit.outputs, [&](Graph& to, const Node& node, const Values& inputs) -> Values {
    if (node.op->maxima_output < 0 || node.n_inputs() != 1 || indices_read[node.id]) return {};
    const std::int64_t size = window_size(node);
    // Of the new graph, and their inputs from before.
    std::vector<std::pair<const Node*, std::size_t>> steps;
    const Node* before = node.inputs[0].node;
    const Node* copy = inputs[0].node;
    for (int i; uses[before->id] == 1 && (i = ordered_input(*before)) >= 0;) {
      const auto input = static_cast<std::size_t>(i);
      steps.emplace_back(copy, input);
      before = before->inputs[input].node;
      copy = copy->inputs[input].node;
    }
    if (size == 0 || uses[before->id] != 1 || before->op->pool == nullptr || copy->op != before->op)
      return {};
    Values pooled = copy->op->pool(*copy, copy->inputs, size, kernels);
    if (pooled.empty()) return {};
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
      Values operands = step->first->inputs;
      operands[step->second] = pooled[0];
      pooled = to.apply(*step->first->op, std::move(operands), step->first->attrs);
    }
    return {pooled[0], Value{}};
  });
}

Unit tell_maxima_by_offsets(Unit unit) {
  if (!has_max_pools(unit)) return unit;
  const std::vector<bool> indices_read = maxima_read(unit, Readers::no_gradient);
  const auto with_offsets = [](const Node& node) {
    Attrs attrs = node.attrs;
    attrs.set("offsets", true);
    return attrs;
  };
  return rewrite(*unit.graph, unit.outputs, [&](Graph& to, const Node& node, const Values& inputs) -> Values {
    if (node.op->maxima_output >= 0 && !indices_read[node.id]) {
      const Dims kernel = node.attrs.dims("kernel_size");
      if (kernel[0] * kernel[1] > kernels::max_window_offsets) return {};
      return to.apply(*node.op, inputs, with_offsets(node));
    }
    if (node.op->maxima_input < 0) return {};
    const Value& places = inputs[static_cast<std::size_t>(node.op->maxima_input)];
    const bool offsets = places.node->op->maxima_output >= 0 && places.node->attrs.flag("offsets", false);
    return offsets ? to.apply(*node.op, inputs, with_offsets(node)) : Values{};
  });
}

Unit normalize_in_pools(Unit unit) {
  if (!has_max_pools(unit)) return unit;
  const std::vector<int> uses = count_uses(unit);
  // The step of this kind that alone computes an input for the node.
  const auto sole_producer = [&](const Node& node, kernels::TileOp tile) -> const Node* {
    const Node& producer = *node.inputs[0].node;
    return is_tile(producer, tile) && uses[producer.id] == 1 ? &producer : nullptr;
  };
  return rewrite(*unit.graph, unit.outputs, [&](Graph& to, const Node& node, const Values& inputs) -> Values {
    if (node.op->normalized_pool == nullptr) return {};
    const Node* const relu = sole_producer(node, kernels::TileOp::relu);
    const Node* const affine =
        relu != nullptr ? sole_producer(*relu, kernels::TileOp::multiply_add) : nullptr;
    if (affine == nullptr) return {};
    const Values& operands = inputs[0].node->inputs[0].node->inputs;  // of its copy in the new graph
    const Shape& images = node.input_shape(0);
    if (operands[0].shape() != images || !is_column(operands[1], images) || !is_column(operands[2], images))
      return {};
    return to.apply(*node.op->normalized_pool, operands, node.attrs);
  });
}

}  // namespace ravine
