"""What is minimised: a function of one flat vector, over arrays or over the parameters of a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _core
from .._grad import ValueAndGrad, hvp
from ..nn import Module
from ..record import FLOATING, as_tensor, split_inputs


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """The inner product, summed in float64 in an order that depends on the length alone, unlike a BLAS's."""
    return _core.dot(a, b)


def norm(a: np.ndarray) -> float:
    return math.sqrt(dot(a, a))


def times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The product, summed in an order that depends on the shape alone."""
    return np.einsum("ij,j->i", matrix, vector)


def largest(a: np.ndarray) -> float:
    """The largest absolute value; NaN where there is one."""
    return _core.largest_magnitude(a)


class Leaf:
    """One array among the unknowns: its name, its shape, and its place in the flat vector."""

    __slots__ = ("name", "place", "shape")

    def __init__(self, name: str, shape: tuple[int, ...], start: int) -> None:
        self.name = name
        self.shape = shape
        self.place = slice(start, start + math.prod(shape))


class Problem:
    """Value, gradient and Hessian-vector products of a function of the flat vector x, each compiled once.

    `leaves` says which part of x is which array; `start` is x as given; counts are of evaluations.
    """

    def __init__(self, fn: Callable[..., Any], unknown: Any, args: Sequence[Any]) -> None:
        if not callable(fn):
            raise TypeError(f"minimize: a function is expected, got {type(fn).__name__}")
        if not isinstance(args, tuple | list):
            raise TypeError(f"minimize: args must be a tuple of arguments, got {type(args).__name__}")
        self._args = tuple(args)
        self.evaluations = 0
        self.products = 0
        self._product: Callable[..., Any] | None = None
        self._fn = fn
        self._model = unknown if isinstance(unknown, Module) else None
        if self._model is not None:
            named = [(name, p) for name, p in self._model.named_parameters() if p.requires_grad]
            arrays = [p.data for _, p in named]
            names = [name for name, _ in named]
            self._parameters = [p for _, p in named]
            if not named:
                raise ValueError(f"minimize: no parameter of {type(unknown).__name__} requires a gradient")
        else:
            self._structure = split_inputs(unknown, levels=0)
            arrays = self._structure.arrays
            names = _names(unknown, len(arrays))
            self._parameters = []
        if not arrays:
            raise TypeError(
                f"minimize: an array, arrays in a structure, or a Module is expected, got {unknown!r}"
            )
        self.leaves: list[Leaf] = []
        n = 0
        for name, array in zip(names, arrays, strict=True):
            if array.dtype.name not in FLOATING:
                raise TypeError(
                    f"minimize: {name} must be float32 or float64, got {array.dtype}; convert it: "
                    f"x.astype('float64')"
                )
            self.leaves.append(Leaf(name, array.shape, n))
            n += array.size
        dtypes = {array.dtype for array in arrays}
        if len(dtypes) != 1 or n == 0:
            seen = ", ".join(
                f"{leaf.name} {a.dtype} {a.shape}" for leaf, a in zip(self.leaves, arrays, strict=True)
            )
            raise ValueError(f"minimize: arrays of one dtype with something in them are expected, got {seen}")
        self.dtype = dtypes.pop()
        self.eps = float(np.finfo(self.dtype).eps)
        self.start = np.concatenate([np.ravel(array) for array in arrays])
        self._value_and_grad = ValueAndGrad("minimize", fn, self._model)
        self._of_array: Callable[[np.ndarray], tuple[float, np.ndarray]] | None = None
        if isinstance(unknown, np.ndarray):
            self._of_array = self._value_and_grad.with_arguments(unknown, *self._args)

    def pieces(self, x: np.ndarray) -> list[np.ndarray]:
        return [x[leaf.place].reshape(leaf.shape) for leaf in self.leaves]

    def shaped(self, x: np.ndarray) -> Any:
        """A copy of a flat vector in the form of the unknowns: a dict of names for a model."""
        pieces = [piece.copy() for piece in self.pieces(x)]
        if self._model is not None:
            return {leaf.name: piece for leaf, piece in zip(self.leaves, pieces, strict=True)}
        return self._structure.rebuild(pieces)

    def store(self, x: np.ndarray) -> None:
        """Makes x the parameters of the model, where there is one."""
        for parameter, piece in zip(self._parameters, self.pieces(x), strict=False):
            parameter.data[...] = piece

    def evaluate(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at x."""
        self.evaluations += 1
        if self._of_array is not None:
            value, gradient = self._of_array(x.reshape(self.leaves[0].shape))
            arrays = [gradient]
        elif self._model is not None:
            self.store(x)
            value, gradient = self._value_and_grad(*self._args)
            arrays = [gradient[leaf.name] for leaf in self.leaves]
        else:
            value, gradient = self._value_and_grad(self._structure.rebuild(self.pieces(x)), *self._args)
            arrays = split_inputs(gradient, levels=0).arrays
        if self.evaluations == 1 and self._value_and_grad.draws_random_numbers():
            raise ValueError(
                "minimize: the function draws random numbers, so that its values cannot be compared; call "
                "model.eval() to turn dropout off"
            )
        if len(arrays) == 1:
            return value, arrays[0].reshape(-1)
        return value, np.concatenate([array.reshape(-1) for array in arrays])

    def product(self, x: np.ndarray, vector: np.ndarray) -> np.ndarray:
        """The Hessian at x times a vector."""
        self.products += 1
        vector = vector.astype(self.dtype, copy=False)
        if self._model is not None:
            if self._product is None:
                self._product = hvp(self._fn, self._model)
            self.store(x)
            vectors = {leaf.name: piece for leaf, piece in zip(self.leaves, self.pieces(vector), strict=True)}
            product = self._product(*self._args, vectors)
            return np.concatenate([product[leaf.name].reshape(-1) for leaf in self.leaves])
        if self._product is None:
            self._product = hvp(self._flat_function)
        return self._product(x, *self._args, vector)

    def _flat_function(self, x: Any, *args: Any) -> Any:
        x = as_tensor(x)
        pieces = [x[leaf.place].reshape(leaf.shape) for leaf in self.leaves]
        return self._fn(self._structure.rebuild(pieces), *args)


def hessian(problem: Any, x: np.ndarray) -> np.ndarray:
    """The Hessian [n, n] at x in float64, a product for each column; exactly symmetric."""
    n = len(x)
    result = np.empty((n, n))
    unit = np.zeros(n, problem.dtype)
    for i in range(n):
        unit[i] = 1
        result[i] = problem.product(x, unit)
        unit[i] = 0
    return (result + result.T) / 2


def _names(unknown: Any, n: int) -> list[str]:
    """Names of the arrays: the keys of a dict of arrays, else "x" or "x[0]", "x[1]"."""
    if isinstance(unknown, dict) and len(unknown) == n:
        return [str(key) for key in unknown]
    return ["x"] if n == 1 else [f"x[{i}]" for i in range(n)]
