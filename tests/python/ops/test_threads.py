"""Tensors large enough to be divided: 1, 2, 3 and 5 threads give the same bits, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, Programs, case, in_dtype, integers, normal

import ravine as rv
from ravine import ops

CASES = [
    case("chain", lambda x, y: ops.gelu(x * y + 1) / (ops.square(y) + 1), None, normal(517, 1031),
         normal(1031)),
    case("sum", ops.sum, None, normal(300_007)),
    case("sum of columns", lambda x: ops.sum(x, 0), None, normal(40_003, 7)),
    case("sum of rows", lambda x: ops.sum(x, 1), None, normal(37, 20_011)),
    case("sum of images", lambda x: ops.sum(x, (0, 2, 3)), None, normal(16, 33, 31, 29)),
    case("largest", lambda x: ops.amax(x, 0), None, normal(20_001, 33)),
    case("variance", lambda x: ops.var(x, 1), None, normal(301, 2003)),
    case("product", lambda x: ops.prod(x, 0), None, normal(61, 4001)),
    case("embedding", ops.embedding, None, integers(9001, high=97), normal(97, 65)),
    case("gather", lambda x, i: ops.gather(x, 1, i), None, normal(901, 77), integers(901, 301, high=77)),
    case("transposed", lambda x: ops.tanh(x.transpose(0, 1)) + ops.flip(x.transpose(0, 1), 0), None,
         normal(701, 803)),
    case("matmul", lambda a, b: ops.relu(a @ b + 1), None, normal(331, 257), normal(257, 129)),
    case("conv2d", lambda x, w: ops.relu(ops.conv2d(x, w, padding=1)), None, normal(8, 16, 19, 17),
         normal(33, 16, 3, 3)),
    case("depthwise", lambda x, w: ops.conv2d(x, w, groups=16), None, normal(8, 16, 19, 17),
         normal(16, 1, 3, 3)),
    case("batch_norm", lambda x: ops.relu(ops.batch_norm(x, None, None, training=True)), None,
         normal(16, 33, 15, 15)),
    case("layer_norm", lambda x, w, b: ops.layer_norm(x, (257,), w, b), None, normal(901, 257), normal(257),
         normal(257)),
    case("max_pool2d", lambda x: ops.max_pool2d(x, 3, stride=2), None, normal(8, 17, 33, 31)),
    case("softmax", ops.softmax, None, normal(2003, 101)),
    case("cross_entropy", lambda x, t: ops.cross_entropy(x, t, label_smoothing=0.1), None, normal(4001, 33),
         integers(4001, high=33)),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_bits(case: Case, dtype: str) -> None:
    arrays = in_dtype(case.arrays, dtype)
    programs = Programs(case, arrays)
    gradient = programs.gradient_program()
    results = []
    for threads in (1, 2, 3, 5):
        with rv.threads(threads):
            results.append([*programs.forward(), *gradient.run(arrays)])
    for other in results[1:]:
        for one, same in zip(results[0], other, strict=True):
            assert np.isfinite(one).all()
            assert one.tobytes() == same.tobytes()
