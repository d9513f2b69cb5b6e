// Linear systems and decompositions of the matrices of a batch [..., rows, columns], by Eigen in double. They
// run on whole matrices, a batch is divided over the threads.
#include "host/decompositions.h"

#include <algorithm>
#include <vector>

#include "core/floating.h"
#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/linalg.h"
#include "ops/list.h"

namespace ravine {
namespace {

// ---- running on a batch

// A call: matrices in and out, whose sizes are numbers of elements.
struct MatrixArgs {
  static constexpr int most = 3;
  DType dtype = DType::float32;
  std::int64_t batch = 1, rows = 0, columns = 0;
  bool upper = false, unit = false, full = false;
  const void* inputs[most] = {};
  void* outputs[most] = {};
  std::int64_t input_sizes[most] = {}, output_sizes[most] = {};
  // On one matrix of the batch; false where it has no such decomposition.
  bool (*run)(const MatrixArgs& args, const double* const* inputs, double* const* outputs) = nullptr;
  kernels::Fault* fault = nullptr;
  std::int32_t fault_code = 0;
};

template <class T>
void run_as(const MatrixArgs& args, const Team& team) {
  const Pieces mine = pieces_of(args.batch, team);
  std::vector<double> in[MatrixArgs::most], out[MatrixArgs::most];
  for (int i = 0; i < MatrixArgs::most; ++i) {
    in[i].resize(static_cast<std::size_t>(args.input_sizes[i]));
    out[i].resize(static_cast<std::size_t>(args.output_sizes[i]));
  }
  const double* inputs[MatrixArgs::most] = {in[0].data(), in[1].data(), in[2].data()};
  double* outputs[MatrixArgs::most] = {out[0].data(), out[1].data(), out[2].data()};
  for (std::int64_t b = mine.begin; b < mine.end; ++b) {
    for (int i = 0; i < MatrixArgs::most; ++i) {
      if (args.inputs[i] == nullptr) continue;
      const T* from = static_cast<const T*>(args.inputs[i]) + b * args.input_sizes[i];
      std::copy(from, from + args.input_sizes[i], in[i].begin());
    }
    if (!args.run(args, inputs, outputs)) kernels::report(args.fault, args.fault_code, b, b);
    for (int i = 0; i < MatrixArgs::most; ++i) {
      if (args.outputs[i] == nullptr) continue;
      std::transform(out[i].begin(), out[i].end(),
                     static_cast<T*>(args.outputs[i]) + b * args.output_sizes[i],
                     [](double x) { return static_cast<T>(x); });
    }
  }
}

void run_matrices(const MatrixArgs& args, const Team& team) {
  with_floating(args.dtype, "decompositions", [&]<class T>() { run_as<T>(args, team); });
}

Shape with(Shape batch, std::initializer_list<std::int64_t> extents) {
  for (const std::int64_t extent : extents) batch.push_back(extent);
  return batch;
}

// `what` ends the error of a matrix that `run` refuses.
template <auto run>
void lower_matrices(Lowering& lowering, const Node& node, const char* what, double flops_per_matrix) {
  const Shape& a = node.input_shape(0);
  View inputs[MatrixArgs::most], outputs[MatrixArgs::most];
  for (int i = 0; i < node.n_inputs(); ++i)
    inputs[i] = lowering.dense(node.inputs[static_cast<std::size_t>(i)]);
  const int n_outputs = static_cast<int>(node.outputs.size());
  for (int i = 0; i < n_outputs; ++i) outputs[i] = lowering.create(node.out(i));
  auto call = lowering.call<MatrixArgs>(node.op->name, run_matrices);
  MatrixArgs& args = call.args;
  args.dtype = node.input_dtype(0);
  args.batch = numel(batch_of(a));
  args.rows = rows_of(a);
  args.columns = node.n_inputs() > 1 ? node.input_shape(1).back() : a.back();
  args.upper = node.attrs.flag("upper", false);
  args.unit = node.attrs.flag("unitriangular", false);
  args.full = node.attrs.flag("full", false);
  args.run = run;
  if (node.attrs.flag("check", true)) args.fault = lowering.fault();
  args.fault_code = lowering.fault_code(str(node.op->name, ": matrix "), str(" of the batch ", what));
  const std::int64_t batch = std::max<std::int64_t>(args.batch, 1);
  double bytes = 0;
  for (int i = 0; i < node.n_inputs(); ++i) {
    args.input_sizes[i] = numel(inputs[i].shape) / batch;
    call.read(args.inputs[i], inputs[i]);
    bytes += static_cast<double>(numel(inputs[i].shape));
  }
  for (int i = 0; i < n_outputs; ++i) {
    args.output_sizes[i] = numel(outputs[i].shape) / batch;
    call.write(args.outputs[i], outputs[i]);
    bytes += static_cast<double>(numel(outputs[i].shape));
  }
  call.cost(flops_per_matrix * static_cast<double>(args.batch),
            bytes * static_cast<double>(size_of(node.input_dtype(0))));
  call.describe(str(a));
}

double cube(std::int64_t n) {
  return static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n);
}

// ---- shapes

void expect_matrices(const Node& node, bool square) {
  expect_floating(node, 0);
  expect_one_dtype(node);
  const Shape& a = node.input_shape(0);
  check<ValueError>(a.rank() >= 2, node.op->name, ": expected matrices [..., rows, columns], got shape ", a);
  check<ValueError>(!square || rows_of(a) == a.back(), node.op->name,
                    ": expected square matrices [..., n, n], got shape ", a);
}

void infer_solve(Node& node) {
  expect_inputs(node, 2);
  node.attrs.check_known(node.op->name, {"check", "upper", "unitriangular"});
  expect_matrices(node, true);
  const Shape& a = node.input_shape(0);
  const Shape& b = node.input_shape(1);
  check<ValueError>(b.rank() == a.rank() && batch_of(b) == batch_of(a) && rows_of(b) == a.back(),
                    node.op->name, ": the right sides must be [..., n, k] for matrices ", a, ", got ", b);
  node.outputs = {{node.input_dtype(0), b}};
}

void infer_square(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known(node.op->name, {});
  expect_matrices(node, true);
}
void infer_cholesky(Node& node) {
  infer_square(node);
  node.outputs = {node.input_type(0)};
}
void infer_eigh(Node& node) {
  infer_square(node);
  const Shape& a = node.input_shape(0);
  node.outputs = {{node.input_dtype(0), with(batch_of(a), {a.back()})}, node.input_type(0)};
}
void infer_det(Node& node) {
  infer_square(node);
  const TensorType scalar{node.input_dtype(0), batch_of(node.input_shape(0))};
  node.outputs = {scalar};
}
void infer_slogdet(Node& node) {
  infer_det(node);
  node.outputs.push_back(node.outputs[0]);
}
void infer_rectangular(Node& node) {
  expect_inputs(node, 1);
  node.attrs.check_known(node.op->name, {"full"});
  node.attrs.set("full", node.attrs.flag("full", false));
  expect_matrices(node, false);
}
void infer_qr(Node& node) {
  infer_rectangular(node);
  const Shape& a = node.input_shape(0);
  const std::int64_t m = rows_of(a), n = a.back(), k = node.attrs.flag("full", false) ? m : std::min(m, n);
  node.outputs = {{node.input_dtype(0), with(batch_of(a), {m, k})},
                  {node.input_dtype(0), with(batch_of(a), {k, n})}};
}
void infer_svd(Node& node) {
  infer_rectangular(node);
  const Shape& a = node.input_shape(0);
  const std::int64_t m = rows_of(a), n = a.back(), k = std::min(m, n);
  const bool full = node.attrs.flag("full", false);
  node.outputs = {{node.input_dtype(0), with(batch_of(a), {m, full ? m : k})},
                  {node.input_dtype(0), with(batch_of(a), {k})},
                  {node.input_dtype(0), with(batch_of(a), {full ? n : k, n})}};
}

// ---- pieces of the gradient rules

Value transposed(Value x) { return ops::swap_last_axes(x); }

Value apply(const Op& op, Values inputs, Attrs attrs = {}) {
  Graph& graph = inputs[0].graph();
  return graph.apply(op, std::move(inputs), std::move(attrs))[0];
}

// [rows, columns] with `value(row, column)` in each place.
template <class F>
Value constant_matrix(Value like, std::int64_t rows, std::int64_t columns, F value) {
  const Array array(DType::float64, Shape{rows, columns});
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j) array.as<double>()[i * columns + j] = value(i, j);
  return ops::cast(like.graph().constant(array), like.dtype());
}
Value identity_like(Value square) {
  return constant_matrix(square, square.shape().back(), square.shape().back(),
                         [](auto i, auto j) { return i == j ? 1.0 : 0.0; });
}
// x without its upper half; its diagonal is multiplied by `diagonal`, `mirrored` adds what is below it above.
Value lower_half(Value x, double diagonal) {
  const std::int64_t n = x.shape().back();
  return x * constant_matrix(x, n, n, [=](auto i, auto j) { return i > j ? 1.0 : i == j ? diagonal : 0.0; });
}
// [..., n] as the diagonals of [..., n, n].
Value diagonal_matrix(Value diagonal) {
  const std::int64_t n = diagonal.shape().back();
  Shape row = diagonal.shape();
  row[row.rank() - 1] = 1;
  row.push_back(n);
  return ops::reshape(diagonal, row) *
         constant_matrix(diagonal, n, n, [](auto i, auto j) { return i == j ? 1.0 : 0.0; });
}
Value row_vectors(Value x) {
  return ops::reshape(x, with(Shape(std::span(x.shape().begin(), static_cast<std::size_t>(x.rank() - 1))),
                              {1, x.shape().back()}));
}
Value column_vectors(Value x) { return transposed(row_vectors(x)); }
// [..., 1, 1] from [...].
Value as_matrix(Value x) { return ops::reshape(x, with(x.shape(), {1, 1})); }

