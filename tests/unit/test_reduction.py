"""Reductions: shapes, exact integers, NaN and the infinities."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.direct import compute, direct_builder
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.errors import ValidationError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.dtypes import ALL, FLOATS, DataType
from webnn.graph.limits import SPEC_LIMITS
from webnn.graph.operand import MLOperand

Array = np.ndarray[Any, Any]
Builder = MLGraphBuilder[Any]

SHAPE = (2, 3, 1, 5, 2, 1, 2, 3)
"""A shape of each rank is the first dimensions of this one."""
INF, NAN = np.inf, np.nan

FLOAT: dict[str, Callable[..., Any]] = {
    "reduce_l1": lambda x, **k: np.sum(np.abs(x), **k),
    "reduce_l2": lambda x, **k: np.sqrt(np.sum(x**2, **k)),
    "reduce_log_sum": lambda x, **k: np.log(np.sum(x, **k)),
    "reduce_log_sum_exp": lambda x, **k: np.log(np.sum(np.exp(x), **k)),
    "reduce_max": np.max,
    "reduce_mean": np.mean,
    "reduce_min": np.min,
    "reduce_product": np.prod,
    "reduce_sum": np.sum,
    "reduce_sum_square": lambda x, **k: np.sum(x**2, **k),
}
PYTHON: dict[str, Callable[[list[int]], int]] = {
    "reduce_l1": lambda row: sum(map(abs, row)),
    "reduce_max": max,
    "reduce_min": min,
    "reduce_product": lambda row: int(np.prod(np.array(row, object))),
    "reduce_sum": sum,
    "reduce_sum_square": lambda row: sum(value * value for value in row),
}
"""The results for a row, computed with Python's unlimited integers."""


def positive(shape: tuple[int, ...], data_type: str) -> Array:
    return np.asarray(np.random.default_rng(1).uniform(0.5, 1.5, shape)).astype(data_type)


def extreme(shape: tuple[int, ...], data_type: str) -> Array:
    """Integers of the whole range, including its ends."""
    info = np.iinfo(data_type)
    values = np.random.default_rng(1).integers(info.min, info.max, shape, dtype=data_type, endpoint=True)
    values.flat[0], values.flat[-1] = info.min, info.max
    return values


def wrapped(value: int, data_type: str) -> int:
    info = np.iinfo(data_type)
    return (value - info.min) % (info.max - info.min + 1) + info.min


