"""The tensor limits: the data types and ranks that are allowed for each operand of each operator.

The rows of an operator are given above its method (see `webnn.graph.operator`). They validate operands, answer
`op_support_limits()`, fill the support table of the documentation, and are compared with the specification's tables.
A backend narrows them with `narrowed`. Only the 4-bit types go beyond the specification.
Spec: https://www.w3.org/TR/webnn/#api-mlcontext-opsupportlimits
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Final, TypeAlias

from webnn.graph.dtypes import ALL, FLOATS, DataType
from webnn.graph.quick_dataclass import dataclass

__all__ = ["SPEC_LIMITS", "Limits", "LimitsTable", "N", "Rank", "narrowed"]

N: Final = 8
"""The largest rank (`descriptor.MAX_RANK`), spelled as the specification's tables spell it."""

Rank: TypeAlias = tuple[int, int]

_REQUIRED: Final[tuple[DataType, ...]] = (*FLOATS, "int32")


@dataclass(frozen=True, slots=True)
class Limits:
    """One row of a "tensor limits" table.

    Args:
        types: the allowed data types. With `same_as` the default is those of the other operand.
        rank: the only allowed rank, or the smallest and the largest. Default: 0 to N.
        same_as: the operand whose data type this one must share.
        required: the types that every implementation must support. Default: those of float32, float16 and int32 that
            are allowed; if none of them is, all allowed types.
        required_rank: the ranks that every implementation must support. Default: `rank`, up to 5.
        ours: types that this package allows beyond the specification.
    """

    types: tuple[DataType, ...] = ()
    rank: int | Rank = (0, N)
    same_as: str | None = None
    required: tuple[DataType, ...] = ()
    required_rank: int | Rank | None = None
    ours: tuple[DataType, ...] = ()

    ranks: Rank = field(init=False, repr=False, compare=False)
    """The smallest and the largest allowed rank."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranks", (self.rank, self.rank) if isinstance(self.rank, int) else self.rank)

    @property
    def required_ranks(self) -> Rank:
        """Smallest and largest rank that every implementation must support."""
        if self.required_rank is None:
            low, high = self.ranks
            return low, min(high, 5)
        return (self.required_rank, self.required_rank) if isinstance(self.required_rank, int) else self.required_rank

    @property
    def allowed(self) -> tuple[DataType, ...]:
        """The allowed types, ours included."""
        return self.types + self.ours

    def resolved(self, rows: Mapping[str, "Limits"]) -> "Limits":
        """The row with the types that `same_as` refers to, and with `required` filled in."""
        types, ours = self.types, self.ours
        if self.same_as is not None and not types:
            other = rows[self.same_as].resolved(rows)
            types, ours = other.types, ours or other.ours
        required = self.required or tuple(t for t in types if t in _REQUIRED) or types
        return Limits(types, self.rank, self.same_as, required, self.required_rank, ours)


LimitsTable: TypeAlias = Mapping[str, Mapping[str, Limits]]
"""Operator (method name) -> operand (parameter name, or `output`, `output0`, `outputs`) -> its row."""

SPEC_LIMITS: Final[dict[str, dict[str, Limits]]] = {}
"""The specification's limits. The `operator` decorator fills the table when the families are imported."""


_NO_FLOATS: Final = tuple(t for t in ALL if t not in FLOATS)
ALGORITHM_GAPS: Final[dict[str, dict[str, Sequence[DataType]]]] = {
    "is_nan": {"a": _NO_FLOATS},
    "is_infinite": {"a": _NO_FLOATS},
}
"""Data types that the specification's tables allow but its algorithms reject. No backend supports them."""


def narrowed(
    gaps: Mapping[str, Mapping[str, Sequence[DataType] | Limits]], table: LimitsTable = SPEC_LIMITS
) -> LimitsTable:
    """`table` without the data types and ranks that a backend does not support.

    `gaps` maps an operator and an operand to the unsupported data types, or to a row that replaces the table's. All
    other rows are unchanged.
    """
    result = {op: dict(rows) for op, rows in table.items()}
    for op, operands in gaps.items():
        for operand, gap in operands.items():
            row = result[op][operand]
            if isinstance(gap, Limits):
                result[op][operand] = gap
            else:
                result[op][operand] = replace(
                    row,
                    types=tuple(t for t in row.types if t not in gap),
                    ours=tuple(t for t in row.ours if t not in gap),
                )
    return result
