"""What a step over an ensemble records: each member's forward pass and loss, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import nn, ops
from .._loss import Batch, checked_weight, loss_and_parts
from .._random import RandomStream
from .._recorder import Call, Exported, Forward, Recorder
from .._trained import Trained
from ..record import Operand, Recording, Trace, as_tensor, part_of_step, split_inputs
from ._module import Ensemble, piece

__all__ = ["EnsembleRecorder", "Variant"]


class Variant:
    """Which members a call trains, and whether each has a batch of its own. One object stands for one such.

    Args:
        trains: of each member whether it is trained.
        each: whether the arrays have a piece for each member.
    """

    __slots__ = ("each", "trains")

    def __init__(self, trains: tuple[bool, ...], each: bool) -> None:
        self.trains, self.each = trains, each


class EnsembleRecorder(Recorder):
    """Records the calls of an `EnsembleStep`; see `Recorder`.

    The loss that is differentiated is the sum of the members' losses: as no member's loss depends on
    another's parameters, the gradients are those that each has alone.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        given: Ensemble,
        of_loss: bool,
        models: dict[str, nn.Module],
        trained: Sequence[Trained],
        stream: RandomStream,
    ) -> None:
        super().__init__(function, given, of_loss, models, trained, stream)
        self._all = list(trained)
        self._losses: list[Any] = []  # of those that are trained, in the newest forward pass
        self._batches: list[Batch] = []  # and their batches

    def member_call(self, batch: tuple[Any, ...], weight: Any, variant: Variant, *, flat: bool) -> Call:
        """A call for these members. Raises TypeError or ValueError for what does not fit."""
        if self._of_loss and len(batch) != 2:
            raise TypeError(
                f"TrainStep: a step over an ensemble and a loss takes x and y, got {len(batch)} arguments; "
                "give several inputs as a tuple"
            )
        if weight is None:
            return Call(split_inputs(batch), False, False, flat, variant)
        what = "TrainStep: weight"
        if variant.each:
            if len(weight) != len(variant.trains):
                raise ValueError(f"{what}: expected one for each of {len(variant.trains)} members")
            checked: Any = [None if own is None else checked_weight(own, what) for own in weight]
        else:
            checked = checked_weight(weight, what)
        return Call(split_inputs((batch, checked), levels=2), True, False, flat, variant)

    def _forward(self, arguments: Any, call: Call, trace: Trace) -> Forward:
        arguments, weight = call.taken_apart(arguments)
        variant, n = call.variant, len(self._all)
        assert isinstance(variant, Variant)
        self._losses, self._batches = [], []
        of_parts: list[dict[str, Any]] = []
        for i, trained in enumerate(self._all):
            own, own_weight = arguments, weight
            if variant.each:
                own, own_weight = (piece(x, i, n, "TrainStep") for x in (arguments, weight))
                if any(item is None for item in own):
                    continue
            # Of members that rest, too: the others then draw the random numbers that they draw beside them.
            loss, parts = self._of_member(trained.model, own, own_weight, trace)
            if variant.trains[i]:
                self._losses.append(loss)
                self._batches.append(Batch(trace, own))
                of_parts.append(parts)
        total = self._losses[0]
        for loss in self._losses[1:]:
            total = total + loss
        named = {f"part.{name}": ops.stack([parts[name] for parts in of_parts]) for name in of_parts[0]}
        return Forward(total, {"loss": ops.stack(self._losses), **named})

    def _of_member(
        self, member: nn.Module, own: tuple[Any, ...], weight: Any, trace: Trace
    ) -> tuple[Any, dict[str, Any]]:
        """The loss of a member, and its parts."""
        if self._of_loss:
            x, y = own
            output = member(*x) if isinstance(x, tuple) else member(x)
            with part_of_step("loss"):
                what, result = "TrainStep: the loss", self._function(output, y)
        else:
            what, result = "TrainStep: the result of the function", self._function(member, *own)
        loss, parts = loss_and_parts(result, what)
        if weight is not None:
            with part_of_step("loss"):
                loss, parts = Batch(trace, own).weighted(loss, parts, weight, what)
        return loss, parts

    def record(self, call: Call, observer: Any, *, eager: bool, frozen: bool = False) -> Recording:
        """Records the forward pass of a call; what resting members assign to buffers is dropped."""
        assert isinstance(call.variant, Variant)
        chosen = [trained for trained, on in zip(self._all, call.variant.trains, strict=True) if on]
        self._trained = chosen
        self._read_only = [trained.model for trained in self._all if trained not in chosen]
        return super().record(call, observer, eager=eager, frozen=frozen)

    def _counts_of_each(self, recording: Recording, loss: Any) -> list[Operand]:
        if all(trained.bound.calls_per_update == 1 for trained in self._trained):
            return super()._counts_of_each(recording, loss)
        counts = [batch.denominator(own) for batch, own in zip(self._batches, self._losses, strict=True)]
        return [as_tensor(count) for count in counts]

    def exported(self, call: Call) -> Exported:
        raise TypeError("export: a step over an Ensemble has no file; export the members one by one")
