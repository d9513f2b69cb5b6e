// As the losses of the same names in Python's `ops`, with reduction "mean".
#include "api/access.h"

namespace ravine::v1::loss {
namespace {

// Prediction and target of one shape; an integer target takes the prediction's dtype.
Tensor target_like(const char* what, Tensor x, Tensor target) {
  check<ValueError>(x.shape() == target.shape(), what,
                    ": prediction and target must have the same shape, got ", to_string(x.shape()), " and ",
                    to_string(target.shape()));
  check<TypeError>(is_floating(engine(x.dtype())), what, ": the prediction must be floating, got ",
                   name_of(x.dtype()));
  return ops::cast(target, x.dtype());
}

// e^2 / 2 up to delta, then delta (e - delta / 2): as one, c (e - c / 2) for c = min(e, delta).
Tensor huber_of(Tensor error, double delta) {
  const Tensor size = ops::abs(error), inner = ops::apply("clip", {size}, {{"high", delta}});
  return inner * (size - inner * 0.5);
}

}  // namespace

Loss cross_entropy(Tensor logits, Tensor target, const CrossEntropy& options) {
  const Shape shape = logits.shape();
  check<ValueError>(shape.rank() >= 2, "cross_entropy: logits must have the shape [N, C, ...], got ",
                    to_string(shape));
  Dims index_shape, classes_last;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (axis == 1) continue;
    index_shape.push_back(shape[axis]);
    classes_last.push_back(axis);
  }
  classes_last.push_back(1);
  const bool labels = !is_floating(engine(target.dtype()));
  check<ValueError>(target.shape() == (labels ? shown(index_shape) : shape),
                    "cross_entropy: a target for logits of shape ", to_string(shape),
                    " must be integer labels of shape ", index_shape, " or probabilities of shape ",
                    to_string(shape), ", got ", name_of(target.dtype()), " ", to_string(target.shape()));
  check<TypeError>(target.dtype() != DType::boolean, "cross_entropy: labels must be integers, got bool");
  const auto rows_of = [&](Tensor x) {
    const Tensor last = shape.rank() == 2 ? x : ops::permute(x, shown(classes_last));
    return ops::reshape(last, {numel(index_shape), shape[1]});
  };
  const Tensor rows =
      labels ? ops::reshape(target.dtype() == DType::uint8 ? ops::cast(target, DType::int64) : target,
                            {numel(index_shape)})
             : rows_of(ops::cast(target, logits.dtype()));
  const Tensor inputs[] = {rows_of(logits), rows};
  const std::vector<Tensor> results =
      ops::apply_all("cross_entropy", inputs,
                     {{"label_smoothing", options.label_smoothing}, {"ignore_index", options.ignore_index}});
  if (!labels) return ops::mean(results[0]);
  const Tensor total = ops::sum(results[1]);
  const Tensor nothing = ops::equal(total, ops::scalar_like(total, 0));
  return {ops::sum(results[0]) / ops::where(nothing, ops::scalar_like(total, 1), total), total};
}

Loss binary_cross_entropy_with_logits(Tensor logits, Tensor target) {
  const Tensor t = target_like("binary_cross_entropy_with_logits", logits, target);
  return ops::mean(ops::apply("logistic_loss", {logits, t, 1.0 - t}));
}
Loss binary_cross_entropy(Tensor probabilities, Tensor target) {
  const Tensor t = target_like("binary_cross_entropy", probabilities, target);
  return ops::mean(ops::apply("binary_cross_entropy", {probabilities, t}));
}
Loss mse(Tensor prediction, Tensor target) {
  return ops::mean(ops::square(prediction - target_like("mse", prediction, target)));
}
Loss l1(Tensor prediction, Tensor target) {
  return ops::mean(ops::abs(prediction - target_like("l1", prediction, target)));
}
Loss huber(Tensor prediction, Tensor target, double delta) {
  check<ValueError>(delta > 0, "huber: delta must be positive, got ", delta);
  return ops::mean(huber_of(prediction - target_like("huber", prediction, target), delta));
}
Loss smooth_l1(Tensor prediction, Tensor target, double beta) {
  check<ValueError>(beta >= 0, "smooth_l1: beta must not be negative, got ", beta);
  if (beta == 0) return l1(prediction, target);
  return ops::mean(huber_of(prediction - target_like("smooth_l1", prediction, target), beta) * (1.0 / beta));
}

}  // namespace ravine::v1::loss
