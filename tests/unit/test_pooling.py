"""Pooling: against loops over every window, and every error message."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.direct import compute, direct_builder
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.errors import NotSupportedError, ValidationError
from webnn.graph.dtypes import ALL

Array = np.ndarray[Any, Any]
Options = dict[str, Any]
POOLS = ("average_pool2d", "l2_pool2d", "max_pool2d")
CASES = [(op, data_type) for op in POOLS for data_type in (ALL if op == "max_pool2d" else ("float32", "float16"))]


def values(rng: np.random.Generator, shape: Sequence[int], data_type: str) -> Array:
    if data_type.startswith("float"):
        return rng.standard_normal(shape).astype(data_type)
    info = np.iinfo(data_type)
    return rng.integers(info.min, info.max, shape, dtype=data_type, endpoint=True)


def lowest(data_type: str) -> Any:
    return -np.inf if data_type.startswith("float") else np.iinfo(data_type).min


def pooled(op: str, x: Array, options: Options, sizes: Sequence[int]) -> Array:
    """The definition, in "nchw" and with Python's numbers."""
    y = np.empty((*x.shape[:2], *sizes), object)
    for row, column in np.ndindex(*sizes):
        window = [
            x[:, :, i, j].astype(object)
            for top, left in np.ndindex(*options["window_dimensions"])
            for i in [row * options["strides"][0] + top * options["dilations"][0] - options["padding"][0]]
            for j in [column * options["strides"][1] + left * options["dilations"][1] - options["padding"][2]]
            if 0 <= i < x.shape[2] and 0 <= j < x.shape[3]
        ]
        if op == "max_pool2d":
            y[:, :, row, column] = np.max(window, axis=0) if window else lowest(x.dtype.name)
        elif op == "average_pool2d":
            y[:, :, row, column] = sum(window) / max(1, len(window))
        else:
            y[:, :, row, column] = sum(value * value for value in window) ** 0.5
    return y


@pytest.mark.parametrize(("op", "data_type"), CASES)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_pools_take_every_window(backend: Backend, op: str, data_type: str, layout: str) -> None:
    draw = random.Random(f"{op} {data_type} {layout}")
    rng = np.random.default_rng(draw.randrange(1000))
    there, back = ((0, 2, 3, 1), (0, 3, 1, 2)) if layout == "nhwc" else ((0, 1, 2, 3), (0, 1, 2, 3))
    for round in range(8):
        x = values(rng, (draw.randint(1, 2), draw.randint(1, 3), draw.randint(5, 7), draw.randint(7, 8)), data_type)
        options: Options = {
            "window_dimensions": [draw.randint(1, 3), draw.randint(1, 4)],
            "padding": [draw.choice([0, 1, 2, 5]) for _ in range(4)],
            "strides": [draw.choice([1, 2, 3]) for _ in range(2)],
            "dilations": [draw.choice([1, 1, 2]) for _ in range(2)],
        }
        rounding = ("floor", "ceil")[round % 2]

        def build(b: Any, x: Any) -> Any:
            call = getattr(b, op)
            return call(x, layout=layout, output_shape_rounding=rounding, **options)  # noqa: B023 (called in this round)

        result = compute(backend, build, x.transpose(there))
        assert result.dtype == x.dtype
        result = result.transpose(back)
        expected = pooled(op, x, options, result.shape[2:])
        if op == "max_pool2d":
            np.testing.assert_array_equal(result.astype(object), expected, str(options))
        else:
            tolerance = 1e-5 if data_type == "float32" else 3e-3
            np.testing.assert_allclose(
                result, expected.astype(np.float64), rtol=tolerance, atol=tolerance, err_msg=str(options)
            )


@pytest.mark.parametrize(("op", "expected"), [("average_pool2d", 2.5), ("l2_pool2d", 30**0.5), ("max_pool2d", 4.0)])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_the_window_is_the_input_unless_given(backend: Backend, op: str, expected: float, layout: str) -> None:
    x = np.array([[1, 2], [3, 4]], np.float32).reshape((1, 1, 2, 2) if layout == "nchw" else (1, 2, 2, 1))
    result = compute(backend, lambda b, x: getattr(b, op)(x, layout=layout), x)
    assert result.shape == (1, 1, 1, 1)
    assert result.item() == pytest.approx(expected)