// 1 / (v_j - v_i), 0 on the diagonal.
Value inverse_differences(Value v) {
  const std::int64_t n = v.shape().back();
  const Value same = constant_matrix(v, n, n, [](auto i, auto j) { return i == j ? 1.0 : 0.0; });
  return (1.0 - same) / (row_vectors(v) - column_vectors(v) + same);
}

Value filled_or(Value cotangent, Value output) { return cotangent ? cotangent : ops::filled_like(output, 0); }

// ---- gradients

Values solve_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value g = apply(*node.op, {transposed(node.inputs[0]), cotangents[0]}, node.attrs);
  return {-ops::matmul(g, transposed(node.out())), g};
}

Values solve_triangular_gradient(const Node& node, std::span<const Value> cotangents) {
  const bool upper = node.attrs.flag("upper", false);
  Attrs attrs = node.attrs;
  attrs.set("upper", !upper);
  const Value g = apply(*node.op, {transposed(node.inputs[0]), cotangents[0]}, attrs);
  const double diagonal = node.attrs.flag("unitriangular", false) ? 0 : 1;
  const Value whole = ops::matmul(g, transposed(node.out()));
  const Value half =
      upper ? transposed(lower_half(transposed(whole), diagonal)) : lower_half(whole, diagonal);
  return {-half, g};
}

