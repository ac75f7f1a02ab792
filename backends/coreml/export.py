"""A graph as an `.mlpackage`: an ML Program for Core ML on iOS 17, macOS 14 and later, with its weights beside it.

coremltools' `convert` always runs some passes, even in its empty pipeline: it replaces `sqrt(pow(x, 2))` by `x`. So the
program is written by its exporter, which `convert` calls at the end, and nothing is changed.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from webnn.backends.coreml.lowerings import lower
from webnn.backends.coreml.program import BUILDING, MAX_RANK, Program, quiet
from webnn.backends.coreml.ranks import with_joined_axes
from webnn.errors import NotSupportedError
from webnn.forking import import_lock
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph
from webnn.graph.naming import NamesInFile, names_in_file

__all__ = ["MISSING", "check_structure", "import_coremltools", "save_coreml", "specification"]

MISSING: Final = "needs coremltools: pip install 'webnn-runtime[coreml]'"
_DESCRIPTORS: Final = {"input": "webnn.inputs", "output": "webnn.outputs"}
"""The keys of the package's metadata: each name with the feature's name, data type and shape, as JSON."""


def save_coreml(graph: Graph, path: Path) -> NamesInFile:
    """Write `graph` to the folder `path`, which is replaced if it exists. Returns the names that are others there.

    Raises:
        NotSupportedError: coremltools is not installed, or an operator has no form in Core ML; the message says why.
        OSError: the folder cannot be written.
    """
    import_coremltools()
    path = path.absolute()
    if path.is_dir() and any(path.iterdir()) and not (path / "Manifest.json").is_file():
        raise FileExistsError(f"{path} is a folder, and not an .mlpackage that could be replaced")
    # In the same folder, so that the package takes its name in one step.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as made:
        package, weights = Path(made) / "new.mlpackage", Path(made) / "weights"
        weights.mkdir()
        program = write_package(graph, package, weights)
        if path.exists():
            os.replace(path, Path(made) / "old")
        os.replace(package, path)
    return names_in_file(program.input_names, program.output_names)


def write_package(
    graph: Graph, package: Path, weights: Path, checkpoint: Callable[[], object] | None = None
) -> Program:
    """Write `graph` to `package`, a new folder, with an empty folder for its weights. Returns its program."""
    coremltools = import_coremltools()
    with BUILDING:
        program, proto = specification(with_joined_axes(expanded(graph)), weights, checkpoint)
        coremltools.utils.save_spec(proto, str(package), weights_dir=str(weights))
    return program


def specification(graph: Graph, weights: Path, checkpoint: Callable[[], object] | None) -> tuple[Program, Any]:
    """The program of `graph`, and its model as a message; large constants are written to the folder `weights`."""
    with import_lock:
        from coremltools import target  # noqa: PLC0415
        from coremltools.converters.mil.backend.mil.load import load  # noqa: PLC0415
    with Program(graph) as program:
        lower(program, checkpoint)
        whole = program.finish()
        check_structure(program, whole)
        proto = load(whole, weights_dir=str(weights), specification_version=target.iOS17.value)
    for kind, names, descriptors in (
        ("input", program.input_names, graph.input_descriptors),
        ("output", program.output_names, graph.output_descriptors),
    ):
        features = {
            name: [names[name], descriptor.data_type, list(descriptor.shape)]
            for name, descriptor in descriptors.items()
        }
        proto.description.metadata.userDefined[_DESCRIPTORS[kind]] = json.dumps(features)
    return program, proto


def check_structure(program: Program, whole: Any) -> None:
    """Assert what readers of the package rely on, and what a fault in a lowering would break, before it is written."""
    has_halves = any(
        operand.data_type == "float16" for node in program.graph.nodes for operand in (*node.inputs(), *node.outputs)
    )
    function = whole.functions["main"]
    names = Counter(list(function.inputs))
    for operation in function.operations:
        for value in operation.outputs:
            names[value.name] += 1
            assert len(value.shape) <= MAX_RANK, f"{value.name} has the shape {value.shape}"
            assert has_halves or program.type_of(value) != "fp16", f"{value.name} is float16, but the graph is not"
    repeated = [name for name, count in names.items() if count > 1]
    assert not repeated, f"several values are called {', '.join(repeated)}"


def import_coremltools() -> Any:
    """The package; importing it logs nothing.

    Raises:
        NotSupportedError: it is not installed.
    """
    if find_spec("coremltools") is None:
        raise NotSupportedError(f"an .mlpackage {MISSING}")
    with import_lock, quiet():
        import coremltools  # noqa: PLC0415

    return coremltools
