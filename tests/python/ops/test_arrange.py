"""Creation, rearranging, cutting, joining, diagonals."""

from __future__ import annotations

import numpy as np
import pytest
from helper import Case, bools, case, check, integers, normal

from ravine import ops

CONSTANTS = [
    (ops.zeros(2, 3), np.zeros((2, 3), "float32")),
    (ops.zeros((2, 0), dtype="int64"), np.zeros((2, 0), "int64")),
    (ops.ones(2, dtype=bool), np.ones(2, bool)),
    (ops.full((2,), 3), np.full(2, 3)),
    (ops.full((2,), 3.0), np.full(2, 3, "float32")),
    (ops.full((), True), np.array(True)),
    (ops.zeros_like(np.ones((2, 1), "int32")), np.zeros((2, 1), "int32")),
    (ops.ones_like([2.0], dtype="float64"), np.ones(1)),
    (ops.full_like([2.0], 7), np.full(1, 7, "float32")),
    (ops.arange(5), np.arange(5)),
    (ops.arange(1, 2, 0.25, dtype="float64"), np.arange(1, 2, 0.25)),
    (ops.arange(5, -1, -2), np.arange(5, -1, -2)),
    (ops.arange(0, 1, 0.3), np.arange(0, 1, 0.3).astype("float32")),
    (ops.linspace(-1, 1, 5, dtype="float64"), np.linspace(-1, 1, 5)),
    (ops.linspace(2, 3, 1), np.array([2], "float32")),
    (ops.linspace(np.array(0), 1, 5), np.linspace(0, 1, 5, dtype="float32")),
    (ops.logspace(np.array(0), np.array(1), 3), np.array([1, 10**0.5, 10], "float32")),
    (ops.logspace(0, 3, 4, base=2.0, dtype="float64"), np.array([1.0, 2, 4, 8])),
    (ops.eye(2, 3, dtype="float64"), np.eye(2, 3)),
    (ops.tril_indices(3, 4, 1), np.stack(np.tril_indices(3, 1, 4))),
    (ops.triu_indices(3, 4, -1), np.stack(np.triu_indices(3, -1, 4))),
    (ops.isreal([1.0, 2.0]), np.array([True, True])),
]


@pytest.mark.parametrize("place", range(len(CONSTANTS)))
def test_constant(place: int) -> None:
    got, want = CONSTANTS[place]
    np.testing.assert_array_equal(got.numpy(), want)
    assert got.numpy().dtype == want.dtype


def windows(x: np.ndarray, size: int, step: int) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(x, size, 1)[:, ::step]


