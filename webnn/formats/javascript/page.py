"""A graph as one HTML page: its module, its weights, and a test of it that the page runs."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from webnn.backends.digests import named_digest
from webnn.backends.files import written_at_once
from webnn.errors import OperationError, ValidationError
from webnn.formats.javascript.module import module_text, resource
from webnn.formats.safetensors import save_safetensors
from webnn.formats.webnn_text.saving import document_of, encoded
from webnn.formats.webnn_text.weights import save_tensors
from webnn.graph import ir
from webnn.graph.arrays import array_from, random_array
from webnn.runtime.ml import ML

__all__ = ["TOLERANCE", "save_html"]

TOLERANCE: Final = 1e-3
"""How far floating-point outputs may be from the expected ones, relative to the largest element of each output."""
CHUNK: Final = 3 << 22
"""Bytes in one data element; divisible by three, so that base64 needs no padding in between."""

Array = np.ndarray[Any, Any]


def save_html(
    graph: ir.Graph,
    path: Path,
    *,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> None:
    """Write `graph` as one page that needs nothing else, and tests itself when it is opened.

    Args:
        graph: the graph.
        path: the path of the page.
        inputs: the values that the page runs the graph on. Default: random ones.
        outputs: what they give. Default: the outputs of the default backend of this machine.
        tolerance: how far floating-point outputs may be from `outputs`, relative to the largest element of each;
            integers must be equal.
        seed: the seed of the random values.

    Raises:
        ValidationError: an array does not fit its input or output, or a name cannot be encoded.
        OperationError: the graph cannot be run on the inputs, such as random indices that are out of range.
        OSError: the file cannot be written.
    """
    if not isinstance(tolerance, int | float) or not 0 <= tolerance < float("inf"):
        raise ValidationError(f"save: tolerance must be a number from 0, got {tolerance!r}")
    feeds = _arrays("inputs", inputs, graph.inputs) if inputs is not None else _random(graph, seed)
    try:
        expected = _arrays("outputs", outputs, graph.outputs) if outputs is not None else _computed(graph, feeds)
    except OperationError as error:
        if inputs is not None:
            raise
        why = "save: the page tests the graph, which cannot be run on random inputs; give valid ones as inputs"
        raise OperationError(f"{why}: {error}") from error
    document, arrays = document_of(graph, path.stem)
    document.mark = named_digest(arrays) if arrays else None
    parts = {
        "TITLE": escape(path.stem),
        "ABOUT": f"A graph of {len(document.nodes)} WebNN operators, with a test that runs here.",
        "STYLE": resource("page.css"),
        "MODULE": module_text(document, graph.output_descriptors),
        "SCRIPT": resource("page.js"),
    }
    before, after = resource("page.html").split("%DATA%")
    filled = [encoded(re.sub("%([A-Z]+)%", lambda place: parts[place[1]], text)) for text in (before, after)]
    with TemporaryDirectory(prefix="webnn-page-") as folder, written_at_once(path) as file:
        file.write(filled[0])
        if document.mark is not None:
            weights = Path(folder) / "weights.safetensors"
            save_tensors(weights, arrays, document.mark)
            file.writelines(_elements("weights", weights))
        test = Path(folder) / "test.safetensors"
        stored = {f"input {name}": array for name, array in feeds.items()}
        stored |= {f"output {name}": array for name, array in expected.items()}
        allowed = {name: _allowed(array, tolerance) for name, array in expected.items()}
        save_safetensors(test, stored, {"webnn.tolerances": json.dumps(allowed)})
        file.writelines(_elements("test", test))
        file.write(filled[1])


def _arrays(what: str, given: Mapping[str, Any], operands: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays for `operands`."""
    if not isinstance(given, Mapping) or given.keys() != operands.keys():
        names = list(given) if isinstance(given, Mapping) else type(given).__name__
        raise ValidationError(f"save: {what} must be arrays for {list(operands)}, got {names}")
    arrays = {}
    for name, operand in operands.items():
        try:
            arrays[name] = array_from(given[name], operand.descriptor)
        except ValidationError as error:
            raise ValidationError(f"save: {what}: {name!r}: {error}") from None
    return arrays


def _random(graph: ir.Graph, seed: int) -> dict[str, Array]:
    generator = np.random.default_rng(seed)
    return {name: random_array(operand.descriptor, generator) for name, operand in graph.inputs.items()}


def _computed(graph: ir.Graph, feeds: Mapping[str, Array]) -> dict[str, Array]:
    with ML().create_context() as context:
        return context.compute(context.compile(graph), feeds)


def _allowed(expected: Array, tolerance: float) -> float:
    """The largest error that an output may have."""
    if expected.dtype.kind != "f":
        return 0.0
    finite = expected[np.isfinite(expected)].astype(np.float64)
    return float(np.abs(finite).max(initial=0.0)) * tolerance


def _elements(name: str, path: Path) -> Iterator[bytes]:
    """A file as data elements of HTML."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield f'<script type="text/plain" data-part="{name}">'.encode() + b64encode(chunk) + b"</script>\n"
