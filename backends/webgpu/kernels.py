"""The table of the installed runtime: for which data types the WebGPU provider takes an operator.

Onnxruntime lists no kernels of this provider. So the table is measured: a session of one small node for each operator
and data type tells which of them it leaves to the CPU. That takes some 50 ms, once per process and operator set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

from webnn.backends.onnx import messages
from webnn.backends.onnx.messages import ModelProto, NodeProto, TensorProto, ValueInfoProto
from webnn.backends.onnx.model import IR_VERSION, onnx_type
from webnn.backends.onnx.portable import PortableKernels
from webnn.backends.onnx.signatures import Composition, Kernels, signature
from webnn.backends.webgpu.compositions import COMPOSITIONS
from webnn.backends.webgpu.device import open_session
from webnn.errors import OperationError

__all__ = ["KEPT_AS", "NIBBLES_OPSET", "WEBGPU_OPSET", "WebGpuKernels", "webgpu_kernels"]

WEBGPU_OPSET: Final = 18
"""The operator set that most kernels are for: later `AveragePool`s are left to the CPU."""
NIBBLES_OPSET: Final = 21
"""The first operator set with 4-bit integers."""
KEPT_AS: Final[Mapping[str, str]] = {"uint8": "int32", "int8": "int32"}
"""WebGPU has no elements of 8 bits. These are kept in 32 bits until they are read."""
_TYPES: Final = ("float32", "float16", "int32", "uint32", "bool")
"""The data types that the device has; it copies and casts int64."""


_WRONG: Final = frozenset({("Clip", "int64"), ("Max", "int64"), ("Min", "int64")})
"""What the CPU provider of the package computes wrongly: it compares the lower halves."""


class _Example(NamedTuple):
    """A small node of an operator: the shapes of its inputs of the type in question, then its other inputs."""

    shapes: tuple[tuple[int, ...], ...]
    others: tuple[Any, ...] = ()
    attributes: Mapping[str, Any] = {}
    outputs: int = 1


_IMAGE: Final = (1, 4, 4, 4)
_MATRIX: Final = (4, 4)
_OF_ONE: Final = (
    "Abs Ceil Cos Elu Erf Exp Floor Gelu GlobalAveragePool GlobalLpPool HardSigmoid HardSwish Identity IsInf"
    " IsNaN LeakyRelu Log Neg Not Reciprocal Relu Round Sigmoid Sign Sin Softmax Softplus Softsign Sqrt Tan Tanh"
    " Transpose Trilu"
)
_OF_TWO: Final = (
    "Add And BitwiseAnd BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual MatMul Max Min Mod Mul Or PRelu"
    " Pow Sub Xor"
)
_REDUCTIONS: Final = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"
)
_EXAMPLES: Final[Mapping[str, _Example]] = {
    **dict.fromkeys(_OF_ONE.split(), _Example((_IMAGE,))),
    **dict.fromkeys(_OF_TWO.split(), _Example((_MATRIX, _MATRIX))),
    **dict.fromkeys(_REDUCTIONS.split(), _Example((_MATRIX,), ([1],))),
    "ArgMax": _Example((_MATRIX,)),
    "ArgMin": _Example((_MATRIX,)),
    "AveragePool": _Example((_IMAGE,), (), {"kernel_shape": [2, 2]}),
    "BatchNormalization": _Example((_IMAGE, (4,), (4,), (4,), (4,))),
    "Clip": _Example((_MATRIX, (), ())),
    "Concat": _Example((_MATRIX, _MATRIX), (), {"axis": 0}),
    "Conv": _Example((_IMAGE, (4, 4, 2, 2))),
    "ConvTranspose": _Example((_IMAGE, (4, 4, 2, 2))),
    "CumSum": _Example((_MATRIX,), (0,)),
    "Expand": _Example((_MATRIX,), ([2, 4, 4],)),
    "GRU": _Example(((2, 1, 4), (1, 12, 4), (1, 12, 4)), (), {"hidden_size": 4}),
    "Gather": _Example((_MATRIX,), ([1],)),
    "GatherElements": _Example((_MATRIX,), ([[1, 0, 1, 0]],)),
    "GatherND": _Example((_MATRIX,), ([[1]],)),
    "Gemm": _Example((_MATRIX, _MATRIX, (4,))),
    "InstanceNormalization": _Example((_IMAGE, (4,), (4,))),
    "LSTM": _Example(((2, 1, 4), (1, 16, 4), (1, 16, 4)), (), {"hidden_size": 4}),
    "LayerNormalization": _Example((_IMAGE, (4,), (4,))),
    "LpPool": _Example((_IMAGE,), (), {"kernel_shape": [2, 2]}),
    "MaxPool": _Example((_IMAGE,), (), {"kernel_shape": [2, 2]}),
    "Pad": _Example((_MATRIX,), ([0, 1, 0, 1],)),
    "Reshape": _Example((_MATRIX,), ([2, 8],)),
    "Resize": _Example((_IMAGE,), (None, None, [1, 4, 8, 8])),
    "ScatterElements": _Example((_MATRIX,), ([[1, 0, 1, 0]], "T")),
    "ScatterND": _Example((_MATRIX,), ([[1]], "T")),
    "Slice": _Example((_MATRIX,), ([0], [2])),
    "Split": _Example((_MATRIX,), ([2, 2],), {}, 2),
    "Squeeze": _Example(((1, 4),), ([0],)),
    "Tile": _Example((_MATRIX,), ([2, 1],)),
    "TopK": _Example((_MATRIX,), ([2],), {}, 2),
    "Unsqueeze": _Example((_MATRIX,), ([0],)),
    "Where": _Example((_MATRIX, _MATRIX), ("condition",)),
}


class WebGpuKernels(Kernels):
    """The operators and data types that the device has in an operator set, and after them those of the CPU provider.

    Args:
        opset: the operator set.
        on_device: the data types in which the device has an operator, by its name. Default: they are measured.
    """

    kept_as = KEPT_AS

    def __init__(self, opset: int, on_device: Mapping[str, frozenset[str]] | None = None) -> None:
        self.opset = opset
        self._others = PortableKernels()
        self.on_device = _measured(opset, self._others) if on_device is None else on_device
        """The data types in which the device has an operator."""

    def types(self, op_type: str, domain: str, variable: str) -> frozenset[str] | None:
        """The types of the device and those of the CPU; truth values become integers to stay on the device."""
        types = self._others.types(op_type, domain, variable)
        if types is None:
            return None
        here = self.on_device.get(op_type)
        if here and variable == _variable(op_type):
            types = types | here if "bool" in here else (types | here) - {"bool"}
        return (types - KEPT_AS.keys()) | {each for each, kept_as in KEPT_AS.items() if kept_as in types}

    def composition(self, op_type: str, data_type: str) -> Composition | None:
        """How to compose what the device lacks."""
        kept_as = KEPT_AS.get(data_type, data_type)
        lacks = kept_as in _TYPES and kept_as not in self.on_device.get(op_type, ())
        return COMPOSITIONS.get(op_type) if lacks or (op_type, data_type) in _WRONG else None


@cache
def webgpu_kernels(opset: int) -> WebGpuKernels:
    """The table for an operator set, measured once."""
    return WebGpuKernels(opset)


def _variable(op_type: str) -> str:
    """The type variable of the operator's values in its schema."""
    types = signature(op_type)
    assert types is not None
    return next((name for name in types.inputs if not name.startswith("tensor(")), "")


