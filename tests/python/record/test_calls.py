"""Calls of a kind that was seen before run their program at once: what they must still notice."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import _core, nn, ops, optim
from ravine.record import ProgramCache

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.arange(4, dtype=np.float32).reshape(4, 1)


class Scaled(nn.Module):
    """Its input times a number, plus an optional array."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = 2.0

    def forward(self, x: Any, plus: Any = None) -> Any:
        y = ops.mul(x, self.factor)
        return y if plus is None else y + plus


def known(programs: ProgramCache) -> int:
    return len(programs._calls.uses())


def test_calls_of_several_kinds_are_known_at_once() -> None:
    model = Scaled()
    for _ in range(2):
        assert np.array_equal(model(X), 2 * X)
        assert np.array_equal(model(X[:2]), 2 * X[:2])
        assert np.array_equal(model(X, None), 2 * X)
        assert np.array_equal(model(X, X), 3 * X)
        assert np.array_equal(model(X.astype(np.float64)), 2 * X)
        assert np.array_equal(model(np.arange(3)), [0, 2, 4])
        assert np.array_equal(model(X.T), 2 * X.T)  # of other strides
    assert known(model._programs) == len(model.programs()) == 7
    model.factor = 3.0
    assert np.array_equal(model(X), 3 * X)


@pytest.mark.filterwarnings("ignore:.*was compiled for:UserWarning")  # as it should, of so few
def test_only_so_many_are_known_and_dropped_programs_are_not() -> None:
    model = Scaled()
    for n in range(1, 13):
        model(np.zeros(n, np.float32))
    assert known(model._programs) == 8
    rv.set_program_cache_size(2)
    try:
        for n in range(13, 24):
            model(np.zeros(n, np.float32))
        assert known(model._programs) <= 2
    finally:
        rv.set_program_cache_size()


@pytest.mark.parametrize(
    ("argument", "result"),
    [(X.tolist(), 2 * X), (X.view(type("Sub", (np.ndarray,), {})), 2 * X), (np.float32(3), 6.0)],
)
def test_what_is_no_plain_array_is_converted_as_ever(argument: Any, result: Any) -> None:
    model = Scaled()
    model(X)
    for _ in range(2):
        found = model(argument)
        assert type(found) is np.ndarray and np.array_equal(found, result)


def test_modes_are_noticed_and_each_keeps_its_program() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    model.eval()
    plain = model(X)
    for _ in range(3):
        model.train()
        assert not np.array_equal(model(X), model(X))  # draws
        model.eval()
        assert np.array_equal(model(X), plain)
    model[1].train()
    assert not np.array_equal(model(X), plain)
    assert known(model._programs) == len(model.programs()) == 3


def test_a_seed_set_later_begins_random_numbers_again() -> None:
    model = nn.Dropout(0.5)
    rv.seed(7)
    first = [model(np.ones(64, np.float32)) for _ in range(2)]
    rv.seed(7)
    again = [model(np.ones(64, np.float32)) for _ in range(2)]
    assert np.array_equal(first, again) and not np.array_equal(*first)


def test_recordings_and_eager_mode_run_no_known_program() -> None:
    inner = Scaled()
    inner(X)

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Any) -> Any:
            constant = self.inner(X)
            assert not isinstance(constant, np.ndarray)
            return x + constant

    assert np.array_equal(Outer()(X), 3 * X)
    seen: list[type] = []
    inner.register_forward_hook(lambda module, x, y: seen.append(type(y)))
    with rv.eager():
        assert np.array_equal(inner(X), 2 * X)
    assert np.array_equal(inner(X), 2 * X) and np.array_equal(inner(X), 2 * X)
    assert len(seen) == 3


def test_numbers_in_closures_are_noticed() -> None:
    scale = 1.0

    def loss(output: Any, y: Any) -> Any:
        return (output - y).square().mean() * scale

    model = nn.Linear(3, 1)
    step = rv.TrainStep(model, loss, optim.SGD(lr=0.0))
    before = [step(X, Y) for _ in range(2)]
    scale = 4.0
    assert [step(X, Y) for _ in range(2)] == pytest.approx([4 * value for value in before])


@pytest.mark.parametrize(
    "make",
    [
        lambda: optim.SGD(lr=0.5),
        lambda: optim.Lookahead(optim.SGD(lr=0.5), k=3),
        lambda: optim.SAM(optim.Lookahead(optim.SGD(lr=0.5)), rho=0.05),
    ],
)
def test_numbers_of_optimizers_are_noticed(make: Callable[[], Any]) -> None:
    optimizer = make()
    step = rv.TrainStep(nn.Linear(3, 1), nn.MSELoss(), optimizer)
    for _ in range(2):
        step(X, Y)
    optimizer.lr = 0.25
    step(X, Y)
    assert optimizer.current_lr == 0.25
    step.hyper["lr"] = 0.125
    step(X, Y)
    assert optimizer.current_lr == 0.125
    asked: list[int] = []
    step.hyper["lr"] = lambda i: asked.append(i) or 1.0 / (1 + i)
    for i in range(4, 7):
        step(X, Y)
        assert optimizer.current_lr == 1.0 / (1 + i)
    assert asked == [4, 5, 6]


