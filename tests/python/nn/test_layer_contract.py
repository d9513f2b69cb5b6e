"""What every layer must do, run over the table of all of them in layers.py."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import layers
import numpy as np
import pytest
from layers import LAYERS, OTHER_NAMES, Layer, leaves, regrouped

import ravine as rv
from ravine import nn

# Arguments that a layer does not show: of torch and without effect here, those of the weights' beginning,
# which a trained layer has left behind, and the modules of a container, each of which is a line.
NOT_SHOWN = {"inplace", "device", "dtype", "weight_init", "bias_init", "init", "modules"}
# Arguments that have one value only.
FIXED = {(f"ConvTranspose{n}d", "padding_mode") for n in (1, 2, 3)}
# torch's gradients of these have constants rounded to float32 in float64.
ROUGH = {"Hardsigmoid": 1e-7}

CALLED = [row for row in LAYERS if row.inputs]
APART = [row for row in CALLED if row.apart]
COMPARED = [
    (row, training)
    for row in CALLED
    if row.peer
    for training in (True, False)
    if not (training and row.random)
]

every_layer = pytest.mark.parametrize("row", LAYERS, ids=lambda row: row.name)
every_called_layer = pytest.mark.parametrize("row", CALLED, ids=lambda row: row.name)
pytestmark = [
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides"),
    pytest.mark.filterwarnings("ignore:enable_nested_tensor is True"),
]


def cast(values: Any, dtype: str) -> Any:
    """Nested arrays whose floating ones have this dtype."""
    if isinstance(values, tuple | list):
        return tuple([cast(value, dtype) for value in values])
    return values.astype(dtype) if values.dtype.kind == "f" else values


def moved(layer: nn.Module) -> nn.Module:
    """The layer with other weights than those it began with."""
    rng = np.random.default_rng(0)
    for state in (*layer.parameters(), *layer.buffers()):
        if state.data.dtype.kind == "f":
            state.data[...] *= 1 + 0.25 * rng.random(state.data.shape)
    return layer


def outputs(layer: nn.Module, inputs: tuple[Any, ...]) -> list[np.ndarray]:
    return leaves(layer(*inputs))


def assert_same(actual: nn.Module, expected: nn.Module, row: Layer) -> None:
    """Equal state, modes and, where the row has inputs, predictions, bit by bit."""
    state, expected_state = actual.state_dict(), expected.state_dict()
    assert list(state) == list(expected_state)
    for name, value in expected_state.items():
        np.testing.assert_array_equal(state[name], value, err_msg=name, strict=True)
    assert [m.training for m in actual.modules()] == [m.training for m in expected.modules()]
    assert repr(actual) == repr(expected)
    if row.inputs:
        for one, other in zip(
            outputs(actual.eval(), row.inputs), outputs(expected.eval(), row.inputs), strict=True
        ):
            np.testing.assert_array_equal(one, other, strict=True)


def test_every_layer_has_a_row() -> None:
    assert {row.name for row in LAYERS} == {*nn.__all__} - OTHER_NAMES


def given_arguments(row: Layer) -> dict[str, Any]:
    """What the row gives to the constructor, by name."""
    signature = inspect.signature(getattr(nn, row.name))
    arguments = row.arguments if isinstance(row.arguments, tuple) else row.arguments(nn)
    return signature.bind(*arguments, **row.options).arguments


def test_every_argument_is_given_in_a_row() -> None:
    given = {(row.name, name) for row in LAYERS for name in given_arguments(row)}
    missing = [
        (name, argument)
        for name in {row.name for row in LAYERS}
        for argument, parameter in inspect.signature(getattr(nn, name)).parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and argument not in NOT_SHOWN
        and (name, argument) not in given | FIXED
    ]
    assert not missing


@every_layer
def test_state_dict_goes_round(row: Layer) -> None:
    first, second = moved(row.build(nn)), row.build(nn)
    second.load_state_dict(first.state_dict())
    assert_same(second, first, row)


@pytest.mark.parametrize(
    "way", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))], ids=["deepcopy", "pickle"]
)
@every_layer
def test_a_copy_is_the_same_and_apart(row: Layer, way: Callable[[nn.Module], nn.Module]) -> None:
    layer = moved(row.build(nn).eval())
    before = layer.state_dict()
    other = way(layer)
    assert type(other) is type(layer)
    assert_same(other, layer, row)
    for state in (*other.parameters(), *other.buffers()):
        state.data[...] = 0
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


@every_called_layer
def test_float64(row: Layer) -> None:
    layer = moved(row.build(nn).eval())
    singles = outputs(layer, row.inputs)
    layer.double()
    assert {state.dtype for state in (*layer.parameters(), *layer.buffers())} <= {"float64", "int64"}
    for double, single in zip(outputs(layer, cast(row.inputs, "float64")), singles, strict=True):
        assert double.dtype == ("float64" if single.dtype == "float32" else single.dtype)
        np.testing.assert_allclose(double, single, rtol=1e-4, atol=1e-5)
    if "dtype" in inspect.signature(type(layer)).parameters:
        built = row.build(nn, dtype="float64")
        assert {name: state.dtype for name, state in built.state_dict().items()} == {
            name: state.dtype for name, state in layer.state_dict().items()
        }


@every_called_layer
def test_modes(row: Layer) -> None:
    layer = moved(row.build(nn))
    assert all(module.training for module in layer.modules())
    trained = outputs(layer, row.inputs)
    assert not any(module.training for module in layer.eval().modules())
    before = layer.state_dict()
    first, second = outputs(layer, row.inputs), outputs(layer, row.inputs)
    for one, other, in_training in zip(first, second, trained, strict=True):
        np.testing.assert_array_equal(one, other)
        assert (one.shape, one.dtype) == (in_training.shape, in_training.dtype)
        assert np.isfinite(in_training).all()
    for name, value in layer.state_dict().items():  # a prediction changes nothing
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    if row.random:
        assert any((one != other).any() for one, other in zip(trained, first, strict=True))
    layer.train()
    assert all(module.training for module in layer.modules())


def comparable(value: Any) -> Any:
    """An argument as it is kept, in a form that == compares; a parameter by its shape."""
    value = value.data if isinstance(value, nn.Buffer) else value
    if isinstance(value, nn.Parameter):
        return value.shape
    return np.asarray(value).tolist() if isinstance(value, np.ndarray | list) else value


@every_layer
def test_repr_tells_the_arguments(row: Layer) -> None:
    layer = row.build(nn)
    text = repr(layer)
    assert text.startswith(f"{row.name}(")
    for child in layer.children():
        assert repr(child).splitlines()[0] in text
    parameters = inspect.signature(type(layer)).parameters
    for name, value in row.options.items():
        assert isinstance(value, np.ndarray | list) or value != parameters[name].default, "is the default"
    if "array of shape" in text or list(layer.children()):  # no text that Python reads
        for name in row.options:
            assert f"{name}=" in text
        return
    again = eval(text, {**vars(nn), **vars(layers), row.name: getattr(nn, row.name)})
    assert repr(again) == text
    for name in {*parameters} - NOT_SHOWN - {"args", "kwargs"}:
        if (row.name, name) not in FIXED:
            assert comparable(getattr(again, name)) == comparable(getattr(layer, name)), name


@pytest.mark.parametrize("row", APART, ids=lambda row: row.name)
def test_a_batch_of_one_example_gives_its_part_of_a_larger_one(row: Layer) -> None:
    layer = moved(row.build(nn).eval())
    if hasattr(layer, "reduction"):
        layer.reduction = "none"
    first = [array.take([0], axis) for array, axis in zip(leaves(row.inputs), row.axes, strict=True)]
    whole, single = outputs(layer, row.inputs), outputs(layer, regrouped(first, row.inputs))
    axes = [*row.out, *[row.out[-1]] * (len(whole) - len(row.out))]
    for large, small, axis in zip(whole, single, axes, strict=True):
        np.testing.assert_allclose(small, large.take([0], axis), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("row", "training"), COMPARED, ids=[f"{row.name}-{'train' if mode else 'eval'}" for row, mode in COMPARED]
)
def test_torch_computes_the_same(row: Layer, training: bool) -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    theirs = row.build(torch.nn, torch.tensor).double().train(training)
    ours = row.build(nn).double().train(training)
    ours.load_state_dict(theirs.state_dict())
    inputs = cast(row.inputs, "float64")
    arrays = leaves(inputs)
    tensors = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays]
    expected = leaves(theirs(*regrouped(tensors, inputs)))
    actual = outputs(ours, inputs)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), rtol=1e-10, atol=1e-12)
        assert one.dtype == other.detach().numpy().dtype
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-10, err_msg=name)

    # The gradient of a sum with random weights, by all inputs and parameters that are floating.
    rng = np.random.default_rng(1)
    factors = [rng.standard_normal(array.shape) if array.dtype.kind == "f" else None for array in actual]

    def weighted(values: list[Any], convert: Callable[[Any], Any]) -> Any:
        pairs = zip(values, factors, strict=True)
        return sum([(value * convert(factor)).sum() for value, factor in pairs if factor is not None])

    def of_inputs(changed: dict[str, Any]) -> Any:
        flat = [changed.get(str(i), array) for i, array in enumerate(arrays)]
        return weighted(leaves(ours(*regrouped(flat, inputs))), np.asarray)

    weighted(expected, torch.tensor).backward()
    slopes: dict[str, np.ndarray] = {}
    expected_slopes = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    if expected_slopes:
        slopes |= rv.value_and_grad(lambda m, *x: weighted(leaves(m(*x)), np.asarray), ours)(*inputs)[1]
    floating = {str(i): array for i, array in enumerate(arrays) if array.dtype.kind == "f"}
    if floating:
        slopes |= rv.value_and_grad(of_inputs)(floating)[1]
        expected_slopes |= {name: tensors[int(name)].grad for name in floating}
    assert list(slopes) == list(expected_slopes)
    tolerance = ROUGH.get(row.name, 1e-10)
    for name, slope in expected_slopes.items():
        np.testing.assert_allclose(slopes[name], slope.numpy(), rtol=tolerance, atol=1e-11, err_msg=name)
