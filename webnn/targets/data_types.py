"""Other data types for an operator: operands are cast before it, and outputs are cast back after it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from webnn.errors import MLError
from webnn.graph.dtypes import DataType, numpy_dtype
from webnn.graph.ir import Node
from webnn.graph.limits import Limits
from webnn.graph.operand import MLOperand
from webnn.graph.rewriting import Replacement
from webnn.targets.checking import named_operands, named_outputs
from webnn.targets.decompositions import DECOMPOSITIONS
from webnn.targets.remedies import again, combined, quantized, scaled
from webnn.targets.target import Target

__all__ = ["with_other_type"]

_INSTEAD: Final[Mapping[DataType, tuple[DataType, ...]]] = {
    "int8": ("int32", "int64", "float32", "float16"),
    "uint8": ("int32", "int64", "uint32", "float32", "float16"),
    "int32": ("int64", "float32"),
    "uint32": ("int64", "int32", "uint64", "float32"),
    "int64": ("int32", "float32"),
    "uint64": ("int64", "uint32", "int32", "float32"),
    "float16": ("float32",),
    "float32": ("float16",),
    "int4": ("int8", "int32"),
    "uint4": ("uint8", "int32"),
}
"""For each data type the ones to compute with in its place, the best first. Those behind may not hold all values."""


def with_other_type(
    b: Replacement, node: Node, wrong: Collection[MLOperand], target: Target
) -> tuple[Sequence[MLOperand], str] | None:
    """The outputs of `node` computed with data types that a target takes, and what was done; None if there is no way.

    Args:
        b: the builder of the replacement.
        node: the operator.
        wrong: its operands and outputs whose data types are not taken.
        target: the target.
    """
    if node.op == "cast":
        return None
    data_type = next(iter(wrong)).data_type
    rows = target.limits[node.op]
    if "output_data_type" in node.attributes and all(operand in node.outputs for operand in wrong):
        return _with_other_index_type(b, node, data_type, target)
    for instead in _INSTEAD[data_type]:
        is_integer, has_bounds = data_type.strip("u").startswith("int"), node.op in ("max_pool2d", "quantize_linear")
        if is_integer and node.op in _OTHERWISE and (has_bounds or instead.startswith("float")):
            break  # the bounds of another type would show, and floats do not hold all integers
        for chosen in (
            [o for o in node.inputs() if o.data_type == data_type],
            [o for o in node.inputs() if o in wrong],
        ):
            made = _cast(b, node, chosen, instead, target)
            if made is not None and _is_taken(made[0].node, rows):
                return made, f"computed as {instead}"
    done, way = _OTHERWISE.get(node.op, ("", lambda b, node: None))
    made = way(b, node)
    return None if made is None else (made, done)


def _is_taken(node: Node | None, rows: Mapping[str, Limits]) -> bool:
    """Whether the operator behind the casts has data types that `rows` allow."""
    while node is not None and node.op in ("cast", "round_even"):
        node = node["input"].node
    return node is not None and not any(
        row is not None and operand.data_type not in row.allowed
        for name, operand in [*named_operands(node), *named_outputs(node)]
        if (row := rows.get(name) or rows.get(name.partition("[")[0])) is not None
    )


def _takes(target: Target, data_type: DataType, side: str) -> bool:
    """Whether the target casts from or to a data type."""
    row = target.limits.get("cast", {}).get(side)
    return row is not None and data_type in row.allowed


def _cast(
    b: Replacement, node: Node, chosen: Sequence[MLOperand], instead: DataType, target: Target
) -> Sequence[MLOperand] | None:
    """The operator with `chosen` operands in another data type and outputs as they were; None if that cannot be."""
    cannot = any(o.constant is None and not _takes(target, o.data_type, "input") for o in chosen)
    if cannot or not chosen or not _takes(target, instead, "output"):
        return None

    def other(operand: MLOperand) -> MLOperand:
        return _converted(b, operand, instead) if any(operand is one for one in chosen) else operand

    operands: dict[str, Any] = {
        name: other(o) if isinstance(o, MLOperand) else [other(i) for i in o] for name, o in node.operands.items()
    }
    try:
        made = again(b, node, operands)
    except MLError:  # the operator itself does not take these types together
        return None
    outputs = []
    for y, output in zip(made, node.outputs, strict=True):
        if y.data_type == output.data_type:
            outputs.append(y)
        elif not _takes(target, output.data_type, "output"):
            return None
        else:
            rounds = node.op == "resample2d" and y.data_type.startswith("float") and "int" in output.data_type
            outputs.append(b.cast(b.round_even(y) if rounds else y, output.data_type))
    return outputs


def _converted(b: Replacement, operand: MLOperand, data_type: DataType) -> MLOperand:
    """The operand in another data type; a constant is converted here."""
    if operand.constant is not None:
        return b.constant(np.asarray(operand.constant).astype(numpy_dtype(data_type)))
    return b.cast(operand, data_type)


def _with_other_index_type(
    b: Replacement, node: Node, data_type: DataType, target: Target
) -> tuple[list[MLOperand], str] | None:
    for instead in _INSTEAD[data_type]:
        if instead in target.limits[node.op]["output"].allowed and _takes(target, data_type, "output"):
            return [b.cast(again(b, node, output_data_type=instead)[0], data_type)], f"computed as {instead}"
    return None


def _clamped(b: Replacement, node: Node) -> list[MLOperand]:
    """Integers between two bounds, which `max` and `min` keep as they are."""
    x, bounds = node["input"], np.iinfo(numpy_dtype(node["input"].data_type))
    low, high = node.attributes["min_value"], node.attributes["max_value"]
    if low > bounds.min:
        x = b.max(x, b.constant(x.data_type, min(int(low), int(bounds.max))))
    if high < bounds.max:
        x = b.min(x, b.constant(x.data_type, max(int(high), int(bounds.min))))
    return [x if x is not node["input"] else b.identity(x)]


_OTHERWISE: Final[Mapping[str, tuple[str, Callable[[Replacement, Node], Sequence[MLOperand] | None]]]] = {
    "clamp": ("computed with max and min", _clamped),
    "prelu": ("computed with max and min", DECOMPOSITIONS["prelu"]),
    "max_pool2d": ("computed from slices of the padded input", combined),
    "quantize_linear": ("divided, rounded to even, clamped and cast", quantized),
    "dequantize_linear": ("multiplied by the scale", scaled),
}
"""Operators on integers for which there is a better way than floats: what was done, and how."""
