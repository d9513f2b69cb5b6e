// Gathering by index and its transpose, adding by index.
#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

// ---- shapes

int axis_of(const Node& node) { return static_cast<int>(node.attrs.integer("axis")); }

std::int64_t product(const Shape& shape, int begin, int end) {
  std::int64_t result = 1;
  for (int axis = begin; axis < end; ++axis) result *= shape[axis];
  return result;
}

// `sparse` changes nothing here: it says what the table's gradient is to an optimizer (row_gradients.h).
void expect_sparse_rows(const Node& node, int axis) {
  check<ValueError>(axis == 0 || !node.attrs.flag("sparse", false), node.op->name,
                    ": only rows along axis 0 have a sparse gradient, got axis ", axis);
}

// table [..., axis, ...] and indices [any] -> [..., any, ...]
void infer_gather_rows(Node& node) {
  expect_inputs(node, 2);
  node.attrs.check_known("gather_rows", {"axis", "skip_index", "sparse"});
  expect_index(node, 1);
  const Shape& table = node.input_shape(0);
  const Shape& indices = node.input_shape(1);
  const int axis = normalize_axis(node.attrs.integer("axis", 0), table.rank(), "gather_rows");
  Shape shape;
  for (int i = 0; i < axis; ++i) shape.push_back(table[i]);
  for (const std::int64_t extent : indices) shape.push_back(extent);
  for (int i = axis + 1; i < table.rank(); ++i) shape.push_back(table[i]);
  node.attrs.set("axis", std::int64_t{axis});
  node.attrs.set("skip_index", node.attrs.integer("skip_index", -1));
  expect_sparse_rows(node, axis);
  node.outputs = {{node.input_dtype(0), shape}};
}

// source [..., any, ...] and indices [any] -> [..., extent, ...]
void infer_scatter_add_rows(Node& node) {
  expect_inputs(node, 2);
  node.attrs.check_known("scatter_add_rows", {"axis", "extent", "skip_index", "sparse"});
  expect_floating(node, 0);
  expect_index(node, 1);
  const Shape& source = node.input_shape(0);
  const Shape& indices = node.input_shape(1);
  const int rank = source.rank() - indices.rank() + 1;
  check<ValueError>(rank >= 1, "scatter_add_rows: source ", source, " must hold the axes of the indices ",
                    indices);
  const int axis = normalize_axis(node.attrs.integer("axis", 0), rank, "scatter_add_rows");
  const std::int64_t extent = node.attrs.integer("extent");
  check<ValueError>(extent >= 0, "scatter_add_rows: extent must not be negative, got ", extent);
  Shape shape;
  for (int i = 0; i < axis; ++i) shape.push_back(source[i]);
  shape.push_back(extent);
  for (int i = 0; i < indices.rank(); ++i)
    check<ValueError>(source[axis + i] == indices[i], "scatter_add_rows: source ", source,
                      " does not hold the indices' shape ", indices, " from axis ", axis, " on");
  for (int i = axis + indices.rank(); i < source.rank(); ++i) shape.push_back(source[i]);
  node.attrs.set("axis", std::int64_t{axis});
  node.attrs.set("skip_index", node.attrs.integer("skip_index", -1));
  expect_sparse_rows(node, axis);
  node.outputs = {{node.input_dtype(0), shape}};
}

void check_equal_outside(const Node& node, int axis) {
  const Shape& x = node.input_shape(0);
  const Shape& indices = node.input_shape(1);
  bool fits = x.rank() == indices.rank();
  for (int i = 0; fits && i < x.rank(); ++i) fits = i == axis || x[i] == indices[i];
  check<ValueError>(fits, node.op->name, ": the indices ", indices, " must have the shape of the tensor ", x,
                    " outside axis ", axis);
}

