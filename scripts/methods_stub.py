"""Writes python/ravine/ops/_methods.pyi: the methods of tensors for type checkers; they are made at run time.

pip install . && python scripts/methods_stub.py
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

from ravine import ops
from ravine.ops import _late, _methods
from ravine.record import Operand

TARGET = Path(__file__).parents[1] / "python/ravine/ops/_methods.pyi"


def module_of(function: Any) -> str:
    return inspect.unwrap(function).__module__.rpartition(".")[2]


def declaration(name: str, method: Any) -> str:
    """One line of the class: a function of `ops` by its place, another one by its signature."""
    if isinstance(method, property):
        return f"    @property\n    def {name}(self) -> Tensor: ..."
    plain = inspect.unwrap(method)
    if name == "__getitem__":
        return "    def __getitem__(self, index: Any) -> Tensor: ..."
    if name in _late.METHODS or inspect.unwrap(getattr(ops, plain.__name__, _methods.install)) is plain:
        place = f"{module_of(plain)}.{plain.__name__}"
        one_by_one = plain.__name__ in _methods.ONE_BY_ONE
        return f"    {name} = one_by_one({place})" if one_by_one else f"    {name} = {place}"
    signature = str(inspect.signature(plain)).replace("'", "")
    return f"    def {name}{signature}: ..."


def stub() -> str:
    functions = [getattr(ops, name) for name in ops.__all__]
    lines = [
        '"""Methods of tensors; written by scripts/methods_stub.py."""',
        "",
        "from collections.abc import Callable",
        "from typing import Any",
        "",
        "from ..record import Tensor",
        "from . import (",
        *sorted({f"    {module_of(f)}," for f in functions if _methods.takes_a_tensor_first(f)}),
        ")",
        "",
        "def one_by_one(function: Callable[..., Tensor]) -> Callable[..., Tensor]: ...",
        "def install(functions: dict[str, Any]) -> None: ...",
        "",
        "class Methods:",
    ]
    members = {n: m for n, m in vars(_methods.Methods).items() if callable(m) or isinstance(m, property)}
    members |= {name: getattr(Operand, name) for name in _late.METHODS}
    # Names of builtin types come last: in the class they would hide the types that annotations name.
    own = ("bool", "float", "int")
    order = sorted(members, key=lambda n: (n in own, n))
    return "\n".join(lines + [declaration(name, members[name]) for name in order]) + "\n"


if __name__ == "__main__":
    TARGET.write_text(stub())
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "format", "--quiet", str(TARGET)], check=True)
