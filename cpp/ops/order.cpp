// Sorting, searching in what is sorted, running sums and extremes, and who wins a place of a scatter.
#include "host/order.h"
#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

void expect_numbers(const Node& node) {
  check<TypeError>(node.input_dtype(0) != DType::boolean, node.op->name, ": expected numbers, got ",
                   to_string(node.input_type(0)));
}

// ---- argsort, of the last axis

void infer_argsort(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known("argsort", {"descending"});
  expect_numbers(node);
  check<ValueError>(node.input_shape(0).rank() >= 1, "argsort: expected at least one dimension");
  node.attrs.set("descending", node.attrs.flag("descending", false));
  node.outputs = {{DType::int64, node.input_shape(0)}};
}

void lower_argsort(Lowering& lowering, const Node& node) {
  const View x = lowering.dense(node.inputs[0]), y = lowering.create(node.out());
  const std::int64_t size = numel(x.shape);
  if (size == 0) return;
  auto call =
      lowering.call<host::ArgsortArgs>("argsort", [](const host::ArgsortArgs& args, const Team& team) {
        const Pieces mine = pieces_of(args.rows, team);
        host::argsort(args, mine.begin, mine.end);
      });
  call.args.dtype = x.dtype;
  call.args.count = x.shape.back();
  call.args.rows = size / call.args.count;
  call.args.descending = node.attrs.flag("descending", false);
  call.read(call.args.input, x);
  call.write(call.args.indices, y);
  call.workspace(call.args.workspace, static_cast<std::size_t>(size) * sizeof(std::int64_t));
  const auto elements = static_cast<double>(size);
  call.cost(elements * 16, elements * static_cast<double>(size_of(x.dtype) + 4 * sizeof(std::int64_t)));
  call.describe(str(x.shape));
}

// ---- search_sorted: boundaries [..., n] or [n], values [..., m]

void infer_search_sorted(Node& node) {
  expect_inputs(node, 2);
  node.attrs.check_known("search_sorted", {"right"});
  expect_numbers(node);
  expect_one_dtype(node);
  const Shape& boundaries = node.input_shape(0);
  const Shape& values = node.input_shape(1);
  bool fits = boundaries.rank() == 1 || boundaries.rank() == values.rank();
  for (int axis = 0; fits && axis + 1 < boundaries.rank(); ++axis) fits = boundaries[axis] == values[axis];
  check<ValueError>(fits && boundaries.rank() >= 1, "search_sorted: boundaries ", boundaries,
                    " must be a vector, or have the leading dimensions of the values ", values);
  node.attrs.set("right", node.attrs.flag("right", false));
  node.outputs = {{DType::int64, values}};
}

void lower_search_sorted(Lowering& lowering, const Node& node) {
  const View boundaries = lowering.dense(node.inputs[0]), values = lowering.dense(node.inputs[1]);
  const View y = lowering.create(node.out());
  const std::int64_t size = numel(values.shape);
  if (size == 0) return;
  auto call = lowering.call<host::SearchSortedArgs>(
      "search_sorted", [](const host::SearchSortedArgs& args, const Team& team) {
        const Pieces mine = pieces_of(args.rows * args.values_per_row, team);
        host::search_sorted(args, mine.begin, mine.end);
      });
  call.args.dtype = values.dtype;
  call.args.shared = boundaries.shape.rank() == 1;
  call.args.count = boundaries.shape.back();
  call.args.values_per_row = call.args.shared ? size : values.shape.back();
  call.args.rows = size / call.args.values_per_row;
  call.args.right = node.attrs.flag("right", false);
  call.read(call.args.boundaries, boundaries);
  call.read(call.args.values, values);
  call.write(call.args.output, y);
  const auto elements = static_cast<double>(size);
  call.cost(elements * 16, elements * static_cast<double>(size_of(values.dtype) + sizeof(std::int64_t)));
  call.describe(str(values.shape, " in ", boundaries.shape));
}

// ---- scatter_winner

host::Winner winner_of(const Node& node) {
  const std::int64_t winner = node.attrs.integer("winner", 0);
  check<ValueError>(0 <= winner && winner <= 2,
                    "scatter_winner: winner must be 0 (last), 1 (largest) or 2, got ", winner);
  return static_cast<host::Winner>(winner);
}

void infer_scatter_winner(Node& node) {
  expect_inputs(node, 2);
  node.attrs.check_known("scatter_winner", {"axis", "extent", "winner"});
  expect_index(node, 1);
  const Shape& source = node.input_shape(0);
  check<ValueError>(source == node.input_shape(1), "scatter_winner: source ", source, " and indices ",
                    node.input_shape(1), " must have one shape");
  const int axis = normalize_axis(node.attrs.integer("axis"), source.rank(), "scatter_winner");
  const std::int64_t extent = node.attrs.integer("extent");
  check<ValueError>(extent >= 0, "scatter_winner: extent must not be negative, got ", extent);
  winner_of(node);
  Shape shape = source;
  shape[axis] = extent;
  node.attrs.set("axis", std::int64_t{axis});
  node.outputs = {{DType::int64, shape}};
}

