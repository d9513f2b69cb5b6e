"""What griffe, which reads the docstrings for the site of docs/, has to be told of this package.

Doctests stand below "Example:", griffe takes "Examples:" as code. The arguments of an optimizer are the
annotated attributes of its class, as those of a dataclass.
"""

from __future__ import annotations

import re

import griffe


class RavineDocstrings(griffe.Extension):
    """Docstrings' examples are code; rules have a signature."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"(?m)^(\s*)Example:$", r"\1Examples:", obj.docstring.value)

    def on_class(self, *, cls: griffe.Class, **_: object) -> None:
        if [str(base) for base in cls.bases] != ["Rule"] or "__init__" in cls.members:
            return
        fields = [member for member in cls.members.values() if member.is_attribute and member.annotation]
        either = griffe.ParameterKind.positional_or_keyword
        parameters = [griffe.Parameter("self", kind=either)]
        for field in fields:  # they are told as arguments, not as attributes
            parameters.append(
                griffe.Parameter(field.name, annotation=field.annotation, kind=either, default=field.value)
            )
            cls.del_member(field.name)
        parameters.append(griffe.Parameter("options", kind=griffe.ParameterKind.var_keyword, default="{}"))
        cls.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(*parameters)))
