// Scaled dot-product attention: one kernel per direction.
#include "ops/attention.h"

#include "graph/autodiff.h"
#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

using kernels::AttentionMask;

std::span<const std::int64_t> leading(const Shape& shape) {
  return {shape.begin(), static_cast<std::size_t>(shape.rank() - 2)};
}

bool broadcasts_to(const Shape& shape, const Shape& target) {
  const int missing = target.rank() - shape.rank();
  if (missing < 0) return false;
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (shape[axis] != 1 && shape[axis] != target[axis + missing]) return false;
  return true;
}

void check_attention(Node& node) {
  node.attrs.check_known(node.op->name, {"scale", "causal", "dropout", "stream", "mask"});
  expect_floating(node, 0);
  const bool masked = node.attrs.flag("mask", false);
  for (int input = 0; input < 3; ++input) {
    check<TypeError>(node.input_dtype(input) == node.input_dtype(0), node.op->name,
                     ": query, key and value must have one dtype, got ", describe_inputs(node));
    check<ValueError>(node.input_shape(input).rank() >= 2, node.op->name,
                      ": query, key and value must be [..., rows, features], got ", describe_inputs(node));
  }
  const Shape &query = node.input_shape(0), &key = node.input_shape(1), &value = node.input_shape(2);
  check<ValueError>(query.back() == key.back(), node.op->name, ": queries of ", query.back(),
                    " features do not fit keys of ", key.back(), ": shapes ", query, " and ", key);
  check<ValueError>(key[key.rank() - 2] == value[value.rank() - 2], node.op->name, ": ", key[key.rank() - 2],
                    " keys do not fit ", value[value.rank() - 2], " values: shapes ", key, " and ", value);
  for (const Shape& shape : {query, value})
    check<ValueError>(shape.back() <= kernels::max_attention_features, node.op->name, ": ", shape.back(),
                      " features are too many for a head, at most ", kernels::max_attention_features,
                      " are possible (shape ", shape, ")");
  const double dropout = node.attrs.real("dropout", 0);
  check<ValueError>(dropout >= 0 && dropout <= 1, node.op->name, ": dropout must lie in [0, 1], got ",
                    dropout);
  node.attrs.set("scale", node.attrs.real("scale"));
  node.attrs.set("dropout", dropout);
  node.attrs.set("causal", node.attrs.flag("causal", false));
  node.attrs.set("mask", masked);
  if (dropout > 0 && !node.attrs.has("stream"))
    node.attrs.set("stream", static_cast<std::int64_t>(node.graph->next_stream++));
  const Attention attention(node);
  if (!masked) return;
  const Value mask = attention.mask;
  check<TypeError>(mask.dtype() == DType::boolean || mask.dtype() == node.input_dtype(0), node.op->name,
                   ": the mask must be bool or ", name_of(node.input_dtype(0)), ", got ",
                   to_string(mask.type()));
  const Shape scores = attention.over_batch({attention.queries, attention.keys});
  check<ValueError>(
      mask.rank() >= 2 && mask.shape().back() == attention.keys && broadcasts_to(mask.shape(), scores),
      node.op->name, ": a mask of shape ", mask.shape(), " does not broadcast to the scores' ", scores);
}

void infer_attention(Node& node) {
  expect_inputs(node, node.attrs.flag("mask", false) ? 4 : 3);
  check_attention(node);
  const Attention attention(node);
  node.outputs = {attention.floats({attention.queries, attention.columns}),
                  attention.floats({attention.queries})};
  if (attention.dropout > 0) node.outputs.push_back({DType::int64, Shape{2}});
}

Values gradient_attention(const Node& node, std::span<const Value> cotangents) {
  if (!cotangents[0] || cotangents[1]) return cotangents_by_decomposition(node, cotangents);
  const Attention attention(node);
  Values inputs = node.inputs;
  inputs.push_back(node.out(0));
  inputs.push_back(node.out(1));
  const Value grad_output = ops::broadcast_to(cotangents[0], node.outputs[0].shape);
  inputs.push_back(grad_output);
  if (attention.dropout > 0) inputs.push_back(node.out(2));
  Values grads = node.graph->apply("attention_grad", std::move(inputs), node.attrs);
  if (attention.mask) {
    const bool wanted = is_floating(attention.mask.dtype()) && attention.mask.node->op != &constant_op;
    grads.push_back(wanted ? grad_of_additive_mask(node, grad_output) : Value{});
  }
  return grads;
}