void infer_gather(Node& node) {
  expect_inputs(node, 2);
  node.attrs.check_known("gather", {"axis"});
  expect_index(node, 1);
  const int axis = normalize_axis(node.attrs.integer("axis"), node.input_shape(0).rank(), "gather");
  check_equal_outside(node, axis);
  node.attrs.set("axis", std::int64_t{axis});
  node.outputs = {{node.input_dtype(0), node.input_shape(1)}};
}

void infer_scatter_add(Node& node) {
  expect_inputs(node, 2);
  node.attrs.check_known("scatter_add", {"axis", "extent"});
  expect_floating(node, 0);
  expect_index(node, 1);
  const Shape& source = node.input_shape(0);
  const int axis = normalize_axis(node.attrs.integer("axis"), source.rank(), "scatter_add");
  check_equal_outside(node, axis);
  check<ValueError>(source == node.input_shape(1), "scatter_add: source ", source, " and indices ",
                    node.input_shape(1), " must have one shape");
  const std::int64_t extent = node.attrs.integer("extent");
  check<ValueError>(extent >= 0, "scatter_add: extent must not be negative, got ", extent);
  Shape shape = source;
  shape[axis] = extent;
  node.attrs.set("axis", std::int64_t{axis});
  node.outputs = {{node.input_dtype(0), shape}};
}

// Floating only; apply_promoted casts the result to other dtypes.
void infer_one_hot(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known("one_hot", {"classes", "dtype"});
  expect_index(node, 0);
  const std::int64_t classes = node.attrs.integer("classes");
  check<ValueError>(classes >= 1, "one_hot: expected at least one class, got ", classes);
  const DType dtype = node.attrs.has("dtype") ? node.attrs.dtype("dtype") : DType::float32;
  check<TypeError>(is_floating(dtype), "one_hot: expected float32 or float64, got ", name_of(dtype));
  Shape shape = node.input_shape(0);
  shape.push_back(classes);
  node.attrs.set("dtype", dtype);
  node.outputs = {{dtype, shape}};
}

// ---- gradients

Values gather_rows_gradient(const Node& node, std::span<const Value> cotangents) {
  Attrs attrs = node.attrs;
  attrs.set("extent", node.input_shape(0)[axis_of(node)]);
  return {node.graph->apply1(scatter_add_rows_op.name, {cotangents[0], node.inputs[1]}, std::move(attrs)),
          Value{}};
}

Values scatter_add_rows_gradient(const Node& node, std::span<const Value> cotangents) {
  const int axis = axis_of(node);
  const std::int64_t skip_index = node.attrs.integer("skip_index");
  const Value indices = node.inputs[1];
  Value result = ops::gather_rows(cotangents[0], indices, axis, skip_index);
  if (skip_index >= 0) {
    Shape shape = indices.shape();
    for (int i = axis + indices.rank(); i < node.input_shape(0).rank(); ++i) shape.push_back(1);
    const Value skipped = ops::equal(indices, ops::scalar_like(indices, static_cast<double>(skip_index)));
    result = ops::where(ops::reshape(skipped, shape), ops::scalar_like(result, 0), result);
  }
  return {result, Value{}};
}

Values gather_gradient(const Node& node, std::span<const Value> cotangents) {
  const int axis = axis_of(node);
  return {ops::scatter_add(cotangents[0], node.inputs[1], axis, node.input_shape(0)[axis]), Value{}};
}

Values scatter_add_gradient(const Node& node, std::span<const Value> cotangents) {
  return {ops::gather(cotangents[0], node.inputs[1], axis_of(node)), Value{}};
}

// ---- lowering

std::int32_t fault_code(Lowering& lowering, const Node& node, std::int64_t extent) {
  return lowering.fault_code(str(node.op->name, ": index "), str(" is outside [0, ", extent, ")"));
}

