"""For the site of docs/: doctests stand below "Example:" in docstrings, griffe takes those of "Examples:" as code."""

from __future__ import annotations

import re

import griffe


class DoctestsAreCode(griffe.Extension):
    """Reads the section `Example:` of every docstring as `Examples:`."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"(?m)^(\s*)Example:$", r"\1Examples:", obj.docstring.value)
