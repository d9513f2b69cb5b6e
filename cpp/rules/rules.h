// What is known of several operations together, a family a file. Here both partners can be seen: nothing
// below knows which operations meet.
#pragma once

#include <span>

#include "graph/passes/rule.h"

namespace ravine::rules {

// What needs no numbers: x + 0, a cast to the same dtype, views of views.
std::span<const Rule> algebra();

// The gradients of slices of one tensor are written into one buffer.
std::span<const Rule> joined_slices();

// (A B)^T = B^T A^T.
std::span<const Rule> transposed_products();
// Optimizers update a parameter piece by piece, as the product computes its gradient.
std::span<const Rule> fused_updates();
// Products sum the rows that they read, for the gradient of a bias.
std::span<const Rule> fused_bias_gradients();

// Filters that seldom change are kept as kernels read them, with a BatchNorm's scale in them.
std::span<const Rule> prepacked_filters();
// Convolutions gather the moments of what they compute.
std::span<const Rule> fused_batch_statistics();

// The gradient of BatchNorm behind ReLU.
std::span<const Rule> norm_relu_gradients();

// The gradient of max-pooling behind ReLU is scaled before it is spread.
std::span<const Rule> pool_relu_gradients();
// Convolutions pool what they compute.
std::span<const Rule> pools_in_convolutions();
// Max-pooling normalises and rectifies what it reads.
std::span<const Rule> norms_in_pools();
// Max-pooling keeps argmax as an offset of a byte.
std::span<const Rule> compressed_argmax();

// Recurrent layers keep a history for their gradient alone.
std::span<const Rule> unread_histories();

// Rows are appended to a state in place.
std::span<const Rule> appended_rows();

}  // namespace ravine::rules
