"""`context.trace`: what a context does between two moments, as events, and as a file for a trace viewer."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from webnn.backends.files import written_at_once
from webnn.errors import InvalidStateError, ValidationError
from webnn.graph.arguments import shown
from webnn.graph.unpicklable import Unpicklable
from webnn.runtime.events import TraceEvent, events_of, records_of
from webnn.runtime.trace_format import trace_json
from webnn.scheduler.statistics import GraphFigures
from webnn.scheduler.timeline import Timeline

__all__ = ["Trace", "TraceTarget"]


class Writable(Protocol):
    """A file that is open for writing, as text or bytes."""

    def write(self, content: Any, /) -> object:
        """Write text or bytes."""
        ...


TraceTarget = str | os.PathLike[str] | Writable
"""Where a trace is written: a path, or an open file."""


class Trace(Unpicklable):
    """Everything that a context does while the `with` block runs. Made by `MLContext.trace`.

    It can be opened once. Any number of traces of a context may be open at the same time. The events stay after the end
    of the context.
    """

    _why_unpicklable: ClassVar[str] = "it belongs to a context of this process; save(path), and send the file"

    def __init__(self, timeline: Timeline, title: str, target: TraceTarget | None) -> None:
        self._timeline = timeline
        self._title = title
        self._target = None if target is None else _checked("trace", target)
        self._records: list[Any] = []
        self._tracks: list[str] = []
        self._graphs: Mapping[int, GraphFigures] = {}
        self._process = os.getpid()
        self._origin: int | None = None
        self._is_open = False

    def __enter__(self) -> Self:
        if self._origin is not None:
            raise InvalidStateError("trace: it can be opened once; make another with context.trace()")
        recorder = self._timeline.start_trace(self._records)
        self._is_open = True
        self._origin = recorder.clock()
        self._tracks = recorder.tracks
        kept = self._timeline.figures.kept
        assert kept is not None
        self._graphs = kept
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timeline.stop_trace(self._records)
        self._is_open = False
        if self._target is not None and os.getpid() == self._process:  # a forked child has no part in it
            self.save(self._target)

    @property
    def events(self) -> list[TraceEvent]:
        """The events so far, in the order in which the timeline first recorded them: a new list at each call."""
        if self._origin is None:
            raise InvalidStateError("trace: it was not opened: with context.trace() as trace")
        return events_of(records_of(list(self._records)), list(self._tracks), dict(self._graphs), self._origin)

    def save(self, target: TraceTarget) -> None:
        """Write the events as JSON for https://ui.perfetto.dev or chrome://tracing.

        Args:
            target: a path, whose file appears whole; or a file that is open for writing, as text or bytes.

        Raises:
            ValidationError: `target` is neither.
            OSError: it cannot be written.
        """
        target = _checked("save", target)
        content = json.dumps(trace_json(self.events, process=self._process, title=self._title), separators=(",", ":"))
        if isinstance(target, Path):
            with written_at_once(target, durable=False) as file:
                file.write(content.encode())
        elif isinstance(target, io.TextIOBase) or hasattr(target, "encoding"):
            target.write(content)
        else:
            target.write(content.encode())

    def __repr__(self) -> str:
        many = sum(1 for _ in records_of(list(self._records)))
        return f"<Trace of {self._title}, {many} records{', open' if self._is_open else ''}>"


def _checked(where: str, target: Any) -> Path | Writable:
    """`target` as a path in a folder that exists, or as an open file."""
    if isinstance(target, str | os.PathLike):
        path = Path(target)
        if not path.parent.is_dir():
            raise FileNotFoundError(2, f"{where}: there is no folder for the file", str(path))
        return path
    if not callable(getattr(target, "write", None)):
        raise ValidationError(f"{where}: a path or a file that is open for writing is expected, got {shown(target)}")
    return target  # type: ignore[no-any-return]
