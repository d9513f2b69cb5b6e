// Losses: means over the examples of a batch, with their denominators, so that an accumulation over several
// batches gives the gradients that one batch of all examples would.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "ravine/tensor.h"

namespace ravine {
#pragma GCC visibility push(default)
namespace v1 {

struct Loss {
  Loss(Tensor of) : value(of) {}  // a mean over the examples
  Loss(Tensor of, Tensor denominator) : value(of), count(denominator) {}
  Tensor value;  // a floating scalar
  Tensor count;  // what it was divided by; none: the number of examples
};

using LossFunction = std::function<Loss(Tensor output, Tensor target)>;

namespace loss {

struct CrossEntropy {
  double label_smoothing = 0;
  std::int64_t ignore_index = -100;  // rows with this label do not count
};
// Of logits [N, C] or [N, C, d1, ...]; labels [N, d1, ...] (integers), or probabilities of the logits' shape.
Loss cross_entropy(Tensor logits, Tensor target, const CrossEntropy& options = {});
Loss binary_cross_entropy_with_logits(Tensor logits, Tensor target);
Loss binary_cross_entropy(Tensor probabilities, Tensor target);
Loss mse(Tensor prediction, Tensor target);
Loss l1(Tensor prediction, Tensor target);
Loss huber(Tensor prediction, Tensor target, double delta = 1);
Loss smooth_l1(Tensor prediction, Tensor target, double beta = 1);

}  // namespace loss
}  // namespace v1
#pragma GCC visibility pop
}  // namespace ravine
