"""Rules of the engine as classes: numbers and options are fields, declared as in a dataclass."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .. import _core
from .._numbers import alike, flag, number
from ._average import Average
from ._optimizer import Limits, Optimizer, refuse_parameters, rule_of
from ._options import Group, Rate, checked_option
from ._stages import OFF, STAGES

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform  # typing's need Python 3.11
else:

    def dataclass_transform(**_):
        return lambda cls: cls


class _Option:
    __slots__ = ("default", "init")

    def __init__(self, default: Any, init: bool) -> None:
        self.default, self.init = default, init


def option(*, default: Any, init: bool = True, kw_only: Literal[True] = True) -> Any:
    """A field of `Rule`: a keyword argument, or, where `init` is false, an attribute alone."""
    return _Option(default, init)


def _signature_of(cls: type[Rule]) -> inspect.Signature:
    """lr and the rule's numbers, from the annotations of the class and its bases, then the options."""
    numbers = {
        name: annotation
        for base in reversed(cls.__mro__)
        for name, annotation in vars(base).get("__annotations__", {}).items()
        if not (name.startswith("_") or name in OPTIONS or annotation.startswith("ClassVar"))
    }
    kind = inspect.Parameter
    positional = [
        kind(name, kind.POSITIONAL_OR_KEYWORD, default=getattr(cls, name, kind.empty), annotation=annotation)
        for name, annotation in numbers.items()
    ]
    annotations = Rule.__annotations__
    options = [
        kind(name, kind.KEYWORD_ONLY, default=default, annotation=annotations[name])
        for name, default in OPTIONS.items()
    ]
    return inspect.Signature([*positional, *options])


@dataclass_transform(field_specifiers=(option,))
class _Description:
    """Classes whose arguments are declared as fields."""


class _SignatureWhenAsked:
    """The signature of a class, made when it is first read: importing the package makes none."""

    def __init__(self, cls: type[Rule]) -> None:
        self._of = cls

    def __get__(self, instance: Any, owner: type[Rule]) -> inspect.Signature:
        signature = self._of.__signature__ = _signature_of(self._of)
        return signature


