from __future__ import annotations

import pytest

from webnn.graph import builder
from webnn.graph.dtypes import ALL, FLOATS
from webnn.graph.limits import SPEC_LIMITS, Limits, N, narrowed
from webnn.graph.operator import OPERATORS

assert builder  # imports every family, so that the tables are whole


def test_a_rank_is_one_number_or_a_range() -> None:
    assert Limits(ALL).ranks == (0, N)
    assert Limits(ALL, rank=2).ranks == (2, 2)
    assert Limits(ALL, rank=(1, 4)).ranks == (1, 4)


def test_ranks_up_to_five_are_required_by_default() -> None:
    assert Limits(ALL).required_ranks == (0, 5)
    assert Limits(ALL, rank=(2, N)).required_ranks == (2, 5)
    assert Limits(ALL, rank=4).required_ranks == (4, 4)
    assert Limits(ALL, required_rank=(3, 5)).required_ranks == (3, 5)
    assert Limits(ALL, required_rank=1).required_ranks == (1, 1)


def test_a_row_takes_the_types_of_another_operand() -> None:
    rows = {"a": Limits(FLOATS, ours=("int4",)), "b": Limits(same_as="a"), "c": Limits(same_as="b", rank=1)}
    resolved = rows["c"].resolved(rows)
    assert resolved.types == FLOATS
    assert resolved.ours == ("int4",)
    assert resolved.allowed == (*FLOATS, "int4")
    assert resolved.ranks == (1, 1)


def test_the_common_types_are_required_or_else_all() -> None:
    assert Limits(ALL).resolved({}).required == ("float32", "float16", "int32")
    assert Limits(("uint8",)).resolved({}).required == ("uint8",)
    assert Limits(ALL, required=("int64",)).resolved({}).required == ("int64",)


def test_every_operator_has_limits_for_its_operands_and_outputs() -> None:
    assert set(SPEC_LIMITS) == set(OPERATORS)
    for op, rows in SPEC_LIMITS.items():
        assert any(name.startswith("output") for name in rows), op
        assert all(row.types and row.required for row in rows.values()), op


def test_a_backend_can_only_narrow_the_limits() -> None:
    table = {"abs": {"input": Limits(("float32", "int8"), ours=("int4",)), "output": Limits(("float32",))}}
    less = narrowed({"abs": {"input": ["int8", "int4", "uint64"]}}, table)
    assert less["abs"]["input"].allowed == ("float32",)
    assert less["abs"]["output"] is table["abs"]["output"]
    assert table["abs"]["input"].allowed == ("float32", "int8", "int4")


def test_a_backend_can_replace_a_row() -> None:
    table = {"abs": {"input": Limits(("float32",))}}
    row = Limits(("float32",), rank=(0, 4))
    assert narrowed({"abs": {"input": row}}, table)["abs"]["input"] is row


def test_a_gap_in_an_operator_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError, match="absolute"):
        narrowed({"absolute": {"input": ["int8"]}})
