#include "graph/graph.h"

#include <algorithm>

#include "core/error.h"

namespace ravine {

std::string to_string(const TensorType& type) { return str(name_of(type.dtype), " ", type.shape); }

std::string TileExpression::to_string() const {
  std::string text;
  for (const Step& step : steps) text += (text.empty() ? "" : ", ") + std::string(step.op->name);
  return text;
}

const char* name_of(Phase phase) {
  return phase == Phase::forward ? "forward" : phase == Phase::backward ? "backward" : "update";
}

// ---- finding operations

OpTable::OpTable(std::span<const Op* const> ops, std::span<const Pass> passes)
    : ops_(ops.begin(), ops.end()), passes_(passes) {
  std::sort(ops_.begin(), ops_.end(),
            [](const Op* a, const Op* b) { return std::string_view(a->name) < std::string_view(b->name); });
}

const Op& OpTable::at(std::string_view name) const {
  const auto place =
      std::lower_bound(ops_.begin(), ops_.end(), name,
                       [](const Op* op, std::string_view wanted) { return op->name < wanted; });
  if (place != ops_.end() && (*place)->name == name) return **place;
  std::string near;
  for (const Op* op : ops_)
    if (!name.empty() && op->name[0] == name[0])
      near += (near.empty() ? "; did you mean one of: " : ", ") + std::string(op->name);
  fail<KeyError>("unknown operation '", name, "'", near);
}

// ---- the operations of the graph itself

namespace {

void infer_nothing(Node&) {}

void infer_assign(Node& node) {
  const TensorType expected{node.array.dtype(), node.array.shape()};
  check<ValueError>(node.inputs[0].type() == expected, "assign: the state is ", to_string(expected),
                    ", the value is ", to_string(node.inputs[0].type()));
}

void infer_guard(Node& node) {
  for (const Value& input : node.inputs)
    check<ValueError>(numel(input.shape()) == 1, "guard: a scalar is expected, got shape ", input.shape());
}

}  // namespace

const Op input_op{.name = "input", .kind = OpKind::input, .infer = infer_nothing};
const Op state_op{.name = "state", .kind = OpKind::state, .infer = infer_nothing};
const Op constant_op{.name = "constant", .kind = OpKind::constant, .infer = infer_nothing};
const Op assign_op{.name = "assign", .kind = OpKind::effect, .infer = infer_assign};
const Op guard_op{.name = "guard", .kind = OpKind::effect, .infer = infer_guard};
// Made by the fusion pass, which sets its outputs.
const Op fused_op{.name = "fused", .kind = OpKind::compute, .infer = infer_nothing};

// ---- recording

Node& Graph::add(const Op& op) {
  auto node = std::make_unique<Node>();
  node->op = &op;
  node->graph = this;
  node->id = static_cast<std::uint32_t>(nodes_.size());
  node->origin = origin;
  nodes_.push_back(std::move(node));
  return *nodes_.back();
}

void Graph::enter(const std::string& path) {
  const auto known = std::find(scopes_->begin(), scopes_->end(), path);
  origin.scope = static_cast<std::uint32_t>(known - scopes_->begin());
  if (known == scopes_->end()) scopes_->push_back(path);
}

void Graph::record(Node& node, std::uint32_t stream) {
  if (!on_record) return;
  try {
    on_record(node);
  } catch (...) {
    remove_newest();
    next_stream = stream;
    throw;
  }
}

void Graph::remove_newest() {
  if (!effects_.empty() && effects_.back() == nodes_.back().get()) effects_.pop_back();
  nodes_.pop_back();
}

Value Graph::input(const TensorType& type, std::string name) {
  Node& node = add(input_op);
  node.outputs = {type};
  node.name = std::move(name);
  inputs_.push_back(&node);
  return node.out();
}

Value Graph::state(const Array& array, std::string name) {
  if (const auto known = states_.find(array.data()); known != states_.end()) return known->second->out();
  Node& node = add(state_op);
  node.outputs = {{array.dtype(), array.shape()}};
  node.array = array;
  node.name = std::move(name);
  record(node, next_stream);
  states_.emplace(array.data(), &node);
  return node.out();
}

Value Graph::constant(const Array& array) {
  Node& node = add(constant_op);
  node.outputs = {{array.dtype(), array.shape()}};
  node.array = array;
  record(node, next_stream);
  return node.out();
}

Value Graph::scalar(double value, DType dtype) { return constant(Array::scalar(value, dtype)); }

Value Graph::filled(double value, const TensorType& type) {
  const Value number = scalar(value, type.dtype);
  return type.shape.empty() ? number : apply1("broadcast_to", {number}, {{"shape", type.shape}});
}

namespace {

// Sizes and offsets in bytes stay far from overflow, whatever extents a caller asks for.
void check_addressable(const char* operation, const TensorType& type) {
  constexpr std::int64_t most = std::int64_t{1} << 48;
  std::int64_t size = 1;
  for (const std::int64_t extent : type.shape)
    if (__builtin_mul_overflow(size, std::max<std::int64_t>(extent, 1), &size) || size > most)
      fail<ValueError>(operation, ": a result of shape ", type.shape, " is too large");
}

}  // namespace

Values outputs_of(const Node& node) {
  Values values;
  for (int i = 0; i < static_cast<int>(node.outputs.size()); ++i) values.push_back(node.out(i));
  return values;
}

Values Graph::apply(const Op& op, Values inputs, Attrs attrs) {
  // Checked before the node is added: an error leaves the graph as it was.
  auto node = std::make_unique<Node>();
  node->op = &op;
  node->graph = this;
  node->id = static_cast<std::uint32_t>(nodes_.size());
  node->origin = origin;
  for (const Value& input : inputs)
    check<ValueError>(input && &input.graph() == this, op.name, ": an input belongs to another recording");
  node->inputs = std::move(inputs);
  node->attrs = std::move(attrs);
  const std::uint32_t stream = next_stream;
  try {
    op.infer(*node);
    for (const TensorType& type : node->outputs) check_addressable(op.name, type);
  } catch (...) {
    next_stream = stream;
    throw;
  }
  nodes_.push_back(std::move(node));
  Node& added = *nodes_.back();
  record(added, stream);
  return outputs_of(added);
}

Values Graph::apply(std::string_view name, Values inputs, Attrs attrs) {
  return apply(ops_->at(name), std::move(inputs), std::move(attrs));
}

void Graph::assign(const Array& array, Value value) {
  Node& node = add(assign_op);
  node.origin.phase = Phase::update;
  node.inputs = {value};
  node.array = array;
  try {
    infer_assign(node);
  } catch (...) {
    remove_newest();
    throw;
  }
  effects_.push_back(&node);
  record(node, next_stream);
}

Values Graph::effect(const Op& op, Values inputs, std::shared_ptr<EffectTarget> target, Attrs attrs) {
  Node& node = add(op);
  node.origin.phase = Phase::update;
  node.inputs = std::move(inputs);
  node.attrs = std::move(attrs);
  node.target = std::move(target);
  try {
    op.infer(node);
  } catch (...) {
    remove_newest();
    throw;
  }
  effects_.push_back(&node);
  record(node, next_stream);
  return outputs_of(node);
}

Node& Graph::copy(const Node& original, Values inputs) {
  Node& node = add(*original.op);
  const std::uint32_t id = node.id;
  node = original;
  node.graph = this;
  node.id = id;
  node.inputs = std::move(inputs);
  if (node.op->kind == OpKind::input) inputs_.push_back(&node);
  if (node.op->kind == OpKind::state) states_.emplace(node.array.data(), &node);
  if (node.op->kind == OpKind::effect) effects_.push_back(&node);
  return node;
}

}  // namespace ravine
