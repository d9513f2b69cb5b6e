"""What every rule must do, run over a table of all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from slopes import SHAPES, apply, gradients, new_step, weights

import ravine as rv
from ravine import _core, nn, ops, optim

# A learning rate and numbers with which each rule descends on the problems below; with all its slots.
RULES: dict[str, Callable[..., optim.Optimizer]] = {
    "SGD": lambda lr=0.02, **k: optim.SGD(lr, momentum=0.9, **k),
    "ASGD": lambda lr=0.05, **k: optim.ASGD(lr, t0=50, **k),
    "Rprop": lambda lr=0.01, **k: optim.Rprop(lr, **k),
    "Lion": lambda lr=0.01, **k: optim.Lion(lr, **k),
    "LARS": lambda lr=1.0, **k: optim.LARS(lr, trust_coefficient=0.01, **k),
    "Adam": lambda lr=0.05, **k: optim.Adam(lr, amsgrad=True, **k),
    "SparseAdam": lambda lr=0.05, **k: optim.SparseAdam(lr, **k),
    "AdamW": lambda lr=0.05, **k: optim.AdamW(lr, **k),
    "LBFGS": lambda lr=0.05, **k: optim.LBFGS(lr, damping=0.1, **k),
    "Lookahead": lambda lr=0.05, **k: optim.Lookahead(optim.Adam(lr, **k), k=3),
    "SAM": lambda lr=0.05, **k: optim.SAM(optim.Adam(lr, **k), rho=0.02),
    "Adamax": lambda lr=0.05, **k: optim.Adamax(lr, **k),
    "NAdam": lambda lr=0.05, **k: optim.NAdam(lr, **k),
    "RAdam": lambda lr=0.05, **k: optim.RAdam(lr, **k),
    "AdaBelief": lambda lr=0.05, **k: optim.AdaBelief(lr, **k),
    "Yogi": lambda lr=0.05, **k: optim.Yogi(lr, **k),
    "Adan": lambda lr=0.05, **k: optim.Adan(lr, **k),
    "LAMB": lambda lr=0.05, **k: optim.LAMB(lr, **k),
    "Adagrad": lambda lr=0.3, **k: optim.Adagrad(lr, **k),
    "RowWiseAdagrad": lambda lr=0.3, **k: optim.RowWiseAdagrad(lr, **k),
    "Adadelta": lambda lr=20.0, **k: optim.Adadelta(lr, **k),
    "Muon": lambda lr=0.02, **k: optim.Muon(lr, **{"weight_decay": 0.0, **k}),
    "Adafactor": lambda lr=0.05, **k: optim.Adafactor(lr, **k),
    "RMSprop": lambda lr=0.01, **k: optim.RMSprop(lr, momentum=0.5, centered=True, eps=1e-3, **k),
    "ScheduleFreeSGD": lambda lr=0.1, **k: optim.ScheduleFreeSGD(lr, **k),
    "ScheduleFreeAdamW": lambda lr=0.1, **k: optim.ScheduleFreeAdamW(lr, **k),
}
all_rules = pytest.mark.parametrize("name", RULES)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def test_the_table_has_every_optimizer() -> None:
    classes = {
        name
        for name, kind in vars(optim).items()
        if isinstance(kind, type) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
    }
    assert classes == set(RULES)
    assert {RULES[name]().rule for name in RULES} == set(_core.optimizer_rules())
    assert all(type(RULES[name]()).__name__ == name for name in RULES)


class Point(nn.Module):
    """A function of one parameter."""

    def __init__(self, start: list[float], function: Callable[[Any], Any], dtype: str = "float64") -> None:
        super().__init__()
        self.x = nn.Parameter(np.array(start, dtype))
        self.function = function

    def forward(self, _: rv.Tensor) -> rv.Tensor:
        return self.function(self.x)


def minimise(optimizer: optim.Optimizer, model: Point, steps: int) -> list[float]:
    step = rv.TrainStep(model, lambda output, _: output, optimizer)
    return [step(np.zeros(1), np.zeros(1)) for _ in range(steps)]


def quadratic(x: Any) -> Any:
    return (ops.square(x - 1.0) * np.array([1.0, 3.0, 0.3])).sum()


def rosenbrock(x: Any) -> Any:
    return ops.square(1.0 - x[0]) + 100.0 * ops.square(x[1] - ops.square(x[0]))


@all_rules
def test_descends_on_a_quadratic(name: str) -> None:
    losses = minimise(RULES[name](), Point([3.0, -1.0, 2.0], quadratic), 400)
    assert losses[-1] < 0.02 * losses[0]


@all_rules
def test_descends_on_rosenbrock(name: str) -> None:
    # Steps by slope are bounded by the largest curvature here, about 1000.
    rates = {"SGD": 2e-4, "ASGD": 2e-4, "ScheduleFreeSGD": 2e-4, "RAdam": 2e-3, "Adadelta": 1.0}
    optimizer = RULES[name](lr=rates.get(name, 0.01))
    losses = minimise(optimizer, Point([-1.2, 1.0], rosenbrock), 600)
    assert losses[-1] < 0.25 * losses[0] and np.isfinite(losses).all()


def small_net(dtype: str = "float32") -> nn.Module:
    rv.seed(3)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.BatchNorm1d(16), nn.Linear(16, 3)).to(dtype)


def batch(i: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(i)
    y = rng.integers(0, 3, 32)
    return (rng.standard_normal((32, 6)) + np.eye(3, 6)[y] * 2).astype(np.float32), y


def train(step: rv.TrainStep, begin: int, end: int) -> list[float]:
    return [step(*batch(i)) for i in range(begin, end)]


@all_rules
def test_descends_on_a_small_net(name: str) -> None:
    step = rv.TrainStep(small_net(), nn.CrossEntropyLoss(), RULES[name]())
    losses = train(step, 0, 150)
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:3])


@both_dtypes
@all_rules
def test_keeps_the_dtype(name: str, dtype: str) -> None:
    step = rv.TrainStep(small_net(dtype), nn.CrossEntropyLoss(), RULES[name]())
    train(step, 0, 2)
    state = step.state_dict()
    for key, parameter in step.model.named_parameters():
        assert parameter.dtype == dtype
        prefixes = (f"optimizer.{key}.", f"preconditioner.{key}.")
        slots = [v for k, v in state.items() if k.startswith(prefixes) and v.dtype.kind == "f" and v.shape]
        assert slots and all(slot.dtype == dtype for slot in slots)


@all_rules
def test_resumes_to_the_same_bits(name: str) -> None:
    whole = rv.TrainStep(small_net(), nn.CrossEntropyLoss(), RULES[name]())
    train(whole, 0, 8)
    first = rv.TrainStep(small_net(), nn.CrossEntropyLoss(), RULES[name]())
    train(first, 0, 5)
    second = rv.TrainStep(small_net(), nn.CrossEntropyLoss(), RULES[name]())
    second.model.load_state_dict(first.model.state_dict())
    second.load_state_dict(first.state_dict())
    train(second, 5, 8)
    for key, value in whole.model.state_dict().items():
        np.testing.assert_array_equal(second.model.state_dict()[key], value)
    for key, value in whole.state_dict().items():
        np.testing.assert_array_equal(second.state_dict()[key], value)


@all_rules
def test_refuses_the_state_of_another_rule(name: str) -> None:
    other = rv.TrainStep(small_net(), nn.CrossEntropyLoss(), RULES[name]())
    train(other, 0, 1)
    step = rv.TrainStep(small_net(), nn.CrossEntropyLoss(), optim.SGD())
    before = step.state_dict()
    with pytest.raises(ValueError, match="unexpected key"):
        step.load_state_dict(other.state_dict())
    assert step.state_dict().keys() == before.keys()


# LBFGS has one direction for all parameters, which depends on how far the others went.
@both_dtypes
@pytest.mark.parametrize("name", [name for name in RULES if name != "LBFGS"])
def test_a_group_acts_as_an_optimizer_of_its_own(name: str, dtype: str) -> None:
    grouped = new_step(RULES[name](groups=[optim.Group(["matrix", "scalar"], lr=0.007)]), dtype)
    usual, other = new_step(RULES[name](), dtype), new_step(RULES[name](lr=0.007), dtype)
    for slopes in gradients(5, dtype):
        for step in (grouped, usual, other):
            apply(step, slopes)
    assert not np.array_equal(weights(usual)["matrix"], weights(other)["matrix"])
    for key in SHAPES:
        expected = weights(usual if key == "vector" else other)[key]
        np.testing.assert_array_equal(weights(grouped)[key], expected)


@all_rules
def test_follows_a_schedule(name: str) -> None:
    rates = [0.01, 0.02, 0.005, 0.01]
    scheduled, by_hand = (
        new_step(RULES[name](lr=lambda t: rates[t]), "float64"),
        new_step(RULES[name](), "float64"),
    )
    for rate, slopes in zip(rates, gradients(4, "float64"), strict=True):
        by_hand.optimizer.lr = rate
        apply(scheduled, slopes)
        apply(by_hand, slopes)
    for key in SHAPES:
        np.testing.assert_array_equal(weights(scheduled)[key], weights(by_hand)[key])
    assert len(by_hand.programs()) == 1


@all_rules
def test_maximize_goes_the_other_way(name: str) -> None:
    up, down = new_step(RULES[name](maximize=True), "float64"), new_step(RULES[name](), "float64")
    for slopes in gradients(5, "float64"):
        apply(up, slopes)
        apply(down, {key: -slope for key, slope in slopes.items()})
    for key in SHAPES:
        np.testing.assert_array_equal(weights(up)[key], weights(down)[key])


@both_dtypes
@all_rules
def test_zero_gradients_from_the_first_step_on(name: str, dtype: str) -> None:
    undecayed = name in ("Rprop", "SparseAdam")  # have no weight decay
    optimizer = RULES[name](**({} if undecayed else {"weight_decay": 0.0}))
    if name == "ASGD":
        optimizer.lambd = 0.0  # type: ignore[attr-defined]
    step = new_step(optimizer, dtype)
    before = weights(step)
    for _ in range(3):
        apply(step, {key: np.zeros(shape) for key, shape in SHAPES.items()})
    # Yogi's first moment begins above 0; (1 - b) y + b y need not be y.
    tolerance = 0.05 if name == "Yogi" else 1e-6 if "Free" in name else 0
    for key in SHAPES:
        np.testing.assert_allclose(weights(step)[key], before[key], rtol=0, atol=tolerance)


# Lookahead's slow weights move in every k-th step of the run, whatever was frozen; LBFGS is reset.
@pytest.mark.parametrize("name", [name for name in RULES if name not in ("Lookahead", "LBFGS")])
def test_frozen_parameters_stay_and_come_back(name: str) -> None:
    step = new_step(RULES[name](), "float64")
    slopes = list(gradients(3, "float64"))
    apply(step, slopes[0])
    step.model.vector.requires_grad = False
    before = weights(step)
    apply(step, slopes[1])
    np.testing.assert_array_equal(weights(step)["vector"], before["vector"])
    assert not np.array_equal(weights(step)["matrix"], before["matrix"])
    step.model.vector.requires_grad = True
    apply(step, slopes[2])
    other = new_step(RULES[name](), "float64")  # the vector has missed the second step
    apply(other, slopes[0])
    apply(other, slopes[2])
    np.testing.assert_array_equal(weights(step)["vector"], weights(other)["vector"])


class Parameters(nn.Module):
    """`total` numbers in one parameter or in many; the gradient is the input."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        numbers = np.split(np.random.default_rng(0).standard_normal(sum(sizes)), np.cumsum(sizes)[:-1])
        for i, part in enumerate(numbers):
            setattr(self, f"part{i}", nn.Parameter(part.astype(np.float32)))

    def forward(self, slopes: rv.Tensor) -> rv.Tensor:
        parts = [parameter for _, parameter in self.named_parameters()]
        ends = np.cumsum([0, *(p.shape[0] for p in parts)]).tolist()
        terms = [(p * slopes[a:b]).sum() for p, a, b in zip(parts, ends[:-1], ends[1:], strict=True)]
        return sum(terms[1:], start=terms[0])


