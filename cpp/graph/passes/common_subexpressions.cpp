#include <cstring>
#include <unordered_map>

#include "graph/passes/rewrite.h"

namespace ravine {
namespace {

// A first sieve; equality decides.
std::size_t fingerprint(const Op* op, const Values& inputs) {
  std::size_t hash = std::hash<const void*>()(op);
  for (const Value& input : inputs)
    hash = hash * 1000003 + input.node->id * 8 + static_cast<std::size_t>(input.index);
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

Unit merge_common_subexpressions(const Unit& unit) {
  std::unordered_multimap<std::size_t, Node*> known;
  return rewrite(*unit.graph, unit.outputs, [&](Graph& to, const Node& node, const Values& inputs) -> Values {
    if (node.op->random || node.op->kind == OpKind::effect) return {};
    const std::size_t key = fingerprint(node.op, inputs);
    const auto [begin, end] = known.equal_range(key);
    Node* equal = nullptr;
    for (auto place = begin; place != end && equal == nullptr; ++place)
      if (same(node, *place->second, inputs)) equal = place->second;
    if (equal == nullptr) {
      equal = &to.copy(node, inputs);
      known.emplace(key, equal);
    }
    Values values;
    for (int i = 0; i < static_cast<int>(equal->outputs.size()); ++i) values.push_back(equal->out(i));
    return values;
  });
}

}  // namespace ravine
