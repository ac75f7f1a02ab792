"""A graph in a browser, as the module that `graph.save("app.js")` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from webnn.backends.base import Cancellation
from webnn.browsers.chromium import Array, Chromium, array_of
from webnn.errors import NotSupportedError, OperationError
from webnn.formats.javascript.saving import save_js
from webnn.formats.safetensors import save_safetensors
from webnn.graph.ir import Graph
from webnn.runtime.suspects import Function

__all__ = ["BrowserGraph", "BrowserSide", "RefusedError"]


class RefusedError(NotSupportedError):
    """A browser does not build a graph.

    Attributes:
        operator: the method of `MLGraphBuilder` that it refuses, if it is one operator.
        label: its label.
        answer: the browser's own error.
    """

    def __init__(self, message: str, operator: str = "", label: str = "", answer: str = "") -> None:
        super().__init__(message)
        self.operator = operator
        self.label = label
        self.answer = answer


class BrowserGraph:
    """A graph that a browser has built; a context manager. A browser has one at a time.

    Args:
        chromium: the browser.
        graph: the graph.
        options: the options of its `createContext`.

    Attributes:
        milliseconds: the time that building took, and after a run the time of that.

    Raises:
        RefusedError: the browser does not build it.
    """

    def __init__(self, chromium: Chromium, graph: Graph, **options: Any) -> None:
        self._chromium = chromium
        with TemporaryDirectory(prefix="webnn-module-") as folder:
            path = Path(folder) / "app.js"
            save_js(graph, path)
            weights = path.with_suffix(".safetensors")
            answer = self._ask(f"loadModule({json.dumps(options)})", path, *([weights] if weights.exists() else []))
        if "failed" in answer:
            raise RefusedError(answer["failed"], answer.get("operator", ""), answer.get("label", ""), answer["answer"])
        self.milliseconds: float = answer["milliseconds"]

    def _ask(self, expression: str, *paths: Path) -> Any:
        page = self._chromium.page
        try:
            page.give_files("chosenFiles", paths)
            answer = page.value(expression)
        except OperationError:
            self._chromium.relaunch()
            raise
        if answer.get("lost"):
            self._chromium.relaunch()
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._chromium.page.value("unload()")

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of one run.

        Raises:
            OperationError: it failed.
        """
        with TemporaryDirectory(prefix="webnn-module-") as folder:
            path = Path(folder) / "inputs.safetensors"
            save_safetensors(path, feeds)
            answer = self._ask("runModule()", path)
        if "failed" in answer:
            raise OperationError(f"{self._chromium.version}: {answer['failed']}")
        self.milliseconds = answer["milliseconds"]
        return {name: array_of(output) for name, output in answer["outputs"].items()}


class BrowserSide:
    """A browser that takes the part of a backend in `webnn.runtime.suspects.first_wrong`."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium

    def compiled(self, graph: Graph, cancellation: Cancellation) -> Function:
        """`graph` as a function, until the next one is compiled. Composites are expanded."""
        built = BrowserGraph(self._chromium, graph)

        def run(feeds: Mapping[str, Array]) -> list[Array]:
            outputs = built.run({name: feeds[name] for name in graph.inputs})
            return [outputs[name] for name in graph.outputs]

        return run
