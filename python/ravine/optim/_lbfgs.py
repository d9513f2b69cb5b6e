"""L-BFGS on mini-batches: steps along the gradient times an inverse Hessian made of the last steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .._numbers import flag, number, whole
from ._options import Rate
from ._rule import Rule


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

    def _stages(self) -> list[tuple[str, Any]]:
        sign = -1.0 if self.maximize else 1.0
        numbers = {"history_size": float(self.history_size), "damping": self.damping, "sign": sign}
        return [("lbfgs", numbers), *super()._stages()]
