"""Which data types an exported model may compute in: those of the ONNX standard that runtimes have kernels for.

The standard allows more integer types than runtimes implement. The table has those that onnxruntime lacks on the CPU,
since other runtimes have no more of them; a test compares it with the installed onnxruntime. Floats are not in it: a
runtime that lacks a kernel of float16 casts by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from webnn.backends.onnx.model import Model, standard_types
from webnn.backends.onnx.signatures import Kernels

__all__ = ["WITHOUT_KERNELS", "PortableKernels", "is_nan"]

_SHORT: Final = frozenset({"int16", "uint16"})
_UNSIGNED: Final = frozenset({"uint32", "uint64"})
_NIBBLES: Final = frozenset({"int4", "uint4"})
_INTEGERS: Final = frozenset({"int32", "int64"}) | _UNSIGNED

WITHOUT_KERNELS: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("ArgMax", "T"): _SHORT | _UNSIGNED,
    ("ArgMin", "T"): _SHORT | _UNSIGNED,
    ("Clip", "T"): _SHORT,
    ("Col2Im", "T"): _SHORT | _INTEGERS | {"bool", "int8", "uint8"},
    ("CumSum", "T"): _UNSIGNED,
    ("DepthToSpace", "T"): _SHORT | _INTEGERS | {"bool"},
    ("Gemm", "T"): _INTEGERS,
    ("GridSample", "T1"): _SHORT | _INTEGERS | {"bool", "int8", "uint8"},
    ("Identity", "V"): _NIBBLES,
    ("If", "V"): _NIBBLES,
    ("Max", "T"): _SHORT,
    ("Min", "T"): _SHORT,
    ("PRelu", "T"): _INTEGERS,
    ("Pad", "T"): _SHORT | _NIBBLES,
    ("Pow", "T1"): _SHORT | _UNSIGNED | {"int8", "uint8"},
    ("QuantizeLinear", "T1"): frozenset({"int32"}),
    ("ReduceL1", "T"): _UNSIGNED,
    ("ReduceL2", "T"): _UNSIGNED,
    ("ReduceLogSum", "T"): _UNSIGNED,
    ("ReduceLogSumExp", "T"): _UNSIGNED,
    ("ReduceMax", "T"): _UNSIGNED,
    ("ReduceMean", "T"): _UNSIGNED,
    ("ReduceMin", "T"): _UNSIGNED,
    ("ReduceProd", "T"): _UNSIGNED,
    ("ReduceSum", "T"): _UNSIGNED,
    ("ReduceSumSquare", "T"): _UNSIGNED,
    ("Relu", "T"): frozenset({"int16", "int64"}),
    ("Reshape", "T"): _NIBBLES,
    ("Resize", "T1"): _SHORT | _UNSIGNED | {"bool", "int64"},
    ("Scan", "V"): _NIBBLES,
    ("SpaceToDepth", "T"): _SHORT | _INTEGERS | {"bool"},
    ("TopK", "T"): frozenset({"uint16"}) | _UNSIGNED,
    ("Trilu", "T"): _SHORT | _UNSIGNED | {"int8", "uint8"},
    ("Unsqueeze", "T"): _NIBBLES,
    ("Where", "T"): _SHORT | {"bool", "uint64"},
}
"""Operator and type variable of its schema, to the types without kernels; for all operators that lowerings emit."""


class PortableKernels(Kernels):
    """The `Kernels` of a model that many runtimes are to read."""

    def types(self, op_type: str, domain: str, variable: str) -> frozenset[str] | None:
        """The types of the standard for the schema's type `variable`, without those that runtimes lack."""
        standard = standard_types(op_type, domain, variable)
        return standard and standard - WITHOUT_KERNELS.get((op_type, variable), frozenset())


def is_nan(model: Model, inputs: Sequence[str], _: Mapping[str, Any]) -> str:
    """The composition of `IsNaN` for runtimes without it: NaN is the only number that is not equal to itself."""
    (x,) = inputs
    return model.emit("Not", [model.emit("Equal", [x, x])])