def test_wrappers_own_numbers_are_noticed() -> None:
    def weights(alphas: list[float]) -> np.ndarray:
        rv.seed(0)
        model = nn.Linear(3, 1)
        optimizer = optim.Lookahead(optim.SGD(lr=0.01), k=1)
        step = rv.TrainStep(model, nn.MSELoss(), optimizer)
        for alpha in alphas:
            optimizer.alpha = alpha
            step(X, Y)
        return model.weight.numpy().copy()

    assert not np.array_equal(weights([0.5] * 4), weights([0.5] * 3 + [1.0]))


def test_two_optimizers_are_served_too() -> None:
    def loss(models: Any, x: Any, y: Any) -> Any:
        return (models["b"](models["a"](x)) - y).square().mean()

    models = {"a": nn.Linear(3, 2), "b": nn.Linear(2, 1)}
    optimizers = {"a": optim.SGD(lr=0.01), "b": optim.Adam(lr=0.01)}
    step = rv.TrainStep(loss, models, optimizers)
    losses = [step(X, Y) for _ in range(3)]
    assert known(step._programs) == 1 and losses[2] < losses[0]
    optimizers["b"].lr = 0.0
    before = models["b"].weight.numpy().copy()
    step(X, Y)
    assert np.array_equal(models["b"].weight.numpy(), before)


def test_weights_of_examples_are_no_argument_of_the_function() -> None:
    def loss(model: Any, x: Any, y: Any, w: Any = None) -> Any:
        error = (model(x) - y).square()
        return error.mean() if w is None else (error * w.reshape((-1, 1))).sum()

    w = np.array([1, 0, 0, 0], np.float32)
    step = rv.TrainStep(loss, nn.Linear(3, 1), optim.SGD(lr=0.0))
    for _ in range(2):
        plain, weighted, given = step(X, Y), step(X, Y, weight=w), step(X, Y, w)
        assert weighted == pytest.approx(given) and plain != pytest.approx(given)
    assert known(step._programs) == 3
    with pytest.raises(ValueError, match="finite and 0 or more"):
        step(X, Y, weight=-w)


def test_parts_come_with_every_call() -> None:
    def loss(model: Any, x: Any, y: Any) -> Any:
        error = (model(x) - y).square().mean()
        return error, {"error": error}

    step = rv.TrainStep(loss, nn.Linear(3, 1), optim.SGD(lr=0.01))
    for _ in range(3):
        assert step(X, Y) == step.parts["error"]


def test_a_call_from_inside_is_refused_and_leaves_the_step_usable() -> None:
    inside: list[float] = []

    def lr(i: int) -> float:
        if i == 2:
            inside.append(step(X, Y))
        return 0.01

    step = rv.TrainStep(nn.Linear(3, 1), nn.MSELoss(), optim.SGD(lr=lr))
    step(X, Y), step(X, Y)
    with pytest.raises(RuntimeError, match="is running in this thread"):
        step(X, Y)
    assert step.steps == 2 and not inside
    with pytest.raises(RuntimeError, match="is running in this thread"):
        step(X, Y)


def test_an_index_out_of_range_is_the_same_error_again() -> None:
    step = rv.TrainStep(nn.Linear(3, 2), nn.CrossEntropyLoss(), optim.SGD(lr=0.1))
    step(X, np.array([0, 1, 1, 0]))
    before = step.state_dict()
    for _ in range(2):
        with pytest.raises(ValueError, match="9"):
            step(X, np.array([0, 1, 9, 0]))
    assert before["optimizer.steps"] == step.state_dict()["optimizer.steps"] == 1
    assert np.isfinite(step(X, np.array([0, 1, 1, 0])))


def test_models_and_steps_with_known_calls_are_collected() -> None:
    def made() -> list[weakref.ref[Any]]:
        model = nn.Sequential(nn.Linear(3, 1), Scaled())
        model(X), model(X)

        def loss(output: Any, y: Any) -> Any:
            return (output - y).square().mean() + 0.0 * model[0].weight.sum()  # a circle by the closure

        step = rv.TrainStep(model, loss, optim.SGD(lr=lambda i: 0.01))
        step(X, Y), step(X, Y)
        assert known(step._programs) == known(model._programs) == 1
        return [weakref.ref(model), weakref.ref(step)]

    references = made()
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def test_programs_and_locks_are_checked_when_they_are_given() -> None:
    with pytest.raises(TypeError, match="Lock or None"):
        _core.Calls(3)  # type: ignore[arg-type]
    model = Scaled()
    model(X)
    (program,) = model.programs()
    calls = _core.Calls(None)
    empty: tuple[Any, ...] = ()
    with pytest.raises(ValueError, match="expected 1 arrays, got 0"):
        calls.remember(empty, program, empty, empty, empty, None, [])
    with pytest.raises(ValueError, match="expected 1 arrays, got more"):
        calls.remember((X, X), program, empty, empty, empty, None, [])
    assert calls.run((X,)) is NotImplemented
    calls.remember((X,), program, empty, empty, empty, None, [])
    assert np.array_equal(calls.run((X,)), 2 * X)
    calls.forget()
    assert calls.run((X,)) is NotImplemented
