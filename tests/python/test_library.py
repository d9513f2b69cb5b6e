"""The C++ library of an installed package: other projects find, compile, link and run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ravine import _core


@pytest.fixture(scope="module")
def library_folder(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[[str], Path]:
    """The folder that an option of `python -m ravine` prints."""

    def folder(option: str) -> Path:
        done = run_python("-m", "ravine", option)
        if done.returncode != 0:
            assert "pip install" in done.stderr
            pytest.skip("this package runs from a folder of a build, without its C++ library")
        return Path(done.stdout.strip())

    return folder


def run(*command: str | Path, **variables: str) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env={**os.environ, **variables}
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def need(*tools: str) -> None:
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        pytest.skip(f"{', '.join(missing)} not on this machine")


def test_a_project_finds_the_cmake_package(
    library_folder: Callable[[str], Path], repository: Path, tmp_path: Path
) -> None:
    need("cmake", "ninja", "c++", "cc")
    package = library_folder("--cmake-dir")
    assert (package / "ravine-config.cmake").is_file()
    project = repository / "tests/cpp/package"
    kind = ("-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug")
    run("cmake", "-S", project, "-B", tmp_path, *kind, f"-Dravine_DIR={package}")
    run("cmake", "--build", tmp_path, "--target", "line", "c_program")
    # Programs run where they were built, without a word of where the library is.
    assert "loss" in run(tmp_path / "line")


def test_pkg_config_finds_it(library_folder: Callable[[str], Path], repository: Path, tmp_path: Path) -> None:
    need("pkg-config", "cc")
    where = str(library_folder("--pkg-config-dir"))
    flags = run("pkg-config", "--cflags", "--libs", "ravine", PKG_CONFIG_PATH=where).split()
    include = str(library_folder("--include-dir").resolve())
    assert str(Path(flags[0].removeprefix("-I")).resolve()) == include
    program = tmp_path / "c_program"
    run("cc", repository / "tests/cpp/package/c_program.c", "-o", program, *flags, "-lm")
    assert program.is_file()


def test_the_library_shows_the_public_names_and_what_the_module_calls(
    library_folder: Callable[[str], Path], repository: Path
) -> None:
    need("nm")
    (library,) = library_folder("--include-dir").parent.glob("lib/libravine*.so*")
    check = repository / "tests/cpp/public_symbols.py"
    assert "public symbols" in run(sys.executable, check, "--user", _core.__file__, library)
    # What the module calls is visible for it alone, and few.
    with pytest.raises(AssertionError, match="visible, and not public"):
        run(sys.executable, check, library)