class Rule(Optimizer, _Description):
    """A rule of the engine and its hyperparameters: the classes declare them as fields."""

    _several: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Attributes that hold several numbers of the engine: {"betas": ("beta1", "beta2")}."""
    _fixed: ClassVar[Mapping[str, float]] = {}
    """Numbers of the engine that make the class what it is."""

    # Of every optimizer; rules declare their own numbers in the same way, as fields of a dataclass.
    lr: Rate
    groups: Sequence[Group] = option(default=())
    no_decay: bool = option(default=False)
    clip_value: Rate | None = option(default=None)
    clip_norm: Rate | None = option(default=None)
    clip_global_norm: Rate | None = option(default=None)
    clip_adaptive: Rate | None = option(default=None)
    noise: float | tuple[float, float] | None = option(default=None)
    skip_nonfinite: bool = option(default=False)
    accumulate: int = option(default=1)
    average: Average | None = option(default=None)

    _version: int = option(default=0, init=False)  # counts changes
    _when: dict[Any, int] = option(default=None, init=False)  # which was the newest of each name
    _complete: bool = option(default=False, init=False)  # whether every attribute is set

    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__init__ is Rule.__init__:
            cls.__signature__ = _SignatureWhenAsked(cls)  # type: ignore[assignment]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        for given_first in (*arguments[:1], named.get("params")):
            refuse_parameters(type(self).__name__, given_first)
        try:
            given = self.__signature__.bind(*arguments, **named)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        given.apply_defaults()
        fields = self.__dict__
        fields.update(PRIVATE, _when={})
        for name, value in given.arguments.items():
            setattr(self, name, value)
        self._check_together()
        fields["_complete"] = True

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        if name.startswith("_"):
            fields[name] = value
            return
        value = checked_option(self, name, value) if name in OPTIONS else self._checked(name, value)
        missing = object()
        before = fields.get(name, missing)
        fields[name] = value
        if self._complete:
            try:
                self._check_together()
            except ValueError:
                fields[name] = before
                raise
        self._changed(name)

    def _set_together(self, values: Mapping[str, Any]) -> None:
        self.__dict__["_complete"] = False
        try:
            for name, value in values.items():
                setattr(self, name, value)
        finally:
            self.__dict__["_complete"] = True
        self._check_together()

    def _changed(self, name: Any) -> None:
        fields = self.__dict__
        fields["_version"] += 1
        fields["_when"][name] = fields["_version"]

    def _checked(self, name: str, value: Any) -> Any:
        """The value of a hyperparameter as it is kept. Raises where it is not allowed."""
        owner, limits = type(self).__name__, self._allowed()
        if name in self._several:
            names = self._several[name]
            if not isinstance(value, tuple | list) or len(value) != len(names):
                amount = {2: "a pair of", 3: "three"}[len(names)]
                raise TypeError(f"{owner}: {name} must be {amount} numbers, got {value!r}")
            alike(owner, name, value)
            items = enumerate(zip(names, value, strict=True))
            return tuple(self._number(f"{name}[{i}]", limits[part], item) for i, (part, item) in items)
        if name not in limits or name in self._fixed or any(name in part for part in self._several.values()):
            raise AttributeError(f"{owner} has no hyperparameter {name!r}")
        if limits[name].flag:
            return flag(owner, name, value)
        return self._number(name, limits[name], value)

    def _number(self, label: str, limits: Limits, value: Any) -> Any:
        if callable(value):
            return value
        return number(type(self).__name__, label, value, limits.low, below=limits.below)

    def _values(self, group: Group | None) -> dict[str, tuple[str, Any]]:
        """What holds for a group: {the engine's name: (the user's, number or function)}."""
        fields = self.__dict__ if group is None else {**self.__dict__, **group._hyper}
        values: dict[str, tuple[str, Any]] = {}
        for name in self._allowed():
            if name in fields:
                values[name] = (name, fields[name])
        for name, parts in self._several.items():
            for i, part in enumerate(parts):
                values[part] = (f"{name}[{i}]", fields[name][i])
        return values

    def _check_together(self) -> None:
        """Raises ValueError where numbers do not go together, as far as they are no functions."""
        for group in (None, *self.groups):
            if not self._scheduled(group):
                self._check_numbers(self._constants(group))

    def _check_numbers(self, numbers: dict[str, float]) -> None:
        known = rule_of(self.rule)[0]
        try:
            _core.check_hyper(self.rule, {name: value for name, value in numbers.items() if name in known})
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: {str(error).partition(': ')[2]}") from None

    def _stages(self) -> list[tuple[str, Any]]:
        """What happens to gradients before the rule: names of stages and their numbers."""
        values = {name: getattr(self, name) for name in STAGES}
        return [(name, value) for name, value in values.items() if value != OFF.get(name)]

    def _numbers(self) -> dict[str, Any]:
        """What can be set by name, except the groups."""
        return {name: value for name, value in self.__dict__.items() if name[0] != "_" and name != "groups"}

    def _copy(self) -> Self:
        """An equal optimizer whose settings change by themselves."""
        copy = object.__new__(type(self))
        groups = tuple(group._copy(copy) for group in self.groups)
        copy.__dict__.update(self.__dict__, groups=groups, _when=dict(self._when), _seen=self._version)
        return copy

    def _take_over(self, given: Self) -> None:  # type: ignore[override]
        """Sets what was set in the one it is a copy of, since it was copied or took over last."""
        fields = self.__dict__
        changed = [name for name, when in given._when.items() if when > fields["_seen"]]
        if "groups" in changed:
            fields["groups"] = tuple(group._copy(self) for group in given.groups)
        for name in changed:
            if isinstance(name, tuple):  # of a group
                position, of_group = name
                self.groups[position]._hyper[of_group] = given.groups[position]._hyper[of_group]
            elif name != "groups":
                fields[name] = given.__dict__[name]
            self._changed(name)
        fields["_seen"] = given._version

    def __repr__(self) -> str:
        fields = [
            f"{name}={value!r}"
            for name, value in self.__dict__.items()
            if not name.startswith("_") and not (name in OPTIONS and value == OPTIONS[name])
        ]
        return f"{type(self).__name__}({', '.join(fields)})"


_declared = {name: value for name, value in vars(Rule).items() if isinstance(value, _Option)}
OPTIONS: dict[str, Any] = {name: value.default for name, value in _declared.items() if value.init}
PRIVATE: dict[str, Any] = {name: value.default for name, value in _declared.items() if not value.init}
