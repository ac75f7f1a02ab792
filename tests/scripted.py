"""Contexts on a backend that does what the test says: holds compilations and runs up, fails them, counts them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import webnn
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend, Cancellation, CompileOptions, Executable
from webnn.graph.ir import Graph
from webnn.memory.buffer import View
from webnn.runtime.context import MLContext

__all__ = ["Gate", "ScriptedBackend", "double", "eventually", "filled", "scripted_context"]

PATIENCE = 10.0

_numbers = itertools.count()


class Gate:
    """Holds up whoever passes it until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.reached = threading.Event()
        """Somebody is there."""

    def __call__(self, *_: object) -> None:
        self.reached.set()
        assert self._open.wait(PATIENCE), "the gate was never opened"

    def open(self) -> None:
        self._open.set()


class ScriptedExecutable(Executable):
    """Computes what NumPy does, after `before`."""

    def __init__(self, executable: Executable, before: Callable[[], object]) -> None:
        super().__init__(executable.inputs, executable.outputs)
        self._executable = executable
        self._before = before

    def run(self, inputs: Sequence[View], outputs: Sequence[View]) -> None:
        self._before()
        self._executable.run(inputs, outputs)


class ScriptedBackend(Backend):
    """Calls `on_compile(cancellation)` before each compilation and `on_run()` before each run; either may raise."""

    def __init__(
        self,
        on_compile: Callable[[Cancellation], object] = lambda _: None,
        on_run: Callable[[], object] = lambda: None,
    ) -> None:
        # A name of its own, so that the session cache never gives it another one's executables.
        self.name = f"scripted-{next(_numbers)}"  # type: ignore[misc]
        self.on_compile = on_compile
        self.on_run = on_run
        self.compiled = 0
        self.ran = 0

    def compile(self, graph: Graph, options: CompileOptions, cancellation: Cancellation) -> Executable:
        self.compiled += 1
        self.on_compile(cancellation)
        return ScriptedExecutable(ArraysBackend().compile(graph, options, cancellation), self._run)

    def _run(self) -> None:
        self.ran += 1
        self.on_run()


def scripted_context(
    on_compile: Callable[[Cancellation], object] = lambda _: None,
    on_run: Callable[[], object] = lambda: None,
    *,
    lanes: int = 1,
    memory_budget: int | None = None,
    max_batch: int = 1,
) -> tuple[MLContext, ScriptedBackend]:
    """A context on a scripted backend."""
    backend = ScriptedBackend(on_compile, on_run)
    return MLContext(backend, CompileOptions(), lanes=lanes, memory_budget=memory_budget, max_batch=max_batch), backend


def double(context: webnn.MLContext, shape: Sequence[int] = (4,), *, times: int = 2) -> webnn.MLGraph:
    """The graph `y = times * x`."""
    builder = context.create_graph_builder()
    x = builder.input("x", shape, "float32")
    return builder.build({"y": builder.mul(x, builder.constant("float32", times))})


def filled(number: float, shape: Sequence[int] = (4,)) -> np.ndarray[Any, Any]:
    """An array full of a number."""
    return np.full(shape, number, np.float32)


def eventually(condition: Callable[[], object]) -> None:
    """Wait in a plain thread until `condition()` holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for does not happen"
        time.sleep(0.0005)
