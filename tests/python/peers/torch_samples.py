"""What torch's own test databases hold, in Ravine's terms: samples translated, results compared."""

from __future__ import annotations

import functools
import inspect
import itertools
import re
import sys
import types
import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv
from ravine import nn, ops
from ravine.ops import _late

torch = pytest.importorskip("torch")
# torch's test utilities want its TestCase, of a package that only torch's own tests need.
sys.modules.setdefault("expecttest", types.SimpleNamespace(TestCase=unittest.TestCase))  # type: ignore[arg-type]

DTYPES = {
    torch.float32: "float32", torch.float64: "float64", torch.int32: "int32", torch.int64: "int64",
    torch.uint8: "uint8", torch.bool: "bool",
}  # fmt: skip
# Relative to a number and to the largest of its array; gradients may lose ten times as much.
TOLERANCE = {"float64": 1e-11, "float32": 1e-5}
# In float64 torch rounds constants of these to float32.
ROUGH = {
    "nn.functional.hardsigmoid": 1e-6,
    "nn.functional.celu": 1e-6,
    "nn.Hardsigmoid": 1e-6,
    "nn.CELU": 1e-6,
}

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "differences_from_pytorch.md"


@dataclass(frozen=True)
class Difference:
    """A row of the table of judged differences: names of entries, and in which respect they may differ.

    The respect "NaN" are numbers of Ravine's, values or gradients, where torch has NaN.
    """

    names: tuple[str, ...]
    respects: tuple[str, ...]


def judged_differences() -> list[Difference]:
    rows = []
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 5 and cells[0].startswith("`"):
            rows.append(Difference(tuple(re.findall(r"`([^`]+)`", cells[0])), tuple(cells[1].split(", "))))
    return rows


DIFFERENCES = judged_differences()


def judged(name: str, *respects: str) -> bool:
    short = name.removeprefix("nn.functional.")
    return any(short in d.names and not set(respects).isdisjoint(d.respects) for d in DIFFERENCES)


class Untranslatable(Exception):
    """A sample with a value that Ravine has no counterpart of: complex, sparse, half precision, a module."""


# ---- arguments


def translated(x: Any, replace: Callable[[Any], Any]) -> Any:
    """Nested arguments of torch with every tensor replaced, dtypes by their names and functions by ours."""
    if isinstance(x, torch.Tensor):
        return replace(x)
    if isinstance(x, tuple | list):
        return type(x)(translated(i, replace) for i in x) if type(x) in (tuple, list) else tuple(x)
    if isinstance(x, dict):
        return {key: translated(value, replace) for key, value in x.items()}
    if isinstance(x, slice):
        return slice(*(translated(i, replace) for i in (x.start, x.stop, x.step)))
    if isinstance(x, torch.dtype) and x not in DTYPES:
        raise Untranslatable(str(x))
    if callable(x) and getattr(torch.nn.functional, getattr(x, "__name__", ""), None) is x:
        return getattr(ops, x.__name__)
    if isinstance(x, complex | torch.Generator | torch.nn.Module):
        raise Untranslatable(type(x).__name__)
    return DTYPES[x] if isinstance(x, torch.dtype) else x


def array(t: Any) -> np.ndarray:
    if t.layout != torch.strided or t.dtype not in DTYPES or t.ndim > 8:
        raise Untranslatable(f"{t.dtype} {t.layout}")
    return t.detach().resolve_neg().numpy()


