"""The data types and ranks that Core ML lacks, as its `op_support_limits()` says them.

- uint32 and uint64 have no place in its operations.
- int64 is held in 32 bits. So it is refused where results may outgrow the operands, and where floats are cast to it.
- Tensors have up to 5 dimensions.
- 32-bit integers are not quantized to: no type holds the sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from webnn.backends.coreml.program import MAX_RANK, OUTGROWING
from webnn.graph.dtypes import DataType
from webnn.graph.limits import ALGORITHM_GAPS, Limits, LimitsTable, narrowed

__all__ = ["ABSENT", "coreml_limits"]

ABSENT: Final[tuple[DataType, ...]] = ("uint32", "uint64")
"""In no operator."""
_MORE: Final[dict[tuple[str, str], tuple[DataType, ...]]] = {
    ("cast", "output"): ("int64",),
    ("quantize_linear", "zero_point"): ("int32",),
    ("quantize_linear", "output"): ("int32",),
}


def coreml_limits() -> LimitsTable:
    """The specification's table without what is missing."""
    table = narrowed(ALGORITHM_GAPS)
    return {op: {name: _row(op, name, row) for name, row in rows.items()} for op, rows in table.items()}


def _row(op: str, name: str, row: Limits) -> Limits:
    missing: Sequence[DataType] = (
        *ABSENT,
        *(("int64",) if op in OUTGROWING else ()),
        *_MORE.get((op, name), ()),
    )
    low, high = row.ranks
    return replace(
        row,
        types=tuple(data_type for data_type in row.types if data_type not in missing),
        rank=(low, min(high, MAX_RANK)),
    )
