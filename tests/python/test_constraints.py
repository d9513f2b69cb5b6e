"""Constraints and penalties of weights."""

from __future__ import annotations

import contextlib
import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops, optim

constraints = nn.constraints
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((16, 8)).astype("float32"), RNG.standard_normal((16, 4)).astype("float32")
W = RNG.standard_normal((5, 3, 2, 2))


def lengths(w: np.ndarray, axes: Any) -> np.ndarray:
    return np.sqrt((w**2).sum(axes, keepdims=True))


FORMULAS: dict[str, tuple[Any, Callable[[np.ndarray], np.ndarray]]] = {
    "max_norm": (constraints.MaxNorm(2.0), lambda w: w * np.minimum(1, 2 / lengths(w, (1, 2, 3)))),
    "max_norm_dim": (constraints.MaxNorm(2.0, dim=1), lambda w: w * np.minimum(1, 2 / lengths(w, (0, 2, 3)))),
    "max_norm_all": (constraints.MaxNorm(3.0, dim=None), lambda w: w * np.minimum(1, 3 / lengths(w, None))),
    "unit_norm": (constraints.UnitNorm(), lambda w: w / lengths(w, (1, 2, 3))),
    "norm_bounds": (
        constraints.NormBounds(3.0, 3.2),
        lambda w: w * np.clip(lengths(w, (1, 2, 3)), 3.0, 3.2) / lengths(w, (1, 2, 3)),
    ),
    "non_negative": (constraints.NonNegative(), lambda w: np.maximum(w, 0)),
    "bounds": (constraints.Bounds(-0.5, 0.25), lambda w: np.clip(w, -0.5, 0.25)),
    "bound": (constraints.Bounds(high=0.25), lambda w: np.minimum(w, 0.25)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_constraint_is_its_formula_and_holds_what_satisfies_it(name: str) -> None:
    constraint, formula = FORMULAS[name]
    once = constraint(nn.Parameter(W)).numpy()
    np.testing.assert_allclose(once, formula(W), rtol=1e-14)
    np.testing.assert_allclose(constraint(nn.Parameter(once)).numpy(), once, rtol=1e-14)
    zeros = constraint(nn.Parameter(np.zeros((2, 2)))).numpy()
    np.testing.assert_array_equal(zeros, np.zeros((2, 2)))


OPTIMIZERS: list[Callable[[], optim.Optimizer]] = [
    lambda: optim.SGD(lr=0.5, momentum=0.9),
    lambda: optim.Adam(lr=0.3),
    lambda: optim.SGD(lr=0.5, accumulate=2),
    lambda: optim.Muon(lr=0.3),
    lambda: optim.SAM(optim.SGD(lr=0.5)),
    lambda: optim.Lookahead(optim.Adam(lr=0.3), k=2),
]


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("case", range(len(OPTIMIZERS)))
def test_every_update_ends_with_the_projection(case: int, eager: bool) -> None:
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4))
    plain = copy.deepcopy(model)
    model[0].weight.constraint = constraints.MaxNorm(0.5)
    model[2].bias.constraint = constraints.NonNegative()
    step = rv.TrainStep(model, nn.MSELoss(), OPTIMIZERS[case]())
    by_hand = rv.TrainStep(plain, nn.MSELoss(), OPTIMIZERS[case]())
    for _ in range(5):
        before = by_hand.steps
        for each in (step, by_hand):
            with rv.eager() if eager else contextlib.nullcontext():
                each(X, Y)
        if by_hand.steps > before:
            for parameter, constraint in ((plain[0].weight, constraints.MaxNorm(0.5)),
                                          (plain[2].bias, constraints.NonNegative())):  # fmt: skip
                parameter.data = constraint(parameter).numpy()
        for name, value in plain.state_dict().items():
            np.testing.assert_array_equal(model.state_dict()[name], value, err_msg=name)
    assert np.linalg.norm(model[0].weight.data, axis=1).max() <= 0.5 + 1e-6
    assert model[2].bias.data.min() >= 0


def test_a_step_that_is_skipped_projects_nothing_and_a_change_takes_effect() -> None:
    model = nn.Linear(8, 4)
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(lr=0.1))
    step(X, Y)
    before = model.weight.data.copy()
    model.weight.constraint = constraints.MaxNorm(0.1)
    step(np.full_like(X, np.nan), Y)
    assert step.skipped == 1
    np.testing.assert_array_equal(model.weight.data, before)
    step(X, Y)
    assert np.linalg.norm(model.weight.data, axis=1).max() <= 0.1 + 1e-6
    model.weight.constraint = None
    step(X, Y)
    assert np.linalg.norm(model.weight.data, axis=1).max() > 0.1 + 1e-3


def test_updates_from_gradients_elsewhere_project_too() -> None:
    model = nn.Linear(2, 2, bias=False)
    update = optim.Update(optim.SGD(lr=1.0), model)
    for constraint, lowest in (
        (constraints.NonNegative(), 0.0),
        (None, -1.0),
        (constraints.Bounds(-3, 3), -2),
    ):
        model.weight.constraint = constraint
        update({"weight": np.ones((2, 2))})
        assert model.weight.data.min() == lowest or constraint is None
        if constraint is not None and lowest == 0:
            model.weight.data[...] = 0