void infer_attention_grad(Node& node) {
  const int masks = node.attrs.flag("mask", false) ? 1 : 0;
  expect_inputs(node, (node.attrs.real("dropout", 0) > 0 ? 7 : 6) + masks);
  check_attention(node);
  const Attention attention(node);
  const Shape output = attention.over_batch({attention.queries, attention.columns});
  expect_shape(node, 3 + masks, output, "the output");
  expect_shape(node, 4 + masks, attention.over_batch({attention.queries}), "the logarithms of sums");
  expect_shape(node, 5 + masks, output, "the output's gradient");
  node.outputs = {attention.floats({attention.queries, attention.depth}),
                  attention.floats({attention.keys, attention.depth}),
                  attention.floats({attention.keys, attention.columns})};
}

// ---- kernels

// Where the features of a row are contiguous.
View with_dense_rows(Lowering& lowering, Value value) {
  const View view = lowering.view(value);
  return view.strides.back() == 1 || view.shape.back() <= 1 ? view : lowering.dense(value);
}

// Memory [N, rows, heads..., features] for a value [N, heads..., rows, features]: what surrounds attention
// joins the heads of a row.
View create_with_joined_heads(Lowering& lowering, Value value) {
  const Shape shape = value.shape();
  const int rank = shape.rank();
  if (rank < 4) return lowering.create(value);
  Axes order{0, rank - 2};
  for (int axis = 1; axis < rank - 2; ++axis) order.push_back(axis);
  order.push_back(rank - 1);
  Shape memory;
  for (const std::int64_t axis : order) memory.push_back(shape[static_cast<int>(axis)]);
  View view = lowering.temporary(value.dtype(), memory);
  const Strides strides = view.strides;
  view.shape = shape;
  for (int axis = 0; axis < rank; ++axis) view.strides[static_cast<int>(order[axis])] = strides[axis];
  lowering.alias(value, view);
  return view;
}

template <class Matrix>
void set_strides(Matrix& matrix, const View& view, const Attention& attention) {
  const int axes = view.shape.rank() - 2;
  matrix.row_stride = view.shape[axes] == 1 ? 0 : view.strides[axes];
  const Strides batch = broadcast_strides(
      Shape(leading(view.shape)), Strides(std::span(view.strides.begin(), static_cast<std::size_t>(axes))),
      attention.batch);
  for (int axis = 0; axis < batch.rank(); ++axis) matrix.batch_strides[axis] = batch[axis];
}

// The views of what both kernels read: they are made before the call.
struct AttentionViews {
  View query, key, value, mask;

  AttentionViews(Lowering& lowering, const Attention& attention)
      : query(with_dense_rows(lowering, attention.query)),
        key(with_dense_rows(lowering, attention.key)),
        value(with_dense_rows(lowering, attention.value)) {
    if (attention.mask) mask = with_dense_rows(lowering, attention.mask);
  }
};

template <class Args>
void set_attention(Call<Args>& call, const Node& node, const Attention& attention,
                   const AttentionViews& views) {
  Args& args = call.args;
  args.batch_rank = attention.batch.rank();
  for (int axis = 0; axis < args.batch_rank; ++axis) args.batch_extents[axis] = attention.batch[axis];
  args.queries = attention.queries;
  args.keys = attention.keys;
  args.depth = attention.depth;
  args.columns = attention.columns;
  args.scale = attention.scale;
  args.causal = attention.causal;
  args.dropout = attention.dropout;
  if (attention.dropout > 0) args.stream = static_cast<std::uint32_t>(node.attrs.integer("stream"));
  const auto read = [&](kernels::AttentionOperand& operand, const View& view) {
    set_strides(operand, view, attention);
    call.read(operand.data, view);
  };
  read(args.query, views.query);
  read(args.key, views.key);
  read(args.value, views.value);
  if (attention.mask) {
    args.mask_kind =
        attention.mask.dtype() == DType::boolean ? AttentionMask::boolean : AttentionMask::additive;
    read(args.mask, views.mask);
  }
  call.describe(str(attention.batch, " heads, ", attention.queries, " queries of ", attention.keys, " keys, ",
                    attention.depth, " wide", attention.causal ? ", causal" : "",
                    attention.dropout > 0 ? ", dropout" : ""));
}

// Of a product of queries, keys and one feature.
double multiplications(const Attention& attention) {
  return static_cast<double>(numel(attention.batch)) * static_cast<double>(attention.queries) *
         static_cast<double>(attention.keys) * (attention.causal ? 0.5 : 1);
}
double operand_bytes(const Attention& attention) {
  return static_cast<double>(numel(attention.batch)) *
         static_cast<double>(attention.queries + attention.keys) *
         static_cast<double>(attention.depth + attention.columns) *
         static_cast<double>(size_of(attention.query.dtype()));
}

