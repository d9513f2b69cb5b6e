"""Proves that no symbol of the per-ISA kernel objects can be shared between instruction sets.

The linker keeps one copy of a weak or inline function. Were it emitted from a file compiled for AVX-512,
every CPU would run that copy. So what such an object defines for others must carry its ISA's namespace in
its name.

    isa_symbols.py [--nm NM] ISA=OBJECT ...       ISA is the namespace, e.g. x86_64_v3
"""

from __future__ import annotations

import argparse
import subprocess
import sys

# Symbol types of nm that only this object sees: local text, data, constants, bss; and undefined ones.
_LOCAL_OR_UNDEFINED = set("tdrbnNaUwv-?")


def foreign_symbols(nm: str, isa: str, object_file: str) -> list[str]:
    """The mangled names that the object defines for other objects outside ravine::kernels::<isa>."""
    listing = subprocess.run(
        [nm, "--defined-only", object_file], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    namespace = f"6ravine7kernels{len(isa)}{isa}"
    symbols = [line.split(maxsplit=2)[1:] for line in listing if len(line.split()) >= 3]
    return [name for kind, name in symbols if kind not in _LOCAL_OR_UNDEFINED and namespace not in name]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nm", default="nm")
    parser.add_argument("objects", nargs="+", metavar="ISA=OBJECT")
    options = parser.parse_args()
    checked: dict[str, int] = {}
    faults = 0
    for argument in options.objects:
        isa, _, object_file = argument.partition("=")
        checked[isa] = checked.get(isa, 0) + 1
        for name in foreign_symbols(options.nm, isa, object_file):
            print(f"{object_file}: {name} is outside ravine::kernels::{isa}")
            faults += 1
    print(f"{faults} faults in {', '.join(f'{n} objects of {isa}' for isa, n in checked.items())}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
