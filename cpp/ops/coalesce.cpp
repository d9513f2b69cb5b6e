// The rows that a sum by index has, each once.
#include "graph/lowering.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

// source [count, ...], indices [count] -> rows [count, ...], what each is the row of [count]
void infer_coalesce_rows(Node& node) {
  expect_inputs(node, 2);
  node.attrs.check_known(node.op->name, {"extent"});
  expect_floating(node, 0);
  const Shape &source = node.input_shape(0), &indices = node.input_shape(1);
  check<TypeError>(node.input_dtype(1) == DType::int64, "coalesce_rows: expected int64 indices, got ",
                   name_of(node.input_dtype(1)));
  check<ValueError>(source.rank() >= 1 && indices == Shape{source[0]}, "coalesce_rows: source ", source,
                    " has no row for each of the indices ", indices);
  const std::int64_t extent = node.attrs.integer("extent");
  check<ValueError>(extent >= 0, "coalesce_rows: extent must not be negative, got ", extent);
  node.outputs = {node.input_type(0), node.input_type(1)};
}

void lower_coalesce_rows(Lowering& lowering, const Node& node) {
  const View source = lowering.dense(node.inputs[0]), indices = lowering.dense(node.inputs[1]);
  const View rows = lowering.create(node.out(0)), unique = lowering.create(node.out(1));
  if (numel(indices.shape) == 0) return;
  const kernels::FloatKernels& kernels = lowering.kernels().of(source.dtype);
  auto call = lowering.call(node.op->name, kernels.coalesce_rows);
  kernels::CoalesceRowsArgs& args = call.args;
  args.count = indices.shape[0];
  args.inner = numel(source.shape) / args.count;
  args.extent = node.attrs.integer("extent");
  args.fault = lowering.fault();
  args.fault_code = lowering.fault_code("coalesce_rows: index ", str(" is not below ", args.extent));
  call.read(args.source, source);
  call.read(args.indices, indices);
  call.write(args.rows, rows);
  call.write(args.unique, unique);
  call.workspace(args.workspace, kernels.coalesce_rows_workspace(args));
  const auto count = static_cast<double>(args.count), elements = static_cast<double>(numel(source.shape));
  call.cost(elements + 1000 * count, 2 * elements * static_cast<double>(size_of(source.dtype)));
  call.describe(str(source.shape, " of ", args.extent, " rows"));
}

}  // namespace

constinit const Op coalesce_rows_op{
    .name = "coalesce_rows", .infer = infer_coalesce_rows, .lower = lower_coalesce_rows};

}  // namespace ravine
