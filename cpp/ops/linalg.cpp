// Products of matrices.
#include "ops/linalg.h"

#include <algorithm>

#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

void infer_matmul(Node& node) {
  expect_inputs(node, 2);
  expect_floating(node, 0);
  expect_one_dtype(node);
  node.attrs.check_known(node.op->name, {});
  const Shape& a = node.input_shape(0);
  const Shape& b = node.input_shape(1);
  check<ValueError>(a.rank() >= 2 && b.rank() >= 2, "matmul: expected at least 2 dimensions, got shapes ", a,
                    " and ", b);
  check<ValueError>(a.back() == rows_of(b), "matmul: shapes ", a, " and ", b, " do not fit: the first has ",
                    a.back(), " columns, the second ", rows_of(b), " rows");
  Shape shape;
  try {
    shape = broadcast_shapes(batch_of(a), batch_of(b), "matmul");
  } catch (const ValueError&) {
    fail<ValueError>("matmul: the batch axes of shapes ", a, " and ", b, " do not broadcast");
  }
  shape.push_back(rows_of(a));
  shape.push_back(b.back());
  node.outputs = {{node.input_dtype(0), shape}};
}

// [..., m, k] as one matrix of all rows.
Value merge_rows(Value x) {
  const std::int64_t columns = x.shape().back();
  std::int64_t rows = 1;
  for (int axis = 0; axis + 1 < x.rank(); ++axis) rows *= x.shape()[axis];
  return ops::reshape(x, {rows, columns});
}

void infer_matmul_row_sums(Node& node) {
  infer_matmul(node);
  const Shape& a = node.input_shape(0);
  check<ValueError>(node.outputs[0].shape.rank() == 2, node.op->name, ": expected two matrices, got shapes ",
                    a, " and ", node.input_shape(1));
  node.outputs.push_back({node.input_dtype(0), Shape{a[0]}});
}

Values gradient_matmul(const Node& node, std::span<const Value> cotangents) {
  const Value a = node.inputs[0], b = node.inputs[1], dy = cotangents[0];
  const Value da = ops::matmul(dy, ops::swap_last_axes(b));
  // A matrix that serves a whole batch: one product over all rows instead of a batch of products and their
  // sum.
  const bool shared = b.rank() == 2 && a.rank() > 2;
  const Value db = shared ? ops::matmul(ops::swap_last_axes(merge_rows(a)), merge_rows(dy))
                          : ops::matmul(ops::swap_last_axes(a), dy);
  return {da, db};
}

// The axes in front of the last two, read over the whole batch; then axes that advance evenly in all tensors
// as one.
void set_batch(kernels::GemmArgs& args, const Shape& batch, const View& a, const View& b, const View& c) {
  const int rank = batch.rank();
  const auto strides_over_batch = [&](const View& view) {
    const auto axes = static_cast<std::size_t>(view.shape.rank() - 2);
    return broadcast_strides(Shape(std::span(view.shape.begin(), axes)),
                             Strides(std::span(view.strides.begin(), axes)), batch);
  };
  const Strides of_a = strides_over_batch(a), of_b = strides_over_batch(b), of_c = strides_over_batch(c);
  int last = -1;
  for (int axis = 0; axis < rank; ++axis) {
    const std::int64_t extent = batch[axis];
    if (extent == 1) continue;
    const bool continues = last >= 0 && args.a.batch_strides[last] == of_a[axis] * extent &&
                           args.b.batch_strides[last] == of_b[axis] * extent &&
                           args.c.batch_strides[last] == of_c[axis] * extent;
    if (continues) {
      args.batch_extents[last] *= extent;
    } else {
      args.batch_extents[++last] = extent;
    }
    args.a.batch_strides[last] = of_a[axis];
    args.b.batch_strides[last] = of_b[axis];
    args.c.batch_strides[last] = of_c[axis];
  }
  args.batch_rank = last + 1;
}