def test_padding_does_not_count_for_the_average(backend: Backend) -> None:
    x = np.full((1, 1, 2, 2), 6, np.float32)
    options: Options = {"window_dimensions": [3, 3], "padding": [1, 1, 1, 1]}
    result = compute(backend, lambda b, x: b.average_pool2d(x, **options), x)
    np.testing.assert_array_equal(result, x)


@pytest.mark.parametrize(("op", "data_type"), CASES)
def test_windows_of_only_padding_have_a_value(backend: Backend, op: str, data_type: str) -> None:
    x = np.full((1, 1, 1, 1), 3, data_type)
    nothing = lowest(data_type) if op == "max_pool2d" else 0
    for options in (
        {"window_dimensions": [1, 1], "padding": [2, 1, 0, 0]},
        {"window_dimensions": [2, 1], "padding": [3, 3, 0, 0], "dilations": [2, 1], "strides": [1, 1]},
        {"window_dimensions": [1, 1], "padding": [2, 0, 0, 0], "strides": [3, 1]},
    ):
        result = compute(backend, lambda b, x, o=options: getattr(b, op)(x, **o), x)
        column = [3 if place == 0 else nothing for place in range(-2, 2)]
        if options["window_dimensions"] == [2, 1]:
            column = [nothing, 3, nothing, 3, nothing]
        if options.get("strides") == [3, 1]:
            column = [nothing]
        np.testing.assert_array_equal(result.ravel(), np.array(column).astype(data_type), str(options))


@pytest.mark.parametrize("op", POOLS)
def test_huge_windows_and_strides_take_no_memory(backend: Backend, op: str) -> None:
    x = np.array([[3, 4]], np.float32).reshape(1, 1, 2, 1)
    huge = 2**32 - 1
    empty = -np.inf if op == "max_pool2d" else 0
    whole = {"average_pool2d": 3.5, "l2_pool2d": 5, "max_pool2d": 4}[op]
    results = [
        compute(backend, lambda b, x, o=options: getattr(b, op)(x, **o), x).ravel().tolist()
        for options in (
            {"window_dimensions": [1, 1], "strides": [huge, 1], "output_shape_rounding": "ceil"},
            {"window_dimensions": [huge, 1], "padding": [huge, 0, 0, 0]},
            {"window_dimensions": [2, 1], "padding": [huge, 0, 0, 0], "dilations": [huge, 1]},
        )
    ]
    assert results == [[3, empty], [empty, 3, whole], [3, 4]]


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (3, 3)),
        ({"output_shape_rounding": "ceil"}, (4, 4)),
        ({"output_sizes": [3, 3], "output_shape_rounding": "ceil"}, (3, 3)),
        ({"output_sizes": [4, 4]}, (4, 4)),
    ],
)
@pytest.mark.parametrize("op", POOLS)
def test_output_sizes_replace_the_rounding(op: str, options: Options, shape: tuple[int, int]) -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 3, 7, 7], "float32")
    common: Options = {"window_dimensions": [4, 4], "padding": [1, 1, 1, 1], "strides": [2, 2]}
    node = getattr(builder, op)(x, **common, **options).node
    assert node.output.shape == (1, 3, *shape)
    assert dict(node.attributes) == {
        "window_dimensions": (4, 4),
        "padding": (1, 1, 1, 1),
        "strides": (2, 2),
        "dilations": (1, 1),
        "layout": "nchw",
        "output_shape_rounding": options.get("output_shape_rounding", "floor"),
        "output_sizes": shape,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_dimensions": [3]}, r"window_dimensions must have 2 items, got \[3\]"),
        ({"window_dimensions": [0, 2]}, r"window_dimensions must be at least 1, got \[0, 2\]"),
        ({"window_dimensions": [6, 2]}, r"output height would be 0, .* input \[5, 7\] .* window \[6, 2\]"),
        ({"window_dimensions": [2, 9]}, r"output width would be -1, .* input \[5, 7\] .* window \[2, 9\]"),
        ({"padding": [2, 2]}, r"padding must have 4 items, got \[2, 2\]"),
        ({"padding": [2**32 - 1, 2**32 - 1, 0, 0]}, "output height would be 8589934591, but must be 1 to 2147483647"),
        ({"strides": [2]}, r"strides must have 2 items, got \[2\]"),
        ({"strides": [0, 2]}, r"strides must be at least 1, got \[0, 2\]"),
        ({"dilations": [1, 1, 2]}, r"dilations must have 2 items, got \[1, 1, 2\]"),
        ({"dilations": [1, 0]}, r"dilations must be at least 1, got \[1, 0\]"),
        ({"layout": "oihw"}, "layout must be one of 'nchw', 'nhwc', got 'oihw'"),
        ({"output_shape_rounding": "up"}, "output_shape_rounding must be one of 'floor', 'ceil', got 'up'"),
        ({"output_sizes": [1, 2, 4, 4]}, r"output_sizes must have 2 items, got \[1, 2, 4, 4\]"),
        (
            {"output_sizes": [2, 4], "window_dimensions": [2, 2], "strides": [2, 2]},
            r"output_sizes must be \[2, 3\] \(rounded down\) or \[3, 4\] \(rounded up\), got \[2, 4\]",
        ),
        ({"output_sizes": [0, 1], "window_dimensions": [6, 7]}, r"output height would be 0, but must be 1 to"),
    ],
)
@pytest.mark.parametrize("op", POOLS)
def test_pools_name_arguments_that_do_not_match(op: str, options: Options, message: str) -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 3, 5, 7], "float32")
    with pytest.raises(ValidationError, match=rf"^\[pool\] {op}: .*" + message):
        getattr(builder, op)(x, label="pool", **options)


