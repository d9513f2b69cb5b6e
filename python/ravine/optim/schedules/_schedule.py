"""What schedules have in common, and how they compose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Numbers
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ... import _core
from ..._numbers import number, whole
from ..._plot import new_axes
from .._value import Value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A function of the step, how many steps it spans, and its text in messages: as a schedule of the engine.
Leaf: TypeAlias = "Callable[[Callable[[int], float], int | None, str], _core.Schedule]"


class Schedule(Value):
    """A rate as a function of the step, from 0: `schedule(step)`.

    A schedule that spans a number of steps (`schedule.steps`) refuses later ones, so that a run longer than
    its schedule is noticed; `schedule.hold()` goes on with the last value, `schedule + other` with another
    schedule. Two operators compose: `a + b` is a, and after its last step b from its own step 0; `a * b` is
    the product. A number stands for a constant schedule.

    Own schedules derive from this and define `_value(step)`.

    Example:
        >>> from ravine.optim import schedules
        >>> rate = schedules.Warmup(0.1, 4) + schedules.Cosine(0.1, 4)
        >>> rate.steps
        8
        >>> rate.values().round(3)
        array([0.   , 0.025, 0.05 , 0.075, 0.1  , 0.085, 0.05 , 0.015])
    """

    steps: int | None = None
    """How many steps it spans; None for one that never ends."""

    def _formula(self) -> tuple[str, Numbers[float]]:
        """The engine's formula and its numbers."""
        raise NotImplementedError(f"{type(self).__name__} defines no _value(step)")

    def _children(self) -> tuple[Schedule, ...]:
        """The schedules that the formula is made of."""
        return ()

    def _expression(self, leaf: Leaf) -> _core.Schedule:
        """The schedule as the engine evaluates it; `leaf` makes those of Python's functions."""
        if type(self)._value is not Schedule._value:
            return leaf(self._value, self.steps, repr(self))
        formula, numbers = self._formula()
        children = [child._expression(leaf) for child in self._children()]
        return _core.Schedule(formula, [float(x) for x in numbers], children, repr(self))

    def _value(self, step: int) -> float:
        """The rate of a step from 0 to `steps`; that of `steps` is where the schedule arrives, for `hold`."""
        known = self.__dict__.get("_known")
        if known is None:
            known = self._expression(_core.Schedule.of_function)
            if not known.foreign:  # functions of Python may give another number every time
                self._known = known
        return known.value(step)

    def __call__(self, step: int) -> float:
        """The rate of a step. Raises ValueError for a step below 0 or beyond the schedule's end."""
        step = whole(type(self).__name__, "step", step, low=0)
        if self.steps is not None and step >= self.steps:
            raise ValueError(
                f"{self!r} spans {self.steps} steps, and step {step} (from 0) was asked for: make it longer, "
                f"let it go on with hold(), or append a schedule (schedule + other)"
            )
        return self._value(step)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_known"}

    def __setstate__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: Any) -> None:
        if type(self)._value is Schedule._value:
            super().__setattr__(name, value)
        else:  # a schedule of the user's own may have state
            self.__dict__[name] = value

    def values(self, n: int | None = None) -> np.ndarray:
        """The rates of the first n steps, as float64 [n]; without n of all, where the schedule ends.

        Raises ValueError where n is beyond the end, or missing for a schedule that never ends.

        Example:
            >>> from ravine.optim import schedules
            >>> schedules.Linear(1.0, 0.0, steps=4).values()
            array([1.  , 0.75, 0.5 , 0.25])
        """
        if n is None:
            if self.steps is None:
                raise ValueError(f"values: {self!r} never ends, so the number of steps is needed: values(n)")
            n = self.steps
        return np.array([self(step) for step in range(whole("values", "n", n, low=0))], np.float64)

    def plot(self, n: int | None = None) -> Figure:
        """Draws the rates of the first n steps (without n of all); `figure.savefig(path)` saves them.

        Raises ModuleNotFoundError without matplotlib, and what `values` raises.
        """
        rates = self.values(n)
        figure, axes = new_axes("schedule.plot", xlabel="step", ylabel="rate", title=repr(self))
        axes.plot(np.arange(len(rates)), rates)
        return figure

    def take(self, n: int) -> Schedule:
        """The first n steps, as in `Constant(0.1).take(9) + Cosine(0.1, 90)`."""
        return _Taken(self, n)

    def hold(self) -> Schedule:
        """This schedule, and after its end for ever the value at which it arrives."""
        return self if self.steps is None else _Held(self)

    def scaled(self, by: float) -> Schedule:
        """This schedule times a number, as `schedule * by`; its state has the names of this one's."""
        return _Scaled(self, by)

    def __add__(self, other: Schedule | float) -> Schedule:
        return Sequence(self, other) if _is_operand(other) else NotImplemented

    def __mul__(self, other: Schedule | float) -> Schedule:
        return Product(self, other) if _is_operand(other) else NotImplemented

    __rmul__ = __mul__

    def parts(self) -> Iterator[Schedule]:
        """This schedule and all that it is composed of."""
        yield self

    def _followers(self, key: str) -> Iterator[tuple[str, _core.Plateau]]:
        """Those that follow a metric, by their keys in the state_dict; behind those that they reduce."""
        return iter(())

    def state_dict(self) -> dict[str, np.ndarray]:
        """What changed since construction: empty except of schedules fed by a metric."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes what `state_dict` returned.

        Raises ValueError for missing and unexpected keys, changing nothing.
        """
        if state_dict:
            raise ValueError(f"load_state_dict of {self!r}: unexpected keys {sorted(state_dict)}")