class Call:
    """One call with torch's arguments: its floating leaves are differentiated, the rest stays as it is."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args, self.kwargs = args, kwargs
        self.leaves: list[Any] = []
        translated((args, kwargs), self._collect)

    def _collect(self, t: Any) -> np.ndarray:
        seen = any(t is leaf for leaf in self.leaves)
        if t.requires_grad and t.is_floating_point() and not seen:
            self.leaves.append(t)
        return array(t)

    def ours(self, leaves: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as arrays, with `leaves` in the places of the differentiated ones."""
        places = {id(leaf): x for leaf, x in zip(self.leaves, leaves, strict=True)}
        return translated((self.args, self.kwargs), lambda t: places[id(t)] if id(t) in places else array(t))

    def theirs(
        self, function: Callable[..., Any]
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """Outputs, weights of the floating ones, and the gradients of their weighted sum."""
        copies = {id(leaf): leaf.detach().clone().requires_grad_() for leaf in self.leaves}
        arguments = translated_tensors(
            (self.args, self.kwargs), lambda t: copies.get(id(t), t.detach().clone())
        )
        torch.manual_seed(0)
        outputs = flat(function(*arguments[0], **arguments[1]))
        floating = [o for o in outputs if isinstance(o, torch.Tensor) and o.requires_grad]
        weights = [
            np.asarray(np.random.default_rng(i).normal(size=tuple(o.shape)), DTYPES[o.dtype])
            for i, o in enumerate(floating)
        ]
        gradients: list[Any] = []
        if floating and self.leaves:
            cotangents = [torch.tensor(w, dtype=o.dtype) for w, o in zip(weights, floating, strict=True)]
            gradients = list(
                torch.autograd.grad(floating, list(copies.values()), cotangents, allow_unused=True)
            )
        arrays = [array(o) if isinstance(o, torch.Tensor) else np.asarray(o) for o in outputs]
        filled = [
            torch.zeros_like(c) if g is None else g for c, g in zip(copies.values(), gradients, strict=False)
        ]
        return arrays, weights, [array(g) for g in filled]


def translated_tensors(x: Any, replace: Callable[[Any], Any]) -> Any:
    if isinstance(x, torch.Tensor):
        return replace(x)
    if type(x) in (tuple, list):
        return type(x)(translated_tensors(i, replace) for i in x)
    if isinstance(x, dict):
        return {key: translated_tensors(value, replace) for key, value in x.items()}
    if isinstance(x, slice):
        return slice(*(translated_tensors(i, replace) for i in (x.start, x.stop, x.step)))
    return x


def flat(x: Any) -> list[Any]:
    return [y for part in x for y in flat(part)] if isinstance(x, tuple | list) else [x]


def lacks(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The argument that the function does not have, if there is one."""
    signature = inspect.signature(function)
    unknown = [name for name in kwargs if name not in signature.parameters]
    if unknown:
        return unknown[0]
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        return str(error)
    return None


# ---- operations


def swapped(name: str) -> Callable[..., Any]:
    function = getattr(ops, name)

    def call(first: Any, second: Any, *rest: Any, **named: Any) -> Any:
        return function(second, first, *rest, **named)

    call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return call


def with_buffers(name: str, training: str, default: bool) -> Callable[..., Any]:
    """batch_norm and instance_norm, whose running statistics are Buffers where they move."""
    function = getattr(ops, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        given = dict(zip(inspect.signature(function).parameters, args, strict=False)) | kwargs
        for key in ("running_mean", "running_var"):
            if given.get(training, default) and isinstance(given.get(key), np.ndarray):
                given[key] = nn.Buffer(given[key])
        return function(**given)

    call.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return call


SPECIAL: dict[str, Callable[..., Any]] = {
    "expand": lambda x, sizes: ops.expand(x, *sizes),
    "nn.functional.embedding": swapped("embedding"),
    "nn.functional.embedding_bag": swapped("embedding_bag"),
    "where": swapped("where"),
    "einsum": swapped("einsum"),
    "polygamma": swapped("polygamma"),
    "special.polygamma": swapped("polygamma"),
    "__rmod__": lambda x, other: other % x,
    "nn.functional.batch_norm": with_buffers("batch_norm", "training", False),
    "nn.functional.instance_norm": with_buffers("instance_norm", "use_input_stats", True),
    "__getitem__": lambda x, index: ops.reshape(x, x.shape)[index],
    "__radd__": lambda x, other: other + x,
    "__rsub__": lambda x, other: other - x,
    "__rmul__": lambda x, other: other * x,
    "__rdiv__": lambda x, other: other / x,
    "__rpow__": lambda x, other: other**x,
    "__rmatmul__": lambda x, other: other @ x,
}
METHODS = (
    "H",
    "mH",
    "mT",
    "new_zeros",
    "new_ones",
    "new_full",
    "view",
    "to",
    "float",
    "double",
    "int",
    "long",
    "byte",
    "bool",
    "clone",
    "contiguous",
    "T",
    "t",
    "unfold",
)


# Their numbers are others than torch's.
RANDOM = (
    "rand",
    "randn",
    "rand_like",
    "randn_like",
    "bernoulli",
    "multinomial",
    "normal",
    "randint",
    "randint_like",
)


def counterpart(name: str) -> Callable[..., Any] | None:
    """Ravine's function of an entry of torch's database of operations."""
    if name in SPECIAL:
        return SPECIAL[name]
    if name == "nn.functional.unfold":
        return rv.nn.functional.unfold
    short = name.removeprefix("nn.functional.").removeprefix("special.")
    if short in ops.__all__ and "dropout" not in short and short not in RANDOM:
        return getattr(ops, short)
    for space in ("linalg", "masked", "special", "signal.windows"):
        functions = functools.reduce(getattr, space.split("."), ops)
        if name.startswith(f"{space}.") and name.removeprefix(f"{space}.") in functions.__all__:
            return getattr(functions, name.removeprefix(f"{space}."))
    if name in METHODS:
        method = getattr(rv.Tensor, name)
        return method.fget if isinstance(method, property) else method
    return None


# ---- comparison


def difference(actual: Any, expected: Any, tolerance: float) -> tuple[str, str] | None:
    """(respect, words) where two arrays differ; the respect is "NaN" where that is torch's alone."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.shape != expected.shape:
        return "shape", f"shape {actual.shape}, torch {expected.shape}"
    if actual.dtype != expected.dtype:
        return "dtype", f"dtype {actual.dtype}, torch {expected.dtype}"
    same = np.array((actual == expected) | ((actual != actual) & (expected != expected)))
    finite = np.isfinite(actual) & np.isfinite(expected) & ~same
    if finite.any() and actual.dtype.kind == "f":
        sizes = np.abs(expected[np.isfinite(expected)])
        with np.errstate(all="ignore"):
            off = np.abs(actual - expected)[finite]
        same[finite] = off <= tolerance * (np.abs(expected)[finite] + max(float(sizes.max()), 1e-3))
    if same.all():
        return None
    place = tuple(int(i) for i in np.argwhere(~same)[0])
    respect = "NaN" if np.isnan(expected[~same]).all() else "value"
    return respect, f"at {list(place)}: {actual[place]!r}, torch {expected[place]!r}"


def operands_are_nan(call: Call) -> bool:
    return any(bool(torch.isnan(leaf).any()) for leaf in call.leaves)


def is_judged(name: str, what: str, found: str, call: Call) -> bool:
    """Whether the table allows a difference in the respect `found`, of a gradient or of something else."""
    respects = ["gradient" if what == "gradient" else "value" if found == "NaN" else found]
    if found == "NaN" and not operands_are_nan(call):
        respects.append("NaN")
    return judged(name, *respects)


def check_call(
    name: str, function: Callable[..., Any], theirs: Callable[..., Any], call: Call, dtype: str
) -> list[str]:
    """What differs, as lines: eager in float32, compiled in float64 with gradients."""
    leaves = [array(leaf) for leaf in call.leaves]
    args, kwargs = call.ours(leaves)
    try:
        expected, weights, slopes = call.theirs(theirs)
    except Untranslatable:
        raise
    except Exception:  # what torch refuses is no sample
        return []
    tolerance = ROUGH.get(name, TOLERANCE[dtype])
    wrong = []
    missing = lacks(function, args, kwargs)
    if missing is not None:
        return [] if judged(missing, "argument") else [f"{name}: lacks {missing}"]

    def compare(kind: str, actual: Any, wanted: Any, factor: float) -> None:
        found = difference(actual, wanted, factor * tolerance)
        if found and not is_judged(name, kind, found[0], call):
            wrong.append(f"{name}: {kind} {found[1]}")

    try:
        if not slopes or dtype == "float32":
            with rv.eager():
                outputs = flat(function(*args, **kwargs))
            if len(outputs) != len(expected):
                return [f"{name}: {len(outputs)} outputs, torch {len(expected)}"]
            for actual, wanted in zip(outputs, expected, strict=True):
                compare("", np.asarray(actual), wanted, 1)
            return wrong

        def objective(given: list[Any]) -> Any:
            a, k = call.ours(given[: len(leaves)])
            terms = [o for o in flat(function(*a, **k)) if o.dtype.startswith("float")]
            return sum(((o * w).sum() for o, w in zip(terms, given[len(leaves) :], strict=True)), start=0.0)

        _, found = rv.value_and_grad(objective)([*leaves, *weights])
    except Exception as error:
        return [] if judged(name, "argument") else [f"{name}: {type(error).__name__}: {error}"]
    for actual, wanted in zip(
        found[len(leaves) :], [e for e in expected if e.dtype.kind == "f"], strict=True
    ):
        compare("", actual, wanted, 1)
    if not operands_are_nan(call):  # where there is no derivative; documented
        for actual, wanted in zip(found, slopes, strict=False):
            compare("gradient", actual, wanted, 10)
    return wrong


# Families of short compositions have a case of their own for every function. Of their samples, thousands for
# some, a spread of so many a dtype shows that names, arguments, shapes and dtypes are torch's.
SPREAD, MOST = 6, 500
_LATE = {name for kinds in _late.FAMILIES.values() for names in kinds for name in names}


def spread(name: str, found: list[Any]) -> list[Any]:
    short = name.removeprefix("nn.functional.").removeprefix("special.")
    if not (short in _LATE or name.startswith("linalg.")) or len(found) <= SPREAD:
        return found
    return [found[i * (len(found) - 1) // (SPREAD - 1)] for i in range(SPREAD)]


def samples(op: Any, dtype: str) -> Iterator[Call]:
    wanted = getattr(torch, dtype)
    if wanted not in op.dtypes:
        return
    named = getattr(op.op, "keywords", {})
    for sample in spread(
        op.name,
        [*itertools.islice(op.sample_inputs("cpu", wanted, requires_grad=op.supports_autograd), MOST)],
    ):
        if sample.kwargs.get("dropout_p"):  # other random numbers than torch's
            continue
        try:
            yield Call((sample.input, *sample.args), {**named, **sample.kwargs})
        except Untranslatable:
            continue
