"""No program is stale: a change of what a recording read is seen by the next call, and of nothing else."""

from __future__ import annotations

import functools
import gc
import random
import threading
import types
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim

ONES = np.ones((4, 2), "float32")
BIG = np.ones((200, 100), "float32")  # 80 kB
FACTOR = 1.0
CONFIG = types.ModuleType("config")
CONFIG.factor = 1.0  # type: ignore[attr-defined]


class Holder:
    """What a user's object may be: attributes in fields, in the class, in slots of a part."""

    factor = 1.0

    def __init__(self) -> None:
        self.nested = types.SimpleNamespace(factor=1.0)
        self.calls = 0

    def by_class(self, x: Any) -> Any:
        return x * self.factor

    def by_nested(self, x: Any) -> Any:
        return x * self.nested.factor

    @property
    def half(self) -> float:
        return self.nested.factor / 2

    def by_property(self, x: Any) -> Any:
        return x * self.half * 2

    def __call__(self, x: Any) -> Any:
        return self.by_nested(x)


class Empty:
    factor = 1.0


class Slots:
    __slots__ = ("factor",)

    def __init__(self) -> None:
        self.factor = 1.0


def by_global(x: Any) -> Any:
    return x * FACTOR


def set_global(factor: float) -> None:
    global FACTOR
    FACTOR = factor


def through_another(x: Any) -> Any:
    return by_global(x)


def scaled_by(holder: Any, x: Any) -> Any:
    return x * holder.factor


def closure() -> tuple[Callable[..., Any], Callable[[float], None]]:
    factor = 1.0

    def change(new: float) -> None:
        nonlocal factor
        factor = new

    return lambda x: x * factor, change


def inner_closure() -> tuple[Callable[..., Any], Callable[[float], None]]:
    function, change = closure()
    return lambda x: next(function(item) for item in (x,)), change


def in_list() -> tuple[Callable[..., Any], Callable[[float], None]]:
    factors = [0.0, 1.0]
    return lambda x: x * factors[1], lambda new: factors.__setitem__(1, new)


def in_dict_of_dicts() -> tuple[Callable[..., Any], Callable[[float], None]]:
    table = {"a": {"b": 1.0}}
    return lambda x: x * table["a"]["b"], lambda new: table["a"].__setitem__("b", new)


def of(make: Callable[[], Any], function: Callable[[Any], Any], change: Callable[[Any, float], None]) -> Any:
    def build() -> tuple[Callable[..., Any], Callable[[float], None]]:
        held = make()
        return function(held), lambda new: change(held, new)

    return build


def captured_attribute() -> tuple[Callable[..., Any], Callable[[float], None]]:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = 1.0

        def forward(self, x: Any) -> Any:
            return x * self.factor

    module = nn.Sequential(nn.Identity(), Scaled())
    return lambda x: module(x), lambda new: setattr(module[1], "factor", new)


def nested(make: Callable[[], Any]) -> Any:
    def build() -> tuple[Callable[..., Any], Callable[[float], None]]:
        function, change = make()
        inner = rv.value_and_grad(lambda x: function(x).sum())
        return lambda x: inner(x)[1], change

    return build