class Constant(Schedule):
    """The same rate in every step: `lr`.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.Constant(0.1).values(3)
        array([0.1, 0.1, 0.1])
    """

    def __init__(self, lr: float) -> None:
        self.lr = number("Constant", "lr", lr)

    def _formula(self) -> tuple[str, Numbers[float]]:
        return "constant", (self.lr,)


def _is_operand(x: Any) -> bool:
    return isinstance(x, Schedule | int | float) and not isinstance(x, bool)


def as_schedule(owner: str, x: Any) -> Schedule:
    """A schedule as it is, a number as a constant one."""
    if isinstance(x, Schedule):
        return x
    if not _is_operand(x):
        raise TypeError(f"{owner}: schedules and numbers are expected, got {x!r}")
    return Constant(number(owner, "a rate", x))


def scheduled(optimizer: Any) -> dict[str, Schedule]:
    """The schedules among an optimizer's hyperparameters: "lr", "betas.0", "groups.0.lr"."""
    while "_inner" in vars(optimizer):  # a wrapper, which has the attributes of the optimizer inside
        optimizer = vars(optimizer)["_inner"]
    values = {name: value for name, value in vars(optimizer).items() if not name.startswith("_")}
    for i, group in enumerate(values.get("groups", ())):
        values |= {f"groups.{i}.{name}": value for name, value in group._hyper.items()}
    found: dict[str, Schedule] = {}
    for name, value in values.items():
        if isinstance(value, Schedule):
            found[name] = value
        elif isinstance(value, tuple):
            found |= {f"{name}.{i}": item for i, item in enumerate(value) if isinstance(item, Schedule)}
    return found


def followers(optimizer: Any) -> list[tuple[str, _core.Plateau]]:
    """An optimizer's schedules that follow a metric, by their keys among `schedule_states`."""
    return [pair for name, schedule in scheduled(optimizer).items() for pair in schedule._followers(name)]


def schedule_states(optimizer: Any) -> dict[str, np.ndarray]:
    """The state of an optimizer's schedules, by "<hyperparameter>.<key>"."""
    return {
        f"{name}.{key}": value
        for name, schedule in scheduled(optimizer).items()
        for key, value in schedule.state_dict().items()
    }


def load_schedule_states(optimizer: Any, states: Mapping[str, Any]) -> None:
    """Takes what `schedule_states` returned. Raises ValueError and changes nothing where keys do not fit."""
    schedules = scheduled(optimizer)
    split: dict[str, dict[str, Any]] = {name: {} for name in schedules}
    for key, value in states.items():
        name = next((name for name in schedules if key.startswith(f"{name}.")), None)
        if name is None:
            raise ValueError(f"load_state_dict of schedules: unexpected key {key}")
        split[name][key[len(name) + 1 :]] = value
    before = {name: schedule.state_dict() for name, schedule in schedules.items()}
    try:
        for name, schedule in schedules.items():
            schedule.load_state_dict(split[name])
    except ValueError:
        for name, schedule in schedules.items():
            schedule.load_state_dict(before[name])
        raise


