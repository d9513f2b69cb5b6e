"""Families of functions that are loaded where one of them is used first: so the import of all stays short.

A family is a module of this package: its functions that take a tensor first, which are methods of tensors
too, and its other ones.
"""

from __future__ import annotations

import importlib
from typing import Any

NAMESPACES = ("linalg", "masked", "signal", "special")

# fmt: off
FAMILIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "_arrange": (
        ("dsplit", "expand_as", "fliplr", "flipud", "hsplit", "moveaxis", "movedim", "ravel", "repeat",
         "repeat_interleave", "reshape_as", "roll", "rot90", "select", "split_with_sizes", "sum_to_size",
         "swapaxes", "swapdims", "t", "tensor_split", "tile", "unbind", "unfold_dim", "view_as", "vsplit"),
        ("atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "cartesian_prod", "column_stack",
         "dstack", "hstack", "row_stack", "vstack"),
    ),
    "_attention": (
        (),
        ("scaled_dot_product_attention",),
    ),
    "_candidates": (
        ("negative_sampling_loss", "sampled_softmax_loss"),
        ("log_uniform_candidates",),
    ),
    "_conv_sides": (
        ("conv1d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        (),
    ),
    "_create": (
        ("full_like", "new_full", "new_ones", "new_zeros", "ones_like", "rand_like", "randn_like", "tril",
         "triu", "zeros_like"),
        ("arange", "broadcast_tensors", "eye", "full", "linspace", "logspace", "meshgrid", "ones",
         "tril_indices", "triu_indices", "zeros"),
    ),
    "_decompositions": (
        ("cholesky", "cholesky_inverse", "logdet", "matrix_exp", "pinverse", "qr", "triangular_solve"),
        (),
    ),
    "_diagonal": (
        ("diag", "diag_embed", "diagflat", "diagonal", "trace"),
        (),
    ),
    "_dynamic": (
        ("argwhere", "bincount", "masked_select", "nonzero", "unique", "unique_consecutive"),
        ("isin",),
    ),
    "_embedding_bag": (
        ("embedding_bag",),
        (),
    ),
    "_formulas": (
        ("addcdiv", "addcmul", "allclose", "bitwise_left_shift", "bitwise_right_shift", "clamp_max",
         "clamp_min", "deg2rad", "fix", "float_power", "floor_divide", "fmax", "fmin", "fmod", "frac",
         "heaviside", "isclose", "isfinite", "isinf", "isneginf", "isposinf", "isreal", "ldexp", "lerp",
         "logaddexp2", "logit", "mvlgamma", "nan_to_num", "polygamma", "positive", "rad2deg", "remainder",
         "rsub", "sgn", "signbit", "sinc", "true_divide", "trunc"),
        (),
    ),
    "_histogram": (
        ("combinations", "gradient", "histc", "unravel_index"),
        (),
    ),
    "_loss_ctc": (
        (),
        ("ctc_loss",),
    ),
    "_loss_margin": (
        ("gaussian_nll_loss", "hinge_embedding_loss", "multi_margin_loss", "multilabel_margin_loss",
         "multilabel_soft_margin_loss", "poisson_nll_loss", "quantile_loss", "sigmoid_focal_loss",
         "soft_margin_loss"),
        ("cosine_embedding_loss", "cosine_similarity", "margin_ranking_loss", "pairwise_distance",
         "triplet_margin_loss", "triplet_margin_with_distance_loss"),
    ),
    "_norms": (
        ("norm",),
        (),
    ),
    "_order": (
        ("aminmax", "argsort", "bucketize", "cummax", "cummin", "cumprod", "cumsum", "diff", "kthvalue",
         "logcumsumexp", "median", "mode", "msort", "nanmedian", "nanquantile", "quantile", "sort",
         "topk"),
        ("cumulative_trapezoid", "searchsorted", "trapezoid", "trapz"),
    ),
    "_parts": (
        ("diagonal_scatter", "select_scatter", "slice_scatter"),
        (),
    ),
    "_patches": (
        ("channel_shuffle", "fold", "im2col", "local_response_norm", "pixel_shuffle", "pixel_unshuffle"),
        (),
    ),
    "_pool_sides": (
        ("adaptive_avg_pool1d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
         "adaptive_max_pool3d", "avg_pool1d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d",
         "max_pool1d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d"),
        (),
    ),
    "_products": (
        ("addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "cross", "dot", "ger", "inner", "kron",
         "mm", "mv", "outer", "pdist", "vdot"),
        ("bilinear", "cdist", "einsum", "tensordot"),
    ),
    "_resize": (
        ("grid_sample", "interpolate", "upsample_bilinear", "upsample_nearest"),
        ("affine_grid",),
    ),
    "_sampling": (
        ("bernoulli", "multinomial", "randint_like"),
        ("normal", "randint", "randperm"),
    ),
    "_scatter": (
        ("index_add", "index_copy", "index_fill", "index_put", "index_reduce", "masked_fill",
         "masked_scatter", "put", "scatter", "scatter_add", "scatter_reduce", "take", "take_along_dim"),
        (),
    ),
    "_special": (
        ("acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan2", "arctanh", "asin", "asinh",
         "atan2", "atanh", "copysign", "cosh", "digamma", "erfc", "erfinv", "exp2", "hypot", "lgamma",
         "log10", "log2", "logaddexp", "nextafter", "sinh", "tan", "xlog1py",
         "xlogy", "zeta"),
        (),
    ),
    "_statistics": (
        ("all", "any", "corrcoef", "count_nonzero", "cov", "dist", "nanmean", "nansum", "renorm",
         "std_mean", "var_mean"),
        (),
    ),
}
# fmt: on
_FAMILY_OF = {name: family for family, kinds in FAMILIES.items() for names in kinds for name in names}
METHODS = tuple(name for methods, _ in FAMILIES.values() for name in methods)


def load(name: str) -> Any:
    """The function of this name, or None where no family has it; a namespace is a package of its own."""
    package = __name__.rpartition(".")[0]
    if name in NAMESPACES:
        return importlib.import_module(f".{name}", package)
    family = _FAMILY_OF.get(name)
    return None if family is None else getattr(importlib.import_module(f".{family}", package), name)
