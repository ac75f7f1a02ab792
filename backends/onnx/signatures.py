"""The types of the inputs and outputs of ONNX's operators, and of the kernels that a runtime has for them.

They are those of the operator set that the lowerings speak. The onnx package has them in its schemas, but takes longer
to import than most small models take to compile. A test compares this table with the schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from webnn.backends.onnx.model import Model

__all__ = ["OPSET", "SIGNATURES", "Composition", "Kernels", "Signature", "signature"]

OPSET: Final = 21
"""The ONNX operator set that the lowerings speak: the first with 4-bit types, and widely read."""

SIGNATURES: Final[Mapping[str, str]] = {
    "T -> T": (
        "Abs Acos Acosh Asin Asinh Atan Atanh AveragePool BitwiseNot Ceil Cos Cosh DepthToSpace Det Elu Erf Exp "
        "Flatten Floor Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool HardSigmoid HardSwish Hardmax LRN LeakyRelu "
        "Log LogSoftmax LpNormalization LpPool MeanVarianceNormalization Mish Neg Reciprocal Relu Round Selu Shrink "
        "Sigmoid Sign Sin Sinh Softmax Softplus Softsign SpaceToDepth Sqrt Tan Tanh ThresholdedRelu Transpose"
    ),
    "T int64 -> T": (
        "Expand GatherND ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
        "ReduceSum ReduceSumSquare Reshape ReverseSequence Split Squeeze Tile Trilu Unsqueeze"
    ),
    "T T -> T": "Add BitShift BitwiseAnd BitwiseOr BitwiseXor Div MatMul MaxRoiPool Mod Mul PRelu Sub",
    "T1 -> T2": (
        "Bernoulli BlackmanWindow Cast EyeLike HammingWindow HannWindow Multinomial RandomNormalLike RandomUniformLike"
    ),
    "T T T -> T": "Clip Conv ConvTranspose Gemm GroupNormalization InstanceNormalization Range",
    "T... -> T": "Concat Einsum Max Mean Min Sum",
    "T -> int64": "ArgMax ArgMin NonZero Shape Size",
    "T T -> bool": "Equal Greater GreaterOrEqual Less LessOrEqual",
    " -> T": "Constant RandomNormal RandomUniform",
    "T Tind -> T": "CenterCropPad Gather GatherElements",
    "bool bool -> bool": "And Or Xor",
    "T T T T int32 T -> T T": "GRU RNN",
    "T Tind T -> T": "NegativeLogLikelihoodLoss ScatterElements",
    "T1 -> bool": "IsInf IsNaN",
    "T1 T2 T1 T2 -> int32": "ConvInteger MatMulInteger",
    " -> S": "SequenceEmpty",
    "O -> V": "OptionalGetElement",
    "O -> bool": "OptionalHasElement",
    "S -> T": "ConcatFromSequence",
    "S -> int64": "SequenceLength",
    "S I -> S": "SequenceErase",
    "S I -> T": "SequenceAt",
    "S T I -> S": "SequenceInsert",
    "S V... -> S": "SequenceMap",
    "T -> T int64": "MaxPool",
    "T -> T int64 int64 int64": "Unique",
    "T -> float": "TfIdfVectorizer",
    "T I -> S": "SplitToSequence",
    "T T T -> T U U": "LayerNormalization",
    "T T T T T -> T": "DeformConv",
    "T T T T int32 T T T -> T T T": "LSTM",
    "T T1 -> T": "Pow",
    "T T1 T1 T2 T2 -> T T2 T2": "BatchNormalization",
    "T T1 bool -> T bool": "Dropout",
    "T T2 -> T": "CumSum",
    "T Tind T -> T T": "SoftmaxCrossEntropyLoss",
    "T Tind Tind Tind Tind -> T": "Slice",
    "T bool -> T": "Compress",
    "T int64 -> T int64": "TopK",
    "T int64 T -> T": "ScatterND",
    "T int64 T Tind -> T": "Pad",
    "T int64 int64 -> T": "Col2Im",
    "T... -> S": "SequenceConstruct",
    "T1 T1 T1 T2 T2 -> T3": "MelWeightMatrix",
    "T1 T1 T2 -> T2": "QuantizeLinear",
    "T1 T1 int64 -> T1": "RoiAlign",
    "T1 T2 -> T1": "GridSample",
    "T1 T2 -> T2": "CastLike",
    "T1 T2 T1 -> T2": "DequantizeLinear",
    "T1 T2 T1 T2 -> T1": "STFT",
    "T1 T2 T3 -> T3": "OneHot",
    "T1 T2 float int64 -> T1": "Resize",
    "T1 T2 int64 -> T1": "DFT",
    "T1 TS T1 T2 TS T2 TS T3 -> T3": "QLinearMatMul",
    "T1 float T1 T2 float T2 float T3 int32 -> T3": "QLinearConv",
    "T1 int64 -> T1": "AffineGrid",
    "T1 int64 int64 -> T1": "MaxUnpool",
    "V -> O": "Optional",
    "V -> V": "Identity",
    "V... -> V": "Scan",
    "bool -> V": "If",
    "bool -> bool": "Not",
    "bool T T -> T": "Where",
    "float -> float": "Celu",
    "float -> uint8 float uint8": "DynamicQuantizeLinear",
    "float float int64 float float -> int64": "NonMaxSuppression",
    "int64 -> T2": "ConstantOfShape",
    "int64 bool V... -> V": "Loop",
    "string -> bool": "RegexFullMatch",
    "string -> string": "StringNormalizer",
    "string -> string int64": "StringSplit",
    "string string -> string": "StringConcat",
    "uint8 -> uint8": "ImageDecoder",
}
"""The operators by their signature: the type of each input, and after the arrow of each output.