class _Composed(Schedule):
    """State and parts of schedules made of others."""

    def __init__(self, *parts: Schedule) -> None:
        self._parts = parts

    def _children(self) -> tuple[Schedule, ...]:
        return self._parts

    def parts(self) -> Iterator[Schedule]:
        yield self
        for part in self._parts:
            yield from part.parts()

    def _followers(self, key: str) -> Iterator[tuple[str, _core.Plateau]]:
        for i, part in enumerate(self._parts):
            yield from part._followers(f"{key}.{i}")

    def state_dict(self) -> dict[str, np.ndarray]:
        return {
            f"{i}.{key}": value
            for i, part in enumerate(self._parts)
            for key, value in part.state_dict().items()
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        states: list[dict[str, Any]] = [{} for _ in self._parts]
        for key, value in state_dict.items():
            position, _, rest = key.partition(".")
            if not (position.isdigit() and int(position) < len(states)):
                raise ValueError(f"load_state_dict of {self!r}: unexpected key {key}")
            states[int(position)][rest] = value
        before = [part.state_dict() for part in self._parts]
        try:
            for part, state in zip(self._parts, states, strict=True):
                part.load_state_dict(state)
        except ValueError:
            for part, state in zip(self._parts, before, strict=True):
                part.load_state_dict(state)
            raise


class Sequence(_Composed):
    """One schedule after the other, each from its own step 0; `a + b` makes the same.

    Args:
        schedules: schedules or numbers, all but the last of which must end (`take(n)` ends one that does
            not).

    Raises ValueError where one before the last never ends.

    Example:
        >>> from ravine.optim import schedules
        >>> schedules.Sequence(schedules.Constant(0.1).take(2), schedules.Constant(0.01)).values(4)
        array([0.1 , 0.1 , 0.01, 0.01])
    """

    def __init__(self, *schedules: Schedule | float) -> None:
        if not schedules:
            raise ValueError("Sequence: at least one schedule is expected")
        parts: list[Schedule] = []
        for schedule in (as_schedule("Sequence", x) for x in schedules):
            parts += schedule._parts if isinstance(schedule, Sequence) else [schedule]
        for part in parts[:-1]:
            if part.steps is None:
                raise ValueError(
                    f"Sequence: {part!r} never ends, so nothing can follow it: end it with take(n)"
                )
        super().__init__(*parts)
        ends = [part.steps for part in parts]
        self.steps = None if ends[-1] is None else sum(ends)  # type: ignore[arg-type]

    def _formula(self) -> tuple[str, Numbers[float]]:
        return "sequence", ()

    def __repr__(self) -> str:
        return " + ".join(map(repr, self._parts))


class Product(_Composed):
    """The product of schedules at the same step; `a * b` makes the same. It ends with the first that ends.

    Args:
        schedules: schedules or numbers.

    Example:
        >>> from ravine.optim import schedules
        >>> (0.5 * schedules.Exponential(1.0, gamma=0.5)).values(3)
        array([0.5  , 0.25 , 0.125])
    """

    def __init__(self, *schedules: Schedule | float) -> None:
        if not schedules:
            raise ValueError("Product: at least one schedule is expected")
        super().__init__(*(as_schedule("Product", x) for x in schedules))
        self.steps = min((part.steps for part in self._parts if part.steps is not None), default=None)

    def _formula(self) -> tuple[str, Numbers[float]]:
        return "product", ()

    def __repr__(self) -> str:
        return " * ".join(f"({p!r})" if isinstance(p, Sequence) else repr(p) for p in self._parts)


class _Scaled(Schedule):
    """A schedule times a number; its state is the schedule's own, under the same names."""

    def __init__(self, schedule: Schedule, by: float) -> None:
        self._scaled, self._by = schedule, Constant(by)
        self.steps = schedule.steps

    def _formula(self) -> tuple[str, Numbers[float]]:
        return "product", ()

    def _children(self) -> tuple[Schedule, ...]:
        return self._scaled, self._by

    def parts(self) -> Iterator[Schedule]:
        yield self
        yield from self._scaled.parts()

    def state_dict(self) -> dict[str, np.ndarray]:
        return self._scaled.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._scaled.load_state_dict(state_dict)

    def __repr__(self) -> str:
        return f"({self._scaled!r}) * {self._by.lr:g}"


class _Taken(_Composed):
    """The first steps of a schedule."""

    def __init__(self, schedule: Schedule, n: int) -> None:
        super().__init__(schedule)
        self.steps = whole("take", "n", n)
        if schedule.steps is not None and self.steps > schedule.steps:
            raise ValueError(f"take: {schedule!r} spans {schedule.steps} steps, {self.steps} were asked for")

    def _formula(self) -> tuple[str, Numbers[float]]:
        assert self.steps is not None
        return "take", (self.steps,)

    def __repr__(self) -> str:
        return f"({self._parts[0]!r}).take({self.steps})"


class _Held(_Composed):
    """A schedule that stays where it arrived."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(schedule)

    def _formula(self) -> tuple[str, Numbers[float]]:
        return "hold", ()

    def __repr__(self) -> str:
        return f"({self._parts[0]!r}).hold()"