CASES = [
    case("full of a tensor", lambda x: ops.full((2, 3), x), lambda x: np.full((2, 3), x), np.array(1.5)),
    case("linspace of tensors", lambda a, b: ops.linspace(a, b, 4, dtype=a.dtype),
         lambda a, b: np.linspace(a, b, 4), np.array(1.0), np.array(3.0)),
    case("tril", lambda x: ops.tril(x, -1), lambda x: np.tril(x, -1), normal(2, 4, 3)),
    case("triu", lambda x: ops.triu(x, 1), lambda x: np.triu(x, 1), normal(4, 5)),
    case("meshgrid", lambda a, b: ops.meshgrid(a, b), lambda a, b: np.meshgrid(a, b, indexing="ij"),
         normal(3), normal(4)),
    case("meshgrid, xy", lambda a, b: ops.meshgrid([a, b], indexing="xy"), lambda a, b: np.meshgrid(a, b),
         normal(3), normal(4)),
    case("broadcast_tensors", lambda a, b: ops.broadcast_tensors(a, b), np.broadcast_arrays, normal(3, 1),
         normal(4)),
    case("movedim", lambda x: ops.movedim(x, (0, 1), (-1, 0)), lambda x: np.moveaxis(x, (0, 1), (-1, 0)),
         normal(2, 3, 4)),
    case("moveaxis", lambda x: ops.moveaxis(x, 0, 2), lambda x: np.moveaxis(x, 0, 2), normal(2, 3, 4)),
    case("swapaxes", lambda x: ops.swapaxes(x, 0, 2), lambda x: np.swapaxes(x, 0, 2), normal(2, 3, 4)),
    case("swapdims", lambda x: ops.swapdims(x, 0, 1), lambda x: np.swapaxes(x, 0, 1), normal(2, 3)),
    case("t", ops.t, np.transpose, normal(2, 3)),
    case("ravel", ops.ravel, np.ravel, normal(2, 3)),
    case("atleast_1d", ops.atleast_1d, np.atleast_1d, np.array(2.0)),
    case("atleast_2d", ops.atleast_2d, np.atleast_2d, normal(3)),
    case("atleast_3d", ops.atleast_3d, np.atleast_3d, normal(2, 3)),
    case("repeat", lambda x: ops.repeat(x, 2, 1, 3), lambda x: np.tile(x, (2, 1, 3)), normal(2, 3)),
    case("repeat of rank 5", lambda x: ops.repeat(x, (2, 1, 1, 2, 1)), lambda x: np.tile(x, (2, 1, 1, 2, 1)),
         normal(1, 2, 1, 2, 2)),
    case("tile", lambda x: ops.tile(x, 2), lambda x: np.tile(x, 2), normal(2, 3)),
    case("repeat_interleave", lambda x: ops.repeat_interleave(x, np.array([0, 2, 1]), 1),
         lambda x: np.repeat(x, [0, 2, 1], 1), normal(2, 3)),
    case("repeat_interleave, all", lambda x: ops.repeat_interleave(x, 2), lambda x: np.repeat(x, 2),
         normal(2, 2)),
    case("roll", lambda x: ops.roll(x, (1, -2), (0, 1)), lambda x: np.roll(x, (1, -2), (0, 1)), normal(3, 5)),
    case("roll, flattened", lambda x: ops.roll(x, 4), lambda x: np.roll(x, 4), normal(2, 3)),
    *[case(f"rot90, {k}", lambda x, k=k: ops.rot90(x, k), lambda x, k=k: np.rot90(x, k), normal(2, 3))
      for k in (0, 1, 2, 3)],
    case("fliplr", ops.fliplr, np.fliplr, normal(2, 3)),
    case("flipud", ops.flipud, np.flipud, normal(3)),
    case("hstack", lambda a, b: ops.hstack([a, b]), lambda a, b: np.hstack([a, b]), normal(2, 3), normal(2,
         1)),
    case("vstack", lambda a, b: ops.vstack([a, b]), lambda a, b: np.vstack([a, b]), normal(3), normal(2, 3)),
    case("row_stack", lambda a, b: ops.row_stack([a, b]), lambda a, b: np.vstack([a, b]), normal(3),
         normal(3, seed=1)),
    case("dstack", lambda a, b: ops.dstack([a, b]), lambda a, b: np.dstack([a, b]), normal(3), normal(3,
         seed=1)),
    case("column_stack", lambda a, b: ops.column_stack([a, b]), lambda a, b: np.column_stack([a, b]),
         normal(3),
         normal(3, 2)),
    case("block_diag", lambda a, b: ops.block_diag(a, b),
         lambda a, b: np.block([[a, np.zeros((2, 2))], [np.zeros((1, 3)), b[None]]]), normal(2, 3),
         normal(2)),
    case("unbind", lambda x: ops.unbind(x, 1), lambda x: [x[:, i] for i in range(3)], normal(2, 3)),
    case("select", lambda x: ops.select(x, 1, -1), lambda x: x[:, -1], normal(2, 3)),
    case("tensor_split", lambda x: ops.tensor_split(x, 3, 1), lambda x: np.array_split(x, 3, 1), normal(2,
         7)),
    case("tensor_split at", lambda x: ops.tensor_split(x, (2, 5)), lambda x: np.array_split(x, (2, 5)),
         normal(7)),
    case("hsplit", lambda x: ops.hsplit(x, 2), lambda x: np.hsplit(x, 2), normal(2, 4)),
    case("vsplit", lambda x: ops.vsplit(x, [1]), lambda x: np.vsplit(x, [1]), normal(3, 2)),
    case("dsplit", lambda x: ops.dsplit(x, 2), lambda x: np.dsplit(x, 2), normal(1, 2, 4)),
    case("split_with_sizes", lambda x: ops.split_with_sizes(x, [1, 2]), lambda x: np.split(x, [1]),
         normal(3)),
    case("diagonal", lambda x: ops.diagonal(x, 1, 0, 2), lambda x: np.diagonal(x, 1, 0, 2), normal(3, 2, 4)),
    case("diag_embed", lambda x: ops.diag_embed(x, -1), lambda x: np.stack([np.diag(r, -1) for r in x]),
         normal(2, 3)),
    case("diag", lambda x: ops.diag(x, 2), lambda x: np.diag(x, 2), normal(3)),
    case("diag of a matrix", lambda x: ops.diag(x, -1), lambda x: np.diag(x, -1), normal(3, 4)),
    case("diagflat", ops.diagflat, np.diagflat, normal(2, 2)),
    case("trace", ops.trace, np.trace, normal(3, 4)),
    case("unfold_dim", lambda x: ops.unfold_dim(x, 1, 3, 2), lambda x: windows(x, 3, 2), normal(2, 8)),
    case("expand_as", ops.expand_as, lambda x, y: np.broadcast_to(x, y.shape), normal(3, 1), normal(2, 3, 4)),
    case("view_as", ops.view_as, lambda x, y: x.reshape(y.shape), normal(6), normal(2, 3)),
    case("reshape_as", ops.reshape_as, lambda x, y: x.reshape(y.shape), normal(6), normal(3, 2)),
    case("sum_to_size", lambda x: ops.sum_to_size(x, 3, 1), lambda x: x.sum(0).sum(1, keepdims=True),
         normal(2, 3, 4)),
    case("cartesian_prod", lambda a, b: ops.cartesian_prod(a, b),
         lambda a, b: np.stack([np.repeat(a, 3), np.tile(b, 2)], 1), normal(2), normal(3)),
    case("select_scatter", lambda x, s: ops.select_scatter(x, s, 1, 0) ** 2,
         lambda x, s: np.column_stack([s, x[:, 1:]]) ** 2, normal(3, 2), normal(3)),
    case("slice_scatter", lambda x, s: ops.slice_scatter(x, s, 0, 1, None, 2),
         lambda x, s: np.array([x[0], s[0], x[2], s[1]]), normal(4), normal(2)),
    case("diagonal_scatter", lambda x, s: ops.diagonal_scatter(x, s, 1),
         lambda x, s: np.where(np.eye(3, k=1) > 0, np.append(0, s), x), normal(3, 3), normal(2)),
    case("rand_like", lambda x: ops.rand_like(x) * 0 + x, lambda x: x, normal(3)),
    case("randn_like", lambda x: ops.randn_like(x) * 0 + x, lambda x: x, normal(3)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation(case: Case) -> None:
    check(case)


def test_random_choices() -> None:
    chances = np.full(2000, 0.3)
    assert 500 < ops.bernoulli(chances).numpy().sum() < 700
    assert set(np.unique(ops.bernoulli(np.zeros(9), 0.5).numpy())) <= {0.0, 1.0}
    drawn = ops.multinomial(np.array([[1.0, 0, 3], [0, 2, 0]]), 1000, replacement=True).numpy()
    assert drawn.dtype == "int64"
    assert 150 < (drawn[0] == 0).sum() < 350 and not (drawn[0] == 1).any() and (drawn[1] == 1).all()
    order = ops.multinomial(np.arange(1.0, 6), 5).numpy()
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert sorted(ops.randperm(7).numpy()) == list(range(7))
    numbers = ops.randint(-2, 3, (1000,)).numpy()
    assert set(numbers) == {-2, -1, 0, 1, 2} and numbers.dtype == "int64"
    assert ops.randint_like(np.zeros(3, "float32"), 4).numpy().dtype == "float32"
    sample = ops.normal(np.full(4000, 3.0), 0.5).numpy()
    assert abs(sample.mean() - 3) < 0.05 and abs(sample.std() - 0.5) < 0.05


X = np.zeros((2, 3), "float32")
MAKERS = {
    "zeros": lambda **place: ops.zeros((2, 3), **place),
    "ones": lambda **place: ops.ones(2, 3, **place),
    "full": lambda **place: ops.full((2, 3), 1.0, **place),
    "eye": lambda **place: ops.eye(2, 3, **place),
    "arange": lambda **place: ops.arange(6, **place),
    "linspace": lambda **place: ops.linspace(0, 1, 6, **place),
    "logspace": lambda **place: ops.logspace(0, 1, 6, **place),
    "zeros_like": lambda **place: ops.zeros_like(X, **place),
    "ones_like": lambda **place: ops.ones_like(X, **place),
    "full_like": lambda **place: ops.full_like(X, 1.0, **place),
    "rand": lambda **place: ops.rand((2, 3), **place),
    "randn": lambda **place: ops.randn(2, 3, **place),
    "rand_like": lambda **place: ops.rand_like(X, **place),
    "randn_like": lambda **place: ops.randn_like(X, **place),
    "randint": lambda **place: ops.randint(3, (2, 3), **place),
    "randint_like": lambda **place: ops.randint_like(X, 3, **place),
    "randperm": lambda **place: ops.randperm(6, **place),
    "normal": lambda **place: ops.normal(0.0, 1.0, (2, 3), **place),
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_makes_tensors_takes_a_place(name: str) -> None:
    """PyTorch's `device` and `requires_grad`, where they can mean only one thing."""
    make = MAKERS[name]
    assert make(device="cpu", requires_grad=False, dtype="float64").dtype == "float64"
    assert np.prod(make(device=None).shape) == 6
    with pytest.raises(ValueError, match=rf"^{name}: the only device is 'cpu', got 'cuda'"):
        make(device="cuda")
    with pytest.raises(ValueError, match=rf"^{name}: requires_grad=True: .* rv.nn.Parameter"):
        make(requires_grad=True)


BAD = [
    (lambda: ops.zeros(-1), ValueError, "zeros: sizes must not be negative"),
    (lambda: ops.zeros(2, device="cuda"), ValueError, "zeros: the only device is 'cpu'"),
    (lambda: ops.eye(2, requires_grad=True), ValueError, "eye: requires_grad=True: tensors do not collect"),
    (lambda: ops.arange(0, 5, -1), ValueError, "arange: step -1 leads from 0 away from 5"),
    (lambda: ops.tril(np.ones(3)), ValueError, r"tril: a matrix .* got shape \(3,\)"),
    (lambda: ops.meshgrid(np.ones((2, 2))), ValueError, "meshgrid: vectors are expected"),
    (lambda: ops.repeat(np.ones((2, 2)), 2), ValueError, r"repeat: \(2,\) must name every dimension"),
    (lambda: ops.rot90(np.ones((2, 2)), 1, (0, 0)), ValueError, "rot90: two different dimensions"),
    (lambda: ops.hsplit(np.ones((2, 3)), 2), ValueError, "hsplit: dimension 1 .* 2 equal parts"),
    (lambda: ops.multinomial(np.ones(2), 3), ValueError, "multinomial: 3 different indices of 2"),
    (lambda: ops.randint(3, 3, (2,)), ValueError, "randint: high must be above low"),
    (lambda: ops.select_scatter(np.ones((2, 2)), np.ones(3), 0, 0), ValueError,
     "select_scatter: src must have"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_integers_and_bools_are_rearranged() -> None:
    x, b = integers(2, 3, high=9, dtype="uint8"), bools(2, 3)
    np.testing.assert_array_equal(ops.roll(x, 1, 1).numpy(), np.roll(x, 1, 1))
    np.testing.assert_array_equal(ops.tril(b).numpy(), np.tril(b))
    np.testing.assert_array_equal(ops.unbind(b)[1].numpy(), b[1])
