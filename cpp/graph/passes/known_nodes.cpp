// Equal nodes on equal inputs become one.
#include <algorithm>
#include <cstring>
#include <string_view>

#include "graph/passes/known_nodes.h"

namespace ravine {
namespace {

void mix(std::size_t& hash, std::size_t value) { hash = hash * 1000003 + value; }

// A first sieve, in which no kind of node is crowded; equality decides.
std::size_t fingerprint(const Node& node, const Values& inputs) {
  std::size_t hash = std::hash<const void*>()(node.op);
  for (const Value& input : inputs) mix(hash, input.node->id * 8 + static_cast<std::size_t>(input.index));
  mix(hash, node.attrs.hash());
  if (node.op->kind == OpKind::state) mix(hash, std::hash<const void*>()(node.array.data()));
  if (node.op->kind == OpKind::constant) {
    constexpr std::size_t most = 64;  // bytes: enough for the scalars that make up most constants
    const auto* bytes = reinterpret_cast<const char*>(node.array.data());
    mix(hash, std::hash<std::string_view>()({bytes, std::min(most, node.array.bytes())}));
  }
  return hash;
}

bool same_constant(const Array& a, const Array& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && a.layout() == b.layout() &&
         std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

bool same(const Node& a, const Node& b, const Values& inputs) {
  if (a.op != b.op || b.inputs != inputs || a.attrs != b.attrs || a.outputs != b.outputs) return false;
  if (a.op->kind == OpKind::state) return a.array.data() == b.array.data();
  if (a.op->kind == OpKind::constant) return same_constant(a.array, b.array);
  return !a.expression && !b.expression;
}

}  // namespace

Node* KnownNodes::find(const Node& node, const Values& inputs, std::size_t key) const {
  const auto [begin, end] = known_.equal_range(key);
  for (auto place = begin; place != end; ++place)
    if (same(node, *place->second, inputs)) return place->second;
  return nullptr;
}

bool KnownNodes::can_merge(const Node& node) {
  return !node.op->random && node.op->kind != OpKind::effect && node.op->kind != OpKind::input;
}

std::optional<Values> KnownNodes::copy_of(Graph& to, const Node& node, const Values& inputs) {
  if (!can_merge(node)) return std::nullopt;
  const std::size_t key = fingerprint(node, inputs);
  Node* equal = find(node, inputs, key);
  if (equal == nullptr) {
    equal = &to.copy(node, inputs);
    known_.emplace(key, equal);
  }
  return outputs_of(*equal);
}

Values KnownNodes::merged(Graph& graph, std::size_t first_new, Values values) {
  std::unordered_map<const Node*, Node*> replaced;
  const auto renamed = [&](Value value) {
    const auto place = replaced.find(value.node);
    return place == replaced.end() ? value : Value{place->second, value.index};
  };
  for (std::size_t i = first_new; i < graph.nodes().size(); ++i) {
    Node& node = *graph.nodes()[i];
    for (Value& input : node.inputs) input = renamed(input);
    if (!can_merge(node)) continue;
    const std::size_t key = fingerprint(node, node.inputs);
    if (Node* equal = find(node, node.inputs, key); equal != nullptr) replaced.emplace(&node, equal);
    else known_.emplace(key, &node);
  }
  for (Value& value : values) value = renamed(value);
  return values;
}

}  // namespace ravine
