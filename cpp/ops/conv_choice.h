// How a convolution is computed: a static model of the time that each algorithm takes, which reads shapes
// only. The environment variable RAVINE_CONV forces "direct" or, where it applies, "winograd" (the better of
// its two, or one of them: "winograd_2x2", "winograd_4x4").
#pragma once

#include <string>

#include "core/dtype.h"
#include "kernels/api/conv.h"

namespace ravine {

enum class ConvPass { forward, grad_input, grad_filter };

// `exact` rules out Winograd, whose errors are several times those of the direct sum.
enum class ConvPrecision { fast, exact };
void set_conv_precision(ConvPrecision precision);  // of programs compiled from now on
ConvPrecision conv_precision();

// "direct", "winograd 2x2", "winograd 4x4"
const char* name_of(kernels::ConvAlgorithm algorithm);

// Whether the algorithm can compute this convolution.
bool applies(kernels::ConvAlgorithm algorithm, const kernels::ConvShape& shape, DType dtype);

// Estimated cycles of one core with vectors of this size.
double conv_cycles(kernels::ConvAlgorithm algorithm, ConvPass pass, const kernels::ConvShape& shape,
                   DType dtype, int vector_bytes);

// The cheapest algorithm that applies and is not ruled out. ValueError where RAVINE_CONV has another value.
kernels::ConvAlgorithm choose_conv(ConvPass pass, const kernels::ConvShape& shape, DType dtype,
                                   int vector_bytes);
// The estimates among which choose_conv chooses, "kcycles: direct 112000, winograd 4x4 39000"; "" where it
// has no choice.
std::string describe_choice(ConvPass pass, const kernels::ConvShape& shape, DType dtype, int vector_bytes);
// choose_conv for forward convolutions whose filter Winograd finds transformed.
kernels::ConvAlgorithm choose_conv_with_kept_filter(const kernels::ConvShape& shape, DType dtype,
                                                    int vector_bytes);

}  // namespace ravine