@pytest.mark.parametrize("rank", [0, 1, 2, 4, 8])
@pytest.mark.parametrize("data_type", FLOATS)
@pytest.mark.parametrize("op", FLOAT)
def test_floats_are_reduced_along_the_axes(backend: Backend, op: str, data_type: str, rank: int) -> None:
    x = positive(SHAPE[:rank], data_type)
    choices: list[list[int] | None] = [None, [], *([[rank - 1], [0, rank // 2][: 1 + (rank > 1)]] if rank else [])]
    for axes, keep in itertools.product(choices, [False, True]):
        result = compute(
            backend,
            lambda b, x: getattr(b, op)(x, axes=axes, keep_dimensions=keep),  # noqa: B023 (called in this round)
            x,
        )
        axis = None if axes is None else tuple(axes)
        expected = np.asarray(FLOAT[op](x.astype(np.float64), axis=axis, keepdims=keep)).astype(data_type)
        assert (result.shape, result.dtype) == (expected.shape, data_type)
        np.testing.assert_allclose(result, expected, rtol=1e-5 if data_type == "float32" else 2e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("op", "data_type"),
    [(op, t) for op in PYTHON for t in ALL if t not in FLOATS and t in SPEC_LIMITS[op]["input"].types],
)
def test_integers_are_exact_and_wrap_around(backend: Backend, op: str, data_type: DataType) -> None:
    for shape, axes, keep in (
        ((7,), [0], False),
        ((3, 5), [1], True),
        ((3, 5), [0], False),
        ((2, 3, 4), [2, 0], False),
        ((2, 3, 4), [], False),
        ((), [], False),
        ((2, 1, 3, 1, 2, 1, 1, 2), [2, 7, 0], True),
    ):
        x = extreme(shape, data_type)
        result = compute(
            backend,
            lambda b, x: getattr(b, op)(x, axes=axes, keep_dimensions=keep),  # noqa: B023
            x,
        )
        kept = [axis for axis in range(len(shape)) if axis not in axes]
        rows = x.transpose([*kept, *sorted(axes)]).reshape([*(shape[axis] for axis in kept), -1])
        expected = [wrapped(PYTHON[op](rows[index].tolist()), data_type) for index in np.ndindex(rows.shape[:-1])]
        assert result.flatten().tolist() == expected
        assert result.shape == tuple(1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes)
        assert result.dtype == data_type


def test_long_rows_of_integers_stay_exact(backend: Backend) -> None:
    x = np.full((2, 1001), 3, np.int64)
    x[0] = 2**53 + 1
    assert compute(backend, lambda b, x: b.reduce_sum(x, axes=[1]), x).tolist() == [1001 * (2**53 + 1), 3003]
    assert compute(backend, lambda b, x: b.reduce_product(x, axes=[1]), x).tolist() == [
        wrapped((2**53 + 1) ** 1001, "int64"),
        wrapped(3**1001, "int64"),
    ]


@pytest.mark.parametrize("data_type", FLOATS)
@pytest.mark.parametrize("axes", [[0], [1], [0, 1]], ids=str)
def test_a_nan_is_the_largest_and_the_smallest(backend: Backend, data_type: str, axes: list[int]) -> None:
    for place in np.ndindex(2, 3):
        x = np.array([[1, -INF, 3], [INF, 2, 2]], data_type)
        x[place] = NAN
        for op in ("reduce_max", "reduce_min"):
            result = compute(backend, lambda b, x: getattr(b, op)(x, axes=axes), x)  # noqa: B023
            np.testing.assert_array_equal(result, FLOAT[op](x, axis=tuple(axes)))


@pytest.mark.parametrize("data_type", FLOATS)
@pytest.mark.parametrize("op", ["relu", "gelu", "abs"])
def test_a_nan_behind_an_activation_is_the_largest_and_infinities_are_none(
    backend: Backend, data_type: str, op: str
) -> None:
    def largest(b: MLGraphBuilder[Any], x: MLOperand) -> MLOperand:
        return b.reduce_max(b.reshape(getattr(b, op)(x), [2, 3]), axes=[1])

    x = np.array([NAN, -1, INF, 3, INF, 2], data_type)
    np.testing.assert_array_equal(compute(backend, largest, x), np.array([NAN, INF], data_type))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1000, 1000], 1000 + np.log(2)),
        ([-1000, -1000], -1000 + np.log(2)),
        ([INF, 1], INF),
        ([INF, INF], INF),
        ([INF, -INF], INF),
        ([-INF, -INF], -INF),
        ([-INF, 1], 1),
        ([NAN, INF], NAN),
    ],
)
@pytest.mark.parametrize("data_type", FLOATS)
def test_log_sum_exp_does_not_overflow(backend: Backend, data_type: str, values: list[float], expected: float) -> None:
    result = compute(backend, lambda b, x: b.reduce_log_sum_exp(x), np.array(values, data_type))
    np.testing.assert_allclose(result, np.array(expected, data_type), rtol=1e-3 if data_type == "float16" else 1e-6)


