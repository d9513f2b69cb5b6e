"""Other arrangements of the same elements."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, bools, case, check, integers, normal, run

from ravine import _core, ops
from ravine.record import apply

CASES = [
    case("reshape", lambda x: ops.reshape(x, (5, 12)) ** 2, lambda x: x.reshape(5, 12) ** 2, normal(3, 4, 5)),
    case("reshape, -1", lambda x: ops.reshape(x, (2, -1)), lambda x: x.reshape(2, -1), normal(3, 4)),
    case("reshape of a transposed", lambda x: ops.reshape(ops.permute(x, (1, 0, 2)), (4, 15)) * 2,
         lambda x: x.transpose(1, 0, 2).reshape(4, 15) * 2, normal(3, 4, 5)),
    case("reshape splits a transposed", lambda x: ops.reshape(x.transpose(0, 1), (2, 2, 6)),
         lambda x: x.T.reshape(2, 2, 6), normal(6, 4)),
    case("reshape of a slice", lambda x: ops.reshape(x[:, 1:3], (-1,)), lambda x: x[:, 1:3].reshape(-1),
         normal(5, 4)),
    case("reshape of a broadcast", lambda x: ops.reshape(ops.broadcast_to(x, (3, 2, 4)), (6, 4)),
         lambda x: np.broadcast_to(x, (3, 2, 4)).reshape(6, 4), normal(2, 4)),
    case("reshape to a scalar", lambda x: ops.reshape(x, ()), lambda x: x.reshape(()), normal(1, 1)),
    case("reshape, empty", lambda x: ops.reshape(x, (2, 0, 3)), lambda x: x.reshape(2, 0, 3), normal(0, 4)),
    case("reshape of units", lambda x: ops.reshape(x, (1, 3, 1, 4, 1)), lambda x: x.reshape(1, 3, 1, 4, 1),
         normal(3, 4)),
    case("flatten", ops.flatten, np.ravel, normal(3, 4, 5)),
    case("flatten from 1", lambda x: ops.flatten(x, 1), lambda x: x.reshape(3, -1), normal(3, 4, 5)),
    case("unflatten", lambda x: ops.unflatten(x, 1, (2, -1)), lambda x: x.reshape(3, 2, 4), normal(3, 8)),
    case("transpose", lambda x: ops.transpose(x, 0, 1), lambda x: x.T, normal(3, 5)),
    case("permute", lambda x: ops.permute(x, (2, 0, -2)), lambda x: x.transpose(2, 0, 1), normal(3, 4, 5)),
    case("permute twice", lambda x: ops.permute(ops.permute(x, (2, 0, 1)), (2, 0, 1)) * x.reshape((4, 5, 3)),
         lambda x: x.transpose(1, 2, 0) * x.reshape(4, 5, 3), normal(3, 4, 5)),
    case("unsqueeze", lambda x: ops.unsqueeze(x, -1), lambda x: x[..., None], normal(3, 4)),
    case("squeeze", ops.squeeze, np.squeeze, normal(3, 1, 4, 1)),
    case("squeeze one", lambda x: ops.squeeze(x, 1), lambda x: x[:, 0], normal(3, 1, 4, 1)),
    case("broadcast_to", lambda x: ops.broadcast_to(x, (2, 3, 4)), lambda x: np.broadcast_to(x, (2, 3, 4)),
         normal(3, 1)),
    case("broadcast_to nothing", lambda x: ops.broadcast_to(x, (0, 3)), lambda x: np.broadcast_to(x, (0, 3)),
         normal(3)),
    case("expand", lambda x: ops.expand(x, 4, -1, 5), lambda x: np.broadcast_to(x, (4, 3, 5)), normal(3, 1)),
    case("slice", lambda x: x[1:, 2], lambda x: x[1:, 2], normal(4, 5)),
    case("slice with steps", lambda x: x[::2, 1:9:3] * 3, lambda x: x[::2, 1:9:3] * 3, normal(5, 10)),
    case("slice with a step beyond the end", lambda x: x[1::2**62], lambda x: x[1::2**62], normal(5)),
    case("slice from the end", lambda x: x[-3:-1, -1], lambda x: x[-3:-1, -1], normal(5, 4)),
    case("slice, ellipsis and new axis", lambda x: x[..., None, 1:2], lambda x: x[..., None, 1:2],
         normal(3, 4)),
    case("slice to nothing", lambda x: x[2:2], lambda x: x[2:2], normal(5, 4)),
    case("slice backwards", lambda x: x[::-1, ::-2], lambda x: x[::-1, ::-2], normal(5, 4)),
    case("slices overlap", lambda x: x[:-1] * x[1:], lambda x: x[:-1] * x[1:], normal(9)),
    case("narrow", lambda x: ops.narrow(x, 1, 2, 3), lambda x: x[:, 2:5], normal(3, 7)),
    case("split", lambda x: ops.split(x, 3, 1), lambda x: [x[:, :3], x[:, 3:6], x[:, 6:]], normal(2, 7)),
    case("split by sizes", lambda x: ops.split(x, [1, 0, 4]), lambda x: [x[:1], x[1:1], x[1:]], normal(5, 2)),
    case("chunk", lambda x: ops.chunk(x, 3), lambda x: [x[:3], x[3:6], x[6:]], normal(7, 2)),
    case("concat", lambda a, b, c: ops.concat([a, b, c], 1), lambda a, b, c: np.concatenate([a, b, c], 1),
         normal(3, 4), normal(3, 1), normal(3, 7)),
    case("concat of one tensor thrice", lambda a: ops.cat([a, a * a, a]),
         lambda a: np.concatenate([a, a * a, a]), normal(3, 4)),
    case("concat with nothing", lambda a, b: ops.concat([a, b]), lambda a, b: np.concatenate([a, b]),
         normal(0, 4), normal(2, 4)),
    case("stack", lambda a, b: ops.stack([a, b], 1), lambda a, b: np.stack([a, b], 1), normal(3, 4),
         normal(3, 4, seed=1)),
    case("pad", lambda x: ops.pad(x, (1, 2)), lambda x: np.pad(x, ((0, 0), (1, 2))), normal(3, 4)),
    case("pad, two dimensions and a value", lambda x: ops.pad(x, (1, 2, 0, 3), value=1.5),
         lambda x: np.pad(x, ((0, 3), (1, 2)), constant_values=1.5), normal(3, 4)),
    case("pad of nothing", lambda x: ops.pad(x, (1, 1)), lambda x: np.pad(x, (1, 1)), normal(0)),
    case("pad by nothing", lambda x: ops.pad(x, (0, 0)), lambda x: x, normal(3, 4)),
    case("pad, negative", lambda x: ops.pad(x, (-1, 2, 1, -2), "constant", 3.0),
         lambda x: np.pad(x[:-2, 1:], ((1, 0), (0, 2)), constant_values=3.0), normal(4, 3)),
    case("pad, reflect", lambda x: ops.pad(x, (2, 1, 1, 3), "reflect"),
         lambda x: np.pad(x, ((0, 0), (1, 3), (2, 1)), "reflect"), normal(2, 4, 3)),
    case("pad, reflect and cut", lambda x: ops.pad(x, (2, -1), "reflect"),
         lambda x: np.pad(x, ((0, 0), (2, 0)), "reflect")[:, :-1], normal(2, 4)),
    case("pad, replicate", lambda x: ops.pad(x, (2, 5), "replicate"),
         lambda x: np.pad(x, ((0, 0), (2, 5)), "edge"), normal(2, 3)),
    case("pad, circular and cut", lambda x: ops.pad(x, (-1, 2), "circular"), lambda x: x[:, [1, 2, 3, 1, 2]],
         normal(2, 4)),
    case("flip of no dimension", lambda x: ops.flip(x, ()), lambda x: x, normal(2, 3)),
    case("pad, circular", lambda x: ops.pad(x, (3, 1, 2, 0), "circular"),
         lambda x: np.pad(x, ((2, 0), (3, 1)), "wrap"), normal(2, 3)),
    case("narrow from the end", lambda x: ops.narrow(x, 1, -3, 2), lambda x: x[:, -3:-1], normal(2, 5)),
    case("narrow of nothing", lambda x: ops.narrow(x, 0, 3, 0), lambda x: x[3:], normal(3, 2)),
    case("narrow at a recorded place", lambda x, i: ops.narrow(x, 1, i, 2),
         lambda x, i: x[:, int(i[0]) :][:, :2], normal(2, 5), np.array([-4])),
    case("transpose of a scalar", lambda x: ops.transpose(x, 0, -1), lambda x: x, normal()),
    case("squeeze of a scalar", lambda x: ops.squeeze(x, -1), lambda x: x, normal()),
    case("concat with nothing", lambda x, y: ops.concat([y, x, y], 1), lambda x, y: x, normal(2, 3),
         normal(0)),
    case("flip", lambda x: ops.flip(x, (0, 2)), lambda x: np.flip(x, (0, 2)), normal(3, 2, 5)),
    case("flip of a transposed", lambda x: ops.flip(x.transpose(0, 1), 1), lambda x: np.flip(x.T, 1),
         normal(3, 5)),
    case("flip, empty", lambda x: ops.flip(x, 0), lambda x: np.flip(x, 0), normal(0, 5)),
    case("slice of integers", lambda x: x[1:, ::2], lambda x: x[1:, ::2],
         integers(5, 6, high=9, dtype="uint8"), gradient=False),
    case("concat of bools", lambda a, b: ops.concat([a, b]), lambda a, b: np.concatenate([a, b]), bools(3),
         bools(5), gradient=False),
    case("pad of integers", lambda x: ops.pad(x, (2, 1), value=7),
         lambda x: np.pad(x, (2, 1), constant_values=7), integers(5, high=9, dtype="int32"), gradient=False),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


def test_concat_takes_the_wider_dtype() -> None:
    y = run(lambda a, b: ops.concat([a, b]), np.ones(2, "float32"), np.ones(3, "float64"))
    assert y.dtype == "float64"
    np.testing.assert_array_equal(y, np.ones(5))


def test_views_need_no_kernel() -> None:
    graph = _core.Graph()
    x = graph.input((6, 4), "float32")
    y = graph.apply("reshape", [x], {"shape": (2, 3, 4)})
    y = graph.apply("transpose", y, {"axes": (2, 0, 1)})
    y = graph.apply("slice", y, {"start": (1, 0, 0), "stop": (4, 2, 3), "step": (2, 1, 1)})
    program = _core.Program(graph, graph.apply("square", y, {}))
    assert program.n_calls == 1
    a = np.arange(24, dtype="float32").reshape(6, 4)
    np.testing.assert_array_equal(program.run([a])[0], a.reshape(2, 3, 4).transpose(2, 0, 1)[1:4:2] ** 2)


BAD = [
    (lambda: ops.reshape(np.ones((2, 3)), (4, 2)), ValueError,
     r"reshape: cannot reshape \(2, 3\) \(6 elements\) to \(4, 2\)"),
    (lambda: ops.reshape(np.ones((2, 3)), (-1, -1)), ValueError, "reshape: only one extent may be -1"),
    (lambda: ops.reshape(np.ones((2, 3)), (-2, 3)), ValueError, r"reshape: negative extent in \(-2, 3\)"),
    (lambda: ops.reshape(np.ones((0, 3)), (-1, 0)), ValueError, "reshape: cannot reshape"),
    (lambda: ops.reshape(np.ones((0, 3)), (2**40, 2**40)), ValueError,
     r"reshape: cannot reshape \(0, 3\) .0 elements. to"),
    (lambda: apply("pad", np.ones(3), before=(2**62,), after=(2**62,)), ValueError,
     "pad: before .* is too large"),
    (lambda: ops.broadcast_to(np.ones(1), (2**40, 2**40, 3)), ValueError, "broadcast_to: .* is too large"),
    (lambda: ops.broadcast_to(np.ones((2, 3)), (3, 3)), ValueError,
     r"shape \(2, 3\) does not broadcast to \(3, 3\)"),
    (lambda: ops.broadcast_to(np.ones((2, 3)), (3,)), ValueError,
     r"shape \(2, 3\) does not broadcast to \(3,\)"),
    (lambda: ops.permute(np.ones((2, 3)), (0, 0)), ValueError, r"permute.*\(0, 0\)"),
    (lambda: ops.concat([np.ones((2, 3)), np.ones((3, 2))]), ValueError,
     r"concat: shapes \(2, 3\), \(3, 2\) differ"),
    (lambda: ops.concat([]), ValueError, "concat"),
    (lambda: ops.pad(np.ones((2, 3)), (-4, 0)), ValueError,
     r"pad: \(-4, 0\) cuts more than dimension 1 of shape \(2, 3\)"),
    (lambda: ops.pad(np.ones((2, 3)), (-2, -2)), ValueError, r"pad: \(-2, -2\) cuts more than dimension 1"),
    (lambda: ops.pad(np.ones((2, 3)), (3, 0), "reflect"), ValueError,
     "pad: mode 'reflect' takes at most 2 elements on a side of dimension 1"),
    (lambda: ops.pad(np.ones((2, 3)), (0, 4), "circular"), ValueError,
     "pad: mode 'circular' takes at most 3 elements"),
    (lambda: ops.pad(np.ones((2, 0)), (1, 0), "replicate"), ValueError,
     "pad: mode 'replicate' takes at most 0 elements"),
    (lambda: ops.pad(np.ones(3), (1, 0), "mirror"), ValueError,
     "pad: mode must be 'constant', 'reflect', .* got 'mirror'"),
    (lambda: ops.pad(np.ones(3), (1, 0), "reflect", 2.0), ValueError,
     "pad: mode 'reflect' takes no value, got 2.0"),
    (lambda: ops.pad(np.ones(3), (1, 0), 1.5), ValueError,
     "pad: mode must be 'constant', 'reflect', .* got 1.5"),
    (lambda: ops.narrow(np.ones(3), 0, -4, 1), IndexError,
     r"narrow: start -4 lies outside of dimension 0 of shape \(3,\)"),
    (lambda: ops.narrow(np.ones(3), 0, -1, 2), ValueError, "narrow: -1 to 1 exceeds dimension 0"),
    (lambda: ops.narrow(np.ones(3), 0, 0, -1), ValueError, "narrow: length must be at least 0, got -1"),
    (lambda: ops.narrow(np.ones(3), 0, np.ones(2), 1), TypeError,
     "narrow: start must be an integer or a tensor with one integer"),
    (lambda: ops.narrow(np.float32(1), 0, 0, 1), IndexError,
     "narrow: dim 0 is out of range for a tensor of 0 dimensions"),
    (lambda: ops.transpose(np.ones((2, 3)), 0, 2), IndexError, "dim 2 is out of range"),
    (lambda: ops.split(np.ones(5), [2, 2]), ValueError, "split"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
