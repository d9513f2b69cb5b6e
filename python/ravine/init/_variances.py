"""How signals and gradients keep their size through the depth of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from .._plot import new_axes
from .._probe import Observation, Probe, as_inputs, gradients_by
from ..record import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..nn import Module


@dataclass(frozen=True)
class Variances:
    """What `variances` measured, by depth; printing it shows a table.

    Attributes:
        paths: the modules in the order of their calls, [n].
        kinds: their classes, [n].
        forward: the variance of all numbers that the module returned, [n].
        backward: the variance of the gradient by these, [n].

    Example:
        >>> import numpy as np
        >>> from ravine import init
        >>> print(init.Variances(["0", "1"], ["Linear", "ReLU"], np.array([2.0, 0.7]), np.array([0.5, 1.0])))
        Module          forward    backward
        0  (Linear)           2         0.5
        1  (ReLU)           0.7           1
    """

    paths: list[str]
    kinds: list[str]
    forward: np.ndarray
    backward: np.ndarray

    def __str__(self) -> str:
        labels = [f"{path}  ({kind})".strip() for path, kind in zip(self.paths, self.kinds, strict=True)]
        width = max(len(label) for label in ["Module", *labels])
        lines = [f"{'Module':<{width}}  {'forward':>10}  {'backward':>10}"]
        for label, forward, backward in zip(labels, self.forward, self.backward, strict=True):
            lines.append(f"{label:<{width}}  {forward:>10.3g}  {backward:>10.3g}")
        return "\n".join(lines)

    def plot(self) -> Figure:
        """Draws both over depth, on a logarithmic scale. Raises ModuleNotFoundError without matplotlib."""
        figure, axes = new_axes("Variances.plot", yscale="log", xlabel="module", ylabel="variance")
        axes.plot(self.forward, marker="o", label="outputs")
        axes.plot(self.backward, marker="o", label="gradients by them")
        axes.legend()
        return figure


def variances(
    model: Module, x: Any, y: Any = None, loss: Callable[[Any, Any], Any] | None = None
) -> Variances:
    """Measures the variance of every module's outputs, and of the gradient by them, on some data.

    Of an initialisation that fits, both stay within a few powers of ten from the first module to the last.
    The model is not changed; it runs in the mode it is in.

    Args:
        model: a module.
        x: a batch of inputs; of a model with several, a tuple.
        y: labels.
        loss: a function of (output, y) that returns a scalar tensor, whose gradient is measured. By
            default the gradient that enters at the output is normal noise of variance 1, so that what
            comes out shows what the layers do to it.

    Raises TypeError for something else than a module, ValueError for a loss without labels, and where the
    model returns no floating tensor.

    Source: Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn
        >>> layers = [nn.Linear(256, 256, weight_init="he_normal", bias_init="zeros"), nn.ReLU()]
        >>> x = np.random.default_rng(0).standard_normal((64, 256))
        >>> measured = rv.init.variances(nn.Sequential(*layers), x)
        >>> measured.paths, bool(1.5 < measured.forward[0] < 2.5)
        (['0', '1'], True)
    """
    if (loss is None) != (y is None):
        raise ValueError("variances: a loss and labels belong together, got only one of them")
    names: list[tuple[str, str]] = []

    def measure(output: Any, observations: list[Observation], labels: Any) -> Any:
        if not observations:
            raise ValueError("variances: the model returns no floating tensor")
        if loss is not None:
            value = loss(output, *labels)
        else:
            last = output if isinstance(output, Tensor) else observations[-1].output
            value = (last * ops.randn(*last.shape, dtype=last.dtype)).sum()
        outputs = [observation.output for observation in observations]
        names.extend((observation.path, type(observation.module).__name__) for observation in observations)
        gradients = gradients_by(value, outputs)
        return [[ops.var(one, correction=0) for one in several] for several in (outputs, gradients)]

    forward, backward = Probe("variances", model, as_inputs(x), measure, () if y is None else (y,)).run()
    paths, kinds = (list(column) for column in zip(*names, strict=True))
    return Variances(paths, kinds, np.array(forward, np.float64), np.array(backward, np.float64))