// A shape as [outer, axis, inner].
template <class Args>
void set_extents(Args& args, const Shape& shape, int axis) {
  args.axis = shape[axis];
  for (int i = 0; i < axis; ++i) args.outer *= shape[i];
  for (int i = axis + 1; i < shape.rank(); ++i) args.inner *= shape[i];
}

void lower_scatter_winner(Lowering& lowering, const Node& node) {
  const View source = lowering.dense(node.inputs[0]), indices = lowering.dense(node.inputs[1]);
  const View y = lowering.create(node.out());
  if (numel(y.shape) == 0 && numel(source.shape) == 0) return;
  const int axis = static_cast<int>(node.attrs.integer("axis"));
  auto call = lowering.call<host::ScatterWinnerArgs>(
      "scatter_winner", [](const host::ScatterWinnerArgs& args, const Team& team) {
        const Pieces mine = pieces_of(args.outer, team);
        host::scatter_winner(args, mine.begin, mine.end);
      });
  host::ScatterWinnerArgs& args = call.args;
  args.dtype = source.dtype;
  set_extents(args, y.shape, axis);
  args.count = indices.shape[axis];
  args.winner = winner_of(node);
  args.index_dtype = indices.dtype;
  args.fault = lowering.fault();
  args.fault_code = lowering.fault_code("scatter_winner: index ", str(" is outside [0, ", args.axis, ")"));
  call.read(args.source, source);
  call.read(args.indices, indices);
  call.write(args.output, y);
  call.cost(0, static_cast<double>(sizeof(std::int64_t)) *
                   static_cast<double>(numel(source.shape) + numel(y.shape)));
  call.describe(str(source.shape, " to ", y.shape, " along axis ", axis));
}

// ---- scans

void infer_scan(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known(node.op->name, {"axis", "reverse"});
  expect_numbers(node);
  const Shape& shape = node.input_shape(0);
  node.attrs.set("axis",
                 std::int64_t{normalize_axis(node.attrs.integer("axis"), shape.rank(), node.op->name)});
  node.attrs.set("reverse", node.attrs.flag("reverse", false));
  node.outputs = {{node.op == &cumsum_op ? node.input_dtype(0) : DType::int64, shape}};
}

// Each sum goes to the elements before it: the cotangents' sums from the end.
Values cumsum_gradient(const Node& node, std::span<const Value> cotangents) {
  return node.graph->apply(
      cumsum_op, {cotangents[0]},
      {{"axis", node.attrs.integer("axis")}, {"reverse", !node.attrs.flag("reverse", false)}});
}

template <host::Scan scan>
void lower_scan(Lowering& lowering, const Node& node) {
  const View x = lowering.dense(node.inputs[0]), y = lowering.create(node.out());
  const std::int64_t size = numel(x.shape);
  if (size == 0) return;
  const int axis = static_cast<int>(node.attrs.integer("axis"));
  auto call = lowering.call<host::ScanArgs>(node.op->name, [](const host::ScanArgs& args, const Team& team) {
    const std::int64_t parts = (args.inner + host::scan_columns - 1) / host::scan_columns;
    const Pieces mine = pieces_of(args.outer * parts, team);
    host::scan(args, mine.begin, mine.end);
  });
  call.args.dtype = x.dtype;
  call.args.scan = scan;
  set_extents(call.args, x.shape, axis);
  call.args.reverse = node.attrs.flag("reverse", false);
  call.read(call.args.input, x);
  call.write(call.args.output, y);
  const auto elements = static_cast<double>(size);
  call.cost(elements, elements * static_cast<double>(size_of(x.dtype) + size_of(y.dtype)));
  call.describe(str(x.shape, " along axis ", axis));
}

}  // namespace

constinit const Op scatter_winner_op{
    .name = "scatter_winner", .infer = infer_scatter_winner, .lower = lower_scatter_winner};
constinit const Op argsort_op{.name = "argsort", .infer = infer_argsort, .lower = lower_argsort};
constinit const Op search_sorted_op{
    .name = "search_sorted", .infer = infer_search_sorted, .lower = lower_search_sorted};
constinit const Op cumsum_op{
    .name = "cumsum", .infer = infer_scan, .gradient = cumsum_gradient, .lower = lower_scan<host::Scan::sum>};
constinit const Op cumargmax_op{
    .name = "cumargmax", .infer = infer_scan, .lower = lower_scan<host::Scan::argmax>};
constinit const Op cumargmin_op{
    .name = "cumargmin", .infer = infer_scan, .lower = lower_scan<host::Scan::argmin>};

}  // namespace ravine
