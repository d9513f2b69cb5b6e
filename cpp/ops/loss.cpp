// Softmax and cross-entropy in one pass over the logits.
//
//   losses[r] = -sum_c t[r, c] w[c] log p[r, c],  p = softmax(logits),  t = (1 - s) target + s / C
//
// with the label smoothing s; a target is a distribution, or the one-hot row of a label. Rows whose label is
// ignore_index lose nothing and weigh nothing.
#include <cstdint>
#include <limits>

#include "graph/autodiff.h"
#include "graph/lowering.h"
#include "ops/builders.h"
#include "ops/checks.h"
#include "ops/list.h"

namespace ravine {
namespace {

// ---- cross_entropy(logits[R, C], target[, class_weights[C]]) -> losses[R], row_weights[R], maxima[R],
// log_sums[R]

// Inputs in their order: logits, target, class weights where weighted.
struct CrossEntropy {
  Value logits, target, weights;  // weights may be none
  std::int64_t rows, columns;
  double smoothing;
  std::int64_t ignore_index;
  bool labels;

  CrossEntropy(const Node& node, bool weighted)
      : logits(node.inputs[0]),
        target(node.inputs[1]),
        weights(weighted ? node.inputs[2] : Value{}),
        rows(logits.shape()[0]),
        columns(logits.shape()[1]),
        smoothing(node.attrs.real("label_smoothing")),
        ignore_index(node.attrs.integer("ignore_index")),
        labels(!is_floating(target.dtype())) {}
};

void check_operands(Node& node, bool weighted) {
  expect_floating(node, 0);
  const TensorType& logits = node.input_type(0);
  const TensorType& target = node.input_type(1);
  check<ValueError>(logits.shape.rank() == 2, node.op->name, ": expected logits [rows, classes], got shape ",
                    logits.shape);
  const std::int64_t rows = logits.shape[0], classes = logits.shape[1];
  check<ValueError>(classes > 0, node.op->name, ": there are no classes (logits of shape ", logits.shape,
                    ")");
  if (is_floating(target.dtype)) {
    check<ValueError>(target.shape == logits.shape, node.op->name, ": probabilities have shape ",
                      target.shape, ", expected the logits' shape ", logits.shape);
    check<TypeError>(target.dtype == logits.dtype, node.op->name, ": probabilities are ",
                     name_of(target.dtype), ", expected the logits' dtype ", name_of(logits.dtype));
  } else {
    check<TypeError>(target.dtype == DType::int64 || target.dtype == DType::int32, node.op->name,
                     ": labels must be int32 or int64 (or probabilities ", name_of(logits.dtype), "), got ",
                     name_of(target.dtype));
    check<ValueError>(target.shape == Shape{rows}, node.op->name, ": labels have shape ", target.shape,
                      ", expected (", rows, ",) for logits of shape ", logits.shape);
  }
  if (weighted) {
    const TensorType expected{logits.dtype, {classes}};
    check<ValueError>(node.input_type(2) == expected, node.op->name, ": class weights are ",
                      to_string(node.input_type(2)), ", expected ", to_string(expected));
  }
  const double smoothing = node.attrs.real("label_smoothing", 0);
  check<ValueError>(smoothing >= 0 && smoothing <= 1, node.op->name,
                    ": label_smoothing must be in [0, 1], got ", smoothing);
  node.attrs.set("label_smoothing", smoothing);
  const std::int64_t ignore_index = node.attrs.integer("ignore_index", -100);
  check<ValueError>(ignore_index >= std::numeric_limits<std::int32_t>::min() &&
                        ignore_index <= std::numeric_limits<std::int32_t>::max(),
                    node.op->name, ": ignore_index ", ignore_index, " is too large");
  node.attrs.set("ignore_index", ignore_index);
}

void infer_cross_entropy(Node& node) {
  expect_inputs(node, 2, 3);
  node.attrs.check_known("cross_entropy", {"label_smoothing", "ignore_index"});
  check_operands(node, node.n_inputs() == 3);
  const TensorType rows{node.input_dtype(0), {node.input_shape(0)[0]}};
  node.outputs = {rows, rows, rows, rows};
}

// [R] -> [R, 1], [C] -> [1, C]
Value per_row(Value rows) { return ops::reshape(rows, {rows.shape()[0], 1}); }
Value per_class(Value columns) { return ops::reshape(columns, {1, columns.shape()[0]}); }

// 1 where the row counts; labels only.
Value counted_rows(const CrossEntropy& loss) {
  return ops::cast(
      ops::not_equal(loss.target, ops::scalar_like(loss.target, static_cast<double>(loss.ignore_index))),
      loss.logits.dtype());
}

// The labels, with some valid one where they are ignored.
Value valid_labels(const CrossEntropy& loss) {
  const Value ignored = ops::scalar_like(loss.target, static_cast<double>(loss.ignore_index));
  return ops::where(ops::equal(loss.target, ignored), ops::scalar_like(loss.target, 0), loss.target);
}

// t w [R, C]; zero in rows that do not count.
Value weighted_targets(const CrossEntropy& loss) {
  Value targets =
      loss.labels ? ops::one_hot(valid_labels(loss), loss.columns, loss.logits.dtype()) : loss.target;
  if (loss.smoothing != 0)
    targets = targets * (1 - loss.smoothing) + loss.smoothing / static_cast<double>(loss.columns);
  if (loss.weights) targets = targets * per_class(loss.weights);
  return loss.labels ? targets * per_row(counted_rows(loss)) : targets;
}

Value row_weights(const CrossEntropy& loss) {
  if (!loss.labels) return loss.logits.graph().filled(1, {loss.logits.dtype(), {loss.rows}});
  const Value counted = counted_rows(loss);
  return loss.weights ? counted * ops::gather_rows(loss.weights, valid_labels(loss), 0) : counted;
}

Values decompose_cross_entropy(const Node& node) {
  const CrossEntropy loss(node, node.n_inputs() == 3);
  const Value log_p = ops::log_softmax(loss.logits), factors = weighted_targets(loss);
  const Value zero = ops::scalar_like(log_p, 0);
  // A class that does not count adds nothing, even where its logit is -infinity.
  const Value ruled_out =
      ops::logical_and(ops::equal(factors, zero),
                       ops::equal(log_p, ops::scalar_like(log_p, -std::numeric_limits<double>::infinity())));
  const Value losses = -ops::sum(factors * ops::where(ruled_out, zero, log_p), {1});
  // The largest log p is -log_sum.
  return {losses, row_weights(loss), ops::max(loss.logits, {1}), -ops::max(log_p, {1})};
}

Values gradient_cross_entropy(const Node& node, std::span<const Value> cotangents) {
  const CrossEntropy loss(node, node.n_inputs() == 3);
  // Class weights and probabilities may be differentiated too; what nobody asks for is dead and is not
  // computed.
  const bool others = loss.weights || !loss.labels, parts = cotangents[2] || cotangents[3];
  Values results =
      others || parts ? cotangents_by_decomposition(node, cotangents) : Values(node.inputs.size());
  if (!cotangents[0] || parts || loss.logits == loss.target) return results;
  Values inputs = node.inputs;
  inputs.push_back(node.out(2));
  inputs.push_back(node.out(3));
  inputs.push_back(cotangents[0]);
  results[0] = node.graph->apply1("cross_entropy_grad", std::move(inputs), node.attrs);
  return results;
}

template <class Args>
void set_target(Call<Args>& call, const CrossEntropy& loss, const View& target, const View& weights) {
  Args& args = call.args;
  args.rows = loss.rows;
  args.columns = loss.columns;
  if (loss.labels) {
    args.label_dtype = target.dtype;
    call.read(args.labels, target);
  } else {
    call.read(args.targets, target);
  }
  if (loss.weights) call.read(args.class_weights, weights);
  args.label_smoothing = loss.smoothing;
  args.ignore_index = loss.ignore_index;
  call.describe(str(loss.logits.shape(), loss.labels ? ", labels" : ", probabilities",
                    loss.weights ? ", class weights" : ""));
  const double numbers = static_cast<double>(loss.rows * loss.columns);
  call.cost(20 * numbers,
            (loss.labels ? 2 : 3) * numbers * static_cast<double>(size_of(loss.logits.dtype())));
}

void lower_cross_entropy(Lowering& lowering, const Node& node) {
  const CrossEntropy loss(node, node.n_inputs() == 3);
  const View logits = lowering.dense(loss.logits), target = lowering.dense(loss.target);
  const View weights = loss.weights ? lowering.dense(loss.weights) : View{};
  const View losses = lowering.create(node.out(0)), row_weights = lowering.create(node.out(1)),
             maxima = lowering.create(node.out(2)), log_sums = lowering.create(node.out(3));
  auto call = lowering.call("cross_entropy", lowering.floats(node).cross_entropy);
  call.read(call.args.logits, logits);
  set_target(call, loss, target, weights);
  call.write(call.args.losses, losses);
  call.write(call.args.row_weights, row_weights);
  call.write(call.args.maxima, maxima);
  call.write(call.args.log_sums, log_sums);
  call.args.fault = lowering.fault();
  call.args.fault_code = lowering.fault_code(
      "cross_entropy: label ",
      str(" is outside [0, ", loss.columns, ") and is not ignore_index ", loss.ignore_index));
}

// ---- cross_entropy_grad(logits, target[, class_weights], maxima[R], log_sums[R], dlosses[R]) -> dlogits

void infer_cross_entropy_grad(Node& node) {
  expect_inputs(node, 5, 6);
  node.attrs.check_known("cross_entropy_grad", {"label_smoothing", "ignore_index"});
  check_operands(node, node.n_inputs() == 6);
  const TensorType rows{node.input_dtype(0), {node.input_shape(0)[0]}};
  for (int i = node.n_inputs() - 3; i < node.n_inputs(); ++i)
    check<ValueError>(node.input_type(i) == rows, node.op->name, ": input ", i, " is ",
                      to_string(node.input_type(i)), ", expected ", to_string(rows));
  node.outputs = {node.input_type(0)};
}

// Maxima and sums are functions of the logits here, so that a derivative goes through them.
Values decompose_cross_entropy_grad(const Node& node) {
  const CrossEntropy loss(node, node.n_inputs() == 6);
  const Value p = ops::softmax(loss.logits);
  const Value targets = weighted_targets(loss);
  return {per_row(node.inputs.back()) * (p * ops::sum(targets, {1}, /*keepdims=*/true) - targets)};
}

void lower_cross_entropy_grad(Lowering& lowering, const Node& node) {
  const CrossEntropy loss(node, node.n_inputs() == 6);
  const View logits = lowering.dense(loss.logits), target = lowering.dense(loss.target);
  const View weights = loss.weights ? lowering.dense(loss.weights) : View{};
  const View maxima = lowering.dense(node.inputs[node.inputs.size() - 3]),
             log_sums = lowering.dense(node.inputs[node.inputs.size() - 2]);
  const View grad_losses = lowering.view(node.inputs.back());
  const View grad_logits = lowering.create(node.out());
  auto call = lowering.call("cross_entropy_grad", lowering.floats(node).cross_entropy_grad);
  call.read(call.args.logits, logits);
  set_target(call, loss, target, weights);
  call.read(call.args.maxima, maxima);
  call.read(call.args.log_sums, log_sums);
  call.read(call.args.grad_losses, grad_losses);
  call.args.grad_stride = grad_losses.strides[0];  // 0 where all rows share one number
  call.write(call.args.grad_logits, grad_logits);
}

}  // namespace

const Op cross_entropy_op{.name = "cross_entropy",
                          .infer = infer_cross_entropy,
                          .gradient = gradient_cross_entropy,
                          .decompose = decompose_cross_entropy,
                          .lower = lower_cross_entropy};
const Op cross_entropy_grad_op{.name = "cross_entropy_grad",
                               .infer = infer_cross_entropy_grad,
                               .decompose = decompose_cross_entropy_grad,
                               .lower = lower_cross_entropy_grad};

}  // namespace ravine
