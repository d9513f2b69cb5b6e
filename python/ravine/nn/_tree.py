"""Walks over a module and all below it, by loops: modules may be nested deeper than Python's calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._module import Module

BELOW = "_below"  # in a pickled state: modules that are to be pickled before the others
_STRIDE = 32  # levels of modules


def walk(root: Module, prefix: str, remove_duplicate: bool) -> Iterator[tuple[str, Module]]:
    """Paths and modules, each before those below it."""
    seen: set[int] = {id(root)}
    yield prefix, root
    stack = [(prefix, iter(root._modules.items()))]
    while stack:
        path, children = stack[-1]
        name, child = next(children, (None, None))
        if name is None:
            stack.pop()
            continue
        if child is None or (remove_duplicate and id(child) in seen):
            continue
        seen.add(id(child))
        below = f"{path}.{name}" if path else name
        yield below, child
        stack.append((below, iter(child._modules.items())))


def post_order(root: Module, remove_duplicate: bool) -> Iterator[Module]:
    """Modules, each after those below it."""
    seen: set[int] = {id(root)}
    stack = [(root, root.children())]
    while stack:
        module, children = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            yield module
        elif not (remove_duplicate and id(child) in seen):
            seen.add(id(child))
            stack.append((child, child.children()))


def below_first(root: Module, state: dict[str, Any]) -> dict[str, Any]:
    """The state of a module, to be pickled or copied, with the modules some levels below it first.

    Pickle and deepcopy call themselves for every object that they meet for the first time. So they go down in
    strides, and then meet the modules of one stride at a time.
    """
    level: dict[int, Module] = {id(root): root}
    for _ in range(_STRIDE):
        level = {id(child): child for module in level.values() for child in module.children()}
    return {BELOW: list(level.values()), **state} if level else state


def tree_text(root: Module, plain_repr: Callable[[Any], str]) -> str:
    """The lines of a module and those below it, whose own `__repr__` counts if it is not the plain one."""
    lines: list[str] = []
    stack: list[tuple[str, str, Module | None]] = [("", "", root)]
    while stack:
        indent, label, module = stack.pop()
        if module is None:  # a finished line
            lines.append(indent + label)
        elif module is not root and type(module).__repr__ is not plain_repr:
            lines.append(indent + label + repr(module).replace("\n", "\n" + indent))
        else:
            line = f"{indent}{label}{type(module).__name__}({module.extra_repr()}"
            if not module._modules:
                lines.append(line + ")")
                continue
            lines.append(line)
            stack.append((indent, ")", None))
            for name, child in reversed(module._modules.items()):
                text = f"({name}): " if child is not None else f"({name}): None"
                stack.append((indent + "  ", text, child))
    return "\n".join(lines)
