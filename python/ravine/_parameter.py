"""Parameters and buffers by the names that pickles of earlier versions have for them."""

from .record import Buffer, Parameter
from .record import restore_state as _restore

__all__ = ["Buffer", "Parameter", "_restore"]
