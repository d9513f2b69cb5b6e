"""One page on a model and its training, to be read in a browser."""

from __future__ import annotations

import copy
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import nn
from .._numbers import whole
from .._probe import check_model
from ..optim import Optimizer
from ._check import Finding, check
from ._hessian import hessian_eigenvalues
from ._inspect import Inspection, inspect
from ._svg import chart, escaped, histogram, shown

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1080px; margin: 2em auto; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; font-size: 13px; } th, td { padding: 3px 9px; text-align: right; }
th { border-bottom: 1px solid #999; font-weight: 600; } td:first-child, th:first-child { text-align: left; }
tr:nth-child(even) td { background: #f6f6f6; } .found td { text-align: left; vertical-align: top; }
.found th { text-align: left; } .none { color: #277a27; } code { background: #f0f0f0; padding: 0 3px; }
.chart { display: block; margin: 1em 0; } .sick td:first-child { color: #b2182b; }
"""


def report(
    model: nn.Module,
    x: Any,
    y: Any,
    loss: Callable[[Any, Any], Any],
    path: str | os.PathLike[str] = "report.html",
    *,
    history: Mapping[str, Sequence[Any]] | Sequence[float] | None = None,
    optimizer: Optimizer | None = None,
    eigenvalues: int = 5,
    title: str | None = None,
) -> Path:
    """Writes what `check`, `inspect` and `hessian_eigenvalues` find, and the history, as one HTML page.

    The page holds its drawings as SVG and needs neither a network nor scripts. The file appears whole or not
    at all; the same model, data and history give the same bytes.

    Args:
        model: a module; it is not changed.
        x: a batch of typical inputs; of a model with several, a tuple.
        y: its labels.
        loss: a function of (output, y) that returns a scalar tensor.
        path: of the file.
        history: the Trainer's, or the losses of a training.
        optimizer: for the ratios of the first update to the weights.
        eigenvalues: of the Hessian, the largest; 0 leaves them out, as they take some tens of gradients.
        title: of the page; the model's class by default.

    Returns:
        The path.

    Raises TypeError for something else than a module, ValueError for eigenvalues below 0, OSError where the
    system refuses to write, and what the model and the loss raise. Labels that do not fit, and numbers that
    are not finite, are findings; the page says what could not be measured.

    Example:
        >>> import tempfile, pathlib, numpy as np
        >>> from ravine import diagnostics, nn
        >>> x = np.random.default_rng(0).standard_normal((64, 4)); y = (x[:, 0] > 0).astype(int)
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = diagnostics.report(model, x, y, nn.CrossEntropyLoss(), f"{folder}/report.html")
        ...     "<svg" in path.read_text(encoding="utf-8")
        True
    """
    check_model("report", model)
    count = whole("report", "eigenvalues", eigenvalues, 0)
    losses, others = _of_history(history)
    findings = check(model, x, y, loss, losses or None)
    sick = {finding.name for finding in findings}
    sections = [_findings(findings)]
    if sick & {"not_finite", "labels_mismatch"}:
        sections.append("<p>Modules and curvature were not measured, as there is no finite loss.</p>")
    else:
        found = inspect(copy.deepcopy(model), x, y, loss, optimizer=optimizer)
        sections += [_depth(found), _modules(found, {finding.where for finding in findings})]
        sections.append(_curvature(model, loss, x, y, count))
    sections.append(_history(losses, others))
    name = type(model).__name__ if title is None else title
    numbers = sum(p.numel() for p in model.parameters())
    text = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f"<title>{escaped(name)}</title><style>{_STYLE}</style></head><body>\n<h1>{escaped(name)}</h1>\n"
        f"<p>{numbers:,} parameters, a batch of {len(x[0] if isinstance(x, tuple) else x)} examples.</p>\n"
        + "\n".join(section for section in sections if section)
        + "\n</body></html>\n"
    )
    return _write(Path(path), text)


def _of_history(history: Any) -> tuple[list[float], dict[str, list[float]]]:
    """The losses, and what else of a history is a number for each epoch."""
    if history is None:
        return [], {}
    if not isinstance(history, Mapping):
        return [float(value) for value in history], {}
    rows = {
        name: [float(value) for value in values]
        for name, values in history.items()
        if len(values) and all(np.ndim(value) == 0 for value in values)
    }
    return rows.pop("loss", []), rows


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return '<h2>Findings</h2><p class="none">None of the usual diseases was found.</p>'
    rows = "".join(
        f"<tr><td><code>{escaped(f.name)}</code></td><td>{escaped(f.where)}</td><td>{escaped(f.message)}</td>"
        f"<td>{escaped(f.advice)}</td></tr>"
        for f in findings
    )
    heads = "".join(f"<th>{head}</th>" for head in ("disease", "where", "seen", "to try"))
    return f'<h2>Findings</h2><table class="found"><tr>{heads}</tr>{rows}</table>'


def _depth(found: Inspection) -> str:
    """Signals by depth, forward and backward."""
    labels = list(found)
    forward = [record.std for record in found.values()]
    backward = [record.output_gradient_std for record in found.values()]
    series = {"std of outputs": forward, "gradient by outputs": backward}
    drawing = chart("forward and backward", series, labels, logarithmic=True)
    return f"<h2>Signals by depth</h2><p>The loss of the batch is {shown(found.loss)}.</p>{drawing}"


def _modules(found: Inspection, sick: set[str]) -> str:
    columns = {
        "mean": "mean",
        "std": "std",
        "zeros": "zeros",
        "dead": "dead",
        "saturated": "saturated",
        "d output": "output_gradient_std",
        "d weights": "gradient_norm",
        "|weights|": "weight_norm",
        "update / weights": "update_ratio",
    }
    kept = {
        head: name
        for head, name in columns.items()
        if any(not math.isnan(getattr(record, name)) for record in found.values())
    }
    heads = "".join(f"<th>{escaped(head)}</th>" for head in ("module", "kind", "shape", "values", *kept))
    rows = "".join(
        f"{'<tr class=sick>' if path in sick else '<tr>'}<td>{escaped(path)}</td>"
        f"<td>{escaped(record.kind)}</td><td>{escaped('x'.join(map(str, record.shape)))}</td>"
        f"<td>{histogram(*record.histogram)}</td>"
        + "".join(f"<td>{shown(getattr(record, name))}</td>" for name in kept.values())
        + "</tr>"
        for path, record in found.items()
    )
    return f"<h2>Modules</h2><table><tr>{heads}</tr>{rows}</table>"


def _curvature(model: nn.Module, loss: Callable[[Any, Any], Any], x: Any, y: Any, count: int) -> str:
    n = sum(p.numel() for p in model.parameters() if p.requires_grad)
    count = min(count, n)
    if count == 0:
        return ""
    head = "<h2>Curvature</h2>"
    try:  # dropout draws, and BatchNorm's batch is not what the products are of
        found = hessian_eigenvalues(copy.deepcopy(model).eval(), loss, x, y, count)
    except (FloatingPointError, NotImplementedError, ValueError) as error:
        return f"{head}<p>It could not be measured: {escaped(error)}</p>"
    values = ", ".join(shown(float(value)) for value in found.eigenvalues)
    rate = (
        f"; gradient descent is stable below a rate of {shown(found.max_rate)}" if found.sharpness > 0 else ""
    )
    drawing = chart(
        "eigenvalues of Lanczos' iteration, the largest first",
        {"eigenvalue": found.ritz_values.tolist()},
        [str(i + 1) for i in range(len(found.ritz_values))],
    )
    return f"{head}<p>The largest eigenvalues of the Hessian: {values}{rate}.</p>{drawing}"


def _history(losses: list[float], others: dict[str, list[float]]) -> str:
    if not losses and not others:
        return ""
    of_loss = {name: values for name, values in others.items() if name.endswith("loss")}
    parts = ["<h2>History</h2>"]
    drawn = {**({"loss": losses} if losses else {}), **of_loss}
    if drawn:
        parts.append(chart("loss by epoch", drawn, _epochs(drawn)))
    for name, values in others.items():
        if name not in of_loss and name != "seconds":
            parts.append(chart(f"{name} by epoch", {name: values}, _epochs({name: values})))
    return "".join(parts)


def _epochs(series: Mapping[str, Sequence[float]]) -> list[str]:
    return [str(i + 1) for i in range(max(len(values) for values in series.values()))]


def _write(path: Path, text: str) -> Path:
    """Writes a file that appears whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path
