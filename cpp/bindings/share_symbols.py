"""Shows the extension module what it uses of the library, in an object whose other symbols stay hidden.

python share_symbols.py --nm nm --object ravine.o --exports exports.map --out out.o --map out.map USER.o...

The library's public symbols are visible (exports.map). What the objects USER.o call besides is hidden as the
compiler left it, with direct calls inside of the library. In the object `--out` these symbols alone are
protected in place of hidden: other objects may see them, and calls inside stay direct. The version script
`--map` lists them beside the public ones.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
from pathlib import Path

SECTION = struct.Struct("<IIQQQQIIQQ")  # of 64-bit ELF; see elf(5), Elf64_Shdr and Elf64_Sym
SYMBOL = struct.Struct("<IBBHQQ")
SYMBOL_TABLE = 2  # SHT_SYMTAB
UNDEFINED = 0  # SHN_UNDEF
HIDDEN, PROTECTED = 2, 3  # STV_HIDDEN, STV_PROTECTED: the two low bits of st_other


def undefined_in(nm: str, objects: list[Path]) -> set[str]:
    command = [nm, "--undefined-only", "--format=just-symbols", *map(str, objects)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def protect(elf: bytearray, names: set[str]) -> list[str]:
    """Makes the hidden symbols of these names protected, and returns the names found."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise SystemExit("share_symbols: a 64-bit little-endian ELF object is expected")
    (start,) = struct.unpack_from("<Q", elf, 0x28)
    (count,) = struct.unpack_from("<H", elf, 0x3C)
    count = count or SECTION.unpack_from(elf, start)[5]  # many sections: the first one holds their number
    sections = [SECTION.unpack_from(elf, start + i * SECTION.size) for i in range(count)]
    found = []
    for table in sections:
        if table[1] != SYMBOL_TABLE:
            continue
        strings = sections[table[6]][4]
        for at in range(table[4], table[4] + table[5], SYMBOL.size):
            name, _, other, section, _, _ = SYMBOL.unpack_from(elf, at)
            if section == UNDEFINED or other & 3 != HIDDEN:
                continue
            begin = strings + name
            text = elf[begin : elf.index(0, begin)].decode()
            if text in names:
                elf[at + 5] = other & ~3 | PROTECTED
                found.append(text)
    return sorted(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--nm", default="nm")
    parser.add_argument("--object", type=Path, required=True)
    parser.add_argument("--exports", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--map", type=Path, required=True)
    parser.add_argument("users", type=Path, nargs="+")
    options = parser.parse_args()
    elf = bytearray(options.object.read_bytes())
    shared = protect(elf, undefined_in(options.nm, options.users))
    options.out.write_bytes(elf)
    public, local = options.exports.read_text().split("  local:")
    options.map.write_text(public + "".join(f"    {name};\n" for name in shared) + "  local:" + local)


if __name__ == "__main__":
    main()
