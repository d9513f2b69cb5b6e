// Convolutions in other forms, for the rules that choose them.
#pragma once

#include <cstdint>
#include <optional>

#include "dispatch/dispatch.h"
#include "graph/graph.h"

namespace ravine {

// (images, filter as an algorithm reads it) -> outputs, pooled where the attribute says so
extern const Op conv2d_prepacked_op;

// conv2d or conv2d_prepacked.
bool is_convolution(const Node& node);

// A conv2d whose filter seldom changes, on `inputs`: with the filter in the form that its algorithm reads.
// `scale` [output channels], if there is one, multiplies the filter. Nothing where the node is best as it is;
// not with a scale.
std::optional<Value> prepacked_convolution(const Node& conv, const Values& inputs, Value scale,
                                           const kernels::KernelTable& kernels);

// The maxima of windows of `size` x `size` pixels of a convolution's outputs, side by side, in place of
// these, on `inputs`; nothing where its kernel cannot pool.
std::optional<Value> pooled_convolution(const Node& conv, const Values& inputs, std::int64_t size,
                                        const kernels::KernelTable& kernels);

// In how many pieces a conv2d can gather the moments of its outputs' channels while it computes them; 0: not.
std::int64_t moment_pieces(const Node& conv, const kernels::KernelTable& kernels);
// Lets a conv2d, which may have an epilogue, gather those of output `index`; the partial moments
// (kernels::ColumnStatistics) are its last output.
void add_moments(Node& conv, int index, std::int64_t pieces);
// The output whose moments a convolution gathers, or -1.
int output_with_moments(const Node& node);

}  // namespace ravine
