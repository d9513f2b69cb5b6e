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
    "api",
    "bindings",
)

# The public headers: they include each other alone, and any layer may use them.
PUBLIC = "include"

# The folders of cpp/kernels, likewise; those of one tuple do not include each other. Layers above see api.
KERNEL_FOLDERS = (
    ("base",),
    ("api",),
    ("tile",),
    ("gemm", "norm", "rows", "pool"),
    ("optim", "attention", "sequence", "conv/direct"),
    ("conv/winograd", "conv/depthwise", "conv/shallow"),
    ("conv",),
    ("",),
)

# Python modules from the bottom up. What stands in one tuple is on one level: these may import each other, as
# long as no circle closes (the test after the next).
PYTHON_LAYERS = (
    ("_core",),
    ("_dims", "_from_torch", "_late", "_numbers", "_plot", "_random", "_splitmix", "_state", "_threads"),
    ("record",),
    ("_nesting", "_parameter", "_probe", "_profile", "_tensor"),
    ("ops", "init"),
    ("nn",),
    ("optim",),
    ("_step", "_loss", "_recorder", "_trained", "_grad", "_io", "_export", "_loaded", "_outline"),
    ("_minimize",),
    ("ensemble",),
    ("data", "preprocessing"),
    ("models",),
    ("diagnostics",),
    ("train",),
    ("sklearn",),
    ("cli", "__main__"),
)

# Imports of the package inside functions, by file: what few programs need is loaded when it is used, so that
# `import ravine` stays short, and says so ("# late: why"). The numbers only fall.
LATE_IMPORTS = {"_step.py": 2, "nn/_module.py": 2}

# Private modules and names that another folder imports, by folder. The numbers only fall; the best is none.
PRIVATE_IMPORTS: dict[str, int] = {"": 2, "nn": 13, "optim": 3, "record": 1, "train": 1}
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
    allowed = CPP_LAYERS[: CPP_LAYERS.index(folder) + 1] if folder != PUBLIC else ()
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
    assert {file.relative_to(root).parts[0] for file in files} == {*CPP_LAYERS, PUBLIC}
    wrong = [
        line
        for file in files
        for line in upward_includes(file.relative_to(root).as_posix(), file.read_text())
    ]
    assert not wrong, "\n".join(wrong)


def public_headers(repository: Path) -> list[Path]:
    headers = sorted((repository / "cpp" / PUBLIC / "ravine").glob("*.h"))
    assert len(headers) > 10
    return headers


def test_public_headers_show_nothing_else(repository: Path) -> None:
    for header in public_headers(repository):
        text = header.read_text()
        own = re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.MULTILINE)
        assert all(re.fullmatch(r"ravine/\w+\.h", name) for name in own), header
        others = re.findall(r"^\s*#\s*include\s*<([^>]+)>", text, re.MULTILINE)
        assert all(re.fullmatch(r"[a-z_0-9]+(\.h)?", name) for name in others), (
            header
        )  # the standard library's
        assert not re.search(r"^\s*#\s*define", text, re.MULTILINE), header


def test_the_umbrella_header_has_all(repository: Path) -> None:
    headers = {header.name for header in public_headers(repository)}
    umbrella = (repository / "cpp" / PUBLIC / "ravine" / "ravine.h").read_text()
    assert {*re.findall(r'#include "ravine/(\w+\.h)"', umbrella)} == headers - {"ravine.h", "c.h"}


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


def _targets(node: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    """The modules and names of the package, without the leading "ravine.", that a statement imports."""
    if isinstance(node, ast.ImportFrom):
        if node.level:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
        elif node.module and node.module.split(".")[0] == "ravine":
            base = node.module.split(".")[1:]
        else:
            return
        prefix = ".".join(part for part in base if part)
        yield from (f"{prefix}.{alias.name}".lstrip(".") for alias in node.names)
    elif isinstance(node, ast.Import):
        yield from (
            alias.name.removeprefix("ravine").lstrip(".")
            for alias in node.names
            if alias.name.split(".")[0] == "ravine"
        )


def late_imports(path: str, text: str) -> list[ast.stmt]:
    """The imports of the package inside functions of a file (its path relative to the package)."""
    package = tuple(path.split("/")[:-1])
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = {
        id(node): node
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.stmt) and any(_targets(node, package))
    }
    return list(found.values())


def imported_modules(path: Path, package_root: Path, late: bool = False) -> Iterator[str]:
    """Modules of the package, without the leading "ravine.", that a file imports when it runs.

    Imports inside functions count with `late`; those under TYPE_CHECKING order nothing.
    """
    name, text = path.relative_to(package_root), path.read_text()
    package = name.parts[:-1]
    inside = late_imports(name.as_posix(), text) if late else []
    for node in [*ast.parse(text).body, *inside]:
        yield from _targets(node, package)


def private_imports(path: str, text: str) -> list[str]:
    """The private modules and names of other folders that a file (path relative to the package) imports."""
    package = tuple(path.split("/")[:-1])
    wrong = []
    for node in ast.walk(ast.parse(text)):
        for target in _targets(node, package):
            parts = target.split(".")
            private = next((i for i, part in enumerate(parts) if re.match("_[^_]", part)), None)
            if private is not None and tuple(parts[:private]) != package[:private]:
                wrong.append(f"{path} imports {target}")
    return wrong


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
        for target in imported_modules(file, root, late=True):
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


def test_imports_inside_functions_are_few_and_say_why(repository: Path) -> None:
    root = repository / "python" / "ravine"
    found: dict[str, int] = {}
    for file in python_files(repository):
        name, text = file.relative_to(root).as_posix(), file.read_text()
        lines = text.splitlines()
        for node in late_imports(name, text):
            found[name] = found.get(name, 0) + 1
            assert "  # late: " in lines[node.lineno - 1], f"{name}:{node.lineno} does not say why"
    assert found == LATE_IMPORTS


def test_private_modules_and_names_stay_in_their_folder(repository: Path) -> None:
    root = repository / "python" / "ravine"
    found: dict[str, list[str]] = {}
    for file in python_files(repository):
        name = file.relative_to(root).as_posix()
        found.setdefault(name.rpartition("/")[0], []).extend(private_imports(name, file.read_text()))
    wrong = [line for lines in found.values() for line in lines]
    counts = {folder: len(lines) for folder, lines in found.items() if lines}
    assert counts == PRIVATE_IMPORTS, "\n".join(wrong)


def test_the_scan_for_private_imports_sees_wrong_ones() -> None:
    assert private_imports("nn/_conv.py", "from ..ops._pairs import pair\n")
    assert private_imports("nn/_conv.py", "def f():\n    from ..record import _tensor\n")
    assert private_imports("_step.py", "from .optim._bound import BoundOptimizer\n")
    assert private_imports("ops/_shape.py", "from ravine.nn import _module\n")
    assert not private_imports("ops/linalg/_systems.py", "from .._shape import reshape\n")
    assert not private_imports("ops/_shape.py", "from .. import _core\nfrom .._dims import axes_of\n")
    assert not private_imports("cli/_info.py", "from .. import __version__\n")


@pytest.mark.parametrize("folder", ["cpp", "python", "tests", "bench"])
def test_no_file_is_too_long(repository: Path, folder: str) -> None:
    suffixes = {".h", ".cpp", ".py", ".txt", ".cmake"}  # stubs, .pyi, are written by scripts
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