@pytest.mark.parametrize("data_type", ALL)
def test_arg_min_and_arg_max_give_the_first_place(backend: Backend, data_type: DataType) -> None:
    if data_type in FLOATS:
        x = np.array([[2, -INF, INF, -INF, INF], [1, 1, 1, 1, 1], [-0.5, 3, 0, -1, 2]], data_type)
    else:
        low, high = np.iinfo(data_type).min, np.iinfo(data_type).max
        x = np.array([[high - 1, low, high, low, high], [1, 1, 1, 1, 1], [low + 1, 3, high // 2, low, 2]], data_type)
    for axis, keep, output in itertools.product([0, 1], [False, True], ["int32", "int64"]):
        for op, reference in (("arg_min", np.argmin), ("arg_max", np.argmax)):
            result = compute(
                backend,
                lambda b, x: getattr(b, op)(x, axis, keep_dimensions=keep, output_data_type=output),  # noqa: B023
                x,
            )
            assert result.dtype == output
            np.testing.assert_array_equal(result, reference(x, axis=axis, keepdims=keep))


@pytest.mark.parametrize(
    ("data_type", "large"), [("int32", 2**24), ("uint32", 2**31), ("int64", 2**53), ("uint64", 2**63)]
)
def test_arg_max_tells_large_integers_apart(backend: Backend, data_type: str, large: int) -> None:
    x = np.array([large - 1, large, large + 1, large], data_type)
    assert compute(backend, lambda b, x: b.arg_max(x, 0), x).tolist() == 2


@pytest.mark.parametrize(
    ("rank", "axis"), [(rank, axis) for rank in (1, 2, 4, 8) for axis in sorted({0, rank // 2, rank - 1})]
)
def test_arg_min_works_in_every_rank(backend: Backend, rank: int, axis: int) -> None:
    x = np.random.default_rng(rank).permutation(int(np.prod(SHAPE[:rank]))).reshape(SHAPE[:rank]).astype(np.float32)
    np.testing.assert_array_equal(compute(backend, lambda b, x: b.arg_min(x, axis), x), np.argmin(x, axis=axis))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 3, 6, 10]),
        ({"exclusive": True}, [0, 1, 3, 6]),
        ({"reversed": True}, [10, 9, 7, 4]),
        ({"exclusive": True, "reversed": True}, [9, 7, 4, 0]),
    ],
    ids=str,
)
@pytest.mark.parametrize("data_type", SPEC_LIMITS["cumulative_sum"]["input"].types)
def test_cumulative_sum_runs_along_its_axis(
    backend: Backend, data_type: DataType, options: dict[str, bool], expected: list[int]
) -> None:
    row = np.array([1, 2, 3, 4], data_type)
    for x, axis in ((row, 0), (np.stack([row, row]), 1), (np.stack([row, row], axis=1), 0)):
        result = compute(backend, lambda b, x: b.cumulative_sum(x, axis, **options), x)  # noqa: B023
        assert (result.dtype, result.shape) == (x.dtype, x.shape)
        np.testing.assert_array_equal(np.moveaxis(result, axis, -1).reshape(-1, 4)[0], expected)


@pytest.mark.parametrize("data_type", ["int32", "uint32", "int64", "uint64"])
def test_cumulative_sum_wraps_around(backend: Backend, data_type: str) -> None:
    high = int(np.iinfo(data_type).max)
    x = np.array([high, high, 5], data_type).reshape(1, 1, 1, 1, 1, 1, 3, 1)
    result = compute(backend, lambda b, x: b.cumulative_sum(x, 6), x)
    assert result.flatten().tolist() == [high, wrapped(2 * high, data_type), wrapped(2 * high + 5, data_type)]


def test_integers_are_summed_without_transpositions() -> None:
    builder = direct_builder()
    x = builder.input("x", [3, 4, 5, 60], "int64")
    sums = {str(axes): builder.reduce_sum(x, axes=axes) for axes in ([0], [1], [3], [1, 2], [0, 2], [3, 1])}
    nodes = [node.op_type for node in lower(builder.build(sums)).finish().graph.node]
    assert "Transpose" not in nodes
    assert nodes.count("MatMul") == 8


@pytest.mark.parametrize(("data_type", "most"), [("int32", 24), ("int64", 8)])
def test_short_rows_of_integers_are_transposed_first(data_type: DataType, most: int) -> None:
    """The sums of 8192 rows of 3 took 5.8 times as long as `ReduceSum` in int32, and 1.1 times since."""
    for length in (most, most + 1):
        builder = direct_builder()
        total = builder.reduce_sum(builder.input("x", [9, length], data_type), axes=[1])
        nodes = [node.op_type for node in lower(builder.build({"y": total})).finish().graph.node]
        assert ("Transpose" in nodes) == (length == most)


def test_reductions_of_floats_are_one_onnx_node() -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 3], "float32")
    outputs = {op: getattr(builder, op)(x) for op in FLOAT if op not in ("reduce_max", "reduce_min")}
    outputs |= {"arg": builder.arg_max(x, 1, output_data_type="int64"), "sum": builder.cumulative_sum(x, 1)}
    nodes = lower(builder.build(outputs)).finish().graph.node
    assert [node.op_type for node in nodes if node.op_type != "Identity"] == [
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMean",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "ArgMax",
        "CumSum",
    ]


