#include "optim/row_gradients.h"

#include "ops/builders.h"
#include "ops/list.h"

namespace ravine::optim {
namespace {

// The scattered rows whose sum a gradient is; false if it is anything else.
bool find_scattered(Value gradient, std::vector<const Node*>& found) {
  const Node& node = *gradient.node;
  if (node.op == &add_op)
    return node.inputs[0].type() == node.inputs[1].type() && find_scattered(node.inputs[0], found) &&
           find_scattered(node.inputs[1], found);
  if (node.op != &scatter_add_rows_op || !node.attrs.flag("sparse", false)) return false;
  found.push_back(&node);
  return true;
}

// Skipped indices become negative, which coalesce_rows leaves out.
Value indices_of(const Node& scattered) {
  const Value indices = ops::cast(scattered.inputs[1], DType::int64);
  const std::int64_t skipped = scattered.attrs.integer("skip_index");
  const Value flat = ops::reshape(indices, Shape{numel(indices.shape())});
  if (skipped < 0) return flat;
  const Value is_skipped = ops::equal(flat, ops::scalar_like(flat, static_cast<double>(skipped)));
  return ops::where(is_skipped, ops::scalar_like(flat, -1), flat);
}

Value rows_of(const Node& scattered) {
  Shape shape = scattered.outputs[0].shape;
  shape[0] = numel(scattered.input_shape(1));
  return ops::reshape(scattered.inputs[0], shape);
}

Value joined(const Values& parts) { return parts.size() == 1 ? parts[0] : ops::concat(parts, 0); }

}  // namespace

Values take_rows(Values& gradients) {
  Values which;
  for (Value& gradient : gradients) {
    std::vector<const Node*> scattered;
    if (!find_scattered(gradient, scattered)) {
      which.emplace_back();
      continue;
    }
    Values rows, indices;
    for (const Node* part : scattered) {
      rows.push_back(rows_of(*part));
      indices.push_back(indices_of(*part));
    }
    const Values coalesced = gradient.graph().apply(coalesce_rows_op, {joined(rows), joined(indices)},
                                                    {{"extent", gradient.shape()[0]}});
    gradient = coalesced[0];
    which.push_back(coalesced[1]);
  }
  return which;
}

}  // namespace ravine::optim
