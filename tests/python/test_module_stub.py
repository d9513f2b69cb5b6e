"""The type stub of the extension names what the extension has; scripts/core_stub.py writes it."""

from __future__ import annotations

import ast
from pathlib import Path

from ravine import _core


def public(owner: object) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")}


def own(kind: type) -> set[str]:
    """What a class has that its bases do not."""
    return public(kind) - set().union(*map(public, kind.__bases__))


def test_the_stub_and_the_extension_have_the_same_names(repository: Path) -> None:
    tree = ast.parse((repository / "python/ravine/_core.pyi").read_text())
    stubbed = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    assert set(stubbed) == public(_core)
    for name, node in stubbed.items():
        if isinstance(node, ast.ClassDef):
            methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            methods -= {"__init__", "__enter__", "__exit__"}
            methods |= {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}  # type: ignore[union-attr]
            assert methods == own(getattr(_core, name)), name
