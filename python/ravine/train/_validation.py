"""Loss and metrics on examples that are not trained on, and predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import nn
from .._loss import Batch, Outcome, loss_and_parts
from ..data import Batches, MemberBatches, Source
from ..ensemble import Ensemble, piece
from ..record import current, own_modes
from ._inputs import as_batch
from .metrics import Metric, Metrics, loss_sums

__all__ = ["EnsembleEvaluator", "Evaluator", "predictions"]


class _Evaluation(nn.Module):
    """The model and its loss as one compiled program, without gradients."""

    def __init__(self, model: nn.Module, loss: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, x: Any, y: Any, weight: Any) -> tuple[Any, dict[str, Any]]:
        output = self.model(*x) if isinstance(x, tuple) else self.model(x)
        trace, what = current(), "evaluate: the loss"
        assert trace is not None
        batch = Batch(trace, (x, y))
        loss, parts = loss_and_parts(self.loss(output, y), what)
        if weight is not None:
            loss, parts = batch.weighted(loss, parts, weight, what)
        return output, loss_sums(Outcome(loss, parts, output, y, batch))


class Evaluator:
    """Measures a model on sources.

    Args:
        model: the module.
        loss: of (output, target) to the mean over the batch, or that and a dict of named parts.
        metrics: by name.
    """

    def __init__(
        self, model: nn.Module, loss: Callable[[Any, Any], Any], metrics: Mapping[str, Metric]
    ) -> None:
        self._evaluation = _Evaluation(model, loss)
        self._metrics = Metrics(metrics)

    def __call__(self, source: Source) -> dict[str, Any]:
        """Mean loss, its parts and metrics over a pass over the source, in evaluation mode."""
        self._metrics.reset()
        with _evaluation_mode(self._evaluation):
            for batch in source.batches(0):
                x, y, weight = as_batch(batch)
                output, sums = self._evaluation(x, y, weight)
                self._metrics.add(sums)
                self._metrics.update(output, y)
        if self._metrics.empty:
            raise ValueError("evaluate: the source has no batches")
        return self._metrics.values()


class _Evaluations(nn.Module):
    """The members of an ensemble with their losses, as one compiled program."""

    def __init__(self, ensemble: Ensemble, loss: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.members = nn.ModuleList(_Evaluation(member, loss) for member in ensemble.members)

    def forward(self, x: Any, y: Any, each: bool) -> list[Any]:
        n = len(self.members)
        results: list[Any] = []
        for i, member in enumerate(self.members):
            own = piece((x, y), i, n, "evaluate") if each else (x, y)
            results.append(None if own[0] is None else member(*own, None))
        return results


class EnsembleEvaluator:
    """Measures the members of an ensemble.

    Args:
        ensemble: the ensemble.
        loss, metrics: as for `Evaluator`.
    """

    def __init__(
        self, ensemble: Ensemble, loss: Callable[[Any, Any], Any], metrics: Mapping[str, Metric]
    ) -> None:
        self._evaluations = _Evaluations(ensemble, loss)
        self._metrics = [Metrics(metrics) for _ in ensemble.members]

    def __call__(self, data: tuple[Any, Any], rows: Any, batch_size: int) -> dict[str, np.ndarray]:
        """Mean loss, its parts and metrics of each member on its rows: arrays [n, ...]."""
        each, n = rows is not None, len(self._metrics)
        source = Batches(*data, batch_size=batch_size)
        if each:
            source = MemberBatches(*data, n=n, rows=rows, batch_size=batch_size, shuffle=False)
        for metrics in self._metrics:
            metrics.reset()
        with _evaluation_mode(self._evaluations):
            for x, y in source.batches(0):
                results = self._evaluations(x, y, each)
                for i, (metrics, result) in enumerate(zip(self._metrics, results, strict=True)):
                    if result is not None:
                        metrics.add(result[1])
                        metrics.update(result[0], piece(y, i, n, "evaluate") if each else y)
        values = [metrics.values() for metrics in self._metrics]
        return {name: np.array([own[name] for own in values]) for name in values[0]}


def _joined(outputs: list[Any]) -> Any:
    """Outputs of batches, one after the other: an array, or as the model nests several."""
    first = outputs[0]
    if isinstance(first, dict):
        return {key: _joined([output[key] for output in outputs]) for key in first}
    if isinstance(first, tuple | list):
        parts = [_joined([output[i] for output in outputs]) for i in range(len(first))]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return np.concatenate(outputs)


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Context in which this thread sees all modules in evaluation mode; another one may train them."""
    with own_modes():
        model.eval()
        yield


def predictions(model: nn.Module, batches: Iterable[Any]) -> Any:
    """The model's outputs for batches of inputs, in evaluation mode."""
    with _evaluation_mode(model):
        return _joined([model(*x) if isinstance(x, tuple) else model(x) for x in batches])
