"""Reading and writing model files of every kind, by the suffix of their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import webnn.formats  # noqa: F401 (its writers put themselves into SAVERS)
from webnn.errors import NotSupportedError
from webnn.formats.files import READERS, Reader, Source, load_model, outline_of, reader_of
from webnn.graph.ir import Graph
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.naming import NamesInFile
from webnn.runtime.draft import Draft
from webnn.runtime.saving import SAVERS, registered

__all__ = [
    "READERS",
    "Reader",
    "Source",
    "blueprint",
    "check_writable",
    "load_model",
    "outline_of",
    "reader_of",
    "save_model",
]


def blueprint() -> Draft:
    """A host for builders that compiles nothing: `build` returns the graph, checked against the specification alone."""
    return Draft(SPEC_LIMITS)


def check_writable(path: Path) -> None:
    """Raise `NotSupportedError` if no writer takes such files."""
    if path.suffix.lower() not in SAVERS:
        raise NotSupportedError(f"{path}: cannot write this kind of file, only {', '.join(SAVERS)}")


def save_model(graph: Graph, path: Path, **options: Any) -> NamesInFile:
    """Write `graph` in the format that the suffix of `path` names, with options of that format.

    Returns the names of inputs and outputs that are others in the file, since the format cannot hold the graph's.

    Raises:
        NotSupportedError: no writer takes such files, or the format cannot express the graph.
        OSError: it cannot be written.
    """
    check_writable(path)
    names: NamesInFile | None = registered(SAVERS[path.suffix.lower()])(graph, path, **options)
    return names or {}
