#include <algorithm>

#include "ops/builders.h"
#include "ops/list.h"
#include "rules/rules.h"

namespace ravine::rules {
namespace {

// The axis along which a node lays its input between zeros; -1 where it does something else.
int padded_axis(const Node& node) {
  if (node.op != &pad_op || node.attrs.real("value") != 0) return -1;
  const Dims before = node.attrs.dims("before"), after = node.attrs.dims("after"),
             step = node.attrs.dims("step");
  int found = -1;
  for (int axis = 0; axis < before.rank(); ++axis) {
    if (step[axis] != 1) return -1;
    if (before[axis] == 0 && after[axis] == 0) continue;
    if (found >= 0) return -1;
    found = axis;
  }
  return found;
}

bool is_sum_of(const TensorType& type, const Node& node) {
  return node.op == &add_op && node.outputs[0] == type;
}

// The terms of a sum that is written as one addition after the other, from left to right.
std::vector<const Node*> terms_of(const Match& match, Values& values) {
  const TensorType& type = match.node.outputs[0];
  std::vector<const Node*> terms;
  Values left{match.node.out()};
  while (!left.empty()) {
    const Value value = left.back();
    left.pop_back();
    const Node& node = *value.node;
    const bool whole = &node == &match.node || match.users().has_one(node);
    if (whole && is_sum_of(type, node)) {
      left.push_back(node.inputs[1]);
      left.push_back(node.inputs[0]);
    } else {
      terms.push_back(&node);
      values.push_back(value);
    }
  }
  return terms;
}

struct Piece {
  Value part;  // in the new graph
  std::int64_t start, stop;
};

// Takes pieces that do not overlap, as many as there are from the first on, and joins them.
Value join_apart(std::vector<Piece>& pieces, const TensorType& type, int axis, Graph& graph) {
  Values parts;
  std::vector<Piece> others;
  std::int64_t end = 0;
  const auto fill = [&](std::int64_t stop) {
    if (stop == end) return;
    TensorType gap = type;
    gap.shape[axis] = stop - end;
    parts.push_back(graph.filled(0, gap));
  };
  for (const Piece& piece : pieces) {
    if (piece.start < end) {
      others.push_back(piece);
      continue;
    }
    fill(piece.start);
    parts.push_back(piece.part);
    end = piece.stop;
  }
  fill(type.shape[axis]);
  pieces = std::move(others);
  return ops::concat(parts, axis);
}

// The gradients of slices of one tensor, each of them among zeros, are added up: as many passes over the
// whole as there are slices. Those that lie apart are pieces of one buffer instead.
std::optional<Values> join_slices(const Match& match) {
  const TensorType& type = match.node.outputs[0];
  if (match.users().has_one(match.node) && is_sum_of(type, *match.users().of(match.node)[0]))
    return std::nullopt;  // that one sees all terms
  Values values;
  const std::vector<const Node*> terms = terms_of(match, values);
  std::vector<std::vector<Piece>> by_axis(static_cast<std::size_t>(type.shape.rank()));
  Values rest;
  for (std::size_t i = 0; i < terms.size(); ++i) {
    const Node& term = *terms[i];
    const int axis = values[i].type() == type ? padded_axis(term) : -1;
    if (axis < 0) {
      rest.push_back(match.now(values[i]));
      continue;
    }
    const std::int64_t start = term.attrs.dims("before")[axis], length = term.input_shape(0)[axis];
    if (length > 0)
      by_axis[static_cast<std::size_t>(axis)].push_back({match.now(term.inputs[0]), start, start + length});
  }
  Values joined;
  bool found = false;
  for (int axis = 0; axis < type.shape.rank(); ++axis) {
    std::vector<Piece>& pieces = by_axis[static_cast<std::size_t>(axis)];
    std::stable_sort(pieces.begin(), pieces.end(),
                     [](const Piece& a, const Piece& b) { return a.start < b.start; });
    while (!pieces.empty()) {
      const std::size_t count = pieces.size();
      joined.push_back(join_apart(pieces, type, axis, match.to()));
      found = found || count - pieces.size() > 1;
    }
  }
  if (!found) return std::nullopt;
  Value total = joined[0];
  for (std::size_t i = 1; i < joined.size(); ++i) total = total + joined[i];
  for (const Value& term : rest) total = total + term;
  return Values{total};
}

constexpr Rule rules[] = {{"slices of a gradient in one buffer", &add_op, join_slices}};

}  // namespace

std::span<const Rule> joined_slices() { return rules; }

}  // namespace ravine::rules
