"""Figures, where matplotlib is installed: the Figure without pyplot, so no display and no global state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_axes(what: str, **labels: Any) -> tuple[Figure, Axes]:
    """A figure with one pair of axes; `labels` go to `Axes.set`.

    Raises ModuleNotFoundError that says what to do.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"{what} needs matplotlib, which is not installed: pip install 'ravine[demo]'"
        ) from None
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(**labels)
    axes.title.set(wrap=True, fontsize="medium")
    axes.grid(alpha=0.3)
    return figure, axes
