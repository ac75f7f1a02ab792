"""Long work in turns with the event loop, so that other clients do not wait for its end.

The work is a generator that yields where it may pause: every fraction of a millisecond.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from time import perf_counter
from typing import Final, TypeAlias, TypeVar

__all__ = ["Steps", "at_once", "in_turns"]

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]

TURN: Final = 0.0005
"""Seconds of work in one turn of the event loop."""


async def in_turns(work: Steps[T], lock: asyncio.Lock) -> T:
    """The result of `work`.

    Args:
        work: yields between its steps.
        lock: held for each turn. All that share it take turns with each other, too: together they have one in each turn
            of the event loop.
    """
    while True:
        async with lock:
            until = perf_counter() + TURN
            try:
                while perf_counter() < until:
                    next(work)
            except StopIteration as end:
                result: T = end.value
                return result
            await asyncio.sleep(0)


def at_once(work: Steps[T]) -> T:
    """The same without pauses."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result
