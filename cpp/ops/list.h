// Every operation, as one explicit list. A new operation is a definition `const Op name_op{...}` in the file
// of its family and its name here.
#pragma once

#include <span>
#include <string_view>

#include "graph/graph.h"

namespace ravine {

// clang-format off
#define RAVINE_ELEMENTWISE_OP_LIST(X)                                                                         \
  X(identity) X(neg) X(abs) X(sign) X(square) X(exp) X(expm1) X(log) X(log1p) X(sqrt) X(rsqrt) X(reciprocal)  \
  X(sin) X(cos) X(atan) X(erf) X(floor) X(ceil) X(round) X(clip) X(hardtanh) X(cast) X(stop_gradient)         \
  X(add) X(sub) X(mul) X(div) X(pow) X(maximum) X(minimum) X(multiply_add)

#define RAVINE_SPECIAL_OP_LIST(X)                                                                             \
  X(log2) X(log10) X(exp2) X(tan) X(asin) X(acos) X(sinh) X(cosh) X(asinh) X(acosh) X(atanh)         \
  X(erfc) X(erfinv) X(lgamma) X(digamma) X(atan2) X(hypot) X(logaddexp) X(copysign) X(nextafter) X(fmod)      \
  X(remainder) X(xlogy) X(xlog1py) X(zeta) X(bessel_j0) X(bessel_j1) X(bessel_y0) X(bessel_y1)                \
  X(modified_bessel_i0) X(modified_bessel_i1) X(modified_bessel_k0) X(modified_bessel_k1) X(i0e) X(i1e)       \
  X(scaled_modified_bessel_k0) X(scaled_modified_bessel_k1) X(spherical_bessel_j0) X(airy_ai) X(erfcx)        \
  X(ndtr) X(log_ndtr) X(ndtri) X(igamma) X(igammac) X(chebyshev_polynomial_t) X(chebyshev_polynomial_u)       \
  X(chebyshev_polynomial_v) X(chebyshev_polynomial_w) X(shifted_chebyshev_polynomial_t)                       \
  X(shifted_chebyshev_polynomial_u) X(shifted_chebyshev_polynomial_v) X(shifted_chebyshev_polynomial_w)       \
  X(hermite_polynomial_h) X(hermite_polynomial_he) X(laguerre_polynomial_l) X(legendre_polynomial_p)

#define RAVINE_COMPARE_OP_LIST(X)                                                                             \
  X(equal) X(not_equal) X(less) X(less_equal) X(greater) X(greater_equal)                                     \
  X(logical_not) X(logical_and) X(logical_or) X(logical_xor)                                                  \
  X(bitwise_and) X(bitwise_or) X(bitwise_xor) X(where)

#define RAVINE_ACTIVATION_OP_LIST(X)                                                                          \
  X(relu) X(leaky_relu) X(elu) X(tanh) X(sigmoid) X(softplus) X(gelu) X(gelu_tanh) X(silu)                    \
  X(mish) X(softsign) X(tanhshrink) X(hardswish)                                                              \
  X(scale_by_positive) X(elu_grad) X(tanh_grad) X(sigmoid_grad) X(softplus_grad) X(gelu_grad)                 \
  X(gelu_tanh_grad) X(silu_grad) X(mish_grad) X(hardswish_grad)

#define RAVINE_RANDOM_OP_LIST(X) X(uniform)

#define RAVINE_REDUCE_OP_LIST(X) X(sum) X(mean) X(max) X(min) X(prod) X(logsumexp) X(argmax) X(argmin)

#define RAVINE_SHAPE_OP_LIST(X) X(reshape) X(transpose) X(broadcast_to) X(slice) X(flip) X(pad) X(concat)

#define RAVINE_INDEX_OP_LIST(X) X(gather_rows) X(gather) X(scatter_add_rows) X(scatter_add) X(scatter_winner) X(one_hot)          \
  X(coalesce_rows)

#define RAVINE_ORDER_OP_LIST(X) X(argsort) X(search_sorted) X(cumsum) X(cumargmax) X(cumargmin)

#define RAVINE_DECOMPOSITION_OP_LIST(X)                                                                       \
  X(solve) X(solve_triangular) X(cholesky) X(qr) X(eigh) X(svd) X(det) X(slogdet)

#define RAVINE_LINALG_OP_LIST(X) X(matmul)

#define RAVINE_CONV_OP_LIST(X) X(conv2d) X(conv2d_grad_input) X(conv2d_grad_filter)

#define RAVINE_POOL_OP_LIST(X)                                                                                \
  X(max_pool2d) X(normalized_max_pool2d) X(max_pool2d_grad) X(avg_pool2d) X(avg_pool2d_grad) X(adaptive_avg_pool2d)                    \
  X(adaptive_avg_pool2d_grad)

#define RAVINE_NORM_OP_LIST(X)                                                                                \
  X(column_moments) X(column_grad_sums) X(batch_norm) X(batch_norm_grad) X(layer_norm) X(layer_norm_grad)   \
  X(group_norm) X(group_norm_grad)

#define RAVINE_SEQUENCE_OP_LIST(X)                                                                            \
  X(rnn_tanh) X(rnn_tanh_grad) X(rnn_relu) X(rnn_relu_grad) X(gru) X(gru_grad) X(lstm) X(lstm_grad)      \
  X(attention) X(attention_grad) X(append_rows)

#define RAVINE_SOFTMAX_OP_LIST(X) X(softmax) X(log_softmax) X(softmax_grad) X(log_softmax_grad)

#define RAVINE_LOSS_OP_LIST(X)                                                                                \
  X(cross_entropy) X(cross_entropy_grad) X(binary_cross_entropy) X(logistic_loss) X(logistic_loss_grad)

#define RAVINE_OP_LIST(X)                                                                                     \
  RAVINE_ELEMENTWISE_OP_LIST(X)                                                                               \
  RAVINE_SPECIAL_OP_LIST(X)                                                                                   \
  RAVINE_COMPARE_OP_LIST(X)                                                                                   \
  RAVINE_ACTIVATION_OP_LIST(X)                                                                                \
  RAVINE_RANDOM_OP_LIST(X)                                                                                    \
  RAVINE_REDUCE_OP_LIST(X)                                                                                    \
  RAVINE_SHAPE_OP_LIST(X)                                                                                     \
  RAVINE_INDEX_OP_LIST(X)                                                                                     \
  RAVINE_ORDER_OP_LIST(X)                                                                                     \
  RAVINE_DECOMPOSITION_OP_LIST(X)                                                                             \
  RAVINE_LINALG_OP_LIST(X)                                                                                    \
  RAVINE_CONV_OP_LIST(X)                                                                                      \
  RAVINE_POOL_OP_LIST(X)                                                                                      \
  RAVINE_NORM_OP_LIST(X)                                                                                      \
  RAVINE_SEQUENCE_OP_LIST(X)                                                                                  \
  RAVINE_SOFTMAX_OP_LIST(X)                                                                                   \
  RAVINE_LOSS_OP_LIST(X)
// clang-format on

#define RAVINE_DECLARE_OP(name) extern const Op name##_op;
RAVINE_OP_LIST(RAVINE_DECLARE_OP)
#undef RAVINE_DECLARE_OP

std::span<const Op* const> all_ops();

// graph.apply after bringing the inputs to the dtype that the operation computes in, as NumPy and PyTorch do:
// bool and integers beside floating become the floating dtype, float32 beside float64 becomes float64, int32
// beside int64 becomes int64; integers where only real numbers make sense (exp, div, mean) become float32;
// bools that are counted or added become int64. graph.apply itself takes inputs as they are and raises
// TypeError where they do not fit.
Values apply_promoted(Graph& graph, std::string_view name, Values inputs, Attrs attrs = {});

}  // namespace ravine
