// Softmax and cross-entropy over the rows of dense matrices [rows, columns].
#pragma once

#include "kernels/api/fault.h"
#include "kernels/api/tile.h"

namespace ravine::kernels {

struct SoftmaxArgs {
  std::int64_t rows = 0, columns = 0;
  const void* input = nullptr;
  void* output = nullptr;
  bool log = false;  // log_softmax
};

// Softmax: dx = y (dy - sum(dy y)); log_softmax: dx = dy - exp(y) sum(dy). y is the forward output.
struct SoftmaxGradArgs {
  std::int64_t rows = 0, columns = 0;
  const void* output = nullptr;
  const void* grad_output = nullptr;
  void* grad_input = nullptr;
  bool log = false;
};

// Row loss: -sum_c t_c w_c log p_c with t = (1 - smoothing) onehot(label) + smoothing / columns (torch's
// label_smoothing). Either labels or targets is set. Rows with label == ignore_index have loss and weight 0.
// Row weight: w[label] for labels (1 without class weights), 1 for targets. p = softmax(logits); the maxima
// and the logarithms of the sums of exp(x - maximum) are kept for the gradient: in one number they would lose
// digits.
struct CrossEntropyArgs {
  std::int64_t rows = 0, columns = 0;
  const void* logits = nullptr;
  const void* labels = nullptr;  // int64 or int32 [rows]
  DType label_dtype = DType::int64;
  const void* targets = nullptr;        // probabilities [rows, columns], the logits' dtype
  const void* class_weights = nullptr;  // [columns] or null
  double label_smoothing = 0;
  std::int64_t ignore_index = -100;
  void* losses = nullptr;       // [rows]
  void* row_weights = nullptr;  // [rows]
  void* maxima = nullptr;       // [rows]
  void* log_sums = nullptr;     // [rows]
  Fault* fault = nullptr;
  std::int32_t fault_code = 1;
};

// dlogits[r, c] = grad_losses[r] (p_c sum_j t_j w_j - t_c w_c)
struct CrossEntropyGradArgs {
  std::int64_t rows = 0, columns = 0;
  const void* logits = nullptr;
  const void* labels = nullptr;
  DType label_dtype = DType::int64;
  const void* targets = nullptr;
  const void* class_weights = nullptr;
  double label_smoothing = 0;
  std::int64_t ignore_index = -100;
  const void* maxima = nullptr;
  const void* log_sums = nullptr;
  const void* grad_losses = nullptr;  // [rows]; stride 0 where one number serves all rows
  std::int64_t grad_stride = 1;
  void* grad_logits = nullptr;
};

}  // namespace ravine::kernels
