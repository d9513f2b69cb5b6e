"""Functional operations on tensors, with torch's names and arguments.

Inside a module's `forward` they record; called on arrays outside of one they run at once and return tensors
that hold their numbers.

At infinity a function has its limit (`silu(-inf)` is 0), a NaN stays one, and where a function bends its
slope is torch's. On purpose these differ from torch:

| | here | torch |
|---|---|---|
| the mean loss where all labels are ignored | 0, with gradients of 0 | NaN |
| `gelu`, `silu`, `mish`, `hardswish` of -inf; `softsign` of ±inf | the limits, 0 and ±1 | NaN |
| `binary_cross_entropy_with_logits` of (-inf, 0) and (inf, 1) | 0 | NaN |
| `cross_entropy`, `nll_loss`, `kl_div` of a masked class without share or weight | adds 0 | NaN |
| `logsumexp` of -inf alone | -inf, with gradients of 0 | -inf, with gradients of NaN |
| small losses of a class that dominates, `log1p` of the others | all digits | rounded to 0 |
| gradients by an operand that is NaN | 0 or NaN | mostly handed on |
| `pow(0, exponent)` by a negative exponent | no gradient by the exponent | inf |
"""

from typing import TYPE_CHECKING, Any

from . import _late, _methods
from ._activation import (
    celu,
    elu,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    log_softmax,
    logsigmoid,
    mish,
    normalize,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
)
from ._compare import (
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    eq,
    equal,
    ge,
    greater,
    greater_equal,
    gt,
    isnan,
    le,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
    not_equal,
)
from ._conv import conv2d
from ._elementwise import (
    abs,
    add,
    atan,
    cast,
    ceil,
    clamp,
    clip,
    cos,
    detach,
    div,
    erf,
    exp,
    expm1,
    floor,
    log,
    log1p,
    maximum,
    minimum,
    mul,
    neg,
    pow,
    reciprocal,
    round,
    rsqrt,
    sign,
    sin,
    sqrt,
    square,
    stop_gradient,
    sub,
    tanh,
    where,
)
from ._grad import grad
from ._index import embedding, gather, index_select, one_hot
from ._linalg import linear, matmul
from ._loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from ._mean import weighted_mean
from ._norm import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from ._pool import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from ._random import drop_path, dropout, dropout1d, dropout2d, dropout3d, rand, randn
from ._reduce import amax, amin, argmax, argmin, logsumexp, max, mean, min, prod, std, sum, var
from ._shape import (
    broadcast_to,
    cat,
    chunk,
    concat,
    expand,
    flatten,
    flip,
    narrow,
    pad,
    permute,
    reshape,
    split,
    squeeze,
    stack,
    transpose,
    unflatten,
    unsqueeze,
)

