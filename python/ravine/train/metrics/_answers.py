"""How outputs are read as answers: logits or probabilities, of one class among several or of yes and no."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ... import nn, ops

__all__ = ["Reading", "reading_under"]


class Reading(NamedTuple):
    """What outputs mean.

    Attributes:
        form: "logits", "probabilities" or "log_probabilities".
        binary: whether each output is an answer of its own, yes or no, even beside others of its example.
    """

    form: str = "logits"
    binary: bool = False

    def scores(self, what: str, output: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores [m, K] and labels: classes [m] for K > 1, or yes and no [m, K] for answers on their own.

        Raises ValueError for shapes that fit in no way.
        """
        if not isinstance(output, np.ndarray) or not isinstance(target, np.ndarray):
            kinds = f"{type(output).__name__} and {type(target).__name__}"
            raise ValueError(f"{what}: one array of outputs and one of targets are expected, got {kinds}")
        several = output.ndim >= 2 and output.shape[1] > 1
        fits = output.ndim > 0 and target.ndim > 0 and len(output) == len(target)
        if fits and not self.binary and several:
            flat = np.moveaxis(output, 1, -1).reshape(-1, output.shape[1])
            if target.dtype.kind in "iub" and target.shape == output.shape[:1] + output.shape[2:]:
                return flat, target.reshape(-1)
            if target.shape == output.shape:
                classes = np.moveaxis(target, 1, -1).reshape(flat.shape).argmax(axis=1)
                return flat, classes
        elif fits and output.size == target.size:
            columns = output.shape[1] if several else 1
            flat = np.moveaxis(output, 1, -1) if several else output
            yes = np.moveaxis(target.reshape(output.shape), 1, -1) if several else target
            return flat.reshape(-1, columns), yes.reshape(-1, columns) > 0.5
        raise ValueError(
            f"{what}: output {output.shape} and target {target.dtype} {target.shape}, expected [n, C] with "
            "class indices [n] or probabilities [n, C], or [n] answers of yes and no with as many labels"
        )

    @property
    def threshold(self) -> float:
        """The score above which an answer is yes."""
        return {"logits": 0.0, "probabilities": 0.5, "log_probabilities": float(np.log(0.5))}[self.form]

    def probabilities(self, scores: np.ndarray, classes: bool) -> np.ndarray:
        """Probabilities [m, K] in float64: of classes that sum to 1, or of yes in each column."""
        scores = scores.astype(np.float64)
        if self.form == "probabilities":
            return scores
        if self.form == "log_probabilities":
            return np.exp(scores)
        if not classes:
            return np.exp(-np.logaddexp(0.0, -scores))
        return np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))


def reading_under(loss: object) -> Reading:
    """What outputs mean that this loss takes."""
    if isinstance(loss, nn.BCELoss) or loss is ops.binary_cross_entropy:
        return Reading("probabilities", binary=True)
    if isinstance(loss, nn.BCEWithLogitsLoss) or loss is ops.binary_cross_entropy_with_logits:
        return Reading(binary=True)
    if isinstance(loss, nn.NLLLoss) or loss is ops.nll_loss:
        return Reading("log_probabilities")
    return Reading()