Types are variables of the schema, such as `T`, or fixed ones, such as `int64`. Dots: the last input may be repeated.
"""


class Signature(NamedTuple):
    """The type of each input and output as a schema writes it: `T` or `tensor(int64)`."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    is_variadic: bool
    """Whether the last input may be repeated."""


@cache
def signature(op_type: str) -> Signature | None:
    """The signature of an operator of the standard's default domain; None if there is no such operator."""
    return next((_parsed(text) for text, ops in SIGNATURES.items() if op_type in ops.split()), None)


def _parsed(text: str) -> Signature:
    inputs, outputs = (
        tuple(f"tensor({name})" if name[0].islower() else name for name in side.split())
        for side in text.replace("...", "").split("->")
    )
    return Signature(inputs, outputs, "..." in text)


class Kernels(Protocol):
    """What the runtime that will load the model has kernels for."""

    opset: int = OPSET
    """The version of the standard's operators that the model declares, unless a lowering requires a later one."""
    kept_as: Mapping[str, str] = {}
    """The types in whose place the runtime has another one, which holds all of their values; for instance `bool`."""
    everywhere: Collection[str] = ()
    """Types that every operator has a kernel for, if the standard has the type; `types` need not be asked then."""
    rounds_last: bool = False
    """Whether `QuantizeLinear` adds the zero point before it rounds: an odd one turns halves to the odd number."""

    divides_in_turn: bool = False
    """Whether integers are divided one after the other, so that a check of all divisors, a division of floats or a
    product takes less time."""
    powers_in_floats: bool = False
    """Whether there is a kernel of `Pow` in float64, which takes less time than a product for each bit."""
    keeps_bool: bool = False
    """Whether truth values stay bool where they are moved, and as outputs, whose bytes are 0 and 1 then."""

    def types(self, op_type: str, domain: str, variable: str) -> frozenset[str] | None:
        """The types that may stand for the schema's type `variable` of an operator; None if it is not known."""
        ...

    def composition(self, op_type: str, data_type: str) -> Composition | None:
        """How to compose an operator of the standard for a data type; None if it is one node."""
        return None


Composition: TypeAlias = Callable[["Model", Sequence[str], Mapping[str, Any]], str]
"""Emits nodes that compute the same as one node with these inputs and attributes; returns the name of its output."""