def test_the_bits_do_not_depend_on_threads() -> None:
    results = []
    for threads in (1, 3):
        rv.set_num_threads(threads)
        rv.seed(0)
        model = nn.utils.constrain(nn.Linear(8, 400), constraints.UnitNorm())
        step = rv.TrainStep(model, lambda y, _: ops.mean(ops.square(y)), optim.Adam(lr=0.1))
        for _ in range(3):
            step(X, Y)
        results.append(model.weight.numpy().tobytes())
    assert results[0] == results[1]


def test_constrain_selects_projects_at_once_and_is_copied() -> None:
    model = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Linear(6, 4))
    nn.utils.constrain(model, constraints.UnitNorm(), ["0.weight", "2.*t"])
    np.testing.assert_allclose(np.linalg.norm(model[2].weight.data, axis=1), 1, rtol=1e-6)
    assert model[1].weight.constraint is None and model[0].bias.constraint is None
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other[0].weight.constraint == constraints.UnitNorm()
    nn.utils.constrain(model, None)
    assert all(p.constraint is None for p in model.parameters())


def test_penalties_are_sums_over_what_is_selected_and_have_their_gradients() -> None:
    model = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4)).double()
    weights = [model[0].weight.data.copy(), model[1].weight.data.copy()]
    l1, l2 = sum(np.abs(w).sum() for w in weights), sum((w**2).sum() for w in weights)
    assert nn.utils.l1_penalty(model, 0.5).item() == pytest.approx(0.5 * l1)
    assert nn.utils.l2_penalty(model, 0.5).item() == pytest.approx(0.5 * l2)
    assert nn.utils.l2_penalty(model, select="0.bias").item() == pytest.approx(
        (model[0].bias.data ** 2).sum()
    )

    decayed = copy.deepcopy(model)
    penalised = rv.TrainStep(
        model, lambda y, t: nn.MSELoss()(y, t) + nn.utils.l2_penalty(model, 0.05, "*"), optim.SGD(lr=0.1)
    )
    step = rv.TrainStep(decayed, nn.MSELoss(), optim.SGD(lr=0.1, weight_decay=0.1))
    for _ in range(3):
        penalised(X, Y)
        step(X, Y)
    for name, value in decayed.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[name], value, rtol=1e-10)


LINEAR = nn.Linear(3, 2)
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: constraints.MaxNorm(0), ValueError, "MaxNorm: max_norm must be above 0, got 0"),
    (lambda: constraints.MaxNorm("a"), TypeError, "MaxNorm: max_norm must be a number, got 'a'"),
    (lambda: constraints.MaxNorm(dim=0.5), TypeError, "MaxNorm: dim must be an integer, got 0.5"),
    (lambda: constraints.NormBounds(2, 1), ValueError, "NormBounds: high must be a finite number at least 2"),
    (lambda: constraints.Bounds(2, 1), ValueError, "Bounds: low must not exceed high, got 2 and 1"),
    (lambda: constraints.Bounds(float("nan")), ValueError, "Bounds: low must be a finite number"),
    (lambda: constraints.MaxNorm(dim=3)(LINEAR.weight), ValueError, r"dim 3 is out of range .* \(2, 3\)"),
    (lambda: setattr(LINEAR.weight, "constraint", 3), TypeError, "constraint: one of nn.constraints"),
    (lambda: nn.utils.constrain(LINEAR, 3), TypeError, "constrain: one of nn.constraints or a function"),
    (lambda: nn.utils.constrain(3, None), TypeError, "constrain: a Module is expected, got int"),
    (
        lambda: nn.utils.constrain(LINEAR, constraints.UnitNorm(), "x*"),
        ValueError,
        r"no parameter of Linear is 'x\*'; it has weight, bias",
    ),
    (
        lambda: nn.utils.constrain(LINEAR, lambda w: w[0], "*"),
        ValueError,
        r"makes of weight with shape \(2, 3\)",
    ),
    (
        lambda: nn.utils.l1_penalty(LINEAR, -1),
        ValueError,
        "l1_penalty: weight must be a finite number at least",
    ),
    (
        lambda: nn.utils.l2_penalty(LINEAR, select="y"),
        ValueError,
        "l2_penalty: no parameter of Linear is 'y'",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    before = LINEAR.state_dict()
    with pytest.raises(error, match=message):
        call()
    assert LINEAR.weight.constraint is None and LINEAR.bias.constraint is None
    np.testing.assert_array_equal(LINEAR.weight.data, before["weight"])


def test_a_constraint_of_another_shape_names_the_parameter_and_trains_nothing() -> None:
    model = nn.Linear(8, 4)
    model.weight.constraint = lambda w: w[0]
    before = model.state_dict()
    step = rv.TrainStep(model, nn.MSELoss(), optim.SGD(lr=0.1))
    with pytest.raises(ValueError, match=r"in weight: the constraint makes float32 of shape \(8,\)"):
        step(X, Y)
    np.testing.assert_array_equal(model.weight.data, before["weight"])
    assert step.steps == 0
