"""The page that `diagnostics.report` writes: whole, by itself, and of the numbers that the parts give."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from ravine import diagnostics, nn, optim

RNG = np.random.default_rng(0)
X = RNG.standard_normal((64, 8)).astype("float32")
Y = (X[:, 0] > 0).astype(np.int64)
LOSS = nn.CrossEntropyLoss()
HISTORY = {
    "loss": [0.7, 0.5, 0.3],
    "val_loss": [0.8, 0.6, float("nan")],
    "accuracy": [0.5, 0.75, 0.9],
    "seconds": [1, 1, 1],
}


def net(**options: Any) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16, **options), nn.ReLU(), nn.Linear(16, 2))


def drawings(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_a_page_shows_modules_curvature_and_history(tmp_path: Path) -> None:
    model = net()
    path = diagnostics.report(
        model, X, Y, LOSS, tmp_path / "a.html", history=HISTORY, optimizer=optim.SGD(lr=0.1), title="A <net>"
    )
    page = path.read_text(encoding="utf-8")
    assert path == tmp_path / "a.html" and [file.name for file in tmp_path.iterdir()] == ["a.html"]
    assert "<h1>A &lt;net&gt;</h1>" in page and "178 parameters, a batch of 64 examples" in page
    assert "None of the usual diseases was found" in page
    found = diagnostics.inspect(model, X, Y, LOSS, optimizer=optim.SGD(lr=0.1))
    for record in found.values():
        for number in (record.mean, record.std, record.output_gradient_std):
            assert f"<td>{number:.4g}</td>" in page
    assert f"<td>{found['0'].update_ratio:.4g}</td>" in page
    curvature = diagnostics.hessian_eigenvalues(model, LOSS, X, Y, 5)
    assert f"below a rate of {curvature.max_rate:.4g}" in page
    assert all(f"{value:.4g}" in page for value in curvature.eigenvalues)

    titles = [drawing.findtext("title") for drawing in drawings(page)]
    assert titles[-3:] == [
        "eigenvalues of Lanczos' iteration, the largest first",
        "loss by epoch",
        "accuracy by epoch",
    ]
    bars = drawings(page)[1]
    counts = found["0"].histogram[0]
    heights = [float(bar.get("height", 0)) for bar in bars.iter("rect")]
    np.testing.assert_allclose(heights, 28 * counts[counts > 0] / counts.max(), atol=0.01)
    lines = drawings(page)[-2].findall(".//polyline")
    assert [len(line.get("points", "").split()) for line in lines] == [3, 2]  # NaN leaves a gap


def test_a_page_stands_by_itself_and_is_the_same_again(tmp_path: Path) -> None:
    model = net()
    first = diagnostics.report(model, X, Y, LOSS, tmp_path / "a.html", history=[0.7, 0.5, 0.3])
    second = diagnostics.report(model, X, Y, LOSS, tmp_path / "a.html", history=[0.7, 0.5, 0.3])
    page = first.read_bytes()
    assert page == second.read_bytes()
    assert not re.search(rb"<script|src=|href=|url\(|@import|https?:", page)


SICK: dict[str, tuple[Callable[[], nn.Module], Any, str]] = {
    "dead_units": (lambda: net(bias_init=-30.0), Y, "Curvature"),
    "labels_mismatch": (net, Y + 1, "were not measured"),
    "not_finite": (lambda: net(weight_init=lambda w: w.data.fill(np.nan)), Y, "were not measured"),
}


@pytest.mark.parametrize("name", SICK)
def test_diseases_are_on_the_page(name: str, tmp_path: Path) -> None:
    make, y, text = SICK[name]
    model = make()
    before = model.state_dict()
    page = diagnostics.report(model, X, y, LOSS, tmp_path / "a.html").read_text(encoding="utf-8")
    (finding, *_) = diagnostics.check(model, X, y, LOSS)
    assert f"<code>{name}</code>" in page and finding.advice.split()[0] in page and text in page
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_nets_with_draws_and_statistics_are_measured(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(), nn.Tanh(), nn.Linear(16, 2))
    page = diagnostics.report(model, X, Y, LOSS, tmp_path / "a.html", eigenvalues=2).read_text(
        encoding="utf-8"
    )
    assert "stable below a rate" in page and model.training
    page = diagnostics.report(model, X, Y, LOSS, tmp_path / "a.html", eigenvalues=0).read_text(
        encoding="utf-8"
    )
    assert "Curvature" not in page


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    (tmp_path / "a.html").mkdir()
    with pytest.raises(OSError):
        diagnostics.report(net(), X, Y, LOSS, tmp_path / "a.html")
    assert [file.name for file in tmp_path.iterdir()] == ["a.html"]
    with pytest.raises(FileNotFoundError):
        diagnostics.report(net(), X, Y, LOSS, tmp_path / "none" / "a.html")
    with pytest.raises(TypeError, match="report: model must be a Module, got int"):
        diagnostics.report(3, X, Y, LOSS)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="report: eigenvalues must be at least 0, got -1"):
        diagnostics.report(net(), X, Y, LOSS, eigenvalues=-1)