if TYPE_CHECKING:
    from . import linalg, masked, signal, special
    from ._arrange import (
        atleast_1d,
        atleast_2d,
        atleast_3d,
        block_diag,
        cartesian_prod,
        column_stack,
        dsplit,
        dstack,
        expand_as,
        fliplr,
        flipud,
        hsplit,
        hstack,
        moveaxis,
        movedim,
        ravel,
        repeat,
        repeat_interleave,
        reshape_as,
        roll,
        rot90,
        row_stack,
        select,
        split_with_sizes,
        sum_to_size,
        swapaxes,
        swapdims,
        t,
        tensor_split,
        tile,
        unbind,
        unfold_dim,
        view_as,
        vsplit,
        vstack,
    )
    from ._attention import scaled_dot_product_attention
    from ._candidates import log_uniform_candidates, negative_sampling_loss, sampled_softmax_loss
    from ._conv_sides import conv1d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
    from ._create import (
        arange,
        broadcast_tensors,
        eye,
        full,
        full_like,
        linspace,
        logspace,
        meshgrid,
        ones,
        ones_like,
        rand_like,
        randn_like,
        tril,
        tril_indices,
        triu,
        triu_indices,
        zeros,
        zeros_like,
    )
    from ._decompositions import (
        cholesky,
        cholesky_inverse,
        logdet,
        matrix_exp,
        pinverse,
        qr,
        triangular_solve,
    )
    from ._diagonal import diag, diag_embed, diagflat, diagonal, trace
    from ._dynamic import argwhere, bincount, isin, masked_select, nonzero, unique, unique_consecutive
    from ._embedding_bag import embedding_bag
    from ._formulas import (
        addcdiv,
        addcmul,
        allclose,
        bitwise_left_shift,
        bitwise_right_shift,
        clamp_max,
        clamp_min,
        deg2rad,
        fix,
        float_power,
        floor_divide,
        fmax,
        fmin,
        fmod,
        frac,
        heaviside,
        isclose,
        isfinite,
        isinf,
        isneginf,
        isposinf,
        isreal,
        ldexp,
        lerp,
        logaddexp2,
        logit,
        mvlgamma,
        nan_to_num,
        polygamma,
        positive,
        rad2deg,
        remainder,
        rsub,
        sgn,
        signbit,
        sinc,
        true_divide,
        trunc,
    )
    from ._histogram import combinations, gradient, histc, unravel_index
    from ._loss_ctc import ctc_loss
    from ._loss_margin import (
        cosine_embedding_loss,
        cosine_similarity,
        gaussian_nll_loss,
        hinge_embedding_loss,
        margin_ranking_loss,
        multi_margin_loss,
        multilabel_margin_loss,
        multilabel_soft_margin_loss,
        pairwise_distance,
        poisson_nll_loss,
        quantile_loss,
        sigmoid_focal_loss,
        soft_margin_loss,
        triplet_margin_loss,
        triplet_margin_with_distance_loss,
    )
    from ._norms import norm
    from ._order import (
        aminmax,
        argsort,
        bucketize,
        cummax,
        cummin,
        cumprod,
        cumsum,
        cumulative_trapezoid,
        diff,
        kthvalue,
        logcumsumexp,
        median,
        mode,
        msort,
        nanmedian,
        nanquantile,
        quantile,
        searchsorted,
        sort,
        topk,
        trapezoid,
        trapz,
    )
    from ._parts import diagonal_scatter, select_scatter, slice_scatter
    from ._patches import channel_shuffle, fold, im2col, local_response_norm, pixel_shuffle, pixel_unshuffle
    from ._pool_sides import (
        adaptive_avg_pool1d,
        adaptive_avg_pool3d,
        adaptive_max_pool1d,
        adaptive_max_pool2d,
        adaptive_max_pool3d,
        avg_pool1d,
        avg_pool3d,
        lp_pool1d,
        lp_pool2d,
        lp_pool3d,
        max_pool1d,
        max_pool3d,
        max_unpool1d,
        max_unpool2d,
        max_unpool3d,
    )
    from ._products import (
        addbmm,
        addmm,
        addmv,
        addr,
        baddbmm,
        bilinear,
        bmm,
        cdist,
        cross,
        dot,
        einsum,
        ger,
        inner,
        kron,
        mm,
        mv,
        outer,
        pdist,
        tensordot,
        vdot,
    )
    from ._resize import affine_grid, grid_sample, interpolate, upsample_bilinear, upsample_nearest
    from ._sampling import bernoulli, multinomial, normal, randint, randint_like, randperm
    from ._scatter import (
        index_add,
        index_copy,
        index_fill,
        index_put,
        index_reduce,
        masked_fill,
        masked_scatter,
        put,
        scatter,
        scatter_add,
        scatter_reduce,
        take,
        take_along_dim,
    )
    from ._special import (
        acos,
        acosh,
        arccos,
        arccosh,
        arcsin,
        arcsinh,
        arctan2,
        arctanh,
        asin,
        asinh,
        atan2,
        atanh,
        copysign,
        cosh,
        digamma,
        erfc,
        erfinv,
        exp2,
        hypot,
        lgamma,
        log2,
        log10,
        logaddexp,
        nextafter,
        sinh,
        tan,
        xlog1py,
        xlogy,
        zeta,
    )
    from ._statistics import (
        all,
        any,
        corrcoef,
        count_nonzero,
        cov,
        dist,
        nanmean,
        nansum,
        renorm,
        std_mean,
        var_mean,
    )

