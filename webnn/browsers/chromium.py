"""WebNN graphs in a Chromium of this machine."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import numpy as np

from webnn.browsers.devtools import PATIENCE, Page
from webnn.errors import NotSupportedError, OperationError
from webnn.graph.dtypes import numpy_dtype

__all__ = ["ARGUMENTS", "Answer", "Array", "Chromium", "array_of"]

Array: TypeAlias = np.ndarray[Any, Any]

ARGUMENTS: Final = (
    "--enable-features=WebMachineLearningNeuralNetwork",
    "--enable-unsafe-swiftshader",  # without a GPU, WebNN is off unless there is something in its place
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
"""Arguments that switch WebNN on, and the network off."""
_SCRIPTS: Final = ("requests.js", "modules.js")


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one request; exactly one field is given.

    Attributes:
        outputs: the outputs of the graph, by name.
        refused: the index of the call that threw, -1 for an input or a constant, and the error's text.
        failed: the error's text, if building or running threw after all calls had been accepted.
    """

    outputs: Mapping[str, Array] | None = None
    refused: tuple[int, str] | None = None
    failed: str | None = None

    @property
    def said(self) -> str:
        """The error's text; empty if there was none."""
        return self.refused[1] if self.refused is not None else self.failed or ""


class Chromium:
    """A running Chromium that builds and runs graphs; a context manager, which ends it.

    Args:
        program: the path of its program, or its name if it is on the `PATH`.

    Attributes:
        version: as it says it: `"HeadlessChrome/153.0.8010.0"`.
        limits: the result of its `opSupportLimits()`.

    Raises:
        NotSupportedError: there is no such program, or it has no WebNN.
        OperationError: it ended, or no answer came in time.
    """

    def __init__(self, program: str | os.PathLike[str]) -> None:
        self._program = program
        self.limits: Any = self._launch()

    def _launch(self) -> Any:
        """Start the browser; returns its limits."""
        self.page = Page(self._program, *ARGUMENTS, patience=PATIENCE)
        self.page.__enter__()
        try:
            self.version: str = self.page.call("Browser.getVersion")["product"]
            path = self.page.folder / "page.html"
            scripts = [files("webnn.browsers").joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS]
            elements = "".join(f"<script>{script}</script>" for script in scripts)
            path.write_text(f"<!doctype html><title>WebNN</title>{elements}", encoding="utf-8")
            self.page.open(path.as_uri())
            if not self.page.value("'ml' in navigator"):
                raise NotSupportedError(
                    f"{self.version} has no WebNN: it has no navigator.ml, also with {ARGUMENTS[0]}"
                )
            try:
                return self.page.value("start()")
            except OperationError as error:
                raise NotSupportedError(f"{self.version} cannot create a WebNN context: {error}") from None
        except BaseException:
            self.page.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the browser."""
        self.page.close()

    def relaunch(self) -> None:
        """End the browser and start a new one, since some graphs make a browser give up WebNN for good."""
        self.page.close()
        self._launch()

    def run(self, request: Mapping[str, Any]) -> Answer:
        """Build one graph and run it once; the head of `requests.js` describes a request.

        Some graphs leave the page unusable. The page of a new browser replaces it then.
        """
        try:
            answer = json.loads(self.page.value(f"answerTo({json.dumps(request, allow_nan=False)})"))
        except OperationError as error:
            answer = {"failed": str(error), "lost": True}
        if answer.get("lost"):
            self.relaunch()
        if "refused" in answer:
            return Answer(refused=(answer["refused"]["call"], answer["refused"]["error"]))
        if "failed" in answer:
            return Answer(failed=answer["failed"])
        return Answer(outputs={name: array_of(output) for name, output in answer.get("outputs", {}).items()})


def array_of(output: Mapping[str, Any]) -> Array:
    """An array that a page gave: its data type, its shape and its elements in base64."""
    dtype = numpy_dtype(output["dataType"]).newbyteorder("<")
    array = np.frombuffer(base64.b64decode(output["data"]), dtype)
    return array.reshape(output["shape"]).astype(dtype.newbyteorder("="))
