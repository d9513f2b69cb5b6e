"""Methods of tensors: every function of `rv.ops` that takes a tensor first, and torch's other names."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops
from ravine.ops import _late, _methods


def first_argument(function: Any) -> str:
    return next(iter(inspect.signature(function).parameters))


FUNCTIONS = [
    n for n in ops.__all__ if n not in _late.NAMESPACES and first_argument(getattr(ops, n)) == "input"
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_the_method(name: str) -> None:
    function = getattr(ops, name)
    for kind in (rv.Tensor, nn.Parameter, nn.Buffer):
        method = getattr(kind, name)
        assert inspect.unwrap(method) is inspect.unwrap(function)
        assert method.__doc__ == function.__doc__


def test_what_makes_tensors_or_takes_several_is_no_method() -> None:
    assert len(FUNCTIONS) > 250
    for name in ("cat", "stack", "rand", "zeros", "arange", "einsum", "meshgrid", "cdist"):
        assert name not in FUNCTIONS
        assert not hasattr(rv.Tensor, name)


X = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]], "float32")
SPELLINGS = [
    (lambda x: x.sum(axis=1), X.sum(1)),
    (lambda x: x.sum(axis=1, keepdims=True), X.sum(1, keepdims=True)),
    (lambda x: x.mean(axis=(0, 1)), X.mean()),
    (lambda x: x.max(axis=0).indices, X.argmax(0)),
    (lambda x: x.argmin(axis=-1, keepdims=True), X.argmin(-1)[:, None]),
    (lambda x: x.std(axis=0, keepdim=True), X.std(0, ddof=1, keepdims=True)),
    (lambda x: x.flip(axis=1), X[:, ::-1]),
    (lambda x: x.flip(0, 1), X[::-1, ::-1]),
    (lambda x: x.softmax(axis=0).sum(0), np.ones(3)),
    (lambda x: ops.concat([x, x], axis=1), np.concatenate([X, X], 1)),
    (lambda x: x.reshape(3, 2), X.reshape(3, 2)),
    (lambda x: x.view((3, -1)), X.reshape(3, 2)),
    (lambda x: x.reshape(shape=(6,)), X.reshape(6)),
    (lambda x: x.permute(1, 0), X.T),
    (lambda x: x.T, X.T),
    (lambda x: x.t(), X.T),
    (lambda x: x[0].expand(4, -1), np.broadcast_to(X[0], (4, 3))),
    (lambda x: x[0].expand((4, 3)), np.broadcast_to(X[0], (4, 3))),
    (lambda x: x.where(x > 0, 0.0), np.maximum(X, 0)),
    (lambda x: x.max(2.0 * x.detach()), np.maximum(X, 2 * X)),
    (lambda x: x.clone().contiguous().cpu(), X),
    (lambda x: x.float(), X),
    (lambda x: x.double(), X.astype("float64")),
    (lambda x: x.int(), X.astype("int32")),
    (lambda x: x.long(), X.astype("int64")),
    (lambda x: x.bool(), X != 0),
    (lambda x: x.new_zeros(2, 3) + x, X),
    (lambda x: x.new_ones((2, 3)) * x, X),
    (lambda x: x.new_full((2, 3), 2.0) * x, 2 * X),
    (lambda x: x.mT, X.T),
    (lambda x: x.type_as(x.long()), X.astype("int64")),
    (lambda x: x % 2, X % 2),
    (lambda x: 7 // x, 7 // X),
    (lambda x: x.masked_fill(x > 0, 0.0).cumsum(1), np.minimum(X, 0).cumsum(1)),
    (lambda x: x.norm(dim=1), np.linalg.norm(X, axis=1)),
    (lambda x: x.any(axis=0), (X != 0).any(0)),
    (lambda x: x.to("cpu"), X),
    (lambda x: x.to("cpu", "float64"), X.astype("float64")),
    (lambda x: x.to(x.double(), non_blocking=True), X.astype("float64")),
    (lambda x: x.to(device="cpu", dtype="int32"), X.astype("int32")),
    (lambda x: 2.0**x, 2.0**X),
    (lambda x: np.ones((2, 2), "float32") @ x, np.ones((2, 2)) @ X),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(SPELLINGS)))
@pytest.mark.parametrize("kind", ["tensor", "parameter"])
def test_spelling(place: int, kind: str) -> None:
    call, want = SPELLINGS[place]
    x = nn.Parameter(X) if kind == "parameter" else ops.reshape(X, X.shape)
    got = call(x).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert got.dtype == np.asarray(want).dtype or want.dtype == "float64"


def test_clone_keeps_what_a_buffer_was_before_it_is_assigned() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = nn.Buffer(0.0)

        def forward(self, x):
            before = self.count.clone()
            self.count.assign(self.count + 1.0)
            return x * 0.0 + before

    counter = Counter()
    assert [float(counter(np.zeros(1, "float32"))[0]) for _ in range(3)] == [0.0, 1.0, 2.0]


BAD = [
    (lambda x: x.sum(axis=1, dim=1), TypeError, "sum: axis and dim mean the same; give one of them"),
    (lambda x: x.sum(dim=True), TypeError, "sum: dim must be an integer"),
    (lambda x: x.sum("rows"), TypeError, "sum: dim must be an integer, several, or None, got 'rows'"),
    (lambda x: x.to("cuda"), ValueError, "to: the only device is 'cpu', got 'cuda'"),
    (lambda x: x.to(device="cuda:1"), ValueError, "to: the only device is 'cpu', got 'cuda:1'"),
    (lambda x: x.to("float64", "int32"), TypeError, r"to: expected .*, got 'float64', 'int32'"),
    (lambda x: x.to("float64", dtype="int32"), TypeError, "to: expected a dtype, a device, or both"),
    (lambda x: x.to("cpu", device="cpu"), TypeError, r"to: expected .*, got 'cpu', 'cpu'"),
    (lambda x: x.unsqueeze(0).t(), ValueError, r"t: .* 2 dimensions is expected, got shape \(1, 2, 3\)"),
    (lambda x: x.reshape(2.5, 1), TypeError, r"reshape: sizes must be integers, got \(2.5, 1\)"),
    (lambda x: x.max(x, keepdim=True), TypeError, "max: of two tensors there is no dim or keepdim"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(ops.reshape(X, X.shape))


def test_what_is_loaded_late_is_where_the_table_says() -> None:
    for family, (methods, others) in _late.FAMILIES.items():
        module = importlib.import_module(f"ravine.ops.{family}")
        for name in (*methods, *others):
            assert (first_argument(getattr(module, name)) == "input") == (name in methods), name
            assert getattr(rv.ops, name) is getattr(module, name)
    names = {name for kinds in _late.FAMILIES.values() for names in kinds for name in names}
    assert names - set(ops.__all__) == {"new_full", "new_ones", "new_zeros"}


def test_the_stub_of_methods_names_what_tensors_have(repository: Path) -> None:
    """scripts/methods_stub.py writes it."""
    tree = ast.parse((repository / "python/ravine/ops/_methods.pyi").read_text())
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
    named = {n.name for n in body if isinstance(n, ast.FunctionDef)}
    named |= {t.id for n in body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    assert named == {
        n for n in dir(_methods.Methods) if n not in dir(object) or n in vars(_methods.Methods)
    } - {
        "__doc__",
        "__module__",
        "__slots__",
        "__annotations__",
    } | {*_late.METHODS}
