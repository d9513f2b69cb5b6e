"""The loss along lines and planes through a model's weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import nn
from .._numbers import positive, whole
from .._plot import new_axes
from .._probe import Probe, as_inputs, check_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Direction = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class LossSlice:
    """What `loss_slice` measured.

    Attributes:
        steps: multiples of the directions, from -radius to radius, [points].
        losses: at each step, [points]; of two directions [points of the first, points of the second].
        directions: what was gone along, by parameter.
    """

    steps: np.ndarray
    losses: np.ndarray
    directions: list[dict[str, np.ndarray]]

    def plot(self) -> Figure:
        """Draws the curve, or contours of the plane. Raises ModuleNotFoundError without matplotlib."""
        if self.losses.ndim == 1:
            figure, axes = new_axes("LossSlice.plot", xlabel="step", ylabel="loss")
            axes.plot(self.steps, self.losses)
            return figure
        figure, axes = new_axes("LossSlice.plot", xlabel="first direction", ylabel="second direction")
        figure.colorbar(axes.contourf(self.steps, self.steps, self.losses.T, 20), ax=axes, label="loss")
        return figure


def filter_normalised(model: nn.Module, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """A random direction, each unit's part as long as the unit's weights; 0 for vectors (biases, norms).

    Source: Li et al. 2018, https://arxiv.org/abs/1712.09913.
    """
    direction = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        weight = parameter.data.astype(np.float64)
        part = generator.standard_normal(weight.shape)
        if weight.ndim < 2:
            direction[name] = np.zeros_like(weight)
            continue
        axes = tuple(range(1, weight.ndim))
        lengths = np.sqrt((part**2).sum(axes, keepdims=True))
        direction[name] = part / lengths * np.sqrt((weight**2).sum(axes, keepdims=True))
    return direction


def loss_slice(
    model: nn.Module,
    loss: Callable[[Any, Any], Any],
    x: Any,
    y: Any,
    *,
    directions: int | Sequence[Direction] = 1,
    radius: float = 1.0,
    points: int = 21,
    seed: int = 0,
) -> LossSlice:
    """The loss at weights + a · direction (+ b · second direction), for a and b from -radius to radius.

    Args:
        model: a copy of it runs, in the mode it is in.
        loss: a function of (output, y) that returns a scalar tensor.
        x: a batch of inputs; of a model with several, a tuple.
        y: its labels.
        directions: 1 or 2 random ones, filter-normalised, or one or two dicts of arrays by parameter name; of
            parameters that are not named the weights stay.
        radius: above 0.
        points: on each axis, at least 2; an odd number has the weights themselves in the middle.
        seed: of the random directions.

    Raises TypeError for something else than a module, ValueError for names and shapes that are no
    parameter's.

    Source: Goodfellow et al. 2015; Li et al. 2018, https://arxiv.org/abs/1712.09913.

    Example:
        >>> import numpy as np
        >>> from ravine import diagnostics, nn
        >>> model = nn.Linear(1, 1, bias=False, weight_init=2.0)
        >>> line = {"weight": np.array([[1.0]])}
        >>> diagnostics.loss_slice(
        ...     model, nn.MSELoss(), [[1.0]], [[2.0]], directions=[line], points=3
        ... ).losses
        array([1., 0., 1.])
    """
    what = "loss_slice"
    check_model(what, model)
    radius, points = positive(what, "radius", radius), whole(what, "points", points, 2)
    twin = copy.deepcopy(model)
    generator = np.random.default_rng(seed)
    if isinstance(directions, int):
        if directions not in (1, 2):
            raise ValueError(f"{what}: directions must be 1 or 2, got {directions}")
        chosen = [filter_normalised(twin, generator) for _ in range(directions)]
    else:
        chosen = [{name: np.asarray(part, np.float64) for name, part in one.items()} for one in directions]
        if len(chosen) not in (1, 2):
            raise ValueError(f"{what}: one or two directions are expected, got {len(chosen)}")
    parameters = dict(twin.named_parameters())
    for one in chosen:
        for name, part in one.items():
            if name not in parameters or parameters[name].shape != part.shape:
                raise ValueError(
                    f"{what}: the direction has {name!r} of shape {part.shape}, which no parameter has"
                )
    probe = Probe(what, twin, as_inputs(x), lambda output, _, labels: loss(output, *labels), (y,))
    start = {name: parameter.data.astype(np.float64) for name, parameter in parameters.items()}
    steps = np.linspace(-radius, radius, points)

    def at(*multiples: float) -> float:
        moved = dict(start)
        for multiple, one in zip(multiples, chosen, strict=True):
            for name, part in one.items():
                moved[name] = moved[name] + multiple * part
        for name, data in moved.items():
            parameters[name].data = data
        value = float(probe.run())
        return value if math.isfinite(value) else math.inf

    if len(chosen) == 1:
        losses = np.array([at(a) for a in steps])
    else:
        losses = np.array([[at(a, b) for b in steps] for a in steps])
    return LossSlice(steps, losses, chosen)
