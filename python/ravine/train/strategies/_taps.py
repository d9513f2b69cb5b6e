"""What modules inside of a model return while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ... import nn
from ...record import Tensor, current


class _Reached(BaseException):
    """Ends a forward pass that has come as far as it is needed."""


def check_path(what: str, name: str, model: nn.Module, path: Any) -> None:
    """Raises ValueError where a model has no module of this path."""
    paths = [known for known, _ in model.named_modules(remove_duplicate=False)]
    if not isinstance(path, str) or path not in paths:
        raise ValueError(
            f"{what}: {name} {path!r} is no module of {type(model).__name__}; it has {', '.join(paths[1:])}"
        )


def outputs_at(
    model: nn.Module, x: Any, paths: Sequence[str], *, whole: bool = True
) -> tuple[Any, Mapping[str, Tensor]]:
    """The model's output, and those of the modules at some paths, in the recording under way.

    A module that is called several times counts by its last call. Without `whole`, the model runs until all
    of them have returned once, and its output is None: what stands behind does not take part.

    Raises ValueError where a module is not called, or does not return a single tensor.
    """
    trace = current()
    assert trace is not None
    wanted = {id(model.get_submodule(path)): path for path in paths}
    found: dict[str, Tensor] = {}
    outer = trace.observer

    def observe(module: Any, result: Any) -> None:
        if outer is not None:
            outer(module, result)
        path = wanted.get(id(module))
        if path is None:
            return
        if not isinstance(result, Tensor):
            raise ValueError(f"module {path!r} returns {type(result).__name__}, expected one tensor")
        found[path] = result
        if not whole and len(found) == len(wanted):
            raise _Reached

    trace.observer = observe
    output = None
    try:
        output = model(*x) if isinstance(x, tuple) else model(x)
    except _Reached:
        pass
    finally:
        trace.observer = outer
    missing = [path for path in paths if path not in found]
    if missing:
        raise ValueError(f"{type(model).__name__} does not call its modules {', '.join(map(repr, missing))}")
    return output, found
