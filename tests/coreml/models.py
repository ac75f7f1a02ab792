"""Graphs through a saved package: written, checked, read back and interpreted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import webnn
from tests.coreml.interpreter import Package, ProgramError, read_package, run
from tests.coreml.interpreter.datatypes import DTYPES, Array
from tests.coreml.interpreter.structure import problems
from webnn.backends.coreml.export import save_coreml
from webnn.graph.dtypes import numpy_dtype
from webnn.graph.ir import Graph

__all__ = ["checked", "interpreted", "outputs_of_package"]


def interpreted(graph: webnn.MLGraph | Graph, feeds: Mapping[str, Array], path: Path) -> dict[str, Array]:
    """The outputs of `graph` as the interpreter computes the package that is saved to `path` meanwhile."""
    save_coreml(_ir(graph), path)
    try:
        return outputs_of_package(checked(path, graph), feeds)
    finally:
        shutil.rmtree(path)


def checked(path: Path, graph: webnn.MLGraph | Graph) -> Package:
    """The package at `path`, whose structure is sound; it has float16 only where the graph has."""
    package = read_package(path)
    halves = any(
        operand.data_type == "float16"
        for operand in (
            *_ir(graph).inputs.values(),
            *(operand for node in _ir(graph).nodes for operand in (*node.inputs(), *node.outputs)),
        )
    )
    found = problems(package, set(DTYPES) - (set() if halves else {"fp16"}))
    if found:
        raise ProgramError("; ".join(found))
    return package


def _ir(graph: webnn.MLGraph | Graph) -> Graph:
    return graph._graph if isinstance(graph, webnn.MLGraph) else graph


def outputs_of_package(package: Package, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of a package that was saved from a graph, under the names and with the types of the graph."""
    metadata = package.spec.description.metadata.userDefined
    inputs: dict[str, Any] = {}
    for name, (feature, data_type, shape) in json.loads(metadata["webnn.inputs"]).items():
        array = np.asarray(feeds[name], numpy_dtype(data_type)).reshape(shape or [1])
        inputs[feature] = array if data_type.startswith("float") else _same(array, "int32")
    results = run(package, inputs)
    return {
        name: _same(results[feature].reshape(shape), data_type)
        for name, (feature, data_type, shape) in json.loads(metadata["webnn.outputs"]).items()
    }


def _same(array: Array, data_type: str) -> Array:
    """The array in another type, in which its values are the same."""
    with np.errstate(invalid="ignore"):
        converted = array.astype(numpy_dtype(data_type))  # type: ignore[arg-type]
    if array.dtype.kind == "f":
        assert array.dtype == converted.dtype, f"{array.dtype} instead of {data_type}"
    elif not np.array_equal(converted.astype(np.int64), array.astype(np.int64)):
        raise ProgramError(f"the values from {array.min()} to {array.max()} are not all {data_type}")
    return converted
