"""A source whose batches a thread prepares while the step before them runs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ._source import Source

__all__ = ["Prefetch"]


class _Raised(NamedTuple):
    error: BaseException


class _Channel:
    """A queue of bounded length between two threads, which either may close."""

    def __init__(self, size: int) -> None:
        self._items: deque[Any] = deque()
        self._size = size
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: Any) -> bool:
        """Waits for room; False if the channel is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._size)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._items))
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


_END = object()


class Prefetch(Source):
    """Draws the batches of another source on a thread of its own, a few ahead of the training.

    It pays if reading or changing a batch takes time and leaves the GIL (files, decompression, large NumPy
    operations). The batches and their order are those of the source. An error in the source is raised where
    its batch would have come. The thread ends with the pass, also with one that is left early.

    Args:
        source: where the batches come from; nothing else may draw from it at the same time.
        size: batches that may wait, at least 1.

    Raises TypeError for what is no source, ValueError for a size below 1.

    Example:
        >>> import numpy as np, ravine as rv
        >>> source = rv.data.Prefetch(rv.data.Batches(np.arange(5), batch_size=2))
        >>> [x.tolist() for (x,) in source]
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, source: Source, size: int = 2) -> None:
        if not isinstance(source, Source):
            raise TypeError(f"Prefetch: a source of ravine.data is expected, got {type(source).__name__}")
        if size < 1:
            raise ValueError(f"Prefetch: size={size}, expected at least 1")
        self.source = source
        self.size = size

    def __len__(self) -> int:
        return len(self.source)  # type: ignore[arg-type]

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        channel = _Channel(self.size)
        thread = threading.Thread(
            target=_draw, args=(self.source, epoch, start, channel), name="ravine.data.Prefetch", daemon=True
        )
        thread.start()
        try:
            while (item := channel.get()) is not _END:
                if isinstance(item, _Raised):
                    raise item.error
                yield item
        finally:
            channel.close()
            thread.join()

    def state_dict(self) -> dict[str, np.ndarray]:
        """As the source's, standing where the training is and not where the thread is."""
        own = super().state_dict()
        return self.source.state_dict() | {key: own[key] for key in ("epoch", "position")}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.source.load_state_dict(state_dict)
        super().load_state_dict({key: state_dict[key] for key in ("seed", "epoch", "position")})


def _draw(source: Source, epoch: int, start: int, channel: _Channel) -> None:
    try:
        for batch in source.batches(epoch, start):
            if not channel.put(batch):
                return
    except BaseException as error:
        channel.put(_Raised(error))
    else:
        channel.put(_END)
