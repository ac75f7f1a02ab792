"""`Unpicklable`: the error that handles raise when they are pickled or copied."""

from __future__ import annotations

from typing import ClassVar, NoReturn, SupportsIndex

__all__ = ["Unpicklable"]


class Unpicklable:
    """A base for handles: `pickle`, `copy.copy` and `copy.deepcopy` raise one `TypeError` that says what to do instead.

    Without it they fail deep inside, and name a lock or a queue.
    """

    __slots__ = ()

    _why_unpicklable: ClassVar[str]
    """What the handle refers to, and what to do instead; the end of a sentence."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"{type(self).__name__} cannot be pickled or copied: {self._why_unpicklable}")
