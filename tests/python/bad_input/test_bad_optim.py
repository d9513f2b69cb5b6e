"""Optimizers, stages and schedules: bad inputs are refused, and nothing changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from refusals import LINEAR, UPDATE, Case, check

from ravine import optim
from ravine.optim import schedules as S

CASES: list[Case] = [
    (lambda: optim.SGD([1, 2]), TypeError, "SGD: parameters are not given to an optimizer, got list: write"),
    (lambda: optim.SGD(0.1, momentum=-1), ValueError, "SGD: momentum must be a finite number at least 0,"),
    (lambda: optim.SGD(0.1, momentum=float("nan")), ValueError, "SGD: momentum must be a finite number at"),
    (lambda: optim.Adam(betas=(0.9,)), TypeError, "Adam: betas must be a pair of numbers, got (0.9,)"),
    (lambda: optim.Adam(betas=0.9), TypeError, "Adam: betas must be a pair of numbers, got 0.9"),
    (lambda: optim.Adam(accumulate=0), ValueError, "Adam: accumulate must be at least 1, got 0"),
    (lambda: optim.Adam(accumulate=1.5), TypeError, "Adam: accumulate must be an integer, got 1.5"),
    (lambda: optim.Adam(clip_norm=-1), ValueError, "Adam: clip_norm must be a finite number at least 0, got"),
    (lambda: optim.Adam(clip_value="x"), TypeError, "Adam: clip_value must be a number, got 'x'"),
    (lambda: optim.Adam(noise=-0.1), ValueError, "Adam: noise[0] must be a finite number at least 0, got"),
    (lambda: optim.Adam(average="ema"), TypeError, "Adam: average must be one of ravine.optim, such as"),
    (lambda: optim.Adam(groups=[1]), TypeError, "Adam: groups must be optim.Group, got int"),
    (lambda: optim.Adam(groups=3), TypeError, "Adam: groups must be optim.Group, got 3"),
    (lambda: optim.Adam(weight_decay=float("inf")), ValueError, "Adam: weight_decay must be a finite number"),
    (lambda: optim.Adam(no_decay="bias"), TypeError, "Adam: no_decay must be True or False, got 'bias'"),
    (lambda: optim.Adam(learning_rate=0.1), TypeError, "Adam: got an unexpected keyword argument"),
    (lambda: optim.Lookahead(0.1), TypeError, "Lookahead: optimizer must be one of ravine.optim, got float"),
    (lambda: optim.Lookahead(optim.SGD(0.1), k=0), ValueError, "Lookahead: k must be at least 1, got 0"),
    (lambda: optim.SAM(optim.SGD(0.1), rho=-1), ValueError, "SAM: rho must be a finite number at least 0,"),
    (lambda: optim.EMA(1.5), ValueError, "EMA: decay must be a finite number in [0, 1), got 1.5"),
    (lambda: optim.SWA(start=-1), TypeError, "SWA.__init__() missing 1 required positional argument:"),
    (lambda: optim.chain(), TypeError, "chain: stages and an optimizer are expected, got nothing"),
    (lambda: optim.chain(optim.SGD(0.1), optim.SGD(0.1)),
     TypeError, "chain: stages such as optim.clip_by_norm(1.0) are expected, got"),
    (lambda: optim.chain("clip", optim.SGD(0.1)), TypeError, "chain: stages such as optim.clip_by_norm(1.0)"),
    (lambda: optim.clip_by_norm(-1), ValueError, "clip_by_norm: bound must be a finite number at least 0,"),
    (lambda: optim.clip_by_value(float("nan")), ValueError, "clip_by_value: bound must be a finite number"),
    (lambda: optim.add_noise("x"), TypeError, "add_noise: noise[0] must be a number, got 'x'"),
    (lambda: optim.accumulate(0), ValueError, "accumulate: calls must be at least 1, got 0"),
    (lambda: optim.Update(optim.SGD(0.1), 5), TypeError, "Update: model must be a Module, got int"),
    (lambda: optim.Update(5, LINEAR), TypeError, "Update: optimizer must be one of ravine.optim, got int:"),
    (lambda: UPDATE({"weight": np.ones((2, 2))}),
     ValueError, "Update: the gradient of weight has shape (2, 2), the parameter"),
    (lambda: UPDATE({"nothing": np.ones(1)}),
     ValueError, "Update: Linear has no parameter 'nothing'; it has weight, bias"),
    (lambda: optim.LBFGS(history=0), TypeError, "LBFGS: got an unexpected keyword argument 'history'"),
    (lambda: S.Constant("x"), TypeError, "Constant: lr must be a number, got 'x'"),
    (lambda: S.Cosine(0.1, 0), ValueError, "Cosine: steps must be at least 1, got 0"),
    (lambda: S.Cosine(-0.1, 5), ValueError, "Cosine: lr must be a finite number at least 0, got -0.1"),
    (lambda: S.Cosine(0.1, 5)(5), ValueError, "Cosine(lr=0.1, steps=5, end=0.0) spans 5 steps, and step 5"),
    (lambda: S.Cosine(0.1, 5)(-1), ValueError, "Cosine: step must be at least 0, got -1"),
    (lambda: S.Cosine(0.1, 5)(1.5), TypeError, "Cosine: step must be an integer, got 1.5"),
    (lambda: S.Warmup(0.1, 5, kind="cubic"), ValueError, "Warmup: kind must be 'linear', 'exponential' or"),
    (lambda: S.Linear(0.1, 0.0, 2.5), TypeError, "Linear: steps must be an integer, got 2.5"),
    (lambda: S.MultiStep(0.1, [5, 3]), ValueError, "MultiStep: milestones must increase, got [5, 3]"),
    (lambda: S.MultiStep(0.1, 5), TypeError, "MultiStep: milestones must be a list of steps, got 5"),
    (lambda: S.Piecewise([1], [0.1]), ValueError, "Piecewise: 1 boundaries need 2 rates, got 1"),
    (lambda: S.Polynomial(0.1, 5, power=-1), ValueError, "Polynomial: power must be a finite number at"),
    (lambda: S.Exponential(0.1), ValueError, "Exponential: one of gamma and k must be given, got gamma=None"),
    (lambda: S.Exponential(0.1, gamma=0.9, k=1), ValueError, "Exponential: one of gamma and k must be"),
    (lambda: S.OneCycle(0.1, 10, pct_start=2), ValueError, "OneCycle: pct_start must be a finite number in"),
    (lambda: S.OneCycle(0.1, 10, anneal="exp"), ValueError, "OneCycle: anneal must be 'cos' or 'linear',"),
    (lambda: S.Cyclic(0.1, 0.05), ValueError, "Cyclic: max_lr must be a finite number at least 0.1, got"),
    (lambda: S.Cyclic(0.1, 0.2, mode="saw"), ValueError, "Cyclic: mode must be 'triangular', 'triangular2'"),
    (lambda: S.CosineRestarts(0.1, 0), ValueError, "CosineRestarts: cycle must be at least 1, got 0"),
    (lambda: S.StepDecay(0.1, 0), ValueError, "StepDecay: step_size must be at least 1, got 0"),
    (lambda: S.ReduceOnPlateau(0.1, mode="best"), ValueError, "ReduceOnPlateau: mode must be 'min' or"),
    (lambda: S.ReduceOnPlateau(0.1, factor=1.5), ValueError, "ReduceOnPlateau: factor must be a finite"),
    (lambda: S.ReduceOnPlateau(0.1, patience=-1), ValueError, "ReduceOnPlateau: patience must be at least"),
    (lambda: S.Sequence(), ValueError, "Sequence: at least one schedule is expected"),
    (lambda: S.Sequence(S.Constant(0.1), 0.2), ValueError, "Sequence: Constant(lr=0.1) never ends, so"),
    (lambda: S.Product("x"), TypeError, "Product: schedules and numbers are expected, got 'x'"),
    (lambda: S.Constant(0.1).take(0), ValueError, "take: n must be at least 1, got 0"),
    (lambda: S.Constant(0.1).values(), ValueError, "values: Constant(lr=0.1) never ends, so the number of"),
    (lambda: S.Cosine(0.1, 5) + "x", TypeError, "unsupported operand type(s) for +: 'Cosine' and 'str'"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_bad_input_is_refused(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(case, str(tmp_path))
