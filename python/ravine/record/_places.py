"""Where in a model an error arose: the path of the module under way, added to the message once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import _core
from ._trace import Trace

_MARK = "_ravine_place"


def place_of(modules: Sequence[Any]) -> str:
    """Names the last of these modules, each called by the one before: "encoder.3 (Linear)".

    The path begins at the first module, the one that was called on arrays. A module that is registered under
    several names has the one that its callers lead to; one that is not registered has its caller's path.
    """
    root, last = modules[0], modules[-1]
    paths: list[str] = [""]
    found = root
    names = list(root.named_modules(remove_duplicate=False))
    for module in modules[1:]:
        below = [path for path, other in names if other is module and _leads(paths, path)]
        if below:
            paths, found = below, module
    kind = type(found).__name__
    place = f"{paths[0]} ({kind})" if paths[0] else kind
    return place if found is last else f"{place}, {type(last).__name__}"


def _leads(paths: list[str], path: str) -> bool:
    return any(not start or path == start or path.startswith(f"{start}.") for start in paths)


def add_place(error: Exception, place: str) -> None:
    """Begins the error's message with "in <place>: ", unless it names a place already.

    Exceptions of other libraries, and those whose text is not their only argument, get a note instead (from
    Python 3.11 on): what they hold may mean more than text.
    """
    if _MARK in getattr(error, "__dict__", ()):
        return
    text = f"in {place}: "
    plain = type(error).__module__ == "builtins" and not isinstance(error, KeyError | StopIteration)
    if plain and len(error.args) == 1 and isinstance(error.args[0], str) and str(error) == error.args[0]:
        error.args = (text + error.args[0],)
    elif (add_note := getattr(error, "add_note", None)) is not None:
        add_note(f"in {place}")
    error.__dict__[_MARK] = place


def gradients(trace: Trace, output: _core.Value, wrt: list[_core.Value]) -> list[_core.Value]:
    """The gradients of a scalar. A NaN that `check_nan` finds names the module that is differentiated."""
    try:
        return trace.graph.gradients(output, wrt)
    except FloatingPointError as error:
        add_place(error, f"the gradient of {place_of_node(trace, trace.graph.differentiating)}")
        raise


def place_of_node(trace: Trace, node: int) -> str:
    """The innermost module that recorded a node, while a NaN is looked for."""
    return next((place for first, end, place in trace.spans if first <= node < end), "the loss")
