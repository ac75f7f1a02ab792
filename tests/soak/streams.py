"""Streams with random options that end in random ways, and what must come of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import anyio

import webnn
from tests.soak.elsewhere import PATIENCE
from tests.soak.kinds import KINDS, Array, Kind
from webnn.errors import ContextLostError

__all__ = ["Plan", "SourceError"]

ENDS: Final = (*["whole"] * 5, "source", "before", "after", "break", "cancel", "cancel late", "destroy")
KEPT: Final = 8
"""Results that are kept, to see that they do not change."""


class SourceError(Exception):
    """Raised on purpose."""


@dataclass
class Plan:
    """What a stream is given, how it is to end, and what came of it.

    Attributes:
        count: of items, whose numbers begin with `start`.
        end: how it ends.
        moment: the place of the item at which it ends so.
        form: whether items are inputs, or numbers for `before` and `after`, or for stages.
        options: of `context.stream`.
    """

    kind: Kind
    count: int
    start: int
    end: str
    moment: int
    form: str
    options: dict[str, Any]
    slowness: float
    is_async: bool
    pauses: float
    random: Random = field(repr=False)
    events: Counter[str] = field(repr=False)
    taken: int = 0
    last: int = -1
    seen: set[int] = field(default_factory=set, repr=False)
    opened: bool = False
    is_closed: bool = False
    kept: list[tuple[int, Array]] = field(default_factory=list, repr=False)

    @classmethod
    def drawn(cls, random: Random, events: Counter[str], *, plain: bool = False) -> Plan:
        """A plan; one that is `plain` can be gone through without an event loop."""
        count, end = random.randrange(20, 400), random.choice(ENDS)
        forms = ["functions", "stages"] if end in ("before", "after") else ["inputs", "functions", "stages"]
        form = random.choice(forms)
        options: dict[str, Any] = {"depth": random.choice([None, None, 1, 2, 4, 7])}
        if form != "inputs" and random.random() < 0.5:
            options["key"] = lambda number: number
            options["ordered"] = random.random() < 0.7
            options["policy"] = random.choice(["all", "all", "latest"])
            options["deadline"] = random.choice([None, None, 0.001, 10.0])
        if random.random() < 0.3:
            options["on_error"] = "yield"
        plan = cls(
            kind=random.choice(KINDS),
            count=count,
            start=random.randrange(1000),
            end=end,
            moment=random.randrange(count),
            form=form,
            options=options,
            slowness=random.choice([0, 0, 0.1, 1]),
            is_async=not plain and random.random() < 0.4,
            pauses=random.choice([0, 0.05, 0.3]),
            random=Random(random.random()),
            events=events,
        )
        for name in (end, form, *(f"{name}={plan.option(name)}" for name in ("ordered", "policy", "on_error"))):
            events[f"stream: {name}"] += 1
        return plan

    def option(self, name: str) -> Any:
        """An option of the stream, or its default."""
        return self.options.get(name, {"ordered": True, "policy": "all", "on_error": "raise"}.get(name))

    @property
    def drops(self) -> bool:
        """Whether items may be left out."""
        return self.option("policy") == "latest" or self.option("deadline") is not None

    # What the stream is given.

    def on(self, context: webnn.MLContext) -> webnn.Stream[Any]:
        """The stream."""
        graph = self.kind.build(context)
        source = self.async_items() if self.is_async else self.items()
        if self.form == "stages":
            self.stream = context.stream([self.before, graph, self.after], source, **self.options)
        elif self.form == "functions":
            self.stream = context.stream(graph, source, before=self.before, after=self.after, **self.options)
        else:
            self.stream = context.stream(graph, source, **self.options)
        return self.stream

    def numbers(self) -> Iterator[int]:
        for i in range(self.count):
            if self.end == "source" and i == self.moment:
                raise SourceError(i)
            yield self.start + i

    def items(self) -> Iterator[Any]:
        self.opened = True
        try:
            for number in self.numbers():
                if self.random.random() < self.pauses / 10:
                    time.sleep(0.0005)
                yield self.kind.feed(number) if self.form == "inputs" else number
        finally:
            self.is_closed = True

    async def async_items(self) -> AsyncIterator[Any]:
        self.opened = True
        try:
            for number in self.numbers():
                if self.random.random() < self.pauses:
                    await anyio.sleep(self.random.choice([0, 0, 0.0005]))
                yield self.kind.feed(number) if self.form == "inputs" else number
        finally:
            self.is_closed = True

    def before(self, number: int) -> dict[str, Array]:
        if self.end == "before" and number == self.start + self.moment:
            raise SourceError(number)
        return self.kind.feed(number)

    def after(self, outputs: dict[str, Array]) -> dict[str, Array]:
        if self.end == "after" and self.kind.is_right(self.start + self.moment, outputs["y"]):
            raise SourceError(self.moment)
        return outputs

    # What came of it.

    def take(self, result: Any) -> None:
        """The next result is the one of the next item, or of a later one where items may be left out."""
        number = self.start + self.taken
        if "key" in self.options:
            number, result = result
            self.in_its_place(number)
        self.taken += 1
        if isinstance(result, webnn.ItemError):
            self.failed_in_its_place(number, result)
            return
        y = result["y"]
        assert self.kind.is_right(number, y), f"{self}: result {self.taken - 1} is not that of its item: {y}"
        self.events["results compared"] += 1
        if len(self.kept) < KEPT:
            self.kept.append((number, y))

    def in_its_place(self, number: int) -> None:
        """The result of `number` comes neither twice nor, where it matters, too early or too late."""
        if self.option("ordered"):
            expected = self.last + 1 if self.taken else self.start
            assert number > self.last if self.drops else number == expected, f"{self}: {number} came after {self.last}"
        assert number not in self.seen, f"{self}: {number} came twice"
        self.seen.add(number)
        self.last = number

    def failed_in_its_place(self, number: int, failure: webnn.ItemError) -> None:
        """An item's error is the one that was planned, or that of a context which was destroyed."""
        self.events["errors given in place"] += 1
        if isinstance(failure.error, ContextLostError):
            assert self.end == "destroy", f"{self}: {failure}"
            return
        assert isinstance(failure.error, SourceError), f"{self}: {failure}"
        assert failure.number == number - self.start, f"{self}: {failure} is in the place of {number}"
        modulus = self.kind.modulus if self.end == "after" else self.count
        assert self.end in ("before", "after"), f"{self}: {failure}"
        assert failure.number % modulus == self.moment % modulus, f"{self}: {failure}"

    def has_ended(self) -> None:
        """The stream ended without an error, and no item is missing."""
        given_in_place = self.option("on_error") == "yield" and self.end in ("before", "after")
        counts = self.stream.statistics()
        if self.end in ("source", "before", "after") and not given_in_place:
            assert self.drops, f"{self} ended without its error"
            assert self.end != "source", f"{self} ended without its error"
        assert counts.taken == self.count, f"{self} took {counts}"
        assert counts.delivered == self.taken, f"{self} has given {self.taken} results: {counts}"
        assert counts.delivered + counts.left_out + counts.late == self.count, f"{self} lost a result: {counts}"
        assert self.drops or self.taken == self.count, f"{self} lost a result: {counts}"
        self.events["items left out or late"] += counts.left_out + counts.late

    def has_failed(self, error: Exception) -> None:
        """The stream raised an error, which must be the one that was planned, after the results before it."""
        if isinstance(error, ContextLostError):
            assert self.end == "destroy", f"{self}: {error}"
            return
        assert self.end in ("source", "before", "after"), f"{self}: {error}"
        assert self.end == "source" or self.option("on_error") == "raise", f"{self}: {error}"
        first = self.moment % self.kind.modulus if self.end == "after" else self.moment
        if self.option("ordered") and not self.drops:
            assert self.taken == first, f"{self}: the error came after {self.taken} results"

    def closed(self) -> None:
        """The source is closed, now or soon."""
        deadline = time.monotonic() + PATIENCE
        while self.opened and not self.is_closed and time.monotonic() < deadline:
            time.sleep(0.001)
        assert self.is_closed or not self.opened, f"{self}: the source was not closed"

    async def closed_async(self) -> None:
        """Likewise, on an event loop."""
        with anyio.move_on_after(PATIENCE, shield=True):
            while self.opened and not self.is_closed:  # noqa: ASYNC110 (it may be closed on another thread)
                await anyio.sleep(0.001)
        assert self.is_closed or not self.opened, f"{self}: the source was not closed"

    def kept_results_are_unchanged(self) -> None:
        """Arrays that were handed out never change."""
        for number, y in self.kept:
            assert self.kind.is_right(number, y), f"{self}: the result of {number} became {y}"