# fmt: off
__all__ = [
    "abs", "acos", "acosh", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d",
    "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "add", "addbmm", "addcdiv",
    "addcmul", "addmm", "addmv", "addr", "affine_grid", "all", "allclose", "amax", "amin", "aminmax", "any",
    "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan2", "arctanh", "argmax", "argmin", "argsort",
    "argwhere", "asin", "asinh", "atan", "atan2", "atanh", "atleast_1d", "atleast_2d", "atleast_3d",
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "baddbmm", "batch_norm", "bernoulli", "bilinear",
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "bincount", "bitwise_and",
    "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "block_diag",
    "bmm", "broadcast_tensors", "broadcast_to", "bucketize", "cartesian_prod", "cast", "cat", "cdist", "ceil",
    "celu", "channel_shuffle", "cholesky", "cholesky_inverse", "chunk", "clamp", "clamp_max", "clamp_min",
    "clip", "column_stack", "combinations", "concat", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "copysign", "corrcoef", "cos", "cosh", "cosine_embedding_loss",
    "cosine_similarity", "count_nonzero", "cov", "cross", "cross_entropy", "ctc_loss", "cummax", "cummin",
    "cumprod", "cumsum", "cumulative_trapezoid", "deg2rad", "detach", "diag", "diag_embed", "diagflat",
    "diagonal", "diagonal_scatter", "diff", "digamma", "dist", "div", "dot", "drop_path", "dropout",
    "dropout1d", "dropout2d", "dropout3d", "dsplit", "dstack", "einsum", "elu", "embedding",
    "embedding_bag", "eq", "equal",
    "erf", "erfc", "erfinv", "exp", "exp2", "expand", "expand_as", "expm1", "eye", "fix", "flatten", "flip",
    "fliplr", "flipud", "float_power", "floor", "floor_divide", "fmax", "fmin", "fmod", "fold", "frac",
    "full", "full_like", "gather", "gaussian_nll_loss", "ge", "gelu", "ger", "glu", "grad", "gradient",
    "greater", "greater_equal", "grid_sample", "group_norm", "gt", "hardshrink", "hardsigmoid", "hardswish",
    "hardtanh", "heaviside", "hinge_embedding_loss", "histc", "hsplit", "hstack", "huber_loss", "hypot",
    "im2col", "index_add", "index_copy", "index_fill", "index_put", "index_reduce", "index_select", "inner",
    "instance_norm", "interpolate", "isclose", "isfinite", "isin", "isinf", "isnan", "isneginf", "isposinf",
    "isreal", "kl_div", "kron", "kthvalue", "l1_loss", "layer_norm", "ldexp", "le", "leaky_relu", "lerp",
    "less", "less_equal", "lgamma", "linalg", "linear", "linspace", "local_response_norm", "log", "log1p",
    "log2", "log10", "log_softmax",
    "log_uniform_candidates", "logaddexp", "logaddexp2", "logcumsumexp", "logdet", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logit", "logsigmoid", "logspace", "logsumexp", "lp_pool1d",
    "lp_pool2d", "lp_pool3d", "lt", "margin_ranking_loss", "masked", "masked_fill", "masked_scatter",
    "masked_select", "matmul", "matrix_exp", "max", "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d",
    "max_unpool2d", "max_unpool3d", "maximum", "mean", "median", "meshgrid", "min", "minimum", "mish", "mm",
    "mode", "moveaxis", "movedim", "mse_loss", "msort", "mul", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "multinomial", "mv", "mvlgamma", "nan_to_num", "nanmean", "nanmedian",
    "nanquantile", "nansum", "narrow", "ne", "neg",
    "negative_sampling_loss", "nextafter", "nll_loss", "nonzero", "norm", "normal",
    "normalize", "not_equal", "one_hot", "ones", "ones_like", "outer", "pad", "pairwise_distance", "pdist",
    "permute", "pinverse", "pixel_shuffle", "pixel_unshuffle", "poisson_nll_loss", "polygamma", "positive",
    "pow", "prelu", "prod", "put", "qr", "quantile", "quantile_loss", "rad2deg", "rand", "rand_like",
    "randint", "randint_like", "randn", "randn_like", "randperm", "ravel", "reciprocal", "relu", "relu6",
    "remainder", "renorm", "repeat", "repeat_interleave", "reshape", "reshape_as", "rms_norm", "roll",
    "rot90", "round", "row_stack", "rsqrt", "rsub",
    "sampled_softmax_loss", "scaled_dot_product_attention", "scatter", "scatter_add",
    "scatter_reduce", "searchsorted", "select", "select_scatter", "selu", "sgn", "sigmoid",
    "sigmoid_focal_loss", "sign", "signal", "signbit", "silu", "sin", "sinc", "sinh", "slice_scatter",
    "smooth_l1_loss", "soft_margin_loss", "softmax", "softmin", "softplus", "softshrink", "softsign", "sort",
    "special", "split", "split_with_sizes", "sqrt", "square", "squeeze", "stack", "std", "std_mean",
    "stop_gradient", "sub", "sum", "sum_to_size", "swapaxes", "swapdims", "t", "take", "take_along_dim",
    "tan", "tanh", "tanhshrink", "tensor_split", "tensordot", "threshold", "tile", "topk", "trace",
    "transpose", "trapezoid", "trapz", "triangular_solve", "tril", "tril_indices", "triplet_margin_loss",
    "triplet_margin_with_distance_loss", "triu", "triu_indices", "true_divide", "trunc", "unbind",
    "unflatten", "unfold_dim", "unique", "unique_consecutive", "unravel_index", "unsqueeze",
    "upsample_bilinear", "upsample_nearest", "var", "var_mean", "vdot", "view_as", "vsplit", "vstack",
    "weighted_mean", "where", "xlog1py", "xlogy", "zeros", "zeros_like", "zeta",
]
# fmt: on

# Tensors, parameters and buffers have as methods what takes a tensor first.
_methods.install({name: globals()[name] for name in __all__ if name in globals()})


def __getattr__(name: str) -> Any:
    """What is loaded where it is used first."""
    found = _late.load(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