READ = {
    "cell": closure,
    "cell of an inner function": inner_closure,
    "global": lambda: (by_global, set_global),
    "global of a called function": lambda: (through_another, set_global),
    "module": lambda: (lambda x: x * CONFIG.factor, lambda new: setattr(CONFIG, "factor", new)),
    "list": in_list,
    "dict": in_dict_of_dicts,
    "bound method": of(Holder, lambda h: h.by_nested, lambda h, new: setattr(h.nested, "factor", new)),
    "callable object": of(Holder, lambda h: h, lambda h, new: setattr(h.nested, "factor", new)),
    "property": of(Holder, lambda h: h.by_property, lambda h, new: setattr(h.nested, "factor", new)),
    "field over a class's": of(Holder, lambda h: h.by_class, lambda h, new: setattr(h, "factor", new)),
    "first field": of(Empty, lambda e: lambda x: x * e.factor, lambda e, new: setattr(e, "factor", new)),
    "class": of(
        lambda: type("Own", (Holder,), {}), lambda c: c().by_class, lambda c, new: setattr(c, "factor", new)
    ),
    "slot": of(Slots, lambda s: lambda x: x * s.factor, lambda s, new: setattr(s, "factor", new)),
    "partial": of(Slots, lambda s: functools.partial(scaled_by, s), lambda s, new: setattr(s, "factor", new)),
    "default": of(Slots, lambda s: lambda x, s=s: x * s.factor, lambda s, new: setattr(s, "factor", new)),
    "captured module": captured_attribute,
    "nested gradient": nested(closure),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_number_that_the_recording_read_is_seen(name: str) -> None:
    set_global(1.0)
    CONFIG.factor = 1.0  # type: ignore[attr-defined]
    function, change = READ[name]()
    compiled = rv.compile(function)
    model = nn.Identity()
    model.weight = nn.Parameter(1.0)
    step = rv.TrainStep(lambda m, x: function(x * m.weight).mean(), model, optim.SGD(0.0))
    for factor, programs in ((1.0, 1), (1.0, 1), (3.0, 2), (1.0, 2), (float(np.float64(3.0)), 2)):
        change(factor)
        assert compiled(ONES).mean() == factor
        assert step(ONES) == factor
        assert (len(compiled.programs()), len(step.programs())) == (programs, programs)


def test_the_mode_of_a_captured_module_is_seen() -> None:
    """A discriminator that a loss holds; also below a module, and in an object."""
    critic = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    holder = types.SimpleNamespace(critics=[critic])
    step = rv.TrainStep(nn.Linear(2, 2), lambda out, y: critic(out).sum(), optim.SGD(0.0))
    indirect = rv.value_and_grad(lambda x: holder.critics[0](x).sum())
    for run in (lambda: step(ONES, None), lambda: indirect(ONES)[0]):
        critic.train()
        assert len({run() for _ in range(4)}) > 1
        critic.eval()
        assert len({run() for _ in range(4)}) == 1
        critic.train()
        assert len({run() for _ in range(4)}) > 1


def test_a_parameter_that_freezes_is_seen() -> None:
    rv.seed(0)
    model = nn.Linear(2, 1)
    step = rv.TrainStep(lambda m, x: m(x).sum(), model, optim.SGD(0.1))
    step(ONES)
    model.weight.requires_grad = False
    before = model.weight.data.copy()
    step(ONES)
    assert np.array_equal(before, model.weight.data)


def array_cases() -> dict[str, tuple[np.ndarray, Callable[[np.ndarray, Any], Any]]]:
    big = BIG.copy()
    return {
        "small": (np.ones(2, "float32"), lambda a, x: x * a),
        "large": (big, lambda a, x: ops.mean(a) * x),
        "a view of a large one": (BIG.copy(), lambda a, x: x * a[1, 3:5]),
        "other dtype": (np.ones(2), lambda a, x: x * a),
        "integers": (np.ones(2, "int64"), lambda a, x: x * a),
        "NumPy's result of it": (np.ones(2, "float32"), lambda a, x: x * np.square(a)),
        "an index": (np.ones(1, "int64"), lambda a, x: (x[:, :1] * np.arange(4.0))[:, a].mean()),
        "a mask": (np.array([True, False]), lambda a, x: (x * np.array([1.0, 3.0], "float32"))[:, a].mean()),
    }  # fmt: skip


@pytest.mark.parametrize("name", array_cases())
def test_arrays_are_state_wherever_they_are(name: str) -> None:
    for place in ("closure", "attribute", "list"):
        array, function = array_cases()[name]

        class Reads(nn.Module):
            def __init__(self, array: np.ndarray, function: Any) -> None:
                super().__init__()
                self.array, self.function = array, function

            def forward(self, x: Any) -> Any:
                return self.function(self.array, x)

        held = [array]
        if place == "attribute":
            compiled: Any = Reads(array, function)
        elif place == "closure":
            compiled = rv.compile(lambda x: function(array, x))  # noqa: B023
        else:
            compiled = rv.compile(lambda x: function(held[0], x))  # noqa: B023
        for factor in (1, 3, 1):
            array[...] = [factor == 1, factor != 1] if array.dtype == bool else factor
            expected = 9 if name.startswith("NumPy") and factor == 3 else factor
            assert np.mean(compiled(ONES)) == pytest.approx(expected), (place, factor)
        if name not in ("NumPy's result of it", "an index", "a mask"):
            assert len(compiled.programs()) == 1, place


def test_arrays_made_while_recording_are_constants() -> None:
    table = np.arange(2, dtype="float32")
    table.flags.writeable = False
    compiled = rv.compile(lambda x: x * np.arange(2, dtype="float32") + np.ones((4, 2), "float32") + table)
    np.testing.assert_array_equal(compiled(ONES), ONES * [0, 1] + 1 + [0, 1])
    assert compiled.programs()[0].describe().count("  input  ") == 1


def test_an_array_in_another_place_is_seen() -> None:
    module = nn.Identity()
    module.array = BIG.copy()
    compiled = rv.compile(lambda x: x * module.array.mean() + (module.array * 0.0)[0, 0])
    values = []
    for factor in (1.0, 2.0):
        module.array = BIG * factor
        values.append(compiled(ONES).mean())
    assert values == [1.0, 2.0]


def test_what_is_not_read_compiles_nothing() -> None:
    holder = Holder()

    def loss(model: Any, x: Any) -> Any:
        return holder.by_nested(model(x)).mean()

    model, other = nn.Linear(2, 1), nn.Linear(2, 2)
    step = rv.TrainStep(loss, model, optim.SGD(0.1))
    for i in range(4):
        step(ONES)
        model(ONES)
        holder.calls = i
        other.tag = i  # type: ignore[assignment]
        other.eval()
        model.tag = 0.0  # type: ignore[assignment]
    assert len(step.programs()) == 2  # before and after model.tag
    assert len(model.programs()) == 2


def drawing() -> dict[str, Callable[[Any], Any]]:
    generator, own = np.random.default_rng(0), random.Random(0)
    state = np.random.RandomState(0)
    return {
        "random": lambda x: x * random.random(),
        "numpy.random": lambda x: x + np.random.standard_normal(2),  # noqa: NPY002
        "Generator": lambda x: x if generator.random() < 2 else -x,
        "RandomState": lambda x: x * state.rand(),
        "Random": lambda x: x * own.random(),
    }


@pytest.mark.parametrize("name", drawing())
def test_random_numbers_of_others_are_refused(name: str) -> None:
    function = drawing()[name]
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    compiled = rv.compile(function)
    with pytest.raises(RuntimeError, match=rf"{name} were drawn while.*rv\.ops\.rand"):
        compiled(ONES)
    with rv.eager():
        first = np.array(compiled(ONES))
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    with rv.eager():  # the refused call drew nothing
        np.testing.assert_array_equal(np.array(rv.compile(drawing()[name])(ONES)), first)


def test_another_threads_draws_are_its_own() -> None:
    stop = threading.Event()

    def draw() -> None:
        while not stop.is_set():
            np.random.standard_normal(3)  # noqa: NPY002

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        for n in range(1, 6):
            nn.Linear(n, 2)(np.ones((2, n), "float32"))
    finally:
        stop.set()
        thread.join()


def test_frequent_recompilation_is_named_once(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    function, change = closure()
    compiled = rv.compile(function)
    monkeypatch.setenv("RAVINE_LOG", "recompile")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for factor in range(15):
            change(float(factor))
            compiled(ONES)
    assert len(seen) == 1
    text = str(seen[0].message)
    assert "10th time because factor, which closure.<locals>.<lambda> holds, was 9.0 and is 10.0" in text
    assert "rv.Scalar" in text
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 15
    assert "a first program" in lines[0]
    assert "factor" in lines[1]


def test_a_change_made_by_forward_is_not_taken_for_that_of_the_recording() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return x * self.calls

    counts = Counts()
    assert [float(counts(ONES).mean()) for _ in range(3)] == [1, 2, 3]


def test_a_model_is_freed_at_once() -> None:
    gc.disable()
    try:
        model = nn.Sequential(nn.Linear(2, 2), nn.AvgPool2d([2, 2]))
        gone = weakref.ref(model)
        model[0](ONES)
        model[1](np.ones((1, 1, 2, 2), "float32"))
        step = rv.TrainStep(model[0], nn.MSELoss(), optim.SGD(0.1))
        step(ONES, ONES)
        del model, step
        assert gone() is None
    finally:
        gc.enable()


def test_predictions_of_one_thread_leave_the_mode_to_others() -> None:
    seen: list[bool] = []

    class Tells(nn.Module):
        def forward(self, x: Any) -> Any:
            thread = threading.Thread(target=lambda: seen.append(self.training))
            thread.start()
            thread.join()
            seen.append(self.training)
            return x

    model = nn.Sequential(Tells(), nn.Linear(2, 1), nn.Dropout(0.5))
    trainer = rv.Trainer(model, nn.MSELoss(), optim.SGD(0.1))
    first = trainer.predict(ONES)
    assert seen == [True, False]
    assert model[2].training
    assert np.array_equal(first, trainer.predict(ONES))
    assert np.array_equal(first, model.eval()(ONES))


def test_a_scalar_changes_without_a_compilation() -> None:
    beta = rv.Scalar(0.25)
    model = nn.Linear(2, 1).double()
    model.beta = beta
    step = rv.TrainStep(lambda m, x: (m(x) * 0 + m.beta).mean() + m.beta, model, optim.SGD(0.1))
    for value in (0.25, 0.1, 3):
        beta.value = value
        assert step(ONES) == pytest.approx(2 * value, rel=1e-15)
        assert beta.value == value
        with rv.eager():
            assert step(ONES) == pytest.approx(2 * value, rel=1e-15)
    assert len(step.programs()) == 1
    assert "beta" not in model.state_dict()
    assert float(np.asarray(ops.exp(rv.Scalar(1)))) == pytest.approx(np.e)
    assert (beta * np.ones(2, "int64")).dtype == "float32"
    with pytest.raises(TypeError, match="a number is expected, got str"):
        beta.value = "1"
    with pytest.raises(RuntimeError, match="numbers of a Scalar cannot be looked at"):
        rv.compile(lambda x: x * float(beta))(ONES)


def test_frozen_parts_stay_as_they_are() -> None:
    rv.seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 1))
    model[0].bias.requires_grad = False
    model[2].eval()
    body = nn.Sequential(*[model[i] for i in range(3)])
    assert nn.freeze(nn.freeze(body)) is body
    before = model.state_dict()
    trainer = rv.Trainer(model, nn.MSELoss(), optim.SGD(0.1))
    trainer.fit(np.random.default_rng(0).standard_normal((16, 2)), np.ones((16, 1)), epochs=2, verbose=0)
    changed = {name for name, array in model.state_dict().items() if not np.array_equal(array, before[name])}
    assert changed == {"3.weight", "3.bias"}
    model.train()
    assert [m.training for m in model] == [False, False, False, True]
    nn.unfreeze(model)
    assert [m.training for m in model] == [True, True, False, True]
    assert not model[0].bias.requires_grad
    assert model[1].weight.requires_grad
    model.train()
    assert all(m.training for m in model)
    with pytest.raises(TypeError, match="freeze: a Module is expected, got list"):
        nn.freeze([model])  # type: ignore[arg-type]
