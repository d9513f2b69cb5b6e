"""Auxiliary heads: losses of their own for layers inside of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ... import nn
from ..._numbers import number
from ..._step import TrainStep
from ...optim import Optimizer
from ._stage import Stage, batches, check_model, run_stage, training
from ._taps import check_path, outputs_at


class _Joint(nn.Module):
    """A model and what is trained with it."""

    def __init__(self, model: nn.Module, heads: nn.ModuleList) -> None:
        super().__init__()
        self.model, self.heads = model, heads


class AuxiliaryHeads:
    """A model with classifiers on layers inside, which let the gradient in where it would be small.

    The loss is `loss(model(x), y) + Σ w · loss(head(h), y)` over the heads, with the output h of the module
    at each head's path. The heads belong to the training alone: the model itself is never changed but by its
    weights.

    Args:
        model: trained in place.
        heads: by the path of a module of the model, a module that makes outputs like the model's of that
            module's outputs.
        weights: of the heads' losses, by path; 0.3 for those that are not named.

    Raises TypeError for what is no Module, ValueError for paths that there are not.

    Source: Szegedy et al. 2015, https://arxiv.org/abs/1409.4842; Lee et al. 2015,
    https://arxiv.org/abs/1409.5185.

    Example:
        >>> import numpy as np, ravine as rv
        >>> from ravine import nn, optim
        >>> rv.seed(0)
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> x = np.random.default_rng(0).standard_normal((64, 4)); y = (x[:, 0] > 0).astype(int)
        >>> deep = rv.train.strategies.AuxiliaryHeads(model, {"1": nn.Linear(8, 2)}, {"1": 0.5})
        >>> stage = deep.fit(x, y, nn.CrossEntropyLoss(), optim.Adam(lr=0.05), epochs=10, batch_size=16)
        >>> bool((model(x).argmax(1) == y).mean() > 0.9)
        True
    """

    def __init__(
        self, model: nn.Module, heads: Mapping[str, nn.Module], weights: Mapping[str, float] | None = None
    ) -> None:
        check_model("AuxiliaryHeads", "model", model)
        if not heads:
            raise ValueError("AuxiliaryHeads: heads must have at least one entry")
        for path, head in heads.items():
            check_path("AuxiliaryHeads", "the path", model, path)
            check_model("AuxiliaryHeads", f"the head of {path!r}", head)
        weights = {} if weights is None else dict(weights)
        unknown = [path for path in weights if path not in heads]
        if unknown:
            raise ValueError(f"AuxiliaryHeads: weights for {unknown}, which have no head")
        self.model = model
        self.heads = dict(heads)
        self.weights = {
            path: number("AuxiliaryHeads", f"weights[{path!r}]", weights.get(path, 0.3)) for path in heads
        }

    def fit(
        self,
        x: Any,
        y: Any,
        loss: Callable[[Any, Any], Any],
        optimizer: Optimizer,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        seed: int | None = None,
    ) -> Stage:
        """Trains model and heads together.

        Args:
            x, y: examples and targets, or a source of batches and None.
            loss: (output, target) to a scalar, of the model and of every head.
            optimizer: of both. Patterns of its groups see names that begin with "model." and "heads.".
            epochs, batch_size: of the training.
            seed: of the order of the examples; None draws one.

        Returns:
            The losses, sums of all parts, by epoch.

        Raises what `TrainStep` and `Loop` raise.
        """
        joint = _Joint(self.model, nn.ModuleList(self.heads.values()))
        weights = self.weights

        def total(joint: Any, x: Any, y: Any) -> Any:
            output, inner = outputs_at(joint.model, x, list(weights))
            parts = {"model": loss(output, y)}
            for head, (path, weight) in zip(joint.heads, weights.items(), strict=True):
                parts[path] = loss(head(inner[path]), y) * weight
            result = parts["model"]
            for path in weights:
                result = result + parts[path]
            return result, parts

        source = batches("AuxiliaryHeads", x, y, batch_size, seed)
        with training(joint):
            return run_stage("model and heads", TrainStep(total, joint, optimizer), source, epochs)
