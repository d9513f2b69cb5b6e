"""EnsembleStep: forward, backward and update of all members of an ensemble as one program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._recorder import Call, Recorder
from .._step import TrainStep
from .._trained import Trained
from ..nn import Module
from ..optim import Hyper, Optimizer
from ..record import Compiled
from ._module import Ensemble
from ._recorder import EnsembleRecorder, Variant

if TYPE_CHECKING:
    from .._loss import Observer
    from .._profile import Profile

__all__ = ["EnsembleHyper", "EnsembleStep"]

_ACTIVE = "ensemble.active"


class EnsembleHyper(Mapping[str, Any]):
    """The hyperparameters of all members: `step.hyper["lr"]` is an array of n, and so it may be set.

    A number sets that of all members, a sequence of n one for each. `step.hyper.of(i)` is the `optim.Hyper`
    of member i, with its groups.

    Raises KeyError for an unknown name, ValueError for another number of values, and what setting the
    optimizer's attribute raises; nothing has changed then.

    Example:
        >>> import ravine as rv
        >>> from ravine import nn, optim
        >>> step = rv.TrainStep(rv.Ensemble(lambda: nn.Linear(3, 1), 3), nn.MSELoss(), optim.SGD(lr=0.1))
        >>> step.hyper["lr"] = [0.1, 0.2, 0.3]
        >>> step.hyper["lr"], step.hyper.of(1)["lr"]
        (array([0.1, 0.2, 0.3]), 0.2)
    """

    __slots__ = ("_members",)

    def __init__(self, members: Sequence[Hyper]) -> None:
        self._members = members

    def of(self, i: int) -> Hyper:
        """The numbers of member i."""
        return self._members[i]

    def __getitem__(self, name: str) -> Any:
        values = [hyper[name] for hyper in self._members]
        plain = all(isinstance(value, bool | int | float) for value in values)
        return np.array(values) if plain else values

    def __setitem__(self, name: str, value: Any) -> None:
        n = len(self._members)
        several = isinstance(value, list | np.ndarray) and np.ndim(value) > 0
        if several and len(value) != n:
            raise ValueError(
                f"hyper: {name!r} needs a number, or one for each of {n} members, got {len(value)}"
            )
        new = [x.item() if isinstance(x, np.generic) else x for x in value] if several else [value] * n
        before = [hyper[name] for hyper in self._members]
        try:
            for hyper, own in zip(self._members, new, strict=True):
                hyper[name] = own
        except BaseException:
            for hyper, own in zip(self._members, before, strict=True):
                hyper[name] = own
            raise

    def __iter__(self) -> Iterator[str]:
        return iter(self._members[0])

    def __len__(self) -> int:
        return len(self._members[0])

    def __repr__(self) -> str:
        return f"EnsembleHyper({dict(self)!r})"


class EnsembleStep(TrainStep, of=Ensemble):
    """One step of training of every member of an ensemble: `losses = step(x, y)`, one compiled call.

    `rv.TrainStep(ensemble, loss, optimizer)` makes it, and `rv.TrainStep(fn, ensemble, optimizer)` with
    `fn(member, *batch)`. Each member has an optimizer of its own, with its own moments, counts, clipping by
    its own norm, schedules and hyperparameters. The weights of a member are, to the bit, those that a step
    over it alone gives on the same batches, for any number of threads and whatever the others do; only where
    the net draws random numbers (dropout) a member has numbers of its own, and others than alone.

    A member whose loss is NaN or infinite (with `skip_nonfinite` also one with such a gradient) is left as it
    is by that call, as a step over it alone would leave it, and the others are trained. Members that have
    ended rest: `step.active = mask`. A program is compiled for each set of members that is trained.

    Args:
        model, loss: as for `TrainStep`; `fn` is given one member.
        optimizer: the rule of all members, or a sequence of n.

    Raises TypeError, ValueError: as `TrainStep`, and for another number of optimizers.

    Example:
        A grid of learning rates, on one batch and then on a batch for each:

        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> ensemble = rv.Ensemble(lambda: nn.Linear(3, 1), 3)
        >>> step = rv.TrainStep(ensemble, nn.MSELoss(), [optim.SGD(lr=r) for r in (0.01, 0.1, 1e9)])
        >>> x = np.eye(3); y = np.array([[1.0], [2.0], [3.0]])
        >>> losses = [step(x, y) for _ in range(50)]
        >>> np.isfinite(losses[-1]).tolist()
        [True, True, False]
        >>> step.active = np.isfinite(losses[-1])
        >>> step(np.stack([x, x, x]), np.stack([y, y, y]), each=True).shape, step.steps[:2].tolist()
        ((3,), [51, 51])
    """

    def __init__(self, model: Any, loss: Any, optimizer: Any) -> None:
        super().__init__(model, loss, optimizer)
        self._active = np.ones(len(self._trained), bool)
        self._skips = np.zeros(len(self._trained), np.int64)
        self._variants: dict[tuple[Any, ...], Variant] = {}
        self._member_parts: dict[str, np.ndarray] = {}

    def _named_models(self) -> dict[str, Module]:
        assert isinstance(self._given, Ensemble)
        return {str(i): member for i, member in enumerate(self._given.members)}

    def _named_optimizers(self, optimizer: Any) -> tuple[Any, dict[str, Optimizer]]:
        n = len(self._models)
        own = [optimizer] * n if not isinstance(optimizer, list | tuple) else list(optimizer)
        if len(own) != n:
            raise ValueError(f"TrainStep: got {len(own)} optimizers for an ensemble of {n} members")
        wrong = next((type(rule).__name__ for rule in own if not isinstance(rule, Optimizer)), None)
        if wrong is not None:
            raise TypeError(
                f"TrainStep: optimizer must be one of ravine.optim, or {n} of them, one for each member, got "
                f"{wrong}"
            )
        given = own if isinstance(optimizer, list | tuple) else optimizer
        return given, dict(zip(self._models, own, strict=True))

    def _make_recorder(self) -> Recorder:
        return EnsembleRecorder(
            self._function, self._given, self._loss is not None, self._models, self._trained, self._stream
        )

    # --- which members are trained

    @property
    def active(self) -> np.ndarray:
        """Which members are trained, bool [n]; assign a mask to let some rest. It cannot be written into."""
        mask = self._active.copy()
        mask.flags.writeable = False
        return mask

    @active.setter
    def active(self, mask: Any) -> None:
        given = np.asarray(mask)
        if given.shape != self._active.shape or given.dtype != np.bool_:
            raise ValueError(
                f"active: a mask, bool [{len(self._active)}], is expected, got {given.dtype} {given.shape}"
            )
        with self._lock:
            self._active = given.copy()

    # --- calls

    def __call__(self, *batch: Any, weight: Any = None, each: bool = False) -> np.ndarray:  # type: ignore[override]
        """Trains the active members on one batch and returns their losses, as they were before the update.

        Args:
            batch: x and y, where x may be a tuple of inputs; in the second form what the function takes after
                the member.
            weight: a weight for each example, [N], see `TrainStep`; with `each` [n, N], or a list of n.
            each: whether every member has a batch of its own: arrays [n, N, ...], or lists of n arrays, in
                which None lets a member sit out this call.

        Returns:
            The losses [n] in the dtype of the model; NaN of members that rest.

        Raises what a call of `TrainStep` raises; nothing has changed then, of any member.
        """
        flat = _flat(batch if weight is None else (*batch, weight))
        trains = self._active & _present(batch, each, len(self._active))
        losses: np.ndarray | None = None
        while trains.any():
            found, parts, refused = self._train(batch, weight, each, trains, flat)
            if losses is None:
                losses = np.full(len(trains), np.nan, found.dtype)
                self._member_parts = {name: np.full(len(trains), np.nan) for name in parts}
            losses[trains] = found
            for name, values in parts.items():
                self._member_parts[name][trains] = values
            if not refused:
                break
            failed = trains & ~self._finite(losses)
            if not failed.any():  # each is finite, but their sum is not: the largest has run away
                failed[np.argmax(np.where(trains, np.abs(losses), -1))] = True
            self._skips += failed
            trains = trains & ~failed
        return np.full(len(trains), np.nan) if losses is None else losses

    def _train(
        self,
        batch: tuple[Any, ...],
        weight: Any,
        each: bool,
        trains: np.ndarray,
        flat: tuple[list[np.ndarray], tuple[Any, ...]] | None,
    ) -> tuple[np.ndarray, dict[str, np.ndarray], bool]:
        """One call for these members: their losses and parts, and whether it was refused."""
        key = (trains.tobytes(), each, weight is not None, None if flat is None else flat[1])
        variant = self._variants.get(key)
        if variant is None:
            variant = self._variants[key] = Variant(tuple(trains.tolist()), each)
        state = self._trained[int(trains.argmax())].bound.state
        skipped = state.skipped
        result: Any = NotImplemented if flat is None else self._programs.run((*flat[0], variant))
        if result is NotImplemented:
            with self._lock:
                result = self._result_of(self._call_of(batch, weight, variant, flat=flat is not None))
        parts = {k.removeprefix("part."): v for k, v in result.parts.items() if k != "loss"}
        return result.parts["loss"], parts, state.skipped != skipped

    def _call_of(self, batch: tuple[Any, ...], weight: Any, variant: Variant, *, flat: bool) -> Call:
        assert isinstance(self._recorder, EnsembleRecorder)
        return self._recorder.member_call(batch, weight, variant, flat=flat)

    def _variant_of(self, batch: tuple[Any, ...], each: bool) -> Variant:
        return Variant(tuple((self._active & _present(batch, each, len(self._active))).tolist()), each)

    def _finite(self, losses: np.ndarray) -> np.ndarray:
        """Of which members the newest loss is finite, and the gradient, where that is asked for."""
        finite = np.isfinite(losses)
        for i, trained in enumerate(self._trained):
            norm = trained.bound.state.gradient_norm
            if trained.bound.own.skip_nonfinite and norm is not None:
                finite[i] &= np.isfinite(norm)
        return finite

    def _remember(self, call: Call, compiled: Compiled, optimizers: _core.Watch) -> None:
        bound = [trained.bound for trained in self._trained]
        if call.flat and all(own.calls_per_update == 1 for own in bound):
            self._programs.remember(
                (*call.inputs.arrays, call.variant),
                compiled,
                watches=[optimizers],
                before=[own.before_run for own in bound if own.asks],
            )

    def _waiting(self) -> list[Trained]:
        return [
            own
            for own, on in zip(self._trained, self._active, strict=True)
            if on and own.bound.state.gathered > 0
        ]

    def check(self, *batch: Any, weight: Any = None, each: bool = False) -> None:
        """Raises what a call with such arrays would raise, and trains nothing."""
        variant = self._variant_of(batch, each)
        with self._lock:
            self._recorder.record(self._call_of(batch, weight, variant, flat=False), None, eager=False)

    def profile(self, *batch: Any, runs: int = 20, each: bool = False) -> Profile:
        """Where the time of a call goes, see `TrainStep.profile`; nothing is trained.

        Args:
            batch, each: as in a call.
            runs: how often; the medians count.
        """
        call = self._call_of(batch, None, self._variant_of(batch, each), flat=False)
        return self._profile_of(call, runs)

    def with_output(self, x: Any, y: Any, *, weight: Any = None) -> Any:
        """Raises TypeError: call the ensemble for its outputs."""
        raise TypeError("TrainStep.with_output: a step over an Ensemble returns losses; call the ensemble")

    def observe(self, observer: Observer | None) -> None:
        """Raises TypeError for an observer: `rv.train.EnsembleTrainer` measures ensembles."""
        if observer is not None:
            raise TypeError("TrainStep.observe: a step over an Ensemble has no single loss to observe")

    # --- what is known of the members

    @property
    def parts(self) -> dict[str, Any]:  # type: ignore[override]
        """The named parts of the members' newest losses, arrays [n], if the loss returned some."""
        return {name: values.copy() for name, values in self._member_parts.items()}

    @property
    def steps(self) -> np.ndarray:  # type: ignore[override]
        """Number of updates of each member, int64 [n]."""
        return np.array([trained.bound.state.steps for trained in self._trained])

    @property
    def skipped(self) -> np.ndarray:  # type: ignore[override]
        """Number of calls that left a member as it was since its loss was not finite, int64 [n].

        With the optimizer's `skip_nonfinite`, also those in which its gradient was not.
        """
        return self._skips.copy()

    @property
    def gradient_norm(self) -> np.ndarray:
        """The norms of the members' gradients in their newest update, before clipping; [n].

        NaN of members whose optimizer neither clips by a norm nor skips.
        """
        norms = [trained.bound.state.gradient_norm for trained in self._trained]
        return np.array([np.nan if norm is None else norm for norm in norms])

    @property
    def optimizer(self) -> Any:
        """The update rule of all members, or the list of those of each."""
        return list(self._optimizer) if isinstance(self._optimizer, list) else self._optimizer

    @property
    def hyper(self) -> EnsembleHyper:
        """The numbers of the members' optimizers in this step, as arrays of n; see `EnsembleHyper`."""
        return EnsembleHyper([Hyper(own.bound, self._lock, self._refresh) for own in self._trained])

    # --- state

    def state_dict(self) -> dict[str, np.ndarray]:
        """As that of `TrainStep`, with the number of the member behind the first word
        ("optimizer.3.steps"), and "ensemble.active"."""
        return super().state_dict() | {_ACTIVE: self._active.copy()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continues where `state_dict` was taken: the following losses and weights are the same bits.

        Raises ValueError naming missing, unexpected and misshaped keys; nothing is changed then.
        """
        own = dict(state_dict)
        active = np.asarray(own.pop(_ACTIVE, ())).astype(bool)
        if active.shape != self._active.shape:
            raise ValueError(
                f"load_state_dict of TrainStep: {_ACTIVE} has shape {active.shape}, expected "
                f"{self._active.shape}"
            )
        super().load_state_dict(own)
        self._active = active


def _flat(arguments: tuple[Any, ...]) -> tuple[list[np.ndarray], tuple[Any, ...]] | None:
    """The arrays of a call one by one, and how lists hold them; None for other nestings."""
    arrays: list[np.ndarray] = []
    nesting: list[Any] = []
    for item in arguments:
        if type(item) is np.ndarray:
            arrays.append(item)
            nesting.append(None)
        elif type(item) is list and all(x is None or type(x) is np.ndarray for x in item):
            arrays += [x for x in item if x is not None]
            nesting.append(tuple([x is not None for x in item]))
        else:
            return None
    return arrays, tuple(nesting)


def _present(batch: Any, each: bool, n: int) -> np.ndarray:
    """Which members a batch has pieces for."""
    present = np.ones(n, bool)
    if not each:
        return present
    for item in batch.values() if isinstance(batch, dict) else batch:
        if isinstance(item, list) and len(item) == n:
            present &= np.array([x is not None for x in item])
        elif isinstance(item, tuple | dict):
            present &= _present(item, each, n)
    return present