// Murray, "Differentiation of the Cholesky decomposition" (2016).
Values cholesky_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value l = node.out(), turned = transposed(l);
  const Value inner = lower_half(ops::matmul(turned, cotangents[0]), 0.5);
  const Attrs upper{{"upper", true}};
  const Value left = apply(solve_triangular_op, {turned, inner}, upper);
  const Value both = apply(solve_triangular_op, {turned, transposed(left)}, upper);
  return {(both + transposed(both)) * 0.5};
}

// For rows >= columns: (dQ + Q copyltu(R dR^T - dQ^T Q)) R^-T (Walter and Lehmann 2010), where copyltu
// mirrors the lower half.
Value qr_gradient_of_tall(Value q, Value r, Value dq, Value dr) {
  const Value m = ops::matmul(r, transposed(dr)) - ops::matmul(transposed(dq), q);
  const Value mirrored = lower_half(m, 1) + transposed(lower_half(m, 0));
  const Value right = dq + ops::matmul(q, mirrored);
  return transposed(apply(solve_triangular_op, {r, transposed(right)}, {{"upper", true}}));
}

Values qr_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value a = node.inputs[0], q = node.out(0), r = node.out(1);
  const std::int64_t m = rows_of(a.shape()), n = a.shape().back();
  check<ValueError>(q.shape().back() <= n,
                    "qr: there is no gradient of the complete form of a tall matrix, got shape ", a.shape(),
                    "; use mode 'reduced'");
  const Value dq = filled_or(cotangents[0], q), dr = filled_or(cotangents[1], r);
  if (m >= n) return {qr_gradient_of_tall(q, r, dq, dr)};
  // A = [X Y] with square X = Q U and Y = Q V.
  const int axis = a.rank() - 1;
  const Value y = ops::slice_axis(a, axis, m, n);
  const Value u = ops::slice_axis(r, axis, 0, m), du = ops::slice_axis(dr, axis, 0, m),
              dv = ops::slice_axis(dr, axis, m, n);
  const Value dx = qr_gradient_of_tall(q, u, dq + ops::matmul(y, transposed(dv)), du);
  const Value parts[] = {dx, ops::matmul(q, dv)};
  return {ops::concat(parts, axis)};
}

