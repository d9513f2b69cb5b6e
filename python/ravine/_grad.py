"""Values with gradients, and Hessian-vector products, of any traced function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _core
from ._random import RandomStream
from .nn import Module
from .record import (
    FLOATING,
    Compiled,
    Inputs,
    Operand,
    Parameter,
    ProgramCache,
    Recording,
    Tensor,
    Trace,
    apply,
    as_array,
    as_tensor,
    compile_recording,
    current,
    eager_mode,
    eager_result,
    flatten_outputs,
    gradients,
    gradients_for_hooks_too,
    record,
    recording_into,
    split_inputs,
)


def check_scalar(result: Any, what: str) -> Any:
    """`result` where it is a scalar floating tensor."""
    if not isinstance(result, Operand):
        raise TypeError(f"{what} must be a scalar tensor, got {type(result).__name__}")
    if result.shape != () or result.dtype not in FLOATING:
        raise ValueError(
            f"{what} must be a floating scalar, got shape {result.shape} and dtype {result.dtype}; reduce it "
            f"by mean() or sum()"
        )
    return result


class _Differentiated:
    """What value_and_grad and hvp share: the programs of one function, with or without a model."""

    def __init__(self, what: str, function: Callable[..., Any], model: Module | None) -> None:
        if not callable(function):
            raise TypeError(f"{what}: a function is expected, got {type(function).__name__}")
        if model is not None and not isinstance(model, Module):
            raise TypeError(f"{what}: model must be a Module, got {type(model).__name__}")
        self._what = what
        self._function = function
        self._model = model
        self._programs = ProgramCache(what)
        self._stream = RandomStream()

    def _within(
        self,
        trace: Trace,
        args: tuple[Any, ...],
        differentiate: Callable[[Tensor, list[_core.Value]], list[Tensor]],
    ) -> tuple[Tensor, Any]:
        """The value, and what is made of it, as part of a recording under way.

        The variables are copies, so that what else depends on the same tensors counts as a constant.
        """
        what = f"{self._what}: the result of the function"
        if self._model is not None:
            named = self._parameters()
            copies = [trace.graph.apply("identity", [trace.state(p.array)])[0] for _, p in named]
            with trace.replaced([(p.array, copy) for (_, p), copy in zip(named, copies, strict=True)]):
                value = check_scalar(self._function(self._model, *args), what)
            found = differentiate(value, copies)
            return value, dict(zip([name for name, _ in named], found, strict=True))
        self._check_arguments(args)
        given, rebuild = flatten_outputs(_as_tensors(args[0]), f"{self._what}: the first argument")
        self._check_variables(given)
        tensors = [apply("identity", tensor) for tensor in given]
        value = check_scalar(self._function(rebuild(tensors), *args[1:]), what)
        return value, rebuild(differentiate(value, [tensor._as_value(trace) for tensor in tensors]))

    def _check_arguments(self, args: tuple[Any, ...]) -> None:
        if not args:
            raise TypeError(f"{self._what}: the function needs an argument to differentiate with respect to")

    def _check_variables(self, tensors: Sequence[Operand]) -> None:
        if not tensors:
            raise TypeError(
                f"{self._what}: the first argument holds no array to differentiate with respect to"
            )
        for tensor in tensors:
            if tensor.dtype not in FLOATING:
                raise TypeError(f"{self._what}: the first argument must be floating, got {tensor.dtype}")

    def _parameters(self) -> list[tuple[str, Parameter]]:
        assert self._model is not None
        named = [(name, p) for name, p in self._model.named_parameters() if p.requires_grad]
        if not named:
            raise ValueError(
                f"{self._what}: no parameter of {type(self._model).__name__} requires a gradient"
            )
        return named

    def _evaluate(
        self,
        inputs: Inputs,
        variant: Any,
        call: Callable[[Any], Any],
        extend: Callable[[Recording], Recording],
    ) -> Any:
        """Runs `call` on the inputs, extended by what `extend` records behind it."""
        model = self._model
        floating = model._floating_dtype() if model is not None else None
        names = model._state_names() if model is not None else None

        def recorded(eager: bool) -> Recording:
            parameters = model.named_parameters() if model is not None else ()
            return extend(
                record(
                    call,
                    inputs,
                    floating,
                    names,
                    stream=self._stream,
                    eager=eager,
                    roots=self._reached(),
                    parameters=parameters,
                )
            )

        if eager_mode():
            return eager_result(recorded(True), self._what)

        def build() -> Compiled:
            return compile_recording(recorded(False), self._what, self._stream)

        return self._programs.get(inputs, build, variant).run(inputs.arrays)

    def _reached(self) -> tuple[Any, ...]:
        """What a recording that calls this can read."""
        return self._function, self._model

    def draws_random_numbers(self) -> bool:
        """Whether a program compiled so far does."""
        return self._programs.draws_random_numbers()

    def programs(self) -> list[_core.Program]:
        """The programs compiled so far; `program.describe()` shows one as a table."""
        return self._programs.programs()


def _gradients(value: Any, trace: Trace, wrt: list[_core.Value]) -> list[Tensor]:
    return [Tensor(g, trace) for g in gradients(trace, value._as_value(trace), wrt)]


def _hooked_gradients(value: Any, trace: Trace, wrt: list[_core.Value]) -> list[Tensor]:
    return [Tensor(g, trace) for g in gradients_for_hooks_too(trace, value._as_value(trace), wrt)]


def _product(value: Any, trace: Trace, wrt: list[_core.Value], vectors: Sequence[Any]) -> list[Tensor]:
    """d/dw Σ ⟨gradient, vector⟩."""
    with recording_into(trace):
        terms = [(g * v).sum() for g, v in zip(_gradients(value, trace, wrt), vectors, strict=True)]
        total = terms[0]
        for term in terms[1:]:
            total = apply("add", total, term)
    return _gradients(total, trace, wrt)


def _as_tensors(x: Any) -> Any:
    """The same structure of tuples, lists and dicts with tensors for arrays and numbers."""
    if isinstance(x, dict):
        return {name: _as_tensors(item) for name, item in x.items()}
    if isinstance(x, tuple) or (isinstance(x, list) and any(isinstance(item, Operand) for item in x)):
        return type(x)([_as_tensors(item) for item in x])
    return x if x is None or isinstance(x, str) else as_tensor(x)


class ValueAndGrad(_Differentiated):
    """What `value_and_grad` returns."""

    def __call__(self, *args: Any) -> tuple[Any, Any]:
        trace = current()
        if trace is not None:
            return self._within(trace, args, lambda value, wrt: _gradients(value, trace, wrt))
        if self._model is not None:
            value, gradients = self._of_model(args)
        else:
            value, gradients = self._of_argument(args)
        return float(value), gradients

    def _of_model(self, args: tuple[Any, ...]) -> Any:
        named = self._parameters()

        def call(arguments: Any) -> Any:
            return check_scalar(
                self._function(self._model, *arguments), f"{self._what}: the result of the function"
            )

        def extend(recording: Recording) -> Recording:
            wrt = [recording.trace.graph.state(p.array, name) for name, p in named]
            gradients = _hooked_gradients(recording.result, recording.trace, wrt)
            result = (recording.result, dict(zip([name for name, _ in named], gradients, strict=True)))
            return recording._replace(result=result)

        return self._evaluate(split_inputs(args), None, call, extend)

    def with_arguments(self, x: np.ndarray, *args: Any) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        """The function of arrays like x, with the further arguments fixed: less to look up in every call."""
        inputs, call, extend = self._argument_inputs((x, *args))
        rest = inputs.arrays[1:]

        def evaluate(x: np.ndarray) -> tuple[float, np.ndarray]:
            of_x = Inputs([x, *rest], inputs.key, inputs.rebuild)
            value, gradient = self._evaluate(of_x, None, call, extend)
            return float(value), gradient

        return evaluate

    def _of_argument(self, args: tuple[Any, ...]) -> Any:
        inputs, call, extend = self._argument_inputs(args)
        return self._evaluate(inputs, None, call, extend)

    def _argument_inputs(
        self, args: tuple[Any, ...]
    ) -> tuple[Inputs, Callable[[Any], Any], Callable[[Recording], Recording]]:
        self._check_arguments(args)
        first, rest = split_inputs(args[0], levels=0), split_inputs(args[1:])
        n = len(first.arrays)

        def rebuild(tensors: Any) -> Any:
            return (first.rebuild(tensors[:n]), *rest.rebuild(tensors[n:]))

        inputs = Inputs(first.arrays + rest.arrays, (first.key, rest.key), rebuild)

        def call(arguments: Any) -> Any:
            return check_scalar(self._function(*arguments), f"{self._what}: the result of the function")

        def extend(recording: Recording) -> Recording:
            trace, variables = recording.trace, recording.tensors[:n]
            self._check_variables(variables)
            gradients = _hooked_gradients(recording.result, trace, [t._as_value(trace) for t in variables])
            return recording._replace(result=(recording.result, first.rebuild(gradients)))

        return inputs, call, extend


class _HessianVectorProduct(_Differentiated):
    def __call__(self, *args: Any) -> Any:
        if not args:
            raise TypeError(f"{self._what}: vectors are expected as the last argument")
        *arguments, vectors = args
        trace = current()
        if trace is not None:
            return self._product_within(trace, tuple(arguments), vectors)
        if self._model is not None:
            return self._of_model(tuple(arguments), vectors)
        return self._of_argument(tuple(arguments), vectors)

    def _product_within(self, trace: Trace, arguments: tuple[Any, ...], vectors: Any) -> Any:
        if self._model is None:
            given = [as_tensor(vectors)]
        else:
            given = [as_tensor(vectors[name]) for name in self._checked_names(vectors)]

        def differentiate(value: Tensor, wrt: list[_core.Value]) -> list[Tensor]:
            for vector, variable in zip(given, wrt, strict=True):
                if vector.shape != variable.shape:
                    raise ValueError(
                        f"{self._what}: a vector has shape {vector.shape}, expected {variable.shape}"
                    )
            return _product(value, trace, wrt, given)

        return self._within(trace, arguments, differentiate)[1]

    def _checked_names(self, vectors: Any) -> list[str]:
        """The names of the trained parameters, which are those of the vectors."""
        names = [name for name, _ in self._parameters()]
        if not isinstance(vectors, Mapping):
            raise TypeError(
                f"{self._what}: vectors must be a dict of names and arrays, got {type(vectors).__name__}"
            )
        missing = [name for name in names if name not in vectors]
        unexpected = [name for name in vectors if name not in names]
        if missing or unexpected:
            raise ValueError(f"{self._what}: vectors miss {missing} and have unexpected {unexpected}")
        return names

    def _inputs(self, arguments: tuple[Any, ...], vectors: list[np.ndarray]) -> tuple[Inputs, int]:
        given = split_inputs(arguments)
        n = len(given.arrays)
        key = (given.key, tuple((v.shape, v.dtype) for v in vectors))
        return Inputs(given.arrays + vectors, key, lambda tensors: given.rebuild(tensors[:n])), n

    def _of_model(self, arguments: tuple[Any, ...], vectors: Any) -> dict[str, np.ndarray]:
        names, named = self._checked_names(vectors), self._parameters()
        arrays = [_vector(self._what, name, vectors[name], p.shape) for name, p in named]
        inputs, n = self._inputs(arguments, arrays)

        def call(given: Any) -> Any:
            return check_scalar(
                self._function(self._model, *given), f"{self._what}: the result of the function"
            )

        def extend(recording: Recording) -> Recording:
            wrt = [recording.trace.graph.state(p.array, name) for name, p in named]
            product = _product(recording.result, recording.trace, wrt, recording.tensors[n:])
            return recording._replace(result=dict(zip(names, product, strict=True)))

        return self._evaluate(inputs, None, call, extend)

    def _of_argument(self, arguments: tuple[Any, ...], vector: Any) -> np.ndarray:
        if not arguments:
            raise TypeError(f"{self._what}: the function needs an argument to differentiate with respect to")
        x = as_array(arguments[0], self._what)
        v = _vector(self._what, "the vector", vector, x.shape).astype(x.dtype, copy=False)
        inputs, n = self._inputs((x, *arguments[1:]), [v])

        def call(given: Any) -> Any:
            return check_scalar(self._function(*given), f"{self._what}: the result of the function")

        def extend(recording: Recording) -> Recording:
            wrt = [recording.tensors[0]._as_value(recording.trace)]
            product = _product(recording.result, recording.trace, wrt, recording.tensors[n:])
            return recording._replace(result=product[0])

        return self._evaluate(inputs, None, call, extend)


def _vector(what: str, name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = as_array(value, what)
    if array.shape != shape:
        raise ValueError(f"{what}: {name} must have shape {shape}, got {array.shape}")
    if array.dtype.kind != "f":
        array = array.astype(np.float32)
    return array


def value_and_grad(fn: Callable[..., Any], model: Module | None = None) -> Callable[..., tuple[float, Any]]:
    """A function that returns the value of `fn` and its gradient.

    With a model, `fn(model, *args)` is differentiated with respect to the model's parameters that require a
    gradient; the result is `(value, {name: gradient})`. Without one, `fn(*args)` is differentiated with
    respect to its first argument (an array, or arrays in tuples, lists and dicts), and the gradient has that
    argument's structure. The function is recorded once for each combination of input shapes and dtypes, and
    runs as a compiled program. Called in a recording (in the loss of another `value_and_grad`, say) it
    becomes part of that, and value and gradients are tensors.

    Args:
        fn: a function of tensors that returns a scalar tensor.
        model: the module whose parameters are meant, or None.

    Raises ValueError where the result is no scalar.

    Example:
        >>> import numpy as np, ravine as rv
        >>> model = rv.nn.Linear(2, 1, bias=False)
        >>> model.weight.data[...] = [[1.0, 2.0]]
        >>> value, gradients = rv.value_and_grad(lambda m, x: m(x).sum(), model)(np.array([[3.0, 4.0]]))
        >>> value, gradients
        (11.0, {'weight': array([[3., 4.]], dtype=float32)})
        >>> rv.value_and_grad(lambda x: (x * x).sum())(np.array([1.0, 2.0]))
        (5.0, array([2., 4.]))
    """
    return ValueAndGrad("value_and_grad", fn, model)


def hvp(fn: Callable[..., Any], model: Module | None = None) -> Callable[..., Any]:
    """A function that returns the exact product of the Hessian of `fn` and a vector.

    `hvp(fn, model)(*args, vectors)` takes a dict with an array for each trained parameter, and returns such a
    dict; `hvp(fn)(x, *rest, vector)` works with respect to x. The cost is that of a few gradients
    (Pearlmutter 1994).

    Args:
        fn: a function of tensors that returns a scalar tensor, of the model and the arguments where there
            is a model.
        model: the module whose parameters are meant, or None.

    Example:
        >>> import numpy as np, ravine as rv
        >>> rv.hvp(lambda x: (x ** 3).sum())(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
        array([ 6., 12.])
    """
    return _HessianVectorProduct("hvp", fn, model)
