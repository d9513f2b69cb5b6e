"""Writes python/ravine/_core.pyi from the built extension: pybind11-stubgen, its vague types made exact.

pip install . pybind11-stubgen && python scripts/core_stub.py
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET = Path(__file__).parents[1] / "python/ravine/_core.pyi"
EXACT = [
    (r"typing\.SupportsInt \| typing\.SupportsIndex", "int"),
    (r"typing\.SupportsFloat \| typing\.SupportsIndex", "float"),
    (r"\bnumpy\.ndarray", "np.ndarray"),
    (r"^import numpy$", "import numpy as np"),
    (r"^import typing\n", ""),
    (r": RandomState = None", ": RandomState | None = None"),
    (r"(def graph\(self\)) -> \.\.\.:", r"\1 -> Graph:"),
    (r"(def shape\(self\)) -> tuple:", r"\1 -> tuple[int, ...]:"),
    (r"(def hyper\(self\)) -> dict:", r"\1 -> dict[str, float]:"),
    (r"(def scalars\(self\)) -> dict:", r"\1 -> dict[str, float]:"),
    (
        r"(def optimizer_rule\(.*\)) -> tuple\[dict, dict\]:",
        r"\1 -> tuple[dict[str, tuple[float, float, float, bool]], dict[str, str | None]]:",
    ),
    (r"(def slots\(self\)) -> dict:", r"\1 -> dict[str, list[Array | None]]:"),
    (r"(def optimizer_slots\(.*\)) -> dict:", r"\1 -> dict[str, tuple[int, ...]]:"),
    (r"(def run\(.*\)) -> list:", r"\1 -> list[np.ndarray]:"),
    (r"(def load_safetensors\(.*\)) -> dict:", r"\1 -> dict[str, np.ndarray]:"),
    (r"(def cpu_info\(\)) -> dict:", r"\1 -> dict[str, Any]:"),
    (r"tensors: dict,", "tensors: dict[str, np.ndarray],"),
    (r"attrs: dict = \{\}", "attrs: dict[str, Any] = {}"),
    (r"\barg[01]: ", "value: "),
    (
        r"(class Watch:\n(?:    .*\n|\n)+?)    @staticmethod\n    def __new__\(.*\):\n(?:        .*\n)+",
        r"\1    def __init__(self, references: list[Any], versions: list[int], modes: list[bool | None])"
        " -> None: ...\n",
    ),
    (
        r"(class Calls:\n(?:    .*\n|\n)+?)    @staticmethod\n    def __new__\(.*\):\n(?:        .*\n)+",
        r"\1    def __init__(self, lock: Lock | None) -> None: ...\n",
    ),
    (r"def run\(self, arguments\):", "def run(self, arguments: tuple[Any, ...]) -> Any:"),
    (
        r"def remember\(self, arguments, program, watches, guards, before, result, held\):",
        "def remember(self, arguments: tuple[Any, ...], program: Program, watches: tuple[Watch, ...], "
        "guards: tuple[Any, ...], before: tuple[Any, ...], result: Any, held: list[np.ndarray]) -> None:",
    ),
    (r"def forget\(self\):", "def forget(self) -> None:"),
    (r"def uses\(self\):", "def uses(self) -> list[tuple[Program, int]]:"),
    (
        r"    @staticmethod\n    def __new__\(.*\):\n(        .*\n)+",
        "    def __init__(self, what: str) -> None: ...\n",
    ),
    (r"def __enter__\(self\): ", "def __enter__(self) -> None: "),
    (r"def __exit__\(self, \*exception\): ", "def __exit__(self, *exception: object) -> None: "),
]


def stub() -> str:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pybind11_stubgen", "ravine._core", "-o", folder]
        subprocess.run(command, check=True, capture_output=True)
        text = (Path(folder) / "ravine/_core.pyi").read_text()
    for pattern, exact in EXACT:
        text = re.sub(pattern, exact, text, flags=re.MULTILINE)
    text = text.replace("import numpy as np\n", "from typing import Any\n\nimport numpy as np\n", 1)
    return re.sub(r"^__all__: list\[str\] = ", "__all__ = ", text, flags=re.MULTILINE)


if __name__ == "__main__":
    TARGET.write_text(stub())
    subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--fix", "--ignore=E501", "--quiet", str(TARGET)], check=True
    )
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(TARGET)], check=True)
