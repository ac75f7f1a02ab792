"""`op_support_limits()`: the limits table in the specification's form.

Spec: https://www.w3.org/TR/webnn/#api-mlcontext-opsupportlimits
"""

from __future__ import annotations

from typing import Any, TypeAlias

from webnn.graph.descriptor import MAX_BYTE_LENGTH, MAX_RANK
from webnn.graph.dtypes import ALL
from webnn.graph.limits import Limits, LimitsTable
from webnn.graph.naming import camel

__all__ = ["OpSupportLimits", "op_support_limits"]

OpSupportLimits: TypeAlias = dict[str, Any]
"""`MLOpSupportLimits`: operator or member name to what is supported."""


def _tensor_limits(row: Limits) -> dict[str, Any]:
    low, high = row.ranks
    return {"dataTypes": list(row.allowed), "rankRange": {"min": low, "max": high}}


def op_support_limits(table: LimitsTable, preferred_input_layout: str) -> OpSupportLimits:
    """`table` as the specification's `MLOpSupportLimits` dictionary, camelCase keys included."""
    anything = Limits(ALL, rank=(0, MAX_RANK))
    result: OpSupportLimits = {
        "preferredInputLayout": preferred_input_layout,
        "maxTensorByteLength": MAX_BYTE_LENGTH,
        "input": _tensor_limits(anything),
        "constant": _tensor_limits(Limits(ALL, rank=(0, MAX_RANK), ours=("int4", "uint4"))),
        "output": _tensor_limits(anything),
    }
    for op, rows in table.items():
        result[camel(op)] = {camel(operand): _tensor_limits(row) for operand, row in rows.items()}
    return result
