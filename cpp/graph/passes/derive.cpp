// For programs that leave states as they are: what depends on states alone becomes a value that is kept from
// run to run. To make the most of that, products with a filter take it in the form that their kernels read,
// and a chain behind them that multiplies and adds numbers of each output channel, as BatchNorm's running
// statistics do, goes into the filter and one addition.
#include <algorithm>
#include <map>
#include <vector>

#include "graph/derived.h"
#include "graph/passes/rewrite.h"

namespace ravine {
namespace {

using kernels::TileOp;

// By node id: whether a node depends on nothing but states and constants.
std::vector<bool> fixed_nodes(const Unit& unit) {
  std::vector<bool> fixed(unit.graph->nodes().size(), false);
  for (const auto& node : unit.graph->nodes()) {
    if (node->op == &state_op || node->op == &constant_op) {
      fixed[node->id] = true;
    } else if (node->op->kind != OpKind::effect && !node->op->random && !node->inputs.empty()) {
      fixed[node->id] = std::all_of(node->inputs.begin(), node->inputs.end(),
                                    [&](const Value& input) { return fixed[input.node->id]; });
    }
  }
  return fixed;
}

// ---- filters
// ---------------------------------------------------------------------------------------------------

// [1, C, 1, 1] or less, beside [N, C, H, W]
bool is_per_channel(const Shape& shape, const Shape& images) {
  if (shape.rank() > images.rank()) return false;
  for (int back = 1; back <= shape.rank(); ++back) {
    const int axis = images.rank() - back;
    const std::int64_t extent = shape[shape.rank() - back];
    if (extent != 1 && !(axis == 1 && extent == images[1])) return false;
  }
  return true;
}

// y scale + shift of a result y [N, C, H, W]; a value that is none stands for 1 and 0.
struct Affine {
  Value scale, shift;

  void multiply(Value factor) {
    scale = scale ? scale.graph().apply1("mul", {scale, factor}) : factor;
    if (shift) shift = shift.graph().apply1("mul", {shift, factor});
  }
  void add(Value term) { shift = shift ? shift.graph().apply1("add", {shift, term}) : term; }
};

class FilterFixer {
 public:
  FilterFixer(const Unit& unit, const kernels::KernelTable& kernels)
      : unit_(unit), kernels_(kernels), fixed_(fixed_nodes(unit)) {
    users_.resize(unit.graph->nodes().size());
    for (const Node* node : live_nodes(*unit.graph, unit.outputs))
      for (const Value& input : node->inputs) users_[input.node->id].push_back(node);
    for (const Value& output : unit.outputs) users_[output.node->id].push_back(nullptr);
  }

  Unit run() {
    return rewrite(*unit_.graph, unit_.outputs,
                   [&](Graph&, const Node& node, const Values& inputs) { return rule(node, inputs); });
  }

 private:
  // A product waits for the last step of its chain, which has all that is needed.
  Values rule(const Node& node, const Values& inputs) {
    if (node.op->fix_filter != nullptr && fixed_[node.inputs[1].node->id]) {
      const std::vector<const Node*> chain = chain_behind(node);
      if (chain.empty()) return node.op->fix_filter(node, inputs, {}, kernels_);
      chains_[chain.back()] = {&node, chain};
      for (const Node* step : chain) copied_.emplace(step, Values{});
      copied_.emplace(&node, inputs);
      return {};
    }
    if (const auto place = copied_.find(&node); place != copied_.end()) place->second = inputs;
    if (const auto place = chains_.find(&node); place != chains_.end()) return folded(place->second);
    return {};
  }

  // The steps behind a product that are per channel, if one of them multiplies; a step has one user, the
  // next.
  std::vector<const Node*> chain_behind(const Node& product) const {
    std::vector<const Node*> chain;
    std::size_t useful = 0;  // up to the last multiplication and the additions behind it
    bool multiplies = false;
    for (const Node* last = &product;;) {
      const auto& users = users_[last->id];
      if (users.size() != 1 || users[0] == nullptr || !is_step(*users[0], *last)) break;
      last = users[0];
      chain.push_back(last);
      multiplies = multiplies || last->op->tile == TileOp::mul || last->op->tile == TileOp::multiply_add;
      if (multiplies) useful = chain.size();
    }
    chain.resize(useful);
    return chain;
  }

