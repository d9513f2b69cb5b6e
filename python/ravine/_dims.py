"""Dimensions as arguments: one integer, several, or None for all; negative ones count from the end."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np

Axes: TypeAlias = "int | Sequence[int] | None"
F = TypeVar("F", bound=Callable[..., Any])


def is_dim(dim: Any) -> bool:
    """Whether `dim` is one integer; a bool is none."""
    return isinstance(dim, int | np.integer) and not isinstance(dim, bool)


def normalise_dim(dim: int, ndim: int, op: str, *, scalar: bool = False) -> int:
    """`dim` counted from the front. `scalar`: a tensor without dimensions has dims 0 and -1, as in torch."""
    if not is_dim(dim):
        raise TypeError(f"{op}: dim must be an integer, got {dim!r}")
    extent = max(ndim, 1) if scalar else ndim
    if not -extent <= dim < extent:
        raise IndexError(f"{op}: dim {dim} is out of range for a tensor of {ndim} dimensions")
    return int(dim) % extent


def axes_of(dim: Axes, ndim: int, op: str) -> tuple[int, ...]:
    """The axes a reduction works over; `None` means all of them. Dims 0 and -1 of a scalar are none."""
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, str) or not (is_dim(dim) or hasattr(dim, "__iter__")):
        raise TypeError(f"{op}: dim must be an integer, several, or None, got {dim!r}")
    dims: tuple[Any, ...] = (dim,) if is_dim(dim) else tuple(dim)  # type: ignore[arg-type]
    axes = tuple(normalise_dim(d, ndim, op, scalar=True) for d in dims)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{op}: dim {dims} names a dimension twice")
    return axes if ndim else ()


def sizes_of(shape: Any, op: str) -> tuple[int, ...]:
    """A shape given as one size or several."""
    sizes = (shape,) if is_dim(shape) else shape
    try:
        return tuple(operator.index(n) for n in sizes)
    except TypeError:
        raise TypeError(f"{op}: sizes must be integers, got {shape!r}") from None


def numpy_names(function: F) -> F:
    """Decorator: NumPy's names `axis` of `dim` (or `dims`) and `keepdims` of `keepdim` are taken too."""
    code = function.__code__
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    names = {"axis": "dim" if "dim" in arguments else "dims"}
    if "keepdim" in arguments:
        names["keepdims"] = "keepdim"

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        for alias in names.keys() & kwargs.keys() if kwargs else ():
            if names[alias] in kwargs:
                raise TypeError(
                    f"{function.__name__}: {alias} and {names[alias]} mean the same; give one of them"
                )
            kwargs[names[alias]] = kwargs.pop(alias)
        return function(*args, **kwargs)

    return called  # type: ignore[return-value]
