// A recurrent layer keeps what its gradient reads only where there is one.
#include <algorithm>

#include "ops/list.h"
#include "rules/rules.h"

namespace ravine::rules {
namespace {

// The outputs of the layer itself: h at every step, the last h and, of an LSTM, the last c.
int n_results(const Op* op) { return op == &lstm_op ? 3 : 2; }

std::optional<Values> drop_history(const Match& match) {
  const Node& node = match.node;
  if (!node.attrs.flag("history", true)) return std::nullopt;
  const int results = n_results(node.op);
  const auto is_history = [&](const Value& value) { return value.node == &node && value.index >= results; };
  if (std::any_of(match.outputs().begin(), match.outputs().end(), is_history)) return std::nullopt;
  for (const Node* user : match.users().of(node))
    if (std::any_of(user->inputs.begin(), user->inputs.end(), is_history) ||
        std::any_of(user->operands.begin(), user->operands.end(), is_history))
      return std::nullopt;
  Attrs attrs = node.attrs;
  attrs.set("history", false);
  Values values = match.to().apply(*node.op, match.inputs, std::move(attrs));
  values.resize(node.outputs.size());
  return values;
}

constexpr Rule histories[] = {{"layer without a history", &rnn_tanh_op, drop_history},
                              {"layer without a history", &rnn_relu_op, drop_history},
                              {"layer without a history", &gru_op, drop_history},
                              {"layer without a history", &lstm_op, drop_history}};

}  // namespace

std::span<const Rule> unread_histories() { return histories; }

}  // namespace ravine::rules
