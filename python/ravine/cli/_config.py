"""The configuration of a run as a TOML file: the options of `ravine train` by their names."""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import __version__
from ._files import write_text
from ._options import GROUPS, OPTIONS, Option

CONFIG = "config.toml"
_NOT_SAVED = ("out", "resume", "threads")  # where a run is, not what it is


def settings_of(given: Mapping[str, Any], config: str | None) -> argparse.Namespace:
    """All options: as given, else as the configuration file says, else by default."""
    defaults = {key: option.default for key, option in OPTIONS.items()}
    chosen = {key: value for key, value in given.items() if key in OPTIONS}
    return argparse.Namespace(**{**defaults, **({} if config is None else read_config(config)), **chosen})


def read_config(path: str) -> dict[str, Any]:
    """The options in a TOML file. Raises ValueError, naming file and key, for what is none of them."""
    toml = _toml()
    try:
        content = toml.loads(Path(path).read_bytes().decode())
    except (toml.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a TOML file: {error}") from None
    settings = {}
    for name, value in content.items():
        key = name.replace("-", "_")
        if key not in OPTIONS:
            near = difflib.get_close_matches(key, OPTIONS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else "; ravine train --help lists them"
            raise ValueError(f"{path}: there is no option {name!r}{hint}")
        if key in settings:
            raise ValueError(f"{path}: {name!r} is given twice, with - and with _")
        settings[key] = _value(path, name, OPTIONS[key], value)
    return settings


def write_config(path: Path, settings: argparse.Namespace) -> None:
    """Writes the options of a run; `read_config` gives them back. Paths become absolute."""
    lines = [f"# ravine {__version__}: the options of a run; `ravine train --config FILE` repeats it."]
    for title, options in GROUPS.items():
        lines += ["", f"# {title}"]
        for option in options:
            value = getattr(settings, option.key)
            if value is not None and option.key not in _NOT_SAVED:
                if option.is_path and Path(value).exists():
                    value = str(Path(value).resolve())
                lines.append(f"{option.key} = {_literal(value)}")
    write_text(path, "\n".join(lines) + "\n")


def _toml() -> Any:
    try:
        return importlib.import_module("tomllib")  # since Python 3.11
    except ModuleNotFoundError:
        pass
    try:
        return importlib.import_module("tomli")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "a configuration needs Python 3.11 or tomli, which is not installed: pip install 'ravine[config]'"
        ) from error


def _value(path: str, name: str, option: Option, value: Any) -> Any:
    if option.many:
        if not isinstance(value, list):
            raise ValueError(f"{path}: {name} is {value!r}, expected a list, such as {name} = [{value!r}]")
        return [_one(path, name, option, item) for item in value]
    return _one(path, name, option, value)


def _one(path: str, name: str, option: Option, value: Any) -> Any:
    if isinstance(value, bool) and {"yes", "no"} <= {*option.choices}:
        value = "yes" if value else "no"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number and (option.parse is not str or not isinstance(value, str)):
        kind = "a text" if option.parse is str else "a number"
        raise ValueError(f"{path}: {name} is {value!r}, expected {kind}")
    try:
        parsed = option.parse(str(value))
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"{path}: {name}: {error}") from None
    if option.choices and parsed not in option.choices:
        raise ValueError(f"{path}: {name} is {parsed!r}, expected one of {', '.join(option.choices)}")
    return parsed


def _literal(value: Any) -> str:
    """A value of an option in TOML. Texts of JSON are texts of TOML, except for the character DEL."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
