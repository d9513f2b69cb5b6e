// Rows written behind those that are there, in place where the whole is a state that becomes the result.
#include "host/append.h"

#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

// x [..., rows, width], added [..., count, width] and where they go, a scalar -> x's shape. What x holds from
// there on is nobody's: a run that fails may have changed it.
void infer_append_rows(Node& node) {
  expect_inputs(node, 3);
  node.attrs.check_known("append_rows", {"in_place"});
  const Shape& x = node.input_shape(0);
  const Shape& added = node.input_shape(1);
  check<TypeError>(node.input_dtype(0) == node.input_dtype(1),
                   "append_rows: both tensors must have one dtype, got ", describe_inputs(node));
  check<TypeError>(node.input_type(2) == TensorType{DType::int64, {}},
                   "append_rows: the start must be an int64 scalar, got ", to_string(node.input_type(2)));
  bool fits = x.rank() == added.rank() && x.rank() >= 2;
  for (int axis = 0; fits && axis < x.rank(); ++axis) fits = axis == x.rank() - 2 || x[axis] == added[axis];
  check<ValueError>(fits, "append_rows: rows ", added, " must have the shape of the tensor ", x,
                    " except along the last axis but one");
  node.attrs.set("in_place", node.attrs.flag("in_place", false));
  node.outputs = {node.input_type(0)};
}

// where(start <= row < start + count, added[row - start], x)
Values decompose_append_rows(const Node& node) {
  const Value x = node.inputs[0], added = node.inputs[1];
  const int axis = x.rank() - 2;
  const std::int64_t rows = x.shape()[axis], count = added.shape()[axis];
  if (count == 0) return {x};
  Array places(DType::int64, {rows});
  for (std::int64_t row = 0; row < rows; ++row) places.as<std::int64_t>()[row] = row;
  const Value row = node.graph->constant(places) - node.inputs[2];
  const Value is_added =
      ops::logical_and(ops::greater_equal(row, ops::scalar_like(row, 0)),
                       ops::greater(ops::scalar_like(row, static_cast<double>(count)), row));
  const Value taken = ops::gather_rows(added, ops::clip(row, 0, static_cast<double>(count - 1)), axis);
  return {ops::where(ops::reshape(is_added, {rows, 1}), taken, x)};
}

void lower_append_rows(Lowering& lowering, const Node& node) {
  const bool in_place = node.attrs.flag("in_place", false);
  const View x = in_place ? lowering.view(node.inputs[0]) : lowering.dense(node.inputs[0]);
  const View added = lowering.dense(node.inputs[1]), start = lowering.dense(node.inputs[2]);
  View y = x;
  if (in_place) lowering.alias(node.out(), x);
  else y = lowering.create(node.out());
  const std::int64_t size = numel(y.shape);
  if (size == 0) return;
  auto call =
      lowering.call<host::AppendArgs>("append_rows", [](const host::AppendArgs& args, const Team& team) {
        const Pieces mine = pieces_of(args.outer, team);
        host::append_rows(args, mine.begin, mine.end);
      });
  const int axis = y.shape.rank() - 2;
  call.args.rows = y.shape[axis];
  call.args.count = added.shape[axis];
  call.args.row_bytes = static_cast<std::size_t>(y.shape[axis + 1]) * size_of(y.dtype);
  call.args.outer = size / (y.shape[axis] * y.shape[axis + 1]);
  if (!in_place) call.read(call.args.input, x);
  call.read(call.args.added, added);
  call.read(call.args.start, start);
  call.write(call.args.output, y);
  call.cost(0, 2 * static_cast<double>(in_place ? added.bytes() : y.bytes() + added.bytes()));
  call.describe(str(added.shape, in_place ? " in place in " : " in a copy of ", y.shape));
}

}  // namespace

constinit const Op append_rows_op{.name = "append_rows",
                                  .infer = infer_append_rows,
                                  .decompose = decompose_append_rows,
                                  .lower = lower_append_rows};

}  // namespace ravine
