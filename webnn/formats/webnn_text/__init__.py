"""The `.webnn` format of the rustnn projects: a graph as text or JSON, with its weights in a file beside it.

A file is read into a `document` by the `parser` (on the `lexer`) or as `json_form`; `loading` resolves its names and
makes each node a call of the builder (`calls`), with constants from `weights`. `saving` goes the other way, and the
`writer` or `json_form` writes it down.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webnn.forking import import_lock
from webnn.formats.loading import loaded
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.operand import MLOperand
from webnn.graph.spelling import explained
from webnn.runtime.context import MLContext
from webnn.runtime.graph import MLGraph

__all__ = ["import_webnn", "load_webnn"]


@explained
def load_webnn(
    path: str | os.PathLike[str],
    context: MLContext | None = None,
    *,
    shapes: Mapping[str, int] | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> MLGraph:
    """The graph in a `.webnn` file, in its text or its JSON form, compiled in the background.

    Weights are not copied: they are read from the file beside it when they are needed.

    Args:
        path: the graph file; its form is recognised by its content.
        context: where the graph runs. Default: a new one, `webnn.create_context()`.
        shapes: sizes for the dimensions that the file leaves open, by name: `{"batch": 1}`.
        weights: the weight file. Default: the first of `STEM.safetensors`, `STEM.weights`, `model.safetensors` and
            `model.weights` that is beside the graph file and has the graph's mark, if there is one. A file that is
            named here is used even if its mark differs.

    Raises:
        DataError: the file or its weights are not valid, or do not belong together; the message begins with the place.
        ValidationError: `shapes` has no size for a dimension, or one that is too large.
        OSError: a file cannot be read.
    """
    return loaded("webnn", context, lambda builder: import_webnn(path, builder, shapes=shapes, weights=weights))


@explained
def import_webnn(
    path: str | os.PathLike[str],
    builder: MLGraphBuilder[Any],
    *,
    shapes: Mapping[str, int] | None = None,
    weights: str | os.PathLike[str] | None = None,
) -> dict[str, MLOperand]:
    """The outputs of a graph file as operands of `builder`, by name, to continue building with.

    The arguments and errors are those of `load_webnn`.
    """
    with import_lock:  # here because the parsers are a large part of this package
        from webnn.formats.webnn_text.loading import imported  # noqa: PLC0415

    return imported(Path(path), builder, shapes or {}, weights)