  bool is_step(const Node& node, const Node& before) const {
    if (node.op->kind != OpKind::tile || node.outputs[0] != before.outputs[0]) return false;
    const auto per_channel = [&](std::size_t i) {
      return fixed_[node.inputs[i].node->id] &&
             is_per_channel(node.inputs[i].shape(), before.outputs[0].shape);
    };
    switch (node.op->tile) {
      case TileOp::add:
      case TileOp::sub:
      case TileOp::mul:
        return node.inputs[0].node == &before ? per_channel(1) : per_channel(0);
      case TileOp::multiply_add:
        return per_channel(2) && (node.inputs[0].node == &before ? per_channel(1) : per_channel(0));
      default:
        return false;
    }
  }

  struct Chain {
    const Node* product;
    std::vector<const Node*> steps;
  };

  Values folded(const Chain& chain) {
    Affine affine;
    const Node* last = chain.product;
    for (const Node* step : chain.steps) {
      const Values& inputs = copied_.at(step);
      const bool first = step->inputs[0].node == last;
      const Value other = inputs[first ? 1 : 0];
      switch (step->op->tile) {
        case TileOp::add:
          affine.add(other);
          break;
        case TileOp::sub:
          if (!first) affine.multiply(other.graph().scalar(-1, other.dtype()));
          affine.add(first ? other.graph().apply1("neg", {other}) : other);
          break;
        case TileOp::mul:
          affine.multiply(other);
          break;
        default:
          affine.multiply(other);
          affine.add(inputs[2]);
      }
      last = step;
    }
    const Node& product = *chain.product;
    Graph& graph = affine.scale.graph();
    const std::int64_t channels = product.outputs[0].shape[1];
    Value scale = affine.scale;
    if (numel(scale.shape()) != channels)
      scale = graph.apply1("broadcast_to", {scale}, {{"shape", Shape{1, channels, 1, 1}}});
    scale = graph.apply1("reshape", {scale}, {{"shape", Shape{channels}}});
    const Value result = product.op->fix_filter(product, copied_.at(&product), scale, kernels_)[0];
    return {affine.shift ? graph.apply1("add", {result, affine.shift}) : result};
  }

  const Unit& unit_;
  const kernels::KernelTable& kernels_;
  std::vector<bool> fixed_;                      // by node id
  std::vector<std::vector<const Node*>> users_;  // by node id; null: an output of the unit
  std::map<const Node*, Chain> chains_;          // by last step
  std::map<const Node*, Values> copied_;         // inputs, in the new graph, of products and steps
};

// ---- values
// -------------------------------------------------------------------------------------------------------

bool is_computed(const Node& node) {
  return node.op->kind == OpKind::compute || node.op->kind == OpKind::tile;
}

}  // namespace

Unit fix_filters(const Unit& unit, const kernels::KernelTable& kernels) {
  return FilterFixer(unit, kernels).run();
}

Unit keep_derived(const Unit& unit, const kernels::KernelTable& kernels,
                  std::vector<std::shared_ptr<Derived>>& kept) {
  const std::vector<bool> fixed = fixed_nodes(unit);
  std::vector<bool> read(fixed.size(), false);  // by a node that changes from run to run, perhaps in a view
  std::vector<const Node*> live = live_nodes(*unit.graph, unit.outputs);
  for (auto place = live.rbegin(); place != live.rend(); ++place) {
    const Node& node = **place;
    const bool looked_through = node.op->kind == OpKind::view && read[node.id];
    if (fixed[node.id] && !looked_through) continue;
    for (const Value& input : node.inputs) read[input.node->id] = true;
  }
  return rewrite(*unit.graph, unit.outputs, [&](Graph& to, const Node& node, const Values&) -> Values {
    if (!fixed[node.id] || !read[node.id] || !is_computed(node)) return {};
    Values values;
    for (int i = 0; i < static_cast<int>(node.outputs.size()); ++i) {
      kept.push_back(Derived::of(node.out(i), kernels));
      values.push_back(to.state(kept.back()->value(), kept.back()->description()));
    }
    return values;
  });
}

}  // namespace ravine
