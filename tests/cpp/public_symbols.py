"""What a library defines for others: names of ravine::v1 and of C, and instances of the standard library.

python public_symbols.py --nm nm libravine.a|libravine.so

With `--user _core.so` also what that extension module calls of it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys

# Demangled: the public names, their vtables and type information; C's; what the headers of the standard
# library and the compiler's runtime leave in every object that uses them.
PUBLIC = re.compile(r"((vtable|typeinfo|typeinfo name) for )?ravine::v1::")
C_NAME = re.compile(r"ravine_\w+$")
RENAMED = "private_ravine_"  # see cpp/hide_symbols.cmake
STANDARD = re.compile(
    r"(((vtable|typeinfo|typeinfo name|VTT|guard variable) for )?(std|__gnu_cxx|__cxxabiv1)::)|DW\.ref\.__gxx"
)


def undefined(nm: str, library: str) -> set[str]:
    """Demangled names that the shared library wants of others."""
    command = [nm, "--undefined-only", "--dynamic", "--demangle", library]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split(maxsplit=1)[1] for line in lines}


def defined(nm: str, library: str) -> list[tuple[str, str]]:
    """(kind, demangled name) of each global symbol that the library defines."""
    dynamic = ["--dynamic"] if ".so" in library else []
    command = [nm, "--defined-only", "--extern-only", "--demangle", *dynamic, library]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = (re.fullmatch(r"[0-9a-f]+ (\w) (.+)", line) for line in lines)
    return [(match[1], match[2]) for match in found if match]


def foreign(name: str, kind: str, shared: bool) -> bool:
    """Whether a symbol should not be visible. In a static library weak ones of the standard's may be."""
    if PUBLIC.match(name) or C_NAME.match(name):
        return False
    if name.startswith(RENAMED):
        return shared
    # Functions begin with their result type where they are instances of templates; it may be a decltype.
    function = re.sub(r"^decltype \(.*?\)\) ", "", name).split("(")[0]
    standard = STANDARD.match(name) or re.search(r"(^|[ &*])(std|__gnu_cxx)::", function)
    return shared or not (standard and kind in "WVu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--user")
    parser.add_argument("library")
    arguments = parser.parse_args()
    symbols = defined(arguments.nm, arguments.library)
    used = undefined(arguments.nm, arguments.user) if arguments.user else set()
    shared = ".so" in arguments.library
    wrong = [name for kind, name in symbols if name not in used and foreign(name, kind, shared)]
    public = [name for _, name in symbols if PUBLIC.match(name) or C_NAME.match(name)]
    print(f"{arguments.library}: {len(public)} public symbols, {len(symbols)} in all")
    if wrong or not public:
        print("visible, and not public:", *wrong[:40], sep="\n  ")
        sys.exit(1)


if __name__ == "__main__":
    main()
