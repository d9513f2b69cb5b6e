"""Work on threads whose results come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")

_AHEAD = 2  # results that may wait, for each worker


def in_order(make: Callable[..., T], arguments: Iterable[tuple[Any, ...]], workers: int) -> Iterator[T]:
    """`make(*a)` for each of the arguments, made ahead by so many threads; 0: here, when it is asked for.

    An error is raised where its result would have come. The threads end with the iteration, also with one
    that is left early.
    """
    if workers == 0:
        for each in arguments:
            yield make(*each)
        return
    from concurrent.futures import ThreadPoolExecutor  # which loads logging; few use it

    todo = iter(arguments)
    with ThreadPoolExecutor(workers, thread_name_prefix="ravine-batches") as pool:
        waiting: deque[Future[T]] = deque(pool.submit(make, *each) for each in islice(todo, _AHEAD * workers))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(make, *each) for each in islice(todo, 1))
                yield result
        finally:
            for future in waiting:
                future.cancel()
