"""The data types for which onnxruntime has CPU kernels, of the standard's operators that the lowerings emit.

Its registry has them too, but listing it takes 5 ms and 2.5 MB of memory, which is much for a small model with
one integer tensor. A test compares this table with the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

__all__ = ["KERNEL_TYPES", "VERSION", "kernel_types"]

VERSION: Final = "1.32."
"""The beginning of the versions of onnxruntime that the table is for."""

KERNEL_TYPES: Final[Mapping[str, str]] = {
    "T: float32": (
        "Acos Acosh Asin Asinh Atan Atanh AveragePool Celu Col2Im Conv ConvTranspose Cosh Det Elu Erf Gelu "
        "GlobalAveragePool GlobalLpPool HardSigmoid Hardmax InstanceNormalization LeakyRelu LpPool PRelu Selu Sinh "
        "Softplus Softsign Tan ThresholdedRelu"
    ),
    "T: float32 float64": "Ceil Cos DeformConv Exp Floor Gemm Log LogSoftmax Reciprocal Sigmoid Sin Softmax Sqrt Tanh",
    "T: int32 int64 float32 float64": (
        "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMean ReduceProd ReduceSum ReduceSumSquare"
    ),
    "T: integers float32 float64": "Abs Add Div Mul Sub",
    "T: integers bool float16 float32 float64": "Concat Expand ReverseSequence ScatterND Split Unsqueeze",
    "T: integers bool float16 float32 float64; Tind: int32 int64": "Gather GatherElements ScatterElements Slice",
    "T: integers float32 float64; T1: bool": "Greater GreaterOrEqual Less LessOrEqual",
    "T T1: bool": "And Or Xor",
    "T: int8 uint8 int32 uint32 int64 uint64 float16 float32 float64": "Clip Max Min",
    "T: int8 uint8 int32 int64 float32 float64": "ArgMax ArgMin",
    "T: uint8 uint16 uint32 uint64": "BitShift",
    "T1 T2: float32 float64": "GridSample",
    "T1: float32 float64; T2: int64": "RoiAlign",
    "T: integers": "BitwiseAnd BitwiseOr BitwiseXor",
    "T: float32 float64; T1: int32": "GRU LSTM",
    "V: integers bool float16 float32 float64": "Identity Scan",
    "B: bool; V: integers bool float16 float32 float64": "If",
    "T1: float16 float32 float64; T2: bool": "IsInf IsNaN",
    "T: integers float16 float32 float64": "Mod Shrink Sign",
    "T1: float32 float64; T2: int32 int64": "DFT STFT",
    "T1: float32; T2: int64": "MaxUnpool",
    "T: bool int8 uint8 int32 int64 float32 float64": "ReduceMax ReduceMin",
    "T T1 T2: float32 float64": "BatchNormalization",
    "T1 T2: integers bool int4 uint4 float16 float32 float64": "Cast",
    "T: int32 int64 float32 float64; T2: int32 int64": "CumSum",
    "T1: int4 uint4 int8 uint8 int16 uint16 int32; T2: float16 float32": "DequantizeLinear",
    "T: int8 uint8 float32 float64": "DepthToSpace SpaceToDepth",
    "T2: uint8": "DynamicQuantizeLinear",
    "T: integers bool float32 float64; T1: bool": "Equal",
    "T: integers bool float16 float32 float64; indices: int64": "GatherND",
    "T: float16 float32 float64; U: float32": "LayerNormalization",
    "T: int32 uint32 int64 uint64 float32 float64": "MatMul",
    "T1 T2: int8 uint8; T3: int32": "ConvInteger MatMulInteger",
    "I: int64; T: int8 uint8 float32 float64": "MaxPool",
    "T: int8 int16 int32 int64 float32 float64": "Neg",
    "T: bool": "Not",
    "T: bool int8 uint8 int32 uint32 int64 uint64 float32 float64": "Pad",
    "T T1: int32 int64 float32 float64": "Pow",
    "T1: float16 float32; T2: int4 uint4 int8 uint8 int16 uint16": "QuantizeLinear",
    "T: float32; T1: int32": "RNN",
    "T: int16 int32 int64 float32 float64": "Range",
    "T: int8 int32 float32 float64": "Relu",
    "T: integers bool float16 float32 float64; shape: int64": "Reshape",
    "T1: int8 uint8 int32 float32": "Resize",
    "T: float16 float32 float64": "Round",
    "T: integers bool float32 float64; T1: int64": "Tile",
    "I: int64; T: int8 uint8 int16 int32 int64 float32 float64": "TopK",
    "T: integers bool int4 uint4 float16 float32 float64": "Transpose",
    "T: bool int32 int64 float32 float64": "Trilu",
    "T: int8 uint8 int32 uint32 int64 float32 float64": "Where",
}
"""Operators by the types that may stand for the variables of their schemas. Types that WebNN lacks are left out."""
_INTEGERS: Final = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


@cache
def kernel_types(op_type: str) -> Mapping[str, frozenset[str]] | None:
    """The types that may stand for each variable that a kernel constrains; None if the table lacks the operator."""
    for constraints, ops in KERNEL_TYPES.items():
        if op_type in ops.split():
            return dict(row for part in constraints.split("; ") for row in _rows(part))
    return None


def _rows(part: str) -> list[tuple[str, frozenset[str]]]:
    variables, _, types = part.partition(": ")
    names = frozenset(name for word in types.split() for name in (_INTEGERS if word == "integers" else (word,)))
    return [(variable, names) for variable in variables.split()]
