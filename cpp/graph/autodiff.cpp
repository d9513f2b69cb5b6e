#include "graph/autodiff.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/error.h"

namespace ravine {
namespace {

struct ValueHash {
  std::size_t operator()(const Value& value) const {
    return std::hash<const void*>()(value.node) * 31 + static_cast<std::size_t>(value.index);
  }
};
using Cotangents = std::unordered_map<Value, Value, ValueHash>;

// Rules may return a cotangent of the broadcast shape; the gradient of broadcasting is a sum.
Value sum_to(Value cotangent, const TensorType& type) {
  Graph& graph = cotangent.graph();
  if (cotangent.shape() != type.shape) {
    const int extra = cotangent.rank() - type.shape.rank();
    Axes axes;
    for (int axis = 0; axis < cotangent.rank(); ++axis)
      if (axis < extra || (type.shape[axis - extra] == 1 && cotangent.shape()[axis] != 1))
        axes.push_back(axis);
    if (!axes.empty()) cotangent = graph.apply1("sum", {cotangent}, {{"axes", axes}, {"keepdims", false}});
    if (cotangent.shape() != type.shape)
      cotangent = graph.apply1("reshape", {cotangent}, {{"shape", type.shape}});
  }
  if (cotangent.dtype() != type.dtype) cotangent = graph.apply1("cast", {cotangent}, {{"dtype", type.dtype}});
  return cotangent;
}

void accumulate(Cotangents& cotangents, Value value, Value cotangent) {
  auto [place, first] = cotangents.emplace(value, cotangent);
  if (!first) place->second = cotangent.graph().apply1("add", {place->second, cotangent});
}

bool differentiable(const Op& op) { return op.gradient != nullptr || op.decompose != nullptr; }

// The nodes that the outputs need. Values of wrt are leaves: their producers are not entered.
std::vector<const Node*> reachable_nodes(std::span<const Value> outputs,
                                         const std::unordered_set<Value, ValueHash>& leaves) {
  std::vector<const Node*> reachable, stack;
  std::unordered_set<const Node*> seen;
  const auto enter = [&](const Value& value) {
    if (value && !leaves.contains(value) && seen.insert(value.node).second) stack.push_back(value.node);
  };
  for (const Value& output : outputs) enter(output);
  while (!stack.empty()) {
    const Node* node = stack.back();
    stack.pop_back();
    reachable.push_back(node);
    for (const Value& input : node->inputs) enter(input);
  }
  return reachable;
}

// The nodes between wrt and the outputs, in recording order.
std::vector<const Node*> active_nodes(std::span<const Value> outputs,
                                      const std::unordered_set<Value, ValueHash>& leaves) {
  std::vector<const Node*> reachable = reachable_nodes(outputs, leaves);
  std::sort(reachable.begin(), reachable.end(), [](const Node* a, const Node* b) { return a->id < b->id; });

  std::vector<const Node*> active;
  std::unordered_set<const Node*> depends;
  for (const Node* node : reachable) {
    const bool reaches = std::any_of(node->inputs.begin(), node->inputs.end(), [&](const Value& input) {
      return is_floating(input.dtype()) && (leaves.contains(input) || depends.contains(input.node));
    });
    if (!reaches || !differentiable(*node->op)) continue;
    depends.insert(node);
    active.push_back(node);
  }
  return active;
}

Values input_cotangents(const Node& node, std::span<const Value> cotangents) {
  return node.op->gradient != nullptr ? node.op->gradient(node, cotangents)
                                      : cotangents_by_decomposition(node, cotangents);
}

}  // namespace

Values cotangents_by_decomposition(const Node& node, std::span<const Value> cotangents) {
  const Values outputs = node.op->decompose(node);
  Values known_outputs, known_cotangents;
  for (std::size_t i = 0; i < cotangents.size(); ++i) {
    if (!cotangents[i]) continue;
    known_outputs.push_back(outputs[i]);
    known_cotangents.push_back(cotangents[i]);
  }
  // An input that appears twice gets its whole cotangent once.
  Values distinct;
  for (const Value& input : node.inputs)
    if (std::find(distinct.begin(), distinct.end(), input) == distinct.end()) distinct.push_back(input);
  const Values found = vector_jacobian_product(known_outputs, known_cotangents, distinct);
  Values result;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const auto first =
        std::find(node.inputs.begin(), node.inputs.end(), node.inputs[i]) - node.inputs.begin();
    const auto place = std::find(distinct.begin(), distinct.end(), node.inputs[i]) - distinct.begin();
    result.push_back(first == static_cast<std::ptrdiff_t>(i) ? found[static_cast<std::size_t>(place)]
                                                             : Value{});
  }
  return result;
}