def many_steps(name: str, sizes: list[int]) -> np.ndarray:
    model = Parameters(sizes)
    step = rv.TrainStep(model, lambda output, _: output, RULES[name]())
    for i in range(3):
        step(np.random.default_rng(i).standard_normal(sum(sizes)).astype(np.float32), np.zeros(1))
    return np.concatenate([np.array(p.data) for _, p in model.named_parameters()])


@all_rules
def test_same_bits_on_any_number_of_threads(name: str) -> None:
    sizes = [50_000, 3, 20_000, 1, 9_000]
    expected = None
    for threads in (1, 2, 3, 5):
        rv.set_num_threads(threads)
        result = many_steps(name, sizes)
        expected = result if expected is None else expected
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", [name for name in RULES if name not in ("LARS", "LAMB", "Adafactor")])
def test_same_bits_for_one_large_and_many_small_parameters(name: str) -> None:
    np.testing.assert_array_equal(many_steps(name, [20_000]), many_steps(name, [37, 1, 8200, 500, 11_262]))


def several() -> list[tuple[str, str]]:
    return [(name, argument) for name in RULES for argument in RULES[name]()._several]


@pytest.mark.parametrize(("name", "argument"), several())
def test_numbers_and_arrays_are_not_mixed(name: str, argument: str) -> None:
    optimizer = RULES[name]()
    owner = type(getattr(optimizer, "optimizer", optimizer)).__name__  # of a wrapper what it holds
    before = getattr(optimizer, argument)
    first, *others = before if before[0] is not None else (1e-30, *before[1:])
    for mixture in ((np.array(first), *others), [first, *map(ops.abs, others)]):
        with pytest.raises(ValueError, match=f"^{owner}: {argument} must be all numbers or all arrays, got "):
            setattr(optimizer, argument, mixture)
        assert getattr(optimizer, argument) == before
    for alike in ([np.array(first), *map(np.array, others)], (np.float64(first), *others)):
        setattr(optimizer, argument, alike)
        assert getattr(optimizer, argument) == (first, *others)


def test_arguments_are_those_declared_and_the_options_of_all() -> None:
    parameters = inspect.signature(optim.AdamW).parameters
    assert list(parameters)[:6] == ["lr", "betas", "eps", "weight_decay", "amsgrad", "maximize"]
    assert parameters["weight_decay"].default == 1e-2
    assert inspect.signature(optim.Adam).parameters["weight_decay"].default == 0.0
    keyword_only = {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert {"groups", "no_decay", "clip_norm", "noise", "accumulate", "average"} < keyword_only
    optimizer = optim.AdamW(0.1, (0.8, 0.9), clip_norm=2)
    assert (optimizer.lr, optimizer.betas, optimizer.weight_decay) == (0.1, (0.8, 0.9), 1e-2)
    assert (optimizer.clip_norm, optimizer.clip_value, optimizer.groups) == (2.0, None, ())
    with pytest.raises(TypeError, match="AdamW: multiple values for argument 'lr'"):
        optim.AdamW(0.1, lr=0.1)  # type: ignore[misc]
    with pytest.raises(TypeError, match="AdamW: too many positional arguments"):
        optim.AdamW(0.1, (0.8, 0.9), 1e-8, 0.0, False, False, ())  # type: ignore[misc]