void lower_gather(Lowering& lowering, const Node& node) {
  const View x = lowering.dense(node.inputs[0]), indices = lowering.dense(node.inputs[1]);
  const View y = lowering.create(node.out());
  if (numel(y.shape) == 0) return;
  const int axis = axis_of(node);
  const bool per_element = node.op == &gather_op;
  auto call = lowering.call(node.op->name, lowering.kernels().gather(x.dtype));
  kernels::GatherArgs& args = call.args;
  args.outer = product(x.shape, 0, axis);
  args.axis = x.shape[axis];
  args.inner = product(x.shape, axis + 1, x.shape.rank());
  args.count = per_element ? indices.shape[axis] : numel(indices.shape);
  args.per_element = per_element;
  args.index_dtype = indices.dtype;
  args.fault = lowering.fault();
  args.fault_code = fault_code(lowering, node, args.axis);
  call.read(args.input, x);
  call.read(args.indices, indices);
  call.write(args.output, y);
  const double bytes = static_cast<double>(numel(y.shape)) * static_cast<double>(size_of(x.dtype));
  call.cost(0, 2 * bytes);
  call.describe(str(x.shape, " by ", indices.shape, " along axis ", axis));
}

void emit_scatter(Lowering& lowering, const Node& node, const View& source, const View& indices,
                  const View& y, int axis, bool per_element, std::int64_t skip_index) {
  auto call = lowering.call(node.op->name, lowering.kernels().of(source.dtype).scatter_add);
  kernels::ScatterAddArgs& args = call.args;
  args.outer = product(y.shape, 0, axis);
  args.axis = y.shape[axis];
  args.inner = product(y.shape, axis + 1, y.shape.rank());
  args.count = per_element ? indices.shape[axis] : numel(indices.shape);
  args.per_element = per_element;
  args.index_dtype = indices.dtype;
  args.skip_index = skip_index;
  args.fault = lowering.fault();
  args.fault_code = fault_code(lowering, node, args.axis);
  call.read(args.source, source);
  call.read(args.indices, indices);
  call.write(args.output, y);
  const double size = static_cast<double>(size_of(source.dtype));
  call.cost(static_cast<double>(numel(source.shape)),
            size * static_cast<double>(numel(source.shape) + numel(y.shape)));
  call.describe(str(source.shape, " to ", y.shape, " along axis ", axis));
}

void lower_scatter_add(Lowering& lowering, const Node& node) {
  const View source = lowering.dense(node.inputs[0]), indices = lowering.dense(node.inputs[1]);
  const View y = lowering.create(node.out());
  if (numel(y.shape) == 0 && numel(source.shape) == 0) return;
  emit_scatter(lowering, node, source, indices, y, axis_of(node), node.op == &scatter_add_op,
               node.attrs.integer("skip_index", -1));
}

// Adds a one into each row: [rows, 1] scattered to [rows, classes].
void lower_one_hot(Lowering& lowering, const Node& node) {
  View indices = lowering.dense(node.inputs[0]);
  const View created = lowering.create(node.out());
  const std::int64_t rows = numel(indices.shape);
  if (rows == 0) return;
  indices.shape = {rows, 1};
  View y = created;
  y.shape = {rows, node.attrs.integer("classes")};
  const View ones = lowering.temporary(y.dtype, indices.shape);
  lowering.fill(ones, 1);
  emit_scatter(lowering, node, ones, indices, y, 1, true, -1);
}

}  // namespace

constinit const Op gather_rows_op{.name = "gather_rows",
                                  .infer = infer_gather_rows,
                                  .gradient = gather_rows_gradient,
                                  .lower = lower_gather};
constinit const Op gather_op{
    .name = "gather", .infer = infer_gather, .gradient = gather_gradient, .lower = lower_gather};
constinit const Op scatter_add_rows_op{.name = "scatter_add_rows",
                                       .infer = infer_scatter_add_rows,
                                       .gradient = scatter_add_rows_gradient,
                                       .lower = lower_scatter_add};
constinit const Op scatter_add_op{.name = "scatter_add",
                                  .infer = infer_scatter_add,
                                  .gradient = scatter_add_gradient,
                                  .lower = lower_scatter_add};
constinit const Op one_hot_op{.name = "one_hot", .infer = infer_one_hot, .lower = lower_one_hot};

}  // namespace ravine