def _measured(opset: int, others: PortableKernels) -> dict[str, frozenset[str]]:
    """The data types in which the device has each operator of `_EXAMPLES`."""
    probes = {f"{op_type} {data_type}": (op_type, data_type) for op_type, data_type in _candidates(opset, others)}
    found: dict[str, set[str]] = {op_type: set() for op_type in _EXAMPLES}
    try:
        left = open_session(_model(probes, opset), [], [], options={}, optimized=False).left_to_the_cpu
    except OperationError:  # one of them has no kernel at all
        left = frozenset(name for name, probe in probes.items() if not _is_on_device(name, probe, opset))
    for name, (op_type, data_type) in probes.items():
        if name not in left:
            found[op_type].add(data_type)
    return {op_type: frozenset(types) for op_type, types in found.items()}


def _is_on_device(name: str, probe: tuple[str, str], opset: int) -> bool:
    try:
        return not open_session(_model({name: probe}, opset), [], [], options={}, optimized=False).left_to_the_cpu
    except OperationError:
        return False


def _candidates(opset: int, others: PortableKernels) -> Iterator[tuple[str, str]]:
    for op_type in _EXAMPLES:
        if op_type == "Gelu" and opset < 20:
            continue
        variable = _variable(op_type)
        types = others.types(op_type, "", variable) if variable else {"bool"}
        yield from ((op_type, data_type) for data_type in _TYPES if types is None or data_type in types)


def _model(probes: Mapping[str, tuple[str, str]], opset: int) -> ModelProto:
    nodes: list[NodeProto] = []
    inputs: list[ValueInfoProto] = []
    outputs: list[ValueInfoProto] = []
    constants: list[TensorProto] = []
    for probe, (op_type, data_type) in probes.items():
        example = _EXAMPLES[op_type]
        names: list[str] = []
        for shape in example.shapes:
            names.append(f"{probe} {len(names)}")
            inputs.append(messages.value_info(names[-1], onnx_type(data_type), shape))
        for other in example.others:
            if other is None:
                names.append("")
                continue
            names.append(f"{probe} {len(names)}")
            if other == "condition":
                inputs.append(messages.value_info(names[-1], onnx_type("bool"), example.shapes[0]))
                names.insert(0, names.pop())
            elif other == "T":  # updates of the same shape as the indices, or of a row for them
                shape = (1, 4)
                inputs.append(messages.value_info(names[-1], onnx_type(data_type), shape))
            else:
                constants.append(messages.tensor(names[-1], np.array(other, np.int64), TensorProto.INT64))
        made = [f"{probe} output {i}" for i in range(example.outputs)]
        nodes.append(messages.node(op_type, names, made, name=probe, **example.attributes))
        outputs += [ValueInfoProto(name=name) for name in made]
    return messages.model(messages.graph(nodes, "probes", inputs, outputs, constants), {"": opset}, IR_VERSION)
