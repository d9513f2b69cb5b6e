"""Small drawings as SVG text: lines, bars, histograms. They need no script and no other file."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

COLOURS = ("#2166ac", "#b2182b", "#4d9221", "#762a83", "#b35806")
_WIDTH, _HEIGHT = 620, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 22, 34


def escaped(text: object) -> str:
    return html.escape(str(text), quote=True)


def shown(value: float) -> str:
    """A number in four digits."""
    return "" if math.isnan(value) else f"{value:.4g}"


def histogram(counts: np.ndarray, edges: np.ndarray, width: int = 120, height: int = 28) -> str:
    """The outline of a histogram, without axes; its ends are in the title."""
    top = max(int(counts.max(initial=0)), 1)
    step = width / max(len(counts), 1)
    bars = "".join(
        f'<rect x="{i * step:.2f}" y="{height - height * n / top:.2f}" width="{step * 0.9:.2f}" '
        f'height="{height * n / top:.2f}"/>'
        for i, n in enumerate(counts.tolist())
        if n
    )
    ends = f"{shown(float(edges[0]))} to {shown(float(edges[-1]))}"
    return (
        f'<svg class="small" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">'
        f'<title>{ends}</title><g fill="{COLOURS[0]}">{bars}</g></svg>'
    )


def chart(
    title: str,
    series: Mapping[str, Sequence[float]],
    labels: Sequence[str],
    *,
    logarithmic: bool = False,
) -> str:
    """Lines with markers over places that have labels; numbers that are not finite leave gaps."""
    values = {name: np.asarray(numbers, np.float64) for name, numbers in series.items()}
    if logarithmic:
        values = {name: np.where(numbers > 0, numbers, np.nan) for name, numbers in values.items()}
    finite = np.concatenate([numbers[np.isfinite(numbers)] for numbers in values.values()])
    if finite.size == 0:
        return f"<p>{escaped(title)}: no finite numbers.</p>"
    low, high = _range(finite, logarithmic)
    n = max((len(numbers) for numbers in values.values()), default=1)
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x_of(i: float) -> float:
        return _LEFT + inner_width * (i + 0.5) / n

    def y_of(value: float) -> float:
        place = math.log10(value) if logarithmic else value
        return _TOP + inner_height * (1 - (place - low) / (high - low))

    parts = [f'<text x="{_LEFT}" y="14" font-size="12" font-weight="600">{escaped(title)}</text>']
    for tick in _ticks(low, high, logarithmic):
        y = y_of(10.0**tick if logarithmic else tick)
        text = f"1e{tick:g}" if logarithmic else f"{tick:.4g}"
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e2e2e2"/>'
        )
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    every = max(1, math.ceil(len(labels) / 14))
    bottom = f'y="{_HEIGHT - 16}" text-anchor="middle"'
    parts += [
        f'<text x="{x_of(i):.1f}" {bottom}>{escaped(labels[i][:12])}</text>'
        for i in range(0, len(labels), every)
    ]
    for k, (name, numbers) in enumerate(values.items()):
        parts.append(_line(numbers, COLOURS[k % len(COLOURS)], x_of, y_of))
        x = _WIDTH - _RIGHT - 130 * (len(values) - k)
        parts.append(f'<text x="{x}" y="14" fill="{COLOURS[k % len(COLOURS)]}">■ {escaped(name)}</text>')
    body = "".join(parts)
    return (
        f'<svg class="chart" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="system-ui, sans-serif" font-size="11" role="img">'
        f"<title>{escaped(title)}</title>{body}</svg>"
    )


def _line(
    numbers: np.ndarray, colour: str, x_of: Callable[[float], float], y_of: Callable[[float], float]
) -> str:
    points = [(x_of(i), y_of(v)) if math.isfinite(v) else None for i, v in enumerate(numbers.tolist())]
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    lines = "".join(
        '<polyline points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in run) + '"/>'
        for run in runs
        if len(run) > 1
    )
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for run in runs for x, y in run)
    return f'<g fill="none" stroke="{colour}">{lines}</g><g fill="{colour}">{dots}</g>'


def _range(finite: np.ndarray, logarithmic: bool) -> tuple[float, float]:
    """What the axis shows: whole decades, or the numbers with a margin."""
    if logarithmic:
        low, high = math.floor(math.log10(finite.min())), math.ceil(math.log10(finite.max()))
        return float(low), float(max(high, low + 1))
    low, high = float(finite.min()), float(finite.max())
    margin = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
    return low - margin, high + margin


def _ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    if logarithmic:
        step = max(1, math.ceil((high - low) / 5))
        return [float(t) for t in range(int(low), int(high) + 1, step)]
    raw = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= raw)
    first = math.ceil(low / step)
    return [step * i for i in range(first, math.floor(high / step) + 1)]
