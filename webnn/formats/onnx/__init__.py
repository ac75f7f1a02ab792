"""ONNX models as WebNN graphs, in four folders.

`file/` turns a path, bytes or a `ModelProto` into a model whose weights stay in the file. `importing/` walks the nodes
of its graph, folds constants, and looks up for each other node the function that imports it. `operators/` holds these
functions, one module per family of operators, and `patterns/` holds the compositions that several of them share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

from webnn.forking import import_lock
from webnn.formats.loading import loaded
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import DataTypeLike
from webnn.graph.operand import MLOperand
from webnn.graph.spelling import explained
from webnn.runtime.context import MLContext
from webnn.runtime.graph import MLGraph

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["OnnxModel", "import_onnx", "load_onnx"]

OnnxModel: TypeAlias = "str | PathLike[str] | bytes | bytearray | memoryview | ModelProto"
"""A model: a path, the bytes of a file, or a loaded `onnx.ModelProto`."""


@explained
def load_onnx(
    model: OnnxModel,
    context: MLContext | None = None,
    *,
    shapes: Mapping[str, int | Sequence[int]] | None = None,
    dtypes: Mapping[str, DataTypeLike] | None = None,
    constants: Mapping[str, Any] | None = None,
    outputs: Sequence[str] | None = None,
) -> MLGraph:
    """The graph of an ONNX model, compiled in the background: usable at once, and awaitable.

    Weights are not copied: those in a file are read from it when they are needed. Values that depend only on constants
    and shapes are computed during the import. Types that WebNN lacks are represented by others: bool by uint8 (0 and
    1), double and bfloat16 by float32, int16 and uint16 by int32, constants in int2 and uint2 by int4 and uint4.
    Tensors in bfloat16 are rounded to its precision wherever ONNX rounds them: inputs, casts, and the result of each
    node. Models older than opset 7 are converted to it with `onnx.version_converter`, as far as it can.

    A `UserWarning` is issued for an output whose declared type or shape differs from the one that the model computes.

    Args:
        model: a path, bytes, or an `onnx.ModelProto`. Weights in other files must be in the folder of the model.
        context: the context that runs the graph. Default: a new one, `webnn.create_context()`.
        shapes: sizes for dimensions that the model leaves open: by the dimension's name, `{"batch": 1}`, or the whole
            shape by the input's name, `{"x": [1, 3, 224, 224]}`.
        dtypes: data types of inputs and outputs of the graph, by name: `{"input_ids": "int32"}` where the model says
            int64. The values are cast.
        constants: values for inputs that never change, by name: `{"sr": 16000}`. They are not inputs of the graph, and
            an `If` that depends only on them is decided during the import. An input that has a default in the model
            is a constant anyway, and may be given another value here.
        outputs: the values to return, by name: some of the model's outputs, or any value inside it. Default: all
            outputs.

    Raises:
        DataError: the bytes are not a valid ONNX model, or its weights cannot be found.
        OSError: the model's file cannot be read.
        ValidationError: a dimension has no size, or `shapes`, `dtypes`, `constants` or `outputs` do not fit the model.
        NotSupportedError: the model has nodes that WebNN cannot express; the message and `problems` list all of them,
            each with the reason and the nearest form.
    """

    def add(builder: MLGraphBuilder[MLGraph]) -> dict[str, MLOperand]:
        return import_onnx(model, builder, shapes=shapes, dtypes=dtypes, constants=constants, outputs=outputs)

    return loaded("onnx", context, add)


@explained
def import_onnx(
    model: OnnxModel,
    builder: MLGraphBuilder[Any],
    *,
    shapes: Mapping[str, int | Sequence[int]] | None = None,
    dtypes: Mapping[str, DataTypeLike] | None = None,
    constants: Mapping[str, Any] | None = None,
    inputs: Mapping[str, MLOperand] | None = None,
    outputs: Sequence[str] | None = None,
) -> dict[str, MLOperand]:
    """The outputs of an ONNX model as operands of `builder`, by name, to continue building with.

    Takes the options of `load_onnx` and raises the same errors. Further arguments:

    Args:
        model: as in `load_onnx`.
        builder: the builder that the operators are added to.
        shapes: as in `load_onnx`.
        dtypes: as in `load_onnx`.
        constants: as in `load_onnx`.
        inputs: operands of `builder` that stand for inputs of the model, by name; the other inputs become inputs of
            the builder.
        outputs: as in `load_onnx`.
    """
    with import_lock:  # here because the onnx package takes longer to load than most models
        from webnn.formats.onnx.file.reading import read_model  # noqa: PLC0415
        from webnn.formats.onnx.importing.importer import Importer  # noqa: PLC0415
        from webnn.formats.onnx.operators import families  # noqa: F401, PLC0415 (fills the table of operators)

    importer = Importer(
        read_model(model),
        builder,
        shapes=shapes or {},
        dtypes=dtypes or {},
        constants=constants or {},
        inputs=inputs or {},
    )
    return importer.outputs(outputs)
