// What becomes the next value of the state that it reads may be written into it.
#include <algorithm>

#include "ops/list.h"
#include "rules/rules.h"

namespace ravine::rules {
namespace {

// Whoever else reads the state could meet the new rows instead of the old ones.
std::optional<Values> append_in_place(const Match& match) {
  const Node& node = match.node;
  const Node& state = *node.inputs[0].node;
  if (node.attrs.flag("in_place", false) || state.op != &state_op ||
      state.array.layout() != Layout::row_major || !match.users().has_one(state))
    return std::nullopt;
  const auto effects = node.graph->effects();
  const bool becomes_the_state = std::any_of(effects.begin(), effects.end(), [&](const Node* effect) {
    return effect->op == &assign_op && effect->array.data() == state.array.data() &&
           effect->inputs[0] == node.out();
  });
  if (!becomes_the_state) return std::nullopt;
  Attrs attrs = node.attrs;
  attrs.set("in_place", true);
  return match.to().apply(append_rows_op, match.inputs, std::move(attrs));
}

constexpr Rule appends[] = {{"rows appended in place", &append_rows_op, append_in_place}};

}  // namespace

std::span<const Rule> appended_rows() { return appends; }

}  // namespace ravine::rules
