"""What every optimizer takes beside its rule's numbers: checks of arguments, groups of parameters."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from .._numbers import flag
from ..nn import Module
from ..record import Parameter
from ._average import Average
from ._stages import OFF, STAGES

if TYPE_CHECKING:
    from ._optimizer import Optimizer

Rate: TypeAlias = "float | Callable[[int], float]"
Selection: TypeAlias = (
    "str | Parameter | Module | Iterable[str | Parameter | Module] | Callable[[str, Parameter], bool]"
)


def checked_option(owner: Optimizer, name: str, value: Any) -> Any:
    """The value of an option as it is kept. Raises where it is not allowed."""
    kind = type(owner).__name__
    if name == "groups":
        return checked_groups(owner, value)
    if name == "no_decay":
        return flag(kind, name, value)
    if name == "average":
        if value is None or isinstance(value, Average):
            return value
        raise TypeError(f"{kind}: average must be one of ravine.optim, such as EMA(), got {value!r}")
    return OFF.get(name) if value is None else STAGES[name].checked(kind, name, value)


class Group:
    """Parameters with numbers of their own, one item of an optimizer's `groups`.

    Args:
        parameters: a pattern of names as in the shell ("features.*", "*.bias"), a `Parameter`, a `Module`
            (all its parameters), several of these, or a function (name, parameter) that says which.
        hyper: hyperparameters of the optimizer that are other for these parameters, such as `lr=1e-4`,
            `weight_decay=0`. Numbers and, as in the optimizer, functions of the step.

    They are attributes, which may be changed between steps and hold from the next step on.

    Example:
        >>> from ravine import optim
        >>> head = optim.Group("head.*", lr=1e-2)
        >>> adam = optim.Adam(lr=1e-4, groups=[head])
        >>> head.lr = 2e-2
        >>> adam
        Adam(lr=0.0001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False, maximize=False, \
groups=(Group('head.*', lr=0.02),))
    """

    _owner: Optimizer | None
    _selection: Selection
    _hyper: dict[str, Any]

    def __init__(self, parameters: Selection, **hyper: Any) -> None:
        fields = self.__dict__
        if hasattr(parameters, "__next__"):
            parameters = list(parameters)  # type: ignore[arg-type]
        fields["_owner"], fields["_selection"], fields["_hyper"] = None, parameters, dict(hyper)

    def __getattr__(self, name: str) -> Any:
        hyper = self.__dict__.get("_hyper", {})
        if name in hyper:
            return hyper[name]
        raise AttributeError(f"this group sets no {name!r}, only {', '.join(hyper) or 'nothing'}")

    def __setattr__(self, name: str, value: Any) -> None:
        owner, before = self._owner, dict(self._hyper)
        self._hyper[name] = value if owner is None else owner._checked(name, value)
        if owner is None:
            return
        try:
            owner._check_together()
        except ValueError:
            self.__dict__["_hyper"] = before
            raise
        owner._changed((owner.groups.index(self), name))

    def _copy(self, owner: Optimizer) -> Group:
        """The same selection with numbers of its own."""
        copy = object.__new__(Group)
        copy.__dict__.update(_owner=owner, _selection=self._selection, _hyper=dict(self._hyper))
        return copy

    def __repr__(self) -> str:
        parts = [repr(self._selection), *(f"{name}={value!r}" for name, value in self._hyper.items())]
        return f"Group({', '.join(parts)})"

    def _adopt(self, owner: Optimizer) -> None:
        if self._owner not in (None, owner):
            raise ValueError(f"{type(owner).__name__}: {self!r} is a group of another optimizer already")
        checked = {name: owner._checked(name, value) for name, value in self._hyper.items()}
        self._hyper.update(checked)
        self.__dict__["_owner"] = owner

    def _name(self, position: int) -> str:
        """How `step.hyper` calls it: by its pattern without the star at the end, else by its position."""
        selection = self._selection
        if not isinstance(selection, str):
            return str(position)
        return selection.removesuffix("*").removesuffix(".") or selection

    def _names(self, parameters: Mapping[str, Parameter]) -> set[str]:
        """The names of those parameters that it selects. Raises ValueError where an item selects none."""
        selection = self._selection
        several = isinstance(selection, list | tuple | set | frozenset)
        chosen: set[str] = set()
        for item in selection if several else [selection]:  # type: ignore[union-attr]
            found = self._matches(item, parameters)
            if not found:
                label = type(item).__name__ if isinstance(item, Parameter | Module) else repr(item)
                raise ValueError(
                    f"a group of parameters selects none: {label} in {self._label()}; the model's are "
                    f"{', '.join(parameters)}"
                )
            chosen |= found
        if not chosen:
            raise ValueError(f"a group of parameters selects none: {self!r}")
        return chosen

    def _label(self) -> str:
        return f"Group(..., {', '.join(f'{name}={value!r}' for name, value in self._hyper.items())})"

    @staticmethod
    def _matches(item: Any, parameters: Mapping[str, Parameter]) -> set[str]:
        if isinstance(item, str):
            return {name for name in parameters if fnmatch.fnmatchcase(name, item)}
        if isinstance(item, Parameter):
            return {name for name, parameter in parameters.items() if parameter is item}
        if isinstance(item, Module):
            own = {id(parameter) for parameter in item.parameters()}
            return {name for name, parameter in parameters.items() if id(parameter) in own}
        if callable(item):
            return {name for name, parameter in parameters.items() if item(name, parameter)}
        raise TypeError(
            f"Group: parameters must be names, Parameters, Modules or a function, got {type(item).__name__}"
        )


def checked_groups(owner: Optimizer, groups: Any) -> tuple[Group, ...]:
    """The groups, each checked against the optimizer's hyperparameters and bound to it."""
    if isinstance(groups, Group):
        groups = (groups,)
    if not isinstance(groups, Iterable):
        raise TypeError(f"{type(owner).__name__}: groups must be optim.Group, got {groups!r}")
    groups = tuple(groups)
    for group in groups:
        if not isinstance(group, Group):
            raise TypeError(f"{type(owner).__name__}: groups must be optim.Group, got {type(group).__name__}")
        group._adopt(owner)
    return groups


def assign_groups(groups: Sequence[Group], parameters: Mapping[str, Parameter]) -> dict[str, int]:
    """The number of each parameter's group; those in none are left out.

    Raises ValueError where groups overlap or one selects no parameter.
    """
    numbers: dict[str, int] = {}
    for i, group in enumerate(groups):
        for name in sorted(group._names(parameters)):
            if name in numbers:
                raise ValueError(
                    f"groups of parameters overlap: {name} is in {groups[numbers[name]]!r} and in {group!r}"
                )
            numbers[name] = i
    return numbers
