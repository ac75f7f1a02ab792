"""A graph as an `.onnx` file of standard operators, for any runtime that reads ONNX.

Weights of more than a megabyte together are in a second file beside it, `NAME.onnx.data`, as the ONNX standard's
external data. That file takes its name first, so that a model never refers to weights that are not there yet; both bear
the same mark (see `marks`), as an entry of the model's metadata and behind the last weight.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnx
from onnx import numpy_helper

from webnn.backends.digests import named_digest
from webnn.backends.files import write_elements, written_at_once
from webnn.backends.marks import KEY, trailer
from webnn.backends.onnx.lower import lower
from webnn.backends.onnx.lowerings import COMPOSITES
from webnn.backends.onnx.model import Model
from webnn.backends.onnx.portable import PortableKernels
from webnn.errors import ValidationError
from webnn.graph.composites.composite import expanded
from webnn.graph.ir import Graph

__all__ = ["save_onnx"]

TOGETHER_BYTES: Final = 1024 * 1024
"""Weights of up to this size together are part of the model's own file."""
ALIGNMENT: Final = 64
PAGE: Final = 4096
"""Where weights of at least `MAPPED_BYTES` begin, so that runtimes can map them into memory one by one."""
MAPPED_BYTES: Final = 1024 * 1024


def save_onnx(graph: Graph, path: Path) -> None:
    """Write `graph` to `path`; its inputs and outputs keep their names.

    Raises:
        ValidationError: ONNX cannot have the names of the graph's inputs and outputs.
        NotSupportedError: an operator has no form in standard ONNX.
        OSError: a file cannot be written.
    """
    model = lower(expanded(graph, COMPOSITES), PortableKernels())
    _check_names(model)
    proto = model.finish()
    if sum(array.nbytes for array in model.external.values()) <= TOGETHER_BYTES:
        for tensor in proto.graph.initializer:
            if tensor.name in model.external:
                tensor.CopyFrom(numpy_helper.from_array(model.external[tensor.name], tensor.name))
    else:
        data = path.with_name(path.name + ".data")
        with written_at_once(data) as file:
            offset = 0
            for tensor in proto.graph.initializer:
                if tensor.name not in model.external:
                    continue
                array = model.external[tensor.name]
                padding = -offset % (PAGE if array.nbytes >= MAPPED_BYTES else ALIGNMENT)
                file.write(b"\0" * padding)
                write_elements(file, array)
                _refer(tensor, data.name, offset + padding, array.nbytes)
                offset += padding + array.nbytes
            mark = named_digest(model.external)
            file.write(trailer(mark))
            proto.metadata_props.add(key=KEY, value=mark)
    with written_at_once(path) as file:
        file.write(proto.SerializeToString())


def _check_names(model: Model) -> None:
    for kind, names in (("input", model.input_names), ("output", model.output_names)):
        for name, spelled in names.items():
            if name != spelled:
                why = "both an input and an output have it" if name.isprintable() else "it has unprintable characters"
                raise ValidationError(f"{kind} {name!r}: ONNX cannot have this name, since {why}")


def _refer(tensor: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
