"""Random sequences of what happens to a training run, beside the same run in NumPy: reference_training.py.

`RAVINE_LONG_TESTS=1` runs many more and longer sequences, other ones every time.
"""

from __future__ import annotations

import copy
import os
import pickle
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from reference_training import Run

import ravine as rv
from ravine import nn, optim

LONG = bool(os.environ.get("RAVINE_LONG_TESTS"))
PACKAGE = str(Path(rv.__file__).parent)
PARTS = {0: ("0.weight", "0.bias"), 1: ("1.weight", "1.bias")}


def batch(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((rows, 3)), rng.standard_normal((rows, 2))


batches = st.builds(batch, st.integers(0, 99), st.sampled_from([1, 2, 5]))


class Interrupts:
    """Raises KeyboardInterrupt at the n-th line of the package that runs, as a signal's handler may."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


class TrainingRun(RuleBasedStateMachine):
    @initialize(
        kind=st.sampled_from(["sgd", "adam"]),
        accumulate=st.sampled_from([1, 1, 2, 3]),
        decay=st.sampled_from([None, 0.8]),
        lookahead=st.sampled_from([None, (2, 0.5)]),
        momentum=st.sampled_from([0.0, 0.9]),
        clip_value=st.sampled_from([None, 0.3]),
        clip_global_norm=st.sampled_from([None, 0.5]),
    )
    def begin(self, kind: str, accumulate: int, decay: Any, lookahead: Any, **numbers: Any) -> None:
        rv.seed(1)
        self.settings = kind, accumulate, decay, lookahead
        self.numbers = {"lr": 0.05, **numbers}
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).to("float64")
        self.step = self.new_step(self.model)
        weights = {name: p.numpy() for name, p in self.model.named_parameters()}
        self.run = Run(weights, *self.settings, self.numbers)
        self.saved: tuple[dict[str, np.ndarray], Run, dict[str, Any]] | None = None

    def new_step(self, model: nn.Module) -> rv.TrainStep:
        kind, accumulate, decay, lookahead = self.settings
        numbers = dict(self.numbers)
        if kind == "adam":
            del numbers["momentum"]
        average = None if decay is None else optim.EMA(decay)
        of_kind: Any = optim.Adam if kind == "adam" else optim.SGD
        optimizer = of_kind(**numbers, accumulate=accumulate, average=average)
        if lookahead is not None:
            optimizer = optim.Lookahead(optimizer, *lookahead)
        return rv.TrainStep(model, nn.MSELoss(), optimizer)

    # --- training

    @rule(data=batches)
    def train(self, data: Any) -> None:
        assert self.step(*data) == pytest.approx(self.run.step(*data), rel=1e-9)

    @rule(data=batches)
    def train_eagerly(self, data: Any) -> None:
        with rv.eager():
            loss = self.step(*data)
        assert loss == pytest.approx(self.run.step(*data), rel=1e-9)

    @rule(data=batches)
    def train_on_what_is_not_finite(self, data: Any) -> None:
        x, y = data[0] * np.nan, data[1]
        assert np.isnan(self.step(x, y)) and np.isnan(self.run.step(x, y))

    @rule(data=batches, lines=st.integers(0, 400))
    def interrupted(self, data: Any, lines: int) -> None:
        before, calls, tracing = self.calls(), 0, sys.gettrace()
        try:
            sys.settrace(Interrupts(lines))
            while True:
                calls += 1
                self.step(*data)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(tracing)
        done = self.calls() - before
        assert done in (calls - 1, calls)
        for _ in range(done):
            self.run.step(*data)

    def calls(self) -> int:
        """That changed something."""
        gathered = int(self.step.state_dict().get("optimizer.gathered", 0))
        return self.step.steps * self.settings[1] + gathered

    # --- what changes between steps

    @rule(part=st.sampled_from([0, 1]), whole=st.booleans())
    def freeze(self, part: int, whole: bool) -> None:
        if whole:
            nn.freeze(self.model[part])
            names = set(PARTS[part])
        else:
            self.model[part].bias.requires_grad = False
            names = {PARTS[part][1]}
        if len(self.run.frozen | names) == 4:  # nothing would be left to train
            self.thaw(part)
        else:
            self.run.frozen |= names

    @rule(part=st.sampled_from([0, 1]))
    def thaw(self, part: int) -> None:
        nn.unfreeze(self.model[part])
        self.model[part].requires_grad_(True)
        self.run.frozen -= set(PARTS[part])

    @rule(
        name_and_value=st.one_of(
            st.tuples(st.just("lr"), st.sampled_from([0.02, 0.1])),
            st.tuples(st.just("momentum"), st.sampled_from([0.0, 0.5, 0.9])),
            st.tuples(st.just("clip_value"), st.sampled_from([None, 0.1, 0.4])),
            st.tuples(st.just("clip_global_norm"), st.sampled_from([None, 0.2, 1.0])),
        ),
        in_optimizer=st.booleans(),
    )
    def change(self, name_and_value: tuple[str, Any], in_optimizer: bool) -> None:
        name, value = name_and_value
        if name == "momentum" and self.settings[0] == "adam":
            return
        if in_optimizer:
            setattr(self.step.optimizer, name, value)
            self.numbers[name] = value
        else:
            self.step.hyper[name] = value
        self.run.numbers[name] = value  # the last assignment holds

    # --- saving, loading, copying

    @rule(in_a_file=st.booleans())
    def save(self, in_a_file: bool) -> None:
        state = {
            **{f"model.{key}": value for key, value in self.model.state_dict().items()},
            **self.step.state_dict(),
        }
        if in_a_file:
            with tempfile.TemporaryDirectory() as folder:
                rv.save(Path(folder) / "run", state)
                state = rv.load(Path(folder) / "run")
        numbers = {name: x for name, x in self.run.numbers.items() if x != self.numbers[name]}
        self.saved = state, self.run.saved(), numbers

    @precondition(lambda self: self.saved is not None)
    @rule(fresh=st.booleans())
    def load(self, fresh: bool) -> None:
        assert self.saved is not None
        state, saved, changed = self.saved
        if fresh:
            self.step = self.new_step(self.model)
            self.run.skipped = 0
        weights = {key[6:]: value for key, value in state.items() if key.startswith("model.")}
        self.model.load_state_dict(weights)
        self.step.load_state_dict({k: v for k, v in state.items() if not k.startswith("model.")})
        self.run.load(saved)
        self.run.numbers = {**self.numbers, **changed}  # what `step.hyper` had changed is saved

    @rule(way=st.sampled_from([copy.deepcopy, lambda step: pickle.loads(pickle.dumps(step))]))
    def go_on_with_a_copy(self, way: Callable[[rv.TrainStep], rv.TrainStep]) -> None:
        self.step = way(self.step)
        self.model = self.step.model
        self.run.skipped = 0

    @rule(data=batches)
    def fork(self, data: Any) -> None:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                self.train(data)
                self.agrees()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        self.train(data)

    # --- what holds at any time

    @invariant()
    def agrees(self) -> None:
        for name, parameter in self.model.named_parameters():
            np.testing.assert_allclose(
                parameter.numpy(), self.run.w[name], rtol=1e-9, atol=1e-11, err_msg=name
            )
        assert (self.step.steps, self.step.skipped) == (self.run.steps, self.run.skipped)
        state = self.step.state_dict()
        assert int(state.get("optimizer.gathered", 0)) == self.run.gathered
        for name, done in self.run.done.items():
            assert int(state.get(f"optimizer.{name}.step", 0)) == done

    @precondition(lambda self: self.settings[2] is not None and self.run.steps > 0)
    @rule(data=batches)
    def averaged(self, data: Any) -> None:
        expected = self.run.averages()
        x, y = data
        with optim.averaged(self.model):
            for name, parameter in self.model.named_parameters():
                np.testing.assert_allclose(parameter.numpy(), expected[name], rtol=1e-9, atol=1e-11)
            hidden = x @ expected["0.weight"].T + expected["0.bias"]
            output = hidden @ expected["1.weight"].T + expected["1.bias"]
            np.testing.assert_allclose(self.model(x), output, rtol=1e-9, atol=1e-10)
            with pytest.raises(RuntimeError, match="would train the averages"):
                self.step(x, y)


TrainingRun.TestCase.settings = settings(
    max_examples=1000 if LONG else 30,
    stateful_step_count=60 if LONG else 25,
    derandomize=not LONG,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
class TestTrainingRun(TrainingRun.TestCase):
    """The machine's sequences."""