void lower_attention(Lowering& lowering, const Node& node) {
  const Attention attention(node);
  const AttentionViews views(lowering, attention);
  const View output = create_with_joined_heads(lowering, node.out(0)),
             log_sums = lowering.create(node.out(1));
  auto call = lowering.call(node.op->name, lowering.floats(node).attention);
  auto& args = call.args;
  set_attention(call, node, attention, views);
  set_strides(args.output, output, attention);
  call.write(args.output.data, output);
  call.write(args.log_sums, log_sums);
  if (attention.dropout > 0) {
    args.random = lowering.random();
    call.write(args.drawn, lowering.create(node.out(2)));
  }
  const auto width = static_cast<double>(attention.depth + attention.columns);
  call.cost(multiplications(attention) * (2 * width + 20), operand_bytes(attention));
}

void lower_attention_grad(Lowering& lowering, const Node& node) {
  const Attention attention(node);
  const AttentionGradInputs inputs(node, attention);
  const AttentionViews views(lowering, attention);
  const View output = with_dense_rows(lowering, inputs.output),
             grad_output = with_dense_rows(lowering, inputs.grad_output),
             log_sums = lowering.dense(inputs.log_sums);
  View drawn;
  if (inputs.drawn) drawn = lowering.dense(inputs.drawn);
  const auto& kernels = lowering.floats(node);
  const View grads[] = {create_with_joined_heads(lowering, node.out(0)),
                        create_with_joined_heads(lowering, node.out(1)),
                        create_with_joined_heads(lowering, node.out(2))};
  auto call = lowering.call(node.op->name, kernels.attention_grad);
  auto& args = call.args;
  set_attention(call, node, attention, views);
  set_strides(args.output, output, attention);
  call.read(args.output.data, output);
  set_strides(args.grad_output, grad_output, attention);
  call.read(args.grad_output.data, grad_output);
  call.read(args.log_sums, log_sums);
  if (inputs.drawn) call.read(args.drawn, drawn);
  kernels::AttentionResult* const results[] = {&args.grad_query, &args.grad_key, &args.grad_value};
  for (std::size_t i = 0; i < 3; ++i) {
    set_strides(*results[i], grads[i], attention);
    call.write(results[i]->data, grads[i]);
  }
  call.workspace(args.workspace, kernels.attention_grad_workspace(args));
  const double width = 3 * static_cast<double>(attention.depth) + 2 * static_cast<double>(attention.columns);
  call.cost(multiplications(attention) * (2 * width + 20), 2 * operand_bytes(attention));
}

}  // namespace

Attention::Attention(const Node& node)
    : query(node.inputs[0]),
      key(node.inputs[1]),
      value(node.inputs[2]),
      scale(node.attrs.real("scale")),
      dropout(node.attrs.real("dropout")),
      causal(node.attrs.flag("causal", false)),
      n_inputs(3) {
  if (node.attrs.flag("mask", false)) mask = node.inputs[static_cast<std::size_t>(n_inputs++)];
  const Shape &q = query.shape(), &k = key.shape(), &v = value.shape();
  batch = broadcast_shapes(broadcast_shapes(Shape(leading(q)), Shape(leading(k)), node.op->name),
                           Shape(leading(v)), node.op->name);
  queries = q[q.rank() - 2];
  keys = k[k.rank() - 2];
  depth = q.back();
  columns = v.back();
}

Shape Attention::over_batch(std::initializer_list<std::int64_t> extents) const {
  Shape shape = batch;
  for (const std::int64_t extent : extents) shape.push_back(extent);
  return shape;
}

AttentionGradInputs::AttentionGradInputs(const Node& node, const Attention& attention) {
  const auto first = node.inputs.begin() + attention.n_inputs;
  output = first[0];
  log_sums = first[1];
  grad_output = first[2];
  if (attention.dropout > 0) drawn = first[3];
}

// Not merged with an equal node, nor computed beforehand, as dropout draws random numbers.
const Op attention_op{.name = "attention",
                      .infer = infer_attention,
                      .gradient = gradient_attention,
                      .decompose = decompose_attention,
                      .lower = lower_attention,
                      .random = true};
const Op attention_grad_op{.name = "attention_grad",
                           .infer = infer_attention_grad,
                           .decompose = decompose_attention_grad,
                           .lower = lower_attention_grad};

}  // namespace ravine
