"""Methods of tensors; written by scripts/methods_stub.py."""

from collections.abc import Callable
from typing import Any

from ..record import Tensor
from . import (
    _activation,
    _arrange,
    _candidates,
    _compare,
    _conv,
    _conv_sides,
    _create,
    _decompositions,
    _diagonal,
    _dynamic,
    _elementwise,
    _embedding_bag,
    _formulas,
    _histogram,
    _index,
    _linalg,
    _loss,
    _loss_margin,
    _mean,
    _norm,
    _norms,
    _order,
    _parts,
    _patches,
    _pool,
    _pool_sides,
    _products,
    _random,
    _reduce,
    _resize,
    _sampling,
    _scatter,
    _shape,
    _special,
    _statistics,
)

def one_by_one(function: Callable[..., Tensor]) -> Callable[..., Tensor]: ...
def install(functions: dict[str, Any]) -> None: ...

class Methods:
    @property
    def H(self) -> Tensor: ...
    @property
    def T(self) -> Tensor: ...
    def __floordiv__(self, other: Any) -> Tensor: ...
    def __getitem__(self, index: Any) -> Tensor: ...
    __invert__ = _compare.bitwise_not
    __matmul__ = _linalg.matmul
    def __mod__(self, other: Any) -> Tensor: ...
    __pow__ = _elementwise.pow
    def __rfloordiv__(self, other: Any) -> Tensor: ...
    def __rmatmul__(self, other: Any) -> Tensor: ...
    def __rmod__(self, other: Any) -> Tensor: ...
    def __rpow__(self, base: Any) -> Tensor: ...
    abs = _elementwise.abs
    acos = _special.acos
    acosh = _special.acosh
    adaptive_avg_pool1d = _pool_sides.adaptive_avg_pool1d
    adaptive_avg_pool2d = _pool.adaptive_avg_pool2d
    adaptive_avg_pool3d = _pool_sides.adaptive_avg_pool3d
    adaptive_max_pool1d = _pool_sides.adaptive_max_pool1d
    adaptive_max_pool2d = _pool_sides.adaptive_max_pool2d
    adaptive_max_pool3d = _pool_sides.adaptive_max_pool3d
    add = _elementwise.add
    addbmm = _products.addbmm
    addcdiv = _formulas.addcdiv
    addcmul = _formulas.addcmul
    addmm = _products.addmm
    addmv = _products.addmv
    addr = _products.addr
    all = _statistics.all
    allclose = _formulas.allclose
    amax = _reduce.amax
    amin = _reduce.amin
    aminmax = _order.aminmax
    any = _statistics.any
    arccos = _special.acos
    arccosh = _special.acosh
    arcsin = _special.asin
    arcsinh = _special.asinh
    arctan2 = _special.atan2
    arctanh = _special.atanh
    argmax = _reduce.argmax
    argmin = _reduce.argmin
    argsort = _order.argsort
    argwhere = _dynamic.argwhere
    asin = _special.asin
    asinh = _special.asinh
    atan = _elementwise.atan
    atan2 = _special.atan2
    atanh = _special.atanh
    avg_pool1d = _pool_sides.avg_pool1d
    avg_pool2d = _pool.avg_pool2d
    avg_pool3d = _pool_sides.avg_pool3d
    baddbmm = _products.baddbmm
    batch_norm = _norm.batch_norm
    bernoulli = _sampling.bernoulli
    binary_cross_entropy = _loss.binary_cross_entropy
    binary_cross_entropy_with_logits = _loss.binary_cross_entropy_with_logits
    bincount = _dynamic.bincount
    bitwise_and = _compare.bitwise_and
    bitwise_left_shift = _formulas.bitwise_left_shift
    bitwise_not = _compare.bitwise_not
    bitwise_or = _compare.bitwise_or
    bitwise_right_shift = _formulas.bitwise_right_shift
    bitwise_xor = _compare.bitwise_xor
    bmm = _products.bmm
    broadcast_to = one_by_one(_shape.broadcast_to)
    bucketize = _order.bucketize
    def byte(self: Any, memory_format: Any = None) -> Tensor: ...
    cast = _elementwise.cast
    ceil = _elementwise.ceil
    celu = _activation.celu
    channel_shuffle = _patches.channel_shuffle
    cholesky = _decompositions.cholesky
    cholesky_inverse = _decompositions.cholesky_inverse
    chunk = _shape.chunk
    clamp = _elementwise.clip
    clamp_max = _formulas.clamp_max
    clamp_min = _formulas.clamp_min
    clip = _elementwise.clip
    def clone(self: Any, *, memory_format: Any = None) -> Tensor: ...
    combinations = _histogram.combinations
    def contiguous(self: Any, *, memory_format: Any = None) -> Tensor: ...
    conv1d = _conv_sides.conv1d
    conv2d = _conv.conv2d
    conv3d = _conv_sides.conv3d
    conv_transpose1d = _conv_sides.conv_transpose1d
    conv_transpose2d = _conv_sides.conv_transpose2d
    conv_transpose3d = _conv_sides.conv_transpose3d
    copysign = _special.copysign
    corrcoef = _statistics.corrcoef
    cos = _elementwise.cos
    cosh = _special.cosh
    count_nonzero = _statistics.count_nonzero
    cov = _statistics.cov
    def cpu(self: Any, *, memory_format: Any = None) -> Tensor: ...
    cross = _products.cross
    cross_entropy = _loss.cross_entropy
    cummax = _order.cummax
    cummin = _order.cummin
    cumprod = _order.cumprod
    cumsum = _order.cumsum
    deg2rad = _formulas.deg2rad
    detach = _elementwise.stop_gradient
    diag = _diagonal.diag
    diag_embed = _diagonal.diag_embed
    diagflat = _diagonal.diagflat
    diagonal = _diagonal.diagonal
    diagonal_scatter = _parts.diagonal_scatter
    diff = _order.diff
    digamma = _special.digamma
    dist = _statistics.dist
    div = _elementwise.div
    dot = _products.dot
    def double(self: Any, memory_format: Any = None) -> Tensor: ...
    drop_path = _random.drop_path
    dropout = _random.dropout
    dropout1d = _random.dropout1d
    dropout2d = _random.dropout2d
    dropout3d = _random.dropout3d
    dsplit = _arrange.dsplit
    elu = _activation.elu
    embedding = _index.embedding
    embedding_bag = _embedding_bag.embedding_bag
    eq = _compare.equal
    equal = _compare.equal
    erf = _elementwise.erf
    erfc = _special.erfc
    erfinv = _special.erfinv
    exp = _elementwise.exp
    exp2 = _special.exp2
    expand = _shape.expand
    expand_as = _arrange.expand_as
    expm1 = _elementwise.expm1
    fix = _formulas.trunc
    flatten = _shape.flatten
    flip = one_by_one(_shape.flip)
    fliplr = _arrange.fliplr
    flipud = _arrange.flipud
    float_power = _formulas.float_power
    floor = _elementwise.floor
    floor_divide = _formulas.floor_divide
    fmax = _formulas.fmax
    fmin = _formulas.fmin
    fmod = _formulas.fmod
    fold = _patches.fold
    frac = _formulas.frac
    full_like = _create.full_like
    gather = _index.gather
    gaussian_nll_loss = _loss_margin.gaussian_nll_loss
    ge = _compare.greater_equal
    gelu = _activation.gelu
    ger = _products.outer
    glu = _activation.glu
    gradient = _histogram.gradient
    greater = _compare.greater
    greater_equal = _compare.greater_equal
    grid_sample = _resize.grid_sample
    group_norm = _norm.group_norm
    gt = _compare.greater
    hardshrink = _activation.hardshrink
    hardsigmoid = _activation.hardsigmoid
    hardswish = _activation.hardswish
    hardtanh = _activation.hardtanh
    heaviside = _formulas.heaviside
    hinge_embedding_loss = _loss_margin.hinge_embedding_loss
    histc = _histogram.histc
    hsplit = _arrange.hsplit
    huber_loss = _loss.huber_loss
    hypot = _special.hypot
    im2col = _patches.im2col
    index_add = _scatter.index_add
    index_copy = _scatter.index_copy
    index_fill = _scatter.index_fill
    index_put = _scatter.index_put
    index_reduce = _scatter.index_reduce
    index_select = _index.index_select
    inner = _products.inner
    instance_norm = _norm.instance_norm
    interpolate = _resize.interpolate
    isclose = _formulas.isclose
    isfinite = _formulas.isfinite
    isinf = _formulas.isinf
    isnan = _compare.isnan
    isneginf = _formulas.isneginf
    isposinf = _formulas.isposinf
    isreal = _formulas.isreal
    kl_div = _loss.kl_div
    kron = _products.kron
    kthvalue = _order.kthvalue
    l1_loss = _loss.l1_loss
    layer_norm = _norm.layer_norm
    ldexp = _formulas.ldexp
    le = _compare.less_equal
    leaky_relu = _activation.leaky_relu
    lerp = _formulas.lerp
    less = _compare.less
    less_equal = _compare.less_equal
    lgamma = _special.lgamma
    linear = _linalg.linear
    local_response_norm = _patches.local_response_norm
    log = _elementwise.log
    log10 = _special.log10
    log1p = _elementwise.log1p
    log2 = _special.log2
    log_softmax = _activation.log_softmax
    logaddexp = _special.logaddexp
    logaddexp2 = _formulas.logaddexp2
    logcumsumexp = _order.logcumsumexp
    logdet = _decompositions.logdet
    logical_and = _compare.logical_and
    logical_not = _compare.logical_not
    logical_or = _compare.logical_or
    logical_xor = _compare.logical_xor
    logit = _formulas.logit
    logsigmoid = _activation.logsigmoid
    logsumexp = _reduce.logsumexp
    def long(self: Any, memory_format: Any = None) -> Tensor: ...
    lp_pool1d = _pool_sides.lp_pool1d
    lp_pool2d = _pool_sides.lp_pool2d
    lp_pool3d = _pool_sides.lp_pool3d
    lt = _compare.less
    @property
    def mH(self) -> Tensor: ...
    @property
    def mT(self) -> Tensor: ...
    masked_fill = _scatter.masked_fill
    masked_scatter = _scatter.masked_scatter
    masked_select = _dynamic.masked_select
    matmul = _linalg.matmul
    matrix_exp = _decompositions.matrix_exp
    max = _reduce.max
    max_pool1d = _pool_sides.max_pool1d
    max_pool2d = _pool.max_pool2d
    max_pool3d = _pool_sides.max_pool3d
    max_unpool1d = _pool_sides.max_unpool1d
    max_unpool2d = _pool_sides.max_unpool2d
    max_unpool3d = _pool_sides.max_unpool3d
    maximum = _elementwise.maximum
    mean = _reduce.mean
    median = _order.median
    min = _reduce.min
    minimum = _elementwise.minimum
    mish = _activation.mish
    mm = _products.mm
    mode = _order.mode
    moveaxis = _arrange.movedim
    movedim = _arrange.movedim
    mse_loss = _loss.mse_loss
    msort = _order.msort
    mul = _elementwise.mul
    multi_margin_loss = _loss_margin.multi_margin_loss
    multilabel_margin_loss = _loss_margin.multilabel_margin_loss
    multilabel_soft_margin_loss = _loss_margin.multilabel_soft_margin_loss
    multinomial = _sampling.multinomial
    mv = _products.mv
    mvlgamma = _formulas.mvlgamma
    nan_to_num = _formulas.nan_to_num
    nanmean = _statistics.nanmean
    nanmedian = _order.nanmedian
    nanquantile = _order.nanquantile
    nansum = _statistics.nansum
    narrow = _shape.narrow
    ne = _compare.not_equal
    neg = _elementwise.neg
    negative_sampling_loss = _candidates.negative_sampling_loss
    new_full = _create.new_full
    new_ones = _create.new_ones
    new_zeros = _create.new_zeros
    nextafter = _special.nextafter
    nll_loss = _loss.nll_loss
    nonzero = _dynamic.nonzero
    norm = _norms.norm
    normalize = _activation.normalize
    not_equal = _compare.not_equal
    one_hot = _index.one_hot
    ones_like = _create.ones_like
    outer = _products.outer
    pad = _shape.pad
    pdist = _products.pdist
    permute = one_by_one(_shape.permute)
    pinverse = _decompositions.pinverse
    pixel_shuffle = _patches.pixel_shuffle
    pixel_unshuffle = _patches.pixel_unshuffle
    poisson_nll_loss = _loss_margin.poisson_nll_loss
    polygamma = _formulas.polygamma
    positive = _formulas.positive
    pow = _elementwise.pow
    prelu = _activation.prelu
    prod = _reduce.prod
    put = _scatter.put
    qr = _decompositions.qr
    quantile = _order.quantile
    quantile_loss = _loss_margin.quantile_loss
    rad2deg = _formulas.rad2deg
    rand_like = _create.rand_like
    randint_like = _sampling.randint_like
    randn_like = _create.randn_like
    ravel = _arrange.ravel
    reciprocal = _elementwise.reciprocal
    relu = _activation.relu
    relu6 = _activation.relu6
    remainder = _formulas.remainder
    renorm = _statistics.renorm
    repeat = _arrange.repeat
    repeat_interleave = _arrange.repeat_interleave
    reshape = one_by_one(_shape.reshape)
    reshape_as = _arrange.view_as
    rms_norm = _norm.rms_norm
    roll = _arrange.roll
    rot90 = _arrange.rot90
    round = _elementwise.round
    rsqrt = _elementwise.rsqrt
    rsub = _formulas.rsub
    sampled_softmax_loss = _candidates.sampled_softmax_loss
    scatter = _scatter.scatter
    scatter_add = _scatter.scatter_add
    scatter_reduce = _scatter.scatter_reduce
    select = _arrange.select
    select_scatter = _parts.select_scatter
    selu = _activation.selu
    sgn = _formulas.sgn
    sigmoid = _activation.sigmoid
    sigmoid_focal_loss = _loss_margin.sigmoid_focal_loss
    sign = _elementwise.sign
    signbit = _formulas.signbit
    silu = _activation.silu
    sin = _elementwise.sin
    sinc = _formulas.sinc
    sinh = _special.sinh
    slice_scatter = _parts.slice_scatter
    smooth_l1_loss = _loss.smooth_l1_loss
    soft_margin_loss = _loss_margin.soft_margin_loss
    softmax = _activation.softmax
    softmin = _activation.softmin
    softplus = _activation.softplus
    softshrink = _activation.softshrink
    softsign = _activation.softsign
    sort = _order.sort
    split = _shape.split
    split_with_sizes = _arrange.split_with_sizes
    sqrt = _elementwise.sqrt
    square = _elementwise.square
    squeeze = _shape.squeeze
    std = _reduce.std
    std_mean = _statistics.std_mean
    stop_gradient = _elementwise.stop_gradient
    sub = _elementwise.sub
    sum = _reduce.sum
    sum_to_size = _arrange.sum_to_size
    swapaxes = _arrange.swapaxes
    swapdims = _arrange.swapdims
    t = _arrange.t
    take = _scatter.take
    take_along_dim = _scatter.take_along_dim
    tan = _special.tan
    tanh = _elementwise.tanh
    tanhshrink = _activation.tanhshrink
    tensor_split = _arrange.tensor_split
    threshold = _activation.threshold
    tile = _arrange.tile
    def to(
        self: Any,
        *target: Any,
        dtype: Any = None,
        device: Any = None,
        non_blocking: bool = False,
        copy: bool = False,
        memory_format: Any = None,
    ) -> Tensor: ...
    def tolist(self: Any) -> Any: ...
    topk = _order.topk
    trace = _diagonal.trace
    transpose = _shape.transpose
    triangular_solve = _decompositions.triangular_solve
    tril = _create.tril
    triu = _create.triu
    true_divide = _formulas.true_divide
    trunc = _formulas.trunc
    def type_as(self: Any, other: Any) -> Tensor: ...
    unbind = _arrange.unbind
    unflatten = _shape.unflatten
    def unfold(self: Any, dimension: int, size: int, step: int) -> Tensor: ...
    unfold_dim = _arrange.unfold_dim
    unique = _dynamic.unique
    unique_consecutive = _dynamic.unique_consecutive
    unravel_index = _histogram.unravel_index
    unsqueeze = _shape.unsqueeze
    upsample_bilinear = _resize.upsample_bilinear
    upsample_nearest = _resize.upsample_nearest
    var = _reduce.var
    var_mean = _statistics.var_mean
    vdot = _products.dot
    view = one_by_one(_shape.reshape)
    view_as = _arrange.view_as
    vsplit = _arrange.vsplit
    weighted_mean = _mean.weighted_mean
    def where(self: Any, condition: Any, other: Any) -> Tensor: ...
    xlog1py = _special.xlog1py
    xlogy = _special.xlogy
    zeros_like = _create.zeros_like
    zeta = _special.zeta
    def bool(self: Any, memory_format: Any = None) -> Tensor: ...
    def float(self: Any, memory_format: Any = None) -> Tensor: ...
    def int(self: Any, memory_format: Any = None) -> Tensor: ...