Values eigh_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value values = node.out(0), v = node.out(1);
  Value inner;
  if (cotangents[0]) inner = diagonal_matrix(cotangents[0]);
  if (cotangents[1]) {
    const Value turned = ops::matmul(transposed(v), cotangents[1]) * inverse_differences(values);
    inner = inner ? inner + turned : turned;
  }
  return {ops::matmul(ops::matmul(v, inner), transposed(v))};
}

// Townsend, "Differentiating the singular value decomposition" (2016).
Values svd_gradient(const Node& node, std::span<const Value> cotangents) {
  const Value s = node.out(1);
  const std::int64_t k = s.shape().back();
  const int axis = node.inputs[0].rank() - 1;
  // Of the full form the first k vectors count, as in torch.
  const auto first = [&](Value x, int along) { return x ? ops::slice_axis(x, along, 0, k) : x; };
  const Value u = first(node.out(0), axis), vh = first(node.out(2), axis - 1);
  const Value du = first(cotangents[0], axis), dvh = first(cotangents[2], axis - 1);
  const Value differences = inverse_differences(ops::square(s));
  const auto skew = [&](Value x) { return (x - transposed(x)) * differences; };
  Value inner, result;
  const auto add = [](Value& total, Value term) { total = total ? total + term : term; };
  if (cotangents[1]) add(inner, diagonal_matrix(cotangents[1]));
  if (du) add(inner, skew(ops::matmul(transposed(u), du)) * row_vectors(s));
  if (dvh) add(inner, column_vectors(s) * skew(ops::matmul(vh, transposed(dvh))));
  add(result, ops::matmul(ops::matmul(u, inner), vh));
  if (du && rows_of(u.shape()) > k) {
    const Value outside = du - ops::matmul(u, ops::matmul(transposed(u), du));
    add(result, ops::matmul(outside / row_vectors(s), vh));
  }
  if (dvh && vh.shape().back() > k) {
    const Value outside = dvh - ops::matmul(ops::matmul(dvh, transposed(vh)), vh);
    add(result, ops::matmul(u / row_vectors(s), outside));
  }
  return {result};
}

// factor A^-T
Value scaled_inverse(Value a, Value factor) {
  const Value right = ops::broadcast_to(identity_like(a), a.shape()) * as_matrix(factor);
  return apply(solve_op, {transposed(a), right}, {{"check", false}});
}
Values det_gradient(const Node& node, std::span<const Value> cotangents) {
  return {scaled_inverse(node.inputs[0], cotangents[0] * node.out())};
}
Values slogdet_gradient(const Node& node, std::span<const Value> cotangents) {
  return {cotangents[1] ? scaled_inverse(node.inputs[0], cotangents[1]) : Value{}};
}

// ---- lowering

