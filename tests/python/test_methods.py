"""Methods of tensors: every function of `rv.ops` that takes a tensor first, and torch's other names."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops

# Functions whose first argument is several tensors, a size, a condition (where) or a loss (grad).
NO_METHODS = {"cat", "concat", "grad", "stack", "rand", "randn", "where"}
FUNCTIONS = sorted(set(ops.__all__) - NO_METHODS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_the_method(name: str) -> None:
    function = getattr(ops, name)
    assert next(iter(inspect.signature(function).parameters)) == "input"
    for kind in (rv.Tensor, nn.Parameter, nn.Buffer):
        method = getattr(kind, name)
        assert inspect.unwrap(method) is inspect.unwrap(function)
        assert method.__doc__ == function.__doc__


def test_functions_without_a_method_take_no_tensor_first() -> None:
    for name in NO_METHODS:
        assert next(iter(inspect.signature(getattr(ops, name)).parameters)) != "input"


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
