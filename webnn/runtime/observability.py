"""The methods of a context that show its work: memory, statistics, traces, spans, audits, a table for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webnn.forking import import_lock
from webnn.memory.pool import MemoryInfo
from webnn.runtime import checks
from webnn.runtime.device import Device
from webnn.runtime.graph import MLGraph
from webnn.scheduler.statistics import Statistics
from webnn.scheduler.timeline import Timeline

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from webnn.runtime.audit import Audit
    from webnn.runtime.spans import Spans
    from webnn.runtime.tracing import Trace, TraceTarget

__all__ = ["Observability"]


class Observability:
    """How a program watches what a context does."""

    _device: Device
    _timeline: Timeline

    def memory_info(self) -> MemoryInfo:
        """The bytes that tensors and results hold now (`in_use`), the bytes kept for reuse (`idle`), and the peak."""
        self._timeline.tidy()
        return self._timeline.pool.info()

    def statistics(self) -> Statistics:
        """Figures of the work so far: counts of tasks (run inline or on lanes, dropped, queued), and of each graph.

        `statistics().graphs` has the compile time and latency histograms of each graph that is alive:

        >>> import numpy as np, webnn
        >>> with webnn.create_context() as context:
        ...     builder = context.create_graph_builder()
        ...     graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
        ...     _ = context.compute(graph, {"x": np.ones(2, np.float32)})
        ...     (figures,) = context.statistics().graphs
        >>> figures.label, figures.operators, figures.runs
        ('x -> y', 1, 1)
        >>> 0 < figures.run.median <= figures.whole.p99
        True
        """
        self._timeline.tidy()  # what has been given up since the last call is queued no more
        return self._timeline.statistics

    def trace(self, target: TraceTarget | None = None) -> Trace:
        """Record everything that the context does while a block runs: `with context.trace("run.json"):`.

        At the end of the block, however it ends, the file is written: a trace for https://ui.perfetto.dev, with a track
        for each thread, and arrows from each write to the runs that used it and on to the reads. `trace.events` has the
        same as objects. A run costs about 2 us more while a trace is open, and nothing otherwise.

        >>> import numpy as np, webnn
        >>> with webnn.create_context() as context:
        ...     builder = context.create_graph_builder()
        ...     graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
        ...     with context.trace() as trace:
        ...         _ = context.compute(graph, {"x": np.ones(2, np.float32)})
        >>> [event.name for event in trace.events if event.kind == "task"]
        ['x -> y']

        Args:
            target: a path, or a file that is open for writing, as text or bytes; None writes nothing.

        Raises:
            ValidationError: `target` is neither.
            FileNotFoundError: there is no folder for the file.
            ContextLostError: the context is destroyed.
        """
        self._device.check_not_lost()
        with import_lock:  # here, since most programs trace nothing
            from webnn.runtime.tracing import Trace  # noqa: PLC0415

        return Trace(self._timeline, f"webnn on {self._device.backend.name}", target)

    def spans(self, tracer_provider: TracerProvider | None = None) -> Spans:
        """Emit OpenTelemetry spans of the context's work while a block runs: `with context.spans():`.

        Each run is a span from its call to its end, whose parent is the span that was current at the call. Each
        compilation is a span too, whose parent is the span that was current at `build`. A separate thread makes the
        spans. `docs/tracing.md` has the attributes. Needs `pip install 'webnn-runtime[otel]'`.

        Args:
            tracer_provider: where the spans go; None for the program's own, from `opentelemetry.trace`.

        Raises:
            NotSupportedError: `opentelemetry-api` is not installed.
            ContextLostError: the context is destroyed.
        """
        self._device.check_not_lost()
        with import_lock:  # here, since most programs make no spans
            from webnn.runtime.spans import Spans  # noqa: PLC0415

        return Spans(self._timeline, self._device.backend.name, tracer_provider)

    def audit(
        self, graph: MLGraph, *, rate: float = 0.01, backend: str = "arrays", tolerance: float | None = None
    ) -> Audit:
        """Repeat a sample of the runs of `graph` on another backend, and name the first operator that is off.

        ::

            audit = context.audit(graph)
            ...
            print(audit)  # <Audit of 51200 runs, 498 compared: nothing found>

        From now on, each run is sampled with the probability `rate`, and the first one always: its inputs and outputs
        are copied. They are compared later, on a thread of the audit, when the context is idle or after a second. A
        result that is off is logged and kept as `audit.finding`, and ends the audit. To find the operator, parts of the
        graph are compiled again on both backends, about 2 log2(n) times for n operators.

        During an audit, hot chains with the graph are not merged. Runs that are executed together, in batches and
        merged replays, are not sampled. If the audit is used as a context manager, the end of the block waits for the
        comparisons.

        For floats, the error is the largest absolute difference, as a share of the largest value of the tensor. For
        integers, it is the share of the elements that differ; 8-bit elements may differ by 1.

        Args:
            graph: a graph of this context.
            rate: the share of the runs to sample, above 0 and up to 1.
            backend: the name of the backend to compare with, which is taken to be right; not the context's own.
            tolerance: the largest error allowed. Default: 0.001, and 0.02 for float16.

        Raises:
            ValidationError: an argument is not valid; the graph is of another context.
            NotSupportedError: the other backend is not available here.
            InvalidStateError: an audit of the graph is going on already; the graph is destroyed.
            ContextLostError: the context is destroyed.
        """
        checks.check_graph(self._device, "audit", graph)
        with import_lock:  # here, since most programs audit nothing
            from webnn.runtime.audit import begun  # noqa: PLC0415

        return begun(graph, rate, backend, tolerance)

    def _repr_html_(self) -> str:
        """A table for notebooks: the backend, the memory, the work so far."""
        with import_lock:  # here, since only notebooks need it
            from webnn.runtime.notebook import size, table  # noqa: PLC0415

        memory, statistics = self.memory_info(), self.statistics()
        return table(
            "MLContext",
            {
                "backend": self._device.backend.name,
                "accelerated": "yes" if self._device.info.type != "cpu" else "no",
                "state": "lost" if self._device.is_lost else "alive",
                "memory": f"{size(memory.in_use)} in use, {size(memory.idle)} idle, {size(memory.peak)} at the peak",
                "graphs": len(statistics.graphs),
                "runs": f"{statistics.run_inline + statistics.run_on_lanes} begun, {statistics.queued} queued",
            },
        )
