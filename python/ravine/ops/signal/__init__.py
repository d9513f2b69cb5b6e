"""Signals: `windows`, with torch.signal's names."""

from . import windows

__all__ = ["windows"]