@pytest.mark.parametrize("op", FLOAT)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axes": [2]}, r"axes \[2\]: 2 is out of range for shape \[2, 3\] of rank 2"),
        ({"axes": [0, 1, 0]}, r"axes \[0, 1, 0\] has 0 twice"),
        ({"axes": [-1]}, r"axes \[-1\]: -1 is out of range for shape \[2, 3\] of rank 2"),
        ({"axes": [0.5]}, r"axes\[0\] must be an integer, got 0.5"),
        ({"axes": 0}, "axes must be a sequence of integers, got 0"),
        ({"axes": "01"}, "axes must be a sequence of integers, got '01'"),
        ({"keep_dimensions": 1}, "keep_dimensions must be True or False, got 1"),
        ({"axes": [9], "label": "pool"}, r"^\[pool\] reduce_.*: axes \[9\]"),
    ],
    ids=str,
)
def test_reductions_refuse_axes_out_of_range_and_duplicates(op: str, options: dict[str, Any], message: str) -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 3], "float32")
    with pytest.raises(ValidationError, match=message):
        getattr(builder, op)(x, **options)


@pytest.mark.parametrize(
    ("op", "data_type"),
    [(op, t) for op in [*FLOAT, "cumulative_sum"] for t in ALL if t not in SPEC_LIMITS[op]["input"].types],
)
def test_reductions_refuse_other_data_types(op: str, data_type: DataType) -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 3], data_type)
    with pytest.raises(ValidationError, match=f"{op}: input is {data_type}, but must be float32 or float16"):
        getattr(builder, op)(x, *([0] if op == "cumulative_sum" else []))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b, x: b.arg_min(x(2, 3), 2), r"arg_min: axis 2 is out of range for shape \[2, 3\] of rank 2"),
        (lambda b, x: b.arg_max(x(2, 3), 2**32), r"arg_max: axis 4294967296 is out of range for shape \[2, 3\]"),
        (lambda b, x: b.arg_max(x(), 0), r"input \[\] has rank 0, but must have rank 1 to 8"),
        (lambda b, x: b.arg_max(x(2), None), "axis must be an integer, got None"),
        (lambda b, x: b.arg_min(x(2), 0, keep_dimensions="yes"), "keep_dimensions must be True or False, got 'yes'"),
        (
            lambda b, x: b.arg_min(x(2), 0, output_data_type="uint32"),
            "output_data_type must be one of 'int32', 'int64', got 'uint32'",
        ),
        (lambda b, x: b.cumulative_sum(x(2, 3), 2), r"axis 2 is out of range for shape \[2, 3\]"),
        (lambda b, x: b.cumulative_sum(x(), 0), r"input \[\] has rank 0, but must have rank 1 to 8"),
        (lambda b, x: b.cumulative_sum(x(2), 0, exclusive=0), "exclusive must be True or False, got 0"),
        (lambda b, x: b.cumulative_sum(x(2), 0, reversed=None), "reversed must be True or False, got None"),
    ],
)
def test_invalid_arguments_are_refused(
    call: Callable[[Builder, Callable[..., MLOperand]], MLOperand], message: str
) -> None:
    builder = direct_builder()
    with pytest.raises(ValidationError, match=message):
        call(builder, lambda *shape: builder.input("x", shape, "float32"))
