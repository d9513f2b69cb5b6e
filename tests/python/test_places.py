"""Errors inside a model name the module's path, and check_nan names what brought or made a NaN."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim


class Raises(nn.Module):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: Any) -> Any:
        raise self.error


class OddError(ValueError):
    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


def net(part: nn.Module) -> nn.Module:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), part))

        def forward(self, x: Any) -> Any:
            return self.encoder(x)

    return Net()


X = np.ones((3, 4), np.float32)
CALLS: dict[str, Callable[[nn.Module], Any]] = {
    "model": lambda model: model(X),
    "step": lambda model: rv.TrainStep(model, nn.MSELoss(), optim.SGD(0.1))(X, X),
    "value_and_grad": lambda model: rv.value_and_grad(lambda m, x: ops.mean(m(x)), model)(X),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("eager", [False, True])
def test_an_error_names_the_path_once(call: Callable, eager: bool) -> None:
    model = net(nn.Linear(9, 2))
    mode = rv.eager() if eager else nullcontext()
    with mode, pytest.raises(ValueError, match=r"^in encoder\.1\.1 \(Linear\): linear: input") as caught:
        call(model)
    assert str(caught.value).count("in encoder") == 1


@pytest.mark.parametrize("error", [kind("odd") for kind in (ValueError, RuntimeError, TypeError, IndexError)])
def test_the_class_stays(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        net(Raises(error))(X)
    assert caught.value is error and str(error) == "in encoder.1.1 (Raises): odd"


@pytest.mark.parametrize(
    "error", [OddError(7, reason="x"), KeyError("k"), UnicodeError("a", "b"), ValueError()]
)
def test_errors_that_hold_more_than_text_are_left_as_they_are(error: Exception) -> None:
    before = error.args, str(error)
    with pytest.raises(type(error)) as caught:
        net(Raises(error))(X)
    assert caught.value is error and (error.args, str(error)) == before
    assert getattr(error, "__notes__", ["in encoder.1.1 (Raises)"]) == ["in encoder.1.1 (Raises)"]


def test_an_interruption_is_left_alone() -> None:
    error = KeyboardInterrupt("stop")
    with pytest.raises(KeyboardInterrupt):
        net(Raises(error))(X)
    assert error.args == ("stop",) and not error.__dict__


def test_a_root_and_a_loss_are_named_by_their_class() -> None:
    with pytest.raises(ValueError, match=r"^in Linear: linear"):
        nn.Linear(9, 2)(X)
    step = rv.TrainStep(nn.Linear(4, 3), nn.MSELoss(), optim.SGD(0.1))
    with pytest.raises(ValueError, match=r"^in MSELoss: "):
        step(X, np.ones((3, 7)))


def test_a_shared_module_has_the_path_of_its_caller() -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(nn.Sequential(shared), nn.Linear(4, 5), nn.Sequential(nn.ReLU(), shared))
    with pytest.raises(ValueError, match=r"^in 2\.1 \(Linear\): "):
        model(X)


def test_a_module_that_is_not_registered_is_named_behind_its_caller() -> None:
    hidden = nn.Linear(9, 2)

    class Caller(nn.Module):
        def forward(self, x: Any) -> Any:
            return hidden(x)

    with pytest.raises(ValueError, match=r"^in 0 \(Caller\), Linear: "):
        nn.Sequential(Caller())(X)


def bad(*place: int, value: float = np.nan) -> np.ndarray:
    x = X.copy()
    x[place] = value
    return x


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (bad(2, 1), X, r"^x holds a NaN at index \(2, 1\)$"),
        (bad(0, 3, value=-np.inf), X, r"^x holds an infinity at index \(0, 3\)"),
        (X, bad(1, 1, value=np.inf), r"^y holds an infinity at index \(1, 1\)"),
        (X, bad(1), r"^y holds a NaN at index \(1, 0\), the first of 4 numbers"),
    ],
)
def test_check_nan_names_the_input(x: np.ndarray, y: np.ndarray, message: str) -> None:
    step = rv.TrainStep(nn.Linear(4, 4), nn.MSELoss(), optim.SGD(0.1))
    with rv.eager(check_nan=True), pytest.raises(FloatingPointError, match=message):
        step(x, y)
    assert step.steps == 0 and np.isfinite(step.model.state_dict()["weight"]).all()


def test_check_nan_names_the_parameter_and_the_argument() -> None:
    model = net(nn.Linear(4, 2))
    gradients = rv.value_and_grad(lambda m, x: ops.mean(m(x["a"][1])), model)
    with rv.eager(check_nan=True):
        with pytest.raises(FloatingPointError, match=r"^input \[0\]\['a'\]\[1\] holds a NaN"):
            gradients({"a": [X, bad(0)]})
        model.get_parameter("encoder.1.1.bias").data[1] = np.inf
        for call in CALLS.values():
            with pytest.raises(FloatingPointError, match=r"^parameter encoder\.1\.1\.bias holds an infinity"):
                call(model)


class Root(nn.Module):
    """Its value at 0 is finite, its gradient 0 · inf."""

    def forward(self, x: Any) -> Any:
        return ops.sqrt(ops.sum(ops.square(x * 0.0)))


def test_check_nan_names_the_module_forward_and_backward() -> None:
    logarithm = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.LogSigmoid()))

    class Log(nn.Module):
        def forward(self, x: Any) -> Any:
            return ops.log(-ops.abs(x) - 1.0)

    with rv.eager(check_nan=True):
        logarithm(X)
        with pytest.raises(FloatingPointError, match=r"^in 1 \(Log\): 'log' made a NaN"):
            nn.Sequential(nn.Linear(4, 4), Log())(X)
        step = rv.TrainStep(
            nn.Sequential(nn.Linear(4, 4), nn.Sequential(Root())), lambda o, y: o, optim.SGD(0.1)
        )
        with pytest.raises(FloatingPointError, match=r"^in the gradient of 1\.0 \(Root\): "):
            step(X, X)


def test_check_nan_names_where_an_infinite_loss_began() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    model[0].get_parameter("weight").data[...] = 1e30
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(0.1))
    with rv.eager(check_nan=True), pytest.raises(FloatingPointError, match=r"^in MSELoss: 'square' made"):
        step(X, X)
