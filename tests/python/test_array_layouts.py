"""Whatever way an array lies in memory, every entry takes its values: the result is that of a plain copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim


def unaligned(x: np.ndarray) -> np.ndarray:
    moved = np.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1).reshape(x.shape)
    assert x.size == 0 or x.itemsize == 1 or not moved.flags.aligned
    return moved


def inside_a_record(x: np.ndarray) -> np.ndarray:
    records = np.zeros(x.shape, np.dtype([("byte", "u1"), ("value", x.dtype)]))
    records["value"] = x
    return records["value"]


def far_apart(x: np.ndarray) -> np.ndarray:
    wide = np.zeros((*x.shape, 1025), x.dtype)
    wide[..., 1000] = x
    return wide[..., 1000]


def read_only(x: np.ndarray) -> np.ndarray:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


def flipped(x: np.ndarray) -> np.ndarray:
    axes = tuple(slice(None, None, -1) for _ in x.shape)
    return x[axes].copy()[axes]


# Arrays that are equal to x and lie elsewhere, or otherwise.
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "plain": np.copy,
    "unaligned": unaligned,
    "inside a record": inside_a_record,
    "swapped bytes": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "swapped bytes, unaligned": lambda x: unaligned(x.astype(x.dtype.newbyteorder(">"))),
    "Fortran order": np.asfortranarray,
    "negative strides": flipped,
    "far apart": far_apart,
    "read only": read_only,
    "transposed memory": lambda x: np.ascontiguousarray(x.T).T,
}


def module() -> nn.Module:
    rv.seed(3)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))


X = np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)
Y = np.arange(8) % 4


def as_model_input(lay: Callable[..., Any]) -> Any:
    return module().eval()(lay(X))


def as_batch(lay: Callable[..., Any]) -> Any:
    model = module()
    step = rv.TrainStep(model, nn.CrossEntropyLoss(), optim.Adam(lr=0.1))
    losses = [step(lay(X), lay(Y)) for _ in range(3)]
    return [np.asarray(losses), *model.state_dict().values()]


def as_int32_labels(lay: Callable[..., Any]) -> Any:
    return rv.TrainStep(module(), nn.CrossEntropyLoss(), optim.SGD(lr=0.1))(lay(X), lay(Y.astype(np.int32)))


def as_function_arguments(lay: Callable[..., Any]) -> Any:
    model = module()
    value, gradients = rv.value_and_grad(lambda m, x: ops.mean(m(x) * m(x)), model)(lay(X))
    return [np.asarray(value), *gradients.values()]


def as_constants_of_operations(lay: Callable[..., Any]) -> Any:
    with rv.eager():
        picked = ops.index_select(lay(X), 0, lay(Y))
        return [(ops.exp(lay(X)) + lay(X[:1])).numpy(), picked.numpy()]


def as_eager_model_input(lay: Callable[..., Any]) -> Any:
    with rv.eager():
        return module()(lay(X))


def as_parameter(lay: Callable[..., Any]) -> Any:
    parameter, assigned = nn.Parameter(lay(X)), nn.Parameter(np.zeros_like(X))
    assigned.data = lay(X)
    return [parameter.data, assigned.data]


def as_buffer(lay: Callable[..., Any]) -> Any:
    return nn.Buffer(lay(X)).data


def as_filters_channels_last(lay: Callable[..., Any]) -> Any:
    conv = nn.Conv2d(2, 3, 3)
    filters = np.random.default_rng(1).normal(size=(3, 2, 3, 3)).astype(np.float32)
    conv.load_state_dict({"weight": lay(filters), "bias": lay(np.float32([1, 2, 3]))})
    return conv(lay(np.random.default_rng(2).normal(size=(2, 2, 6, 6)).astype(np.float32)))


def as_state_of_a_step(lay: Callable[..., Any]) -> Any:
    first = rv.TrainStep(module(), nn.CrossEntropyLoss(), optim.Adam(lr=0.1))
    first(X, Y)
    second = rv.TrainStep(module(), nn.CrossEntropyLoss(), optim.Adam(lr=0.1))
    second.load_state_dict(
        {name: lay(value) if np.ndim(value) else value for name, value in first.state_dict().items()}
    )
    return np.asarray([second(X, Y), second(X, Y)])


def as_saved(lay: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("saved") / "arrays.safetensors"
    rv.save(path, {"x": lay(X), "y": lay(Y), "scalar": np.asarray(2.5)})
    loaded = rv.load(path)
    return [loaded["x"], loaded["y"], loaded["scalar"]]


ENTRIES = [
    as_model_input,
    as_batch,
    as_int32_labels,
    as_function_arguments,
    as_constants_of_operations,
    as_eager_model_input,
    as_parameter,
    as_buffer,
    as_filters_channels_last,
    as_state_of_a_step,
    as_saved,
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_every_layout_gives_the_same_bits(
    entry: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    more = (tmp_path_factory,) if entry is as_saved else ()
    expected = [np.asarray(value) for value in _list(entry(np.copy, *more))]
    assert all(np.isfinite(value).all() for value in expected)
    for name, lay in LAYOUTS.items():
        got = [np.asarray(value) for value in _list(entry(lay, *more))]
        assert len(got) == len(expected), name
        for value, wanted in zip(got, expected, strict=True):
            assert value.dtype == wanted.dtype, name
            np.testing.assert_array_equal(value, wanted, err_msg=name)


def _list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (2, 3, 4), (0, 3)], ids=str)
def test_every_dtype_and_shape_is_taken_as_it_lies(dtype: str, shape: tuple[int, ...]) -> None:
    x = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape) % 5).astype(dtype)
    for name, lay in LAYOUTS.items():
        laid = lay(x)
        with rv.eager():
            got = ops.reshape(laid, shape).numpy()
        assert got.dtype == x.dtype, name
        np.testing.assert_array_equal(got, x, err_msg=name)


def test_repeated_rows_are_read_as_such() -> None:
    """Strides of 0, as broadcasting makes them, at a model, a training step and an operation."""
    row = X[:1]
    repeated = np.broadcast_to(row, (8, 6))
    np.testing.assert_array_equal(module()(repeated), module()(repeated.copy()))
    labels = np.broadcast_to(np.int64(2), (8,))
    losses = [
        rv.TrainStep(module(), nn.CrossEntropyLoss(), optim.SGD(lr=0.1))(repeated, y)
        for y in (labels, labels.copy())
    ]
    assert losses[0] == losses[1]
    with rv.eager():
        np.testing.assert_array_equal(
            ops.sum(repeated, dim=0).numpy(), ops.sum(repeated.copy(), dim=0).numpy()
        )


def test_inputs_are_left_as_they_were() -> None:
    for name, lay in LAYOUTS.items():
        x, y = lay(X), lay(Y)
        rv.TrainStep(module(), nn.CrossEntropyLoss(), optim.SGD(lr=0.1))(x, y)
        np.testing.assert_array_equal(x, X, err_msg=name)
        np.testing.assert_array_equal(y, Y, err_msg=name)


def test_results_are_aligned_and_writable() -> None:
    for result in (module()(unaligned(X)), nn.Parameter(unaligned(X)).data):
        assert result.flags.aligned
        assert result.flags.writeable
        assert result.flags.c_contiguous