// Whether the rows of all matrices of the batch lie at one distance; that distance is then the stride of axis
// -2, or of the last batch axis where matrices have one row.
bool rows_are_even(const View& view, std::int64_t& row_stride) {
  std::int64_t step = 0,
               covered = 0;  // the stride of the innermost axis of rows and how far the inner ones reach
  for (int axis = view.shape.rank() - 2; axis >= 0; --axis) {
    const std::int64_t extent = view.shape[axis];
    if (extent == 1) continue;
    if (covered == 0) {
      step = view.strides[axis];
      covered = step * extent;
      if (step == 0) return false;
    } else {
      if (view.strides[axis] != covered) return false;
      covered *= extent;
    }
  }
  row_stride = step;
  return true;
}

void lower_matmul(Lowering& lowering, const Node& node) {
  const View a = lowering.view(node.inputs[0]), b = lowering.view(node.inputs[1]);
  const Shape a_batch = batch_of(a.shape), b_batch = batch_of(b.shape);
  const Shape full = broadcast_shapes(a_batch, b_batch, "matmul");
  const std::int64_t batch = numel(full), rows = rows_of(a.shape), columns = b.shape.back(),
                     depth = a.shape.back();

  auto call = lowering.call("gemm", lowering.floats(node).gemm);
  kernels::GemmArgs& args = call.args;
  set_matrices(args, a, b);
  call.read(args.a.data, a);
  call.read(args.b.data, b);
  const View c = call.output(args.epilogue, node, batch * rows, columns);
  call.write(args.c.data, c);
  args.c.row_stride = columns;
  args.c.column_stride = 1;
  std::int64_t even_stride = 0;
  const bool one_right_side =
      std::all_of(b_batch.begin(), b_batch.end(), [](std::int64_t extent) { return extent == 1; });
  if (batch > 1 && one_right_side && numel(a_batch) == batch && rows_are_even(a, even_stride)) {
    args.m = batch * rows;
    args.a.row_stride = even_stride;
  } else {
    Shape c_shape = full;
    c_shape.push_back(rows);
    c_shape.push_back(columns);
    View c_rows = c;
    c_rows.shape = c_shape;
    c_rows.strides = row_major_strides(c_shape);
    set_batch(args, full, a, b, c_rows);
  }
  const bool sums_rows = node.op == &matmul_row_sums_op;
  if (sums_rows) call.write(args.row_sums, lowering.create(node.own_out(1)));
  call.workspace(args.workspace, lowering.floats(node).gemm_workspace(args));
  call.describe(str(a.shape, " x ", b.shape, sums_rows ? ", row sums" : ""));
  const double m = static_cast<double>(batch * rows), n = static_cast<double>(columns),
               k = static_cast<double>(depth);
  call.cost(2 * m * n * k,
            static_cast<double>(size_of(a.dtype)) * (m * k + static_cast<double>(numel(b.shape)) + m * n));
}

int columns_axis(const Node& node) { return node.outputs[0].shape.rank() - 1; }

}  // namespace

void set_matrices(kernels::GemmArgs& args, const View& a, const View& b) {
  args.m = rows_of(a.shape);
  args.n = b.shape.back();
  args.k = a.shape.back();
  args.a.row_stride = a.strides[a.shape.rank() - 2];
  args.a.column_stride = a.strides.back();
  args.b.row_stride = b.strides[b.shape.rank() - 2];
  args.b.column_stride = b.strides.back();
}

const Op matmul_op{.name = "matmul",
                   .infer = infer_matmul,
                   .gradient = gradient_matmul,
                   .lower = lower_matmul,
                   .epilogue_axis = columns_axis};
const Op matmul_row_sums_op{.name = "matmul_row_sums",
                            .infer = infer_matmul_row_sums,
                            .lower = lower_matmul,
                            .epilogue_axis = columns_axis};

}  // namespace ravine