void lower_solve(Lowering& lowering, const Node& node) {
  const std::int64_t n = node.input_shape(0).back(), k = node.input_shape(1).back();
  lower_matrices<[](const MatrixArgs& args, const double* const* in, double* const* out) {
    return host::solve(in[0], in[1], out[0], args.rows, args.columns);
  }>(lowering, node, "is singular", cube(n) * 2 / 3 + 2 * static_cast<double>(n * n * k));
}
void lower_solve_triangular(Lowering& lowering, const Node& node) {
  const std::int64_t n = node.input_shape(0).back(), k = node.input_shape(1).back();
  lower_matrices<[](const MatrixArgs& args, const double* const* in, double* const* out) {
    host::solve_triangular(in[0], in[1], out[0], args.rows, args.columns, args.upper, args.unit);
    return true;
  }>(lowering, node, "is singular", static_cast<double>(n * n * k));
}
void lower_cholesky(Lowering& lowering, const Node& node) {
  lower_matrices<[](const MatrixArgs& args, const double* const* in, double* const* out) {
    return host::cholesky(in[0], out[0], args.rows);
  }>(lowering, node, "is not positive definite", cube(node.input_shape(0).back()) / 3);
}
void lower_qr(Lowering& lowering, const Node& node) {
  lower_matrices<[](const MatrixArgs& args, const double* const* in, double* const* out) {
    host::qr(in[0], out[0], out[1], args.rows, args.columns, args.full);
    return true;
  }>(lowering, node, "", 4 * cube(node.input_shape(0).back()));
}
void lower_eigh(Lowering& lowering, const Node& node) {
  lower_matrices<[](const MatrixArgs& args, const double* const* in, double* const* out) {
    return host::eigh(in[0], out[0], out[1], args.rows);
  }>(lowering, node, "has no eigenvalues that the iteration finds", 9 * cube(node.input_shape(0).back()));
}
void lower_svd(Lowering& lowering, const Node& node) {
  lower_matrices<[](const MatrixArgs& args, const double* const* in, double* const* out) {
    return host::svd(in[0], out[0], out[1], out[2], args.rows, args.columns, args.full);
  }>(lowering, node, "is not finite", 20 * cube(node.input_shape(0).back()));
}
void lower_det(Lowering& lowering, const Node& node) {
  lower_matrices<[](const MatrixArgs& args, const double* const* in, double* const* out) {
    double sign, log_size;
    host::determinant(in[0], args.rows, out[0][0], sign, log_size);
    return true;
  }>(lowering, node, "", cube(node.input_shape(0).back()) * 2 / 3);
}
void lower_slogdet(Lowering& lowering, const Node& node) {
  lower_matrices<[](const MatrixArgs& args, const double* const* in, double* const* out) {
    double det;
    host::determinant(in[0], args.rows, det, out[0][0], out[1][0]);
    return true;
  }>(lowering, node, "", cube(node.input_shape(0).back()) * 2 / 3);
}

}  // namespace

constinit const Op solve_op{
    .name = "solve", .infer = infer_solve, .gradient = solve_gradient, .lower = lower_solve};
constinit const Op solve_triangular_op{.name = "solve_triangular",
                                       .infer = infer_solve,
                                       .gradient = solve_triangular_gradient,
                                       .lower = lower_solve_triangular};
constinit const Op cholesky_op{
    .name = "cholesky", .infer = infer_cholesky, .gradient = cholesky_gradient, .lower = lower_cholesky};
constinit const Op qr_op{.name = "qr", .infer = infer_qr, .gradient = qr_gradient, .lower = lower_qr};
constinit const Op eigh_op{
    .name = "eigh", .infer = infer_eigh, .gradient = eigh_gradient, .lower = lower_eigh};
constinit const Op svd_op{.name = "svd", .infer = infer_svd, .gradient = svd_gradient, .lower = lower_svd};
constinit const Op det_op{.name = "det", .infer = infer_det, .gradient = det_gradient, .lower = lower_det};
constinit const Op slogdet_op{
    .name = "slogdet", .infer = infer_slogdet, .gradient = slogdet_gradient, .lower = lower_slogdet};

}  // namespace ravine