def test_inputs_that_do_not_fit_are_refused() -> None:
    builder = direct_builder()
    with pytest.raises(ValidationError, match="average_pool2d: input is int8, but must be float32 or float16"):
        builder.average_pool2d(builder.input("x", [1, 1, 1, 1], "int8"))
    with pytest.raises(ValidationError, match="l2_pool2d: input is uint64, but must be float32 or float16"):
        builder.l2_pool2d(builder.input("y", [1, 1, 1, 1], "uint64"))
    with pytest.raises(ValidationError, match=r"max_pool2d: input \[2, 3, 4\] has rank 3, but must have rank 4"):
        builder.max_pool2d(builder.input("z", [2, 3, 4], "int64"))


@pytest.mark.parametrize(
    ("op", "options", "operators"),
    [
        ("average_pool2d", {}, ["GlobalAveragePool"]),
        (
            "average_pool2d",
            {"window_dimensions": [9, 9], "padding": [4, 4, 4, 4], "strides": [9, 9]},
            ["GlobalAveragePool"],
        ),
        ("average_pool2d", {"window_dimensions": [3, 3], "padding": [1, 1, 1, 1]}, ["AveragePool"]),
        ("l2_pool2d", {}, ["GlobalLpPool"]),
        ("l2_pool2d", {"window_dimensions": [2, 2], "output_shape_rounding": "ceil"}, ["LpPool"]),
        ("max_pool2d", {"window_dimensions": [3, 3], "padding": [1, 1, 1, 1], "dilations": [2, 2]}, ["MaxPool"]),
        ("max_pool2d", {"window_dimensions": [2, 2], "padding": [2, 2, 2, 2]}, ["MaxPool", "Pad"]),
    ],
)
def test_pools_are_single_onnx_nodes(op: str, options: Options, operators: list[str]) -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 2, 5, 5], "float32")
    model = lower(builder.build({"y": getattr(builder, op)(x, **options)})).finish()
    assert [node.op_type for node in model.graph.node if node.op_type != "Identity"] == operators


def test_windows_that_would_need_too_much_memory_are_refused_when_the_model_is_made() -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 1, 2, 1], "int64")
    huge = 2**31
    options: Options = {"window_dimensions": [huge + 2, 1], "padding": [huge, huge, 0, 0], "strides": [huge, 1]}
    graph = builder.build({"y": builder.max_pool2d(x, label="far", **options)})
    with pytest.raises(NotSupportedError, match=r"\[far\] max_pool2d: windows over \[\d+, 1\] values"):
        lower(graph)
