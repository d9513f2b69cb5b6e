"""One strong check for every operation; a case is one line.

On every instruction set of the machine, with temporary memory filled with NaN first, `check(case)` proves:

- forward, float64: agrees with `want`, a function of NumPy or SciPy on float64 arrays;
- forward, float32: agrees with `want` of the same (rounded) numbers within `tolerance32`;
- forward again: eager execution agrees, and 1 and 3 threads give the same bits;
- gradient, float64: agrees with central differences in every element of every floating input;
- gradient, float32: agrees with the float64 gradient of the same numbers;
- second derivative, float64: the gradient of (gradient . v) agrees with differences of the gradient along v.

Derivatives are those of sum(weights * output), with fixed random weights, over all floating outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import ravine as rv
from ravine import _core
from ravine.record import Tensor, Trace, recording_into

Array = np.ndarray
Arrays = Sequence[Array]

FORWARD_TOLERANCE = 1e-12
DIFFERENCE_TOLERANCE = 1e-6  # of central differences with a step of 1e-5 in float64
STEP = 1e-5
MAX_DIFFERENCES = 48  # elements per input that are differentiated numerically


# ---- numbers ----


def normal(*shape: int, seed: int = 0, scale: float = 1.0, shift: float = 0.0) -> Array:
    """Standard normal numbers; other shapes and seeds give other numbers."""
    return np.asarray(np.random.default_rng([seed, *shape]).normal(size=shape) * scale + shift)


def positive(*shape: int, seed: int = 0) -> Array:
    """Numbers in [0.3, 3)."""
    return np.asarray(np.random.default_rng([seed, *shape]).uniform(0.3, 3.0, size=shape))


def apart(*shape: int, seed: int = 0, kinks: Sequence[float] = (0.0,), gap: float = 0.05) -> Array:
    """Normal numbers at least `gap` away from the kinks, where derivatives do not exist."""
    x = normal(*shape, seed=seed)
    for kink in kinks:
        x = np.where(np.abs(x - kink) < gap, kink + np.where(x < kink, -2 * gap, 2 * gap), x)
    return x


def distinct(*shape: int, seed: int = 0) -> Array:
    """A shuffled ladder: no two numbers are closer than 0.05."""
    count = int(np.prod(shape))
    return (np.random.default_rng([seed, *shape]).permutation(count) * 0.05 - 0.025 * count).reshape(shape)


def integers(*shape: int, high: int, low: int = 0, seed: int = 0, dtype: str = "int64") -> Array:
    return np.random.default_rng([seed, *shape]).integers(low, high, size=shape).astype(dtype)


def bools(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).random(shape) < 0.5


# ---- cases ----


@dataclass(frozen=True)
class Case:
    name: str
    function: Callable[..., Any]  # of tensors
    want: Callable[..., Any]  # the same of float64 arrays
    arrays: tuple[Array, ...]
    tolerance32: float = 4e-6
    tolerance64: float = FORWARD_TOLERANCE
    gradient: bool = True
    second: bool = True
    frozen: tuple[int, ...] = ()  # floating inputs without a gradient (a class weight, a target)
    gradient_tolerance32: float = 4e-5

    def __str__(self) -> str:
        shapes = ",".join("x".join(map(str, a.shape)) or "scalar" for a in self.arrays)
        return f"{self.name}-{shapes}"


def case(
    name: str, function: Callable[..., Any], want: Callable[..., Any], *arrays: Array, **how: Any
) -> Case:
    return Case(name, function, want, tuple(np.asarray(a) for a in arrays), **how)


# ---- running ----


def record(function: Callable[..., Any], arrays: Arrays, *, eager: bool = False) -> tuple[Any, list, list]:
    """The graph of function(*tensors), its inputs and its outputs as values."""
    trace = Trace(eager=eager)
    inputs = [
        trace.graph.input(a.shape, a.dtype.name, f"input{i}", np.ascontiguousarray(a).reshape(a.shape))
        if eager
        else trace.graph.input(a.shape, a.dtype.name, f"input{i}")
        for i, a in enumerate(arrays)
    ]
    with recording_into(trace):
        result = function(*[Tensor(value, trace) for value in inputs])
        outputs = list(result) if isinstance(result, list | tuple) else [result]
        return trace.graph, inputs, [output._as_value(trace) for output in outputs]


def weighted_sum(graph: Any, values: Sequence[Any], weights: Sequence[Array]) -> Any:
    total = None
    for value, weight in zip(values, weights, strict=True):
        constant = graph.constant(weight.astype(value.dtype))
        product = graph.apply("mul", [value, constant], {})[0]
        term = graph.apply("sum", [product], {"axes": tuple(range(len(value.shape)))})[0]
        total = term if total is None else graph.apply("add", [total, term], {})[0]
    return total


def random_like(shapes: Sequence[tuple[int, ...]], seed: int) -> list[Array]:
    """Numbers that float32 holds exactly."""
    return [normal(*s, seed=seed + i).astype(np.float32).astype(np.float64) for i, s in enumerate(shapes)]


def floating(values: Sequence[Any]) -> list[int]:
    return [i for i, value in enumerate(values) if str(value.dtype).startswith("float")]


def run(function: Callable[..., Any], *arrays: Array) -> Any:
    """function(*tensors) as arrays, for tests of one thing."""
    graph, _, outputs = record(function, arrays)
    results = _core.Program(graph, outputs).run(list(arrays))
    return results[0] if len(results) == 1 else results


class Programs:
    """Forward, gradient and second derivative of a case for inputs of given dtypes."""

    def __init__(self, case: Case, arrays: Arrays) -> None:
        self.case, self.arrays = case, list(arrays)
        graph, _, outputs = record(case.function, arrays)
        self.forward_program = _core.Program(graph, outputs)
        self.loss_outputs = floating(outputs)
        self.weights = random_like([outputs[i].shape for i in self.loss_outputs], 71)
        self.wrt = [i for i in floating(arrays) if i not in case.frozen]
        self.vectors = random_like([arrays[i].shape for i in self.wrt], 93)

    def forward(self, arrays: Arrays | None = None) -> list[Array]:
        return self.forward_program.run(list(arrays or self.arrays))

    def loss(self, arrays: Arrays) -> float:
        outputs = self.forward(arrays)
        return sum(
            float(np.sum(outputs[i].astype(np.float64) * w))
            for i, w in zip(self.loss_outputs, self.weights, strict=True)
        )

    def _gradients(self) -> tuple[Any, list, list]:
        graph, inputs, outputs = record(self.case.function, self.arrays)
        loss = weighted_sum(graph, [outputs[i] for i in self.loss_outputs], self.weights)
        wrt = [inputs[i] for i in self.wrt]
        return graph, wrt, graph.gradients(loss, wrt)

    def gradient_program(self) -> Any:
        graph, _, gradients = self._gradients()
        return _core.Program(graph, gradients)

    def second_program(self) -> Any:
        graph, wrt, gradients = self._gradients()
        along = weighted_sum(graph, gradients, self.vectors)
        return _core.Program(graph, graph.gradients(along, wrt))


def assert_close(got: Array, want: Any, tolerance: float, what: str, least_scale: float = 1e-3) -> None:
    """Agreement relative to each number and to the largest, or to `least_scale` where all are smaller."""
    want = np.asarray(want)
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    if got.dtype.kind != "f":
        np.testing.assert_array_equal(got, want, err_msg=what)
        return
    sizes = np.abs(want[np.isfinite(want)]).astype(np.float64)
    scale = max(float(sizes.max()), least_scale) if sizes.size else 1.0
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def as_list(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]


def in_dtype(arrays: Arrays, dtype: str) -> list[Array]:
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]


@contextmanager
def poisoned(isa: str) -> Iterator[None]:
    before = rv.cpu_info()["isa"]
    _core.set_isa(isa)
    _core.set_poison(True)
    try:
        yield
    finally:
        _core.set_poison(False)
        _core.set_isa(before)


# ---- the check ----


def check(case: Case) -> None:
    for isa in rv.cpu_info()["isas"]:
        with poisoned(isa):
            _check_forward(case, isa)
            if case.gradient:
                _check_gradient(case, isa)


def _check_forward(case: Case, isa: str) -> None:
    for dtype, tolerance in (("float64", case.tolerance64), ("float32", case.tolerance32)):
        arrays = in_dtype(case.arrays, dtype)
        with np.errstate(all="ignore"):
            wanted = as_list(case.want(*in_dtype(arrays, "float64")))
        programs = Programs(case, arrays)
        got = programs.forward()
        assert len(got) == len(wanted), f"{case}: {len(got)} outputs, expected {len(wanted)}"
        for i, (y, want) in enumerate(zip(got, wanted, strict=True)):
            what = f"{case}: output {i}, {dtype}, {isa}"
            if case.arrays and all(a.dtype.kind == "f" for a in case.arrays) and y.dtype.kind == "f":
                assert y.dtype == dtype, f"{what}: the result is {y.dtype}"
            assert_close(y, want, tolerance, what)
        _check_same_bits(programs, f"{case}, {dtype}, {isa}")
        _, _, outputs = record(case.function, arrays, eager=True)
        for i, (value, y) in enumerate(zip(outputs, got, strict=True)):
            assert_close(value.numpy(), y, tolerance, f"{case}: output {i} run eagerly, {dtype}, {isa}")


def _check_same_bits(programs: Programs, what: str) -> None:
    results = []
    for threads in (1, 3):
        _core.push_threads(threads)
        try:
            results.append(programs.forward())
        finally:
            _core.pop_threads()
    for one, three in zip(*results, strict=True):
        assert one.tobytes() == three.tobytes(), f"{what}: other bits with 3 threads"


def _check_gradient(case: Case, isa: str) -> None:
    arrays = in_dtype(case.arrays, "float64")
    programs = Programs(case, arrays)
    gradient_program = programs.gradient_program()
    gradients = gradient_program.run(arrays)
    for place, i in enumerate(programs.wrt):
        _compare_with_differences(programs, i, gradients[place], f"{case}: gradient of input {i}, {isa}")

    arrays32 = in_dtype(arrays, "float32")
    exact = gradient_program.run(in_dtype(arrays32, "float64"))
    programs32 = Programs(case, arrays32)
    least_scale = max([0.02 * float(np.abs(g).max()) for g in exact if g.size] + [1e-3])
    for i, got, want in zip(programs.wrt, programs32.gradient_program().run(arrays32), exact, strict=True):
        assert got.dtype == np.float32
        what = f"{case}: float32 gradient of input {i}, {isa}"
        assert_close(got, want, case.gradient_tolerance32, what, least_scale)

    if not case.second:
        return
    second = programs.second_program().run(arrays)
    sides = []
    for sign in (1.0, -1.0):
        moved = list(arrays)
        for i, vector in zip(programs.wrt, programs.vectors, strict=True):
            moved[i] = np.asarray(arrays[i] + sign * STEP * vector)
        sides.append(gradient_program.run(moved))
    scale = max([float(np.abs(g).max()) for g in gradients if g.size] + [1.0])
    for i, got, ahead, behind in zip(programs.wrt, second, *sides, strict=True):
        np.testing.assert_allclose(
            got,
            (ahead - behind) / (2 * STEP),
            rtol=DIFFERENCE_TOLERANCE,
            atol=DIFFERENCE_TOLERANCE * scale,
            err_msg=f"{case}: second derivative, input {i}, {isa}",
        )


def _compare_with_differences(programs: Programs, i: int, gradient: Array, what: str) -> None:
    x = programs.arrays[i]
    assert gradient.shape == x.shape, f"{what}: shape {gradient.shape}, expected {x.shape}"
    assert gradient.dtype == np.float64
    places = np.random.default_rng(5).permutation(x.size)[:MAX_DIFFERENCES]
    numeric = []
    for place in places:
        sides = []
        for sign in (1.0, -1.0):
            moved = x.copy()
            moved.reshape(-1)[place] += sign * STEP
            sides.append(programs.loss([*programs.arrays[:i], moved, *programs.arrays[i + 1 :]]))
        numeric.append((sides[0] - sides[1]) / (2 * STEP))
    scale = max([abs(n) for n in numeric] + [1.0])
    np.testing.assert_allclose(
        gradient.reshape(-1)[places],
        np.array(numeric).reshape(-1),
        rtol=DIFFERENCE_TOLERANCE,
        atol=DIFFERENCE_TOLERANCE * scale,
        err_msg=what,
    )
