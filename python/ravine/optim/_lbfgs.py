"""L-BFGS on mini-batches: steps along the gradient times an inverse Hessian made of the last steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .. import _core, ops
from .._numbers import flag, number, whole
from ..record import Parameter, Tensor, Trace, plain_array
from ._options import Rate
from ._rule import Rule

# Gradients of the loss of this mini-batch at other parameters.
GradientsAt = Callable[[Sequence[_core.Value]], "list[_core.Value]"]


class LBFGS(Rule):
    """Limited-memory BFGS on mini-batches, one update a step (online L-BFGS).

    The step is `w -= lr · H g`, where g is the mini-batch's gradient and H the inverse Hessian that the last
    steps s and changes of the gradient y describe, by the two-loop recursion. y compares gradients of the
    *same* mini-batch, at the present parameters and at those before the last update, so that it is free of
    the noise between mini-batches; this costs a second gradient a step. `y += damping · s` bounds H. A pair
    without positive curvature (s·y not above rounding) is left out. Until there is a pair, H g is g, no
    longer than 1.

    For the whole data at once, with a line search, there is `ravine.minimize(fn, model)`.

    Args:
        lr: learning rate, or a function of the step (from 0) that gives it; 1 is the Newton-like step, small
            mini-batches want less.
        history_size: pairs that are kept; they take 2 · history_size times the memory of the parameters.
        damping: added to every curvature; at least 0. With small or noisy mini-batches 0.01 to 1.
        weight_decay: share of the weight taken off per unit of lr, beside H g.
        maximize: go up instead of down.
        options: as every optimizer's, see `Optimizer`; gradients cannot be accumulated. Bounds by
            `clip_global_norm` and the like are on H g.

    `history_size`, `damping` and `maximize` hold from construction on. Raises ValueError where the loss draws
    random numbers (dropout), as no two of its gradients can be compared, and for parameters of different
    dtypes.

    Sources: Liu and Nocedal 1989, https://doi.org/10.1007/BF01589116; Schraudolph, Yu and Günter 2007,
    https://proceedings.mlr.press/v2/schraudolph07a.html, whose pairs are taken one update earlier.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> rv.seed(0)
        >>> model = nn.Linear(3, 1)
        >>> step = rv.TrainStep(model, nn.MSELoss(), optim.LBFGS(lr=1.0))
        >>> x = np.eye(3); y = np.array([[1.0], [2.0], [3.0]])
        >>> losses = [step(x, y) for _ in range(12)]
        >>> losses[-1] < 1e-6 < losses[0]
        True
    """

    rule = "sgd"
    _fixed: ClassVar[Mapping[str, float]] = {"maximize": 0.0}  # the direction goes up already

    lr: Rate = 1.0
    history_size: int = 10
    damping: float = 0.0
    weight_decay: Rate = 0.0
    maximize: bool = False

    def _checked(self, name: str, value: Any) -> Any:
        if name not in ("history_size", "damping", "maximize"):
            if name not in ("lr", "weight_decay"):
                raise AttributeError(f"LBFGS has no hyperparameter {name!r}")
            return super()._checked(name, value)
        if self._complete:
            raise AttributeError(f"LBFGS: {name} holds from construction on")
        if name == "maximize":
            return flag("LBFGS", name, value)
        if name == "damping":
            return number("LBFGS", name, value)
        return whole("LBFGS", name, value, 1)

    def _check_together(self) -> None:
        super()._check_together()
        if self.accumulate != 1:
            raise ValueError(f"LBFGS: gradients cannot be accumulated, got accumulate={self.accumulate}")

    def _preconditioner(self) -> CurvatureMemory:
        return CurvatureMemory(self)


class CurvatureMemory:
    """The pairs of an L-BFGS for named parameters, as flat vectors: state of the programs that use it."""

    def __init__(self, description: LBFGS) -> None:
        self._description = description
        self._signature: Any = None
        self._parameters: list[tuple[str, Parameter]] = []
        self._arrays: dict[str, list[_core.Array]] = {}
        self._kept: dict[str, np.ndarray] = {}  # loaded, and not yet in place

    def bind(self, parameters: Sequence[tuple[str, Parameter]]) -> bool:
        """Makes these the parameters. True if that changes anything: the memory is reset then."""
        signature = [(name, id(parameter.array)) for name, parameter in parameters]
        if signature == self._signature and not self._kept:
            return False
        dtypes = {parameter.dtype for _, parameter in parameters}
        if len(dtypes) > 1:
            raise ValueError(f"LBFGS: parameters of one dtype are expected, got {', '.join(sorted(dtypes))}")
        self._parameters = list(parameters)
        dtype = dtypes.pop()
        present = np.concatenate([np.ravel(parameter.data) for _, parameter in parameters])
        m = self._description.history_size
        zeros = np.zeros_like(present)
        self._arrays = {
            "previous": [_core.Array(present)],
            "s": [_core.Array(zeros) for _ in range(m)],
            "y": [_core.Array(zeros) for _ in range(m)],
            "rho": [_core.Array(np.zeros((), dtype)) for _ in range(m)],  # 1 / s·y; 0 where there is no pair
            "scale": [_core.Array(np.ones((), dtype))],
        }
        kept = {key.rpartition(".")[0] for key in self._kept if key not in ("scale", "rho")}
        if kept == {name for name, _ in parameters}:
            self._restore()
        self._kept = {}
        self._signature = signature
        return True

    def _restore(self) -> None:
        for field, arrays in self._arrays.items():
            if field in ("scale", "rho"):
                values = np.atleast_1d(self._kept[field])
            else:
                rows = [self._kept[f"{name}.{field}"] for name, _ in self._parameters]
                values = np.concatenate([row.reshape(len(arrays), -1) for row in rows], axis=1)
            for array, value in zip(arrays, values, strict=True):
                array.numpy()[...] = value

    def direct(
        self, trace: Trace, gradients: Sequence[_core.Value], gradients_at: GradientsAt
    ) -> list[_core.Value]:
        """Records the update of the memory, and H g in the place of the gradients g of the parameters."""
        state = {
            field: [Tensor(trace.state(array), trace) for array in arrays]
            for field, arrays in self._arrays.items()
        }
        now = self._flat([Tensor(trace.state(p.array), trace) for _, p in self._parameters])
        g = self._flat([Tensor(gradient, trace) for gradient in gradients])
        before = [piece._as_value(trace) for piece in self._pieces(state["previous"][0])]
        g_before = self._flat([Tensor(value, trace) for value in gradients_at(before)])
        if self._description.maximize:
            g, g_before = -g, -g_before

        s = now - state["previous"][0]
        y = g - g_before + self._description.damping * s
        sy, yy = (s * y).sum(), (y * y).sum()
        holds = sy > float(np.finfo(g.dtype).eps) * yy
        newest = {
            "s": s,
            "y": y,
            "rho": 1.0 / ops.where(holds, sy, 1.0),
            "scale": sy / ops.where(holds, yy, 1.0),
        }
        rows = {
            field: [
                ops.where(holds, new, old) for new, old in zip([newest[field], *olds], olds, strict=False)
            ]
            for field, olds in state.items()
            if field in newest
        }
        direction = _two_loops(g, rows)
        for field, values in {**rows, "previous": [now]}.items():
            for array, value in zip(self._arrays[field], values, strict=True):
                trace.assign(array, value._as_value(trace))
        return [piece._as_value(trace) for piece in self._pieces(direction)]

    def _flat(self, pieces: Sequence[Tensor]) -> Tensor:
        return ops.concat([piece.reshape(-1) for piece in pieces])

    def _pieces(self, flat: Tensor) -> list[Tensor]:
        pieces, start = [], 0
        for _, parameter in self._parameters:
            end = start + int(np.prod(parameter.shape))
            pieces.append(flat[start:end].reshape(parameter.shape))
            start = end
        return pieces

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of "scale", "rho" [m], "<name>.s" and "<name>.y" [m, *shape], and "<name>.previous"."""
        if not self._arrays:
            return dict(self._kept)
        scale, rho = self._arrays["scale"][0], self._arrays["rho"]
        result = {"scale": np.array(scale.numpy()), "rho": np.stack([array.numpy() for array in rho])}
        for field in ("previous", "s", "y"):
            rows = np.stack([array.numpy() for array in self._arrays[field]])
            start = 0
            for name, parameter in self._parameters:
                end = start + int(np.prod(parameter.shape))
                piece = rows[:, start:end].reshape(len(rows), *parameter.shape)
                result[f"{name}.{field}"] = np.array(piece[0] if field == "previous" else piece)
                start = end
        return result

    def check_state(self, state: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """The arrays of what `state_dict` returned.

        Raises ValueError where they do not fit the parameters.
        """
        m = self._description.history_size
        problems: list[str] = []
        arrays = {key: np.array(plain_array(value, key)) for key, value in state.items()}
        names = {key.rpartition(".")[0] for key in arrays if key not in ("scale", "rho")}
        expected: dict[str, tuple[int, ...]] = {"scale": (), "rho": (m,)} if arrays else {}
        for name in names & set(shapes):
            expected[f"{name}.previous"] = shapes[name]
            expected |= {f"{name}.{field}": (m, *shapes[name]) for field in ("s", "y")}
        problems += [f"missing key {key}" for key in expected if key not in arrays]
        problems += [f"unexpected key {key}" for key in arrays if key not in expected]
        problems += [
            f"{key}: shape {array.shape}, expected {expected[key]}"
            for key, array in arrays.items()
            if key in expected and array.shape != expected[key]
        ]
        if problems:
            raise ValueError("load_state_dict of LBFGS: " + "; ".join(problems))
        return arrays

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes what `check_state` returned; the next `bind` puts it in place."""
        self._arrays, self._signature, self._kept = {}, None, dict(arrays)


def _two_loops(g: Tensor, rows: Mapping[str, Sequence[Tensor]]) -> Tensor:
    """H g; the newest pair is the first. A pair with ρ = 0 changes nothing."""
    pairs = list(zip(rows["s"], rows["y"], rows["rho"], strict=True))
    q, weights = g, []
    for s, y, rho in pairs:
        weights.append(rho * (s * q).sum())
        q = q - weights[-1] * y
    q = q * rows["scale"][0]
    for (s, y, rho), weight in zip(reversed(pairs), reversed(weights), strict=True):
        q = q + (weight - rho * (y * q).sum()) * s
    none = rows["rho"][0] == 0.0
    length = ops.sqrt((g * g).sum())
    return q * ops.where(none, 1.0 / ops.maximum(length, 1.0), 1.0)
