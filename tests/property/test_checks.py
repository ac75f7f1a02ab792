"""The checks of the property tests can fail."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from tests.property.calls import VALID
from tests.property.mutations import IDL_TYPES
from tests.property.tolerances import EXACT, TOLERANCES, Tolerance, difference
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.arrays.kernels import kernels
from webnn.graph.operator import OPERATORS, operator_signature

LOOSE = Tolerance(2, "for this test", integers=1)


def test_every_operator_is_drawn() -> None:
    assert set(VALID) == set(OPERATORS) == set(IDL_TYPES)
    assert set(TOLERANCES) < set(OPERATORS)


def test_every_parameter_has_a_type_to_be_wrong_about() -> None:
    for op in OPERATORS:
        assert set(operator_signature(op).parameters) - {"self"} == set(IDL_TYPES[op])


@pytest.mark.parametrize(
    ("actual", "expected", "dtype", "tolerance"),
    [
        ([1.0, math.nan, math.inf, -0.0], [1.0, math.nan, math.inf, 0.0], "float32", EXACT),
        ([1.0], [1.0 + 2**-22], "float32", LOOSE),
        ([1.0], [1.0 + 2**-10], "float16", LOOSE),
        ([0.0], [2**-22], "float32", Tolerance(2, "", floor=1.0)),
        ([3], [4], "uint64", LOOSE),
        ([-(2**63)], [-(2**63)], "int64", EXACT),
    ],
)
def test_what_is_near_enough_is_accepted(actual: Any, expected: Any, dtype: str, tolerance: Tolerance) -> None:
    assert difference(np.array(actual, dtype), np.array(expected, dtype), tolerance) is None


@pytest.mark.parametrize(
    ("actual", "expected", "dtype", "tolerance", "message"),
    [
        ([1.0], [math.nan], "float32", LOOSE, "1 of 1 differ by more than 2 ULP, at worst nan"),
        ([math.inf], [3e38], "float32", LOOSE, "differ by more than 2 ULP"),
        ([1.0], [1.0 + 2**-21], "float32", LOOSE, r"at worst 4.0; at \(0,\): np.float32\(1.0\) and"),
        ([1.0], [1.0 + 2**-9], "float16", LOOSE, "differ by more than 1 ULP, at worst 2.0"),
        ([0.0], [2**-22], "float32", LOOSE, "ULP"),
        ([3], [5], "uint64", LOOSE, "differ by more than 1 units, at worst 2.0"),
        ([-(2**63)], [2**63 - 1], "int64", LOOSE, "at worst 18446744073709551616.0"),
    ],
)
def test_what_is_too_far_is_told(actual: Any, expected: Any, dtype: str, tolerance: Tolerance, message: str) -> None:
    found = difference(np.array(actual, dtype), np.array(expected, dtype), tolerance)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found)


def test_another_type_or_shape_is_told() -> None:
    found = difference(np.ones(2, np.float32), np.ones((2, 1), np.int8), LOOSE)
    assert found == "float32 (2,) and int8 (2, 1)"


def test_a_wrong_kernel_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = direct_builder()
    graph = builder.build({"y": builder.neg(builder.input("x", [2], "float32"))})
    right = run_graph(graph, {"x": [1, 2]}, ArraysBackend())["y"]
    monkeypatch.setitem(kernels._table, "neg", lambda xp, node, operands: operands["input"] * xp.float32(-1.0000001))
    assert difference(run_graph(graph, {"x": [1, 2]}, ArraysBackend())["y"], right, EXACT) is not None
