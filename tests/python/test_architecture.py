"""The shape of the house: which layer may use which, how long a file may be, what stands nowhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# From the bottom up: a folder may include itself and what stands before it.
CPP_LAYERS = (
    "core",
    "simd",
    "kernels",
    "dispatch",
    "host",
    "graph",
    "ops",
    "optim",
    "rules",
    "train",
    "model",
    "bindings",
)

# The folders of cpp/kernels, likewise; those of one tuple do not include each other. Layers above see api.
KERNEL_FOLDERS = (
    ("base",),
    ("api",),
    ("tile",),
    ("gemm", "norm", "rows", "pool"),
    ("optim", "sequence", "conv/direct"),
    ("conv/winograd", "conv/depthwise", "conv/shallow"),
    ("conv",),
    ("",),
)

# Python modules from the bottom up. What stands in one tuple is on one level: these may import each other, as
# long as no circle closes (the test after the next).
PYTHON_LAYERS = (
    ("_core",),
    (
        "_dims",
        "_from_torch",
        "_finite",
        "_late",
        "_nesting",
        "_numbers",
        "_places",
        "_profile",
        "_random",
        "_splitmix",
        "_state",
        "_trace",
        "_tensor",
        "_parameter",
        "record",
        "_threads",
        "_compile",
        "_plot",
        "_probe",
    ),
    ("ops", "init"),
    ("nn",),
    ("optim",),
    ("_step", "_trained", "_function", "_grad", "_io"),
    ("_minimize",),
    ("data", "preprocessing"),
    ("models",),
    ("diagnostics",),
    ("train",),
    ("cli", "__main__"),
)
MAX_LINES = 600


def cpp_files(repository: Path) -> list[Path]:
    files = [file for file in (repository / "cpp").rglob("*") if file.suffix in (".h", ".cpp")]
    assert len(files) > 50
    return sorted(files)


def python_files(repository: Path) -> list[Path]:
    files = sorted((repository / "python" / "ravine").rglob("*.py"))
    assert len(files) > 20
    return files


def upward_includes(path: str, text: str) -> list[str]:
    """The includes of a file in the folder cpp/ (its path relative to it) that lead to a higher layer."""
    folder = path.split("/")[0]
    allowed = CPP_LAYERS[: CPP_LAYERS.index(folder) + 1]
    wrong = []
    for name in re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.MULTILINE):
        target = name.split("/")[0]
        if target in CPP_LAYERS and target not in allowed:
            wrong.append(f"{path} includes {name}")
        elif "/" not in name or ".." in name:
            wrong.append(f"{path} includes {name}, which is not written from cpp/ on")
    return wrong


def test_cpp_layers_use_only_lower_ones(repository: Path) -> None:
    root = repository / "cpp"
    files = cpp_files(repository)
    assert {file.relative_to(root).parts[0] for file in files} == {*CPP_LAYERS}
    wrong = [
        line
        for file in files
        for line in upward_includes(file.relative_to(root).as_posix(), file.read_text())
    ]
    assert not wrong, "\n".join(wrong)


def wrong_kernel_includes(path: str, text: str) -> list[str]:
    """The includes of a file (its path relative to cpp/) that lead to a kernel folder it must not know."""
    levels = {folder: level for level, folders in enumerate(KERNEL_FOLDERS) for folder in folders}
    folder = path.removeprefix("kernels/").rpartition("/")[0] if path.startswith("kernels/") else None
    wrong = []
    for name in re.findall(r'^\s*#\s*include\s*"kernels/([^"]+)"', text, re.MULTILINE):
        target = name.rpartition("/")[0]
        if folder is None:
            allowed = target == "api"
        else:
            allowed = target == folder or levels[target] < levels[folder]
        if not allowed:
            wrong.append(f"{path} includes kernels/{name}")
    return wrong


def test_kernel_folders_use_only_lower_ones_and_show_their_api_alone(repository: Path) -> None:
    root = repository / "cpp"
    wrong = [
        line
        for file in cpp_files(repository)
        for line in wrong_kernel_includes(file.relative_to(root).as_posix(), file.read_text())
    ]
    assert not wrong, "\n".join(wrong)
    for folder in (root / "kernels").rglob("*"):
        if folder.is_dir() and folder.parent.name != "conv":
            assert (folder / "README.md").is_file(), folder


def test_the_kernel_include_scan_sees_wrong_ones() -> None:
    assert wrong_kernel_includes("kernels/gemm/gemm.cpp", '#include "kernels/conv/direct/phase.h"\n')
    assert wrong_kernel_includes("kernels/gemm/gemm.cpp", '#include "kernels/norm/statistics.h"\n')
    assert wrong_kernel_includes("ops/linalg.cpp", '#include "kernels/gemm/pack.h"\n')
    assert not wrong_kernel_includes("kernels/gemm/gemm.cpp", '#include "kernels/gemm/pack.h"\n')
    assert not wrong_kernel_includes("ops/linalg.cpp", '#include "kernels/api/gemm.h"\n')


def test_the_include_scan_sees_an_upward_include() -> None:
    assert upward_includes("kernels/gemm/gemm.cpp", '#include "graph/graph.h"\n')
    assert upward_includes("core/shape.h", '  #  include "simd/vec.h"\n')
    assert not upward_includes("graph/graph.cpp", '#include "core/shape.h"\n#include <vector>\n')


def layer_of(module: str) -> int | None:
    """The level of "nn._linear" (a module below the package ravine), or None for the package itself."""
    first = module.split(".")[0]
    for level, names in enumerate(PYTHON_LAYERS):
        if first in names:
            return level
    return None


def imported_modules(path: Path, package_root: Path) -> Iterator[str]:
    """Modules of the package, without the leading "ravine.", that a file imports at import time.

    Imports inside functions and under TYPE_CHECKING are left out: they order nothing at import time.
    """
    package = path.relative_to(package_root).parts[:-1]
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            elif node.module and node.module.split(".")[0] == "ravine":
                base = node.module.split(".")[1:]
            else:
                continue
            prefix = ".".join(part for part in base if part)
            yield from (f"{prefix}.{alias.name}".lstrip(".") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix("ravine").lstrip(".")
                for alias in node.names
                if alias.name.split(".")[0] == "ravine"
            )


def test_python_modules_import_only_lower_ones(repository: Path) -> None:
    root = repository / "python" / "ravine"
    wrong = []
    for file in python_files(repository):
        name = file.relative_to(root).with_suffix("").as_posix().replace("/", ".")
        if name == "__init__":
            continue  # the public surface stands above all
        level = layer_of(name)
        if level is None:
            wrong.append(f"{name} stands in no layer of PYTHON_LAYERS")
            continue
        for target in imported_modules(file, root):
            target_level = layer_of(target)
            if target_level is not None and target_level > level:
                wrong.append(f"{name} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_python_modules_have_no_import_circle(repository: Path) -> None:
    root = repository / "python" / "ravine"
    names = [file.relative_to(root).with_suffix("").as_posix() for file in python_files(repository)]
    modules = {name.replace("/", "."): root / f"{name}.py" for name in names}
    graph: dict[str, set[str]] = {}
    for name, file in modules.items():
        if name == "__init__":
            continue
        targets = set()
        for target in imported_modules(file, root):
            # "nn._linear.Linear" means the module nn._linear, "nn.Linear" the package nn.
            parts = target.split(".")
            for n in range(len(parts), 0, -1):
                candidate = ".".join(parts[:n])
                if candidate in modules or f"{candidate}.__init__" in modules:
                    targets.add(candidate if candidate in modules else f"{candidate}.__init__")
                    break
        graph[name] = targets - {name}
    finished: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, "circle: " + " -> ".join([*trail[trail.index(name) :], name])
        if name in finished:
            return
        for target in sorted(graph.get(name, ())):
            visit(target, (*trail, name))
        finished.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("folder", ["cpp", "python", "tests", "bench"])
def test_no_file_is_too_long(repository: Path, folder: str) -> None:
    suffixes = {".h", ".cpp", ".py", ".pyi", ".txt", ".cmake"}
    long = [
        f"{file.relative_to(repository)}: {n} lines"
        for file in sorted((repository / folder).rglob("*"))
        if file.suffix in suffixes and (n := len(file.read_text().splitlines())) > MAX_LINES
    ]
    assert not long, "\n".join(long)


def test_parallel_regions_stand_nowhere_but_in_the_team(repository: Path) -> None:
    """Kernels are told their part of the work; no OpenMP pragma and no thread outside core/team.cpp."""
    wrong = [
        f"{file.relative_to(repository)}: {match.group(0)}"
        for file in cpp_files(repository)
        if file.name != "team.cpp"
        for match in re.finditer(
            r"#\s*pragma\s+omp|std::j?thread\b|pthread_create|std::async", file.read_text()
        )
    ]
    assert not wrong, "\n".join(wrong)