bool Dependence::known_of(const Value& value) const {
  return of_nodes_[value.node->id] || std::find(on_.begin(), on_.end(), value) != on_.end();
}

bool Dependence::of(const Value& value) {
  const auto nodes = value.graph().nodes();
  while (of_nodes_.size() <= value.node->id) {  // a node's inputs have smaller numbers
    const Values& inputs = nodes[of_nodes_.size()]->inputs;
    of_nodes_.push_back(
        std::any_of(inputs.begin(), inputs.end(), [&](const Value& input) { return known_of(input); }));
  }
  return known_of(value);
}

Values vector_jacobian_product(std::span<const Value> outputs, std::span<const Value> cotangents,
                               std::span<const Value> wrt) {
  const std::unordered_set<Value, ValueHash> leaves(wrt.begin(), wrt.end());
  Cotangents found;
  for (std::size_t i = 0; i < outputs.size(); ++i) accumulate(found, outputs[i], cotangents[i]);
  const std::vector<const Node*> active = active_nodes(outputs, leaves);
  const std::unordered_set<const Node*> is_active(active.begin(), active.end());
  for (auto place = active.rbegin(); place != active.rend(); ++place) {
    const Node& node = **place;
    Values own(node.outputs.size());
    bool any = false;
    for (int i = 0; i < static_cast<int>(node.outputs.size()); ++i) {
      const auto held = found.find(node.out(i));
      if (held == found.end() || leaves.contains(node.out(i))) continue;
      own[static_cast<std::size_t>(i)] = held->second;
      any = true;
    }
    if (!any) continue;
    node.graph->differentiating = &node;
    node.graph->origin = {node.origin.scope, Phase::backward};
    const Values passed = input_cotangents(node, own);
    for (std::size_t i = 0; i < passed.size(); ++i) {
      const Value& input = node.inputs[i];
      if (!passed[i] || !is_floating(input.dtype())) continue;
      if (!leaves.contains(input) && !is_active.contains(input.node)) continue;
      accumulate(found, input, sum_to(passed[i], input.type()));
    }
  }
  Values result;
  for (const Value& value : wrt) {
    const auto held = found.find(value);
    result.push_back(held == found.end() ? Value{} : held->second);
  }
  return result;
}

namespace {

class RestoredOrigin {
 public:
  explicit RestoredOrigin(Graph& graph) : graph_(graph), before_(graph.origin) {}
  ~RestoredOrigin() { graph_.origin = before_; }
  RestoredOrigin(const RestoredOrigin&) = delete;
  RestoredOrigin& operator=(const RestoredOrigin&) = delete;

 private:
  Graph& graph_;
  const Origin before_;
};

}  // namespace

Values gradients(Value output, std::span<const Value> wrt) {
  check<ValueError>(output.shape().empty() && is_floating(output.dtype()),
                    "gradients: the output must be a floating scalar of shape (), got ",
                    to_string(output.type()));
  for (const Value& value : wrt)
    check<TypeError>(is_floating(value.dtype()),
                     "gradients: cannot differentiate with respect to a tensor of ", to_string(value.type()));
  // With respect to an inner value and something before it, both are wanted: leaves stop the traversal, so a
  // value that others of the list are computed from would lose their part. Such lists are differentiated one
  // by one.
  Graph& graph = output.graph();
  const RestoredOrigin restored(graph);
  const Value one = graph.scalar(1, output.dtype());
  const bool leaves_only = std::all_of(wrt.begin(), wrt.end(), [](const Value& value) {
    return value.node->op->kind == OpKind::state || value.node->op->kind == OpKind::input;
  });
  Values result;
  if (leaves_only) {
    result = vector_jacobian_product(std::span(&output, 1), std::span(&one, 1), wrt);
  } else {
    for (const Value& value : wrt)
      result.push_back(
          vector_jacobian_product(std::span(&output, 1), std::span(&one, 1), std::span(&value, 1))[0]);
  }
  for (std::size_t i = 0; i < result.size(); ++i)
    if (!result[i]) result[i] = graph.filled(0, wrt[i].type());
  return result;
}

}  // namespace ravine
