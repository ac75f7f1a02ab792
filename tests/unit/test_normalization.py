"""Normalization: over which axes, with which shapes, and against the formula in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.direct import compute, direct_builder
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.errors import ValidationError
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.operand import MLOperand

Array = np.ndarray[Any, Any]
Builder = MLGraphBuilder[Any]

SHAPE = (2, 3, 1, 2, 2, 1, 3, 2)
"""A shape of each rank is the first dimensions of this one."""


def random(seed: int, shape: Sequence[int], data_type: str = "float32") -> Array:
    return np.asarray(np.random.default_rng(seed).uniform(0.5, 2, tuple(shape))).astype(data_type)


def along(array: Array, axes: Sequence[int], rank: int) -> Array:
    """`array`, whose dimensions lie along `axes`, ready to broadcast."""
    order = np.argsort(axes)
    shape = [1] * rank
    for axis, size in zip(axes, array.shape, strict=True):
        shape[axis] = size
    return array.astype(np.float64).transpose(order).reshape(shape)


def check(result: Array, expected: Array, data_type: str) -> None:
    assert (result.shape, result.dtype) == (expected.shape, data_type)
    np.testing.assert_allclose(result, expected, rtol=0, atol=2e-5 if data_type == "float32" else 8e-3)


def options_of(scale: Any, bias: Any, given: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in (("scale", scale), ("bias", bias)) if name in given}


GIVEN = [[], ["scale"], ["bias"], ["scale", "bias"]]


@pytest.mark.parametrize(
    ("rank", "axis"), [(r, a) for r in range(1, 9) for a in sorted({0, 1, r // 2, r - 1}) if a < r]
)
@pytest.mark.parametrize("data_type", ["float32", "float16"])
def test_batch_normalization_takes_its_features_from_any_axis(
    backend: Backend, data_type: str, rank: int, axis: int
) -> None:
    x = random(1, SHAPE[:rank], data_type)
    mean, variance, scale, bias = (random(i, [x.shape[axis]], data_type) for i in range(2, 6))
    given = GIVEN[(rank + axis) % 4]

    def build(b: Builder, x: MLOperand, *parameters: MLOperand) -> MLOperand:
        mean, variance, scale, bias = parameters
        return b.batch_normalization(x, mean, variance, axis=axis, epsilon=0.25, **options_of(scale, bias, given))

    result = compute(backend, build, x, mean, variance, scale, bias)
    expected = (x - along(mean, [axis], rank)) / np.sqrt(along(variance, [axis], rank) + 0.25)
    if "scale" in given:
        expected = expected * along(scale, [axis], rank)
    if "bias" in given:
        expected = expected + along(bias, [axis], rank)
    check(result, expected, data_type)


def test_batch_normalization_keeps_the_digits_of_values_near_the_mean(backend: Backend) -> None:
    x = np.array([[1000.125, 1000.25]], np.float32)
    mean, variance = np.array([1000, 1000], np.float32), np.array([1, 1], np.float32)
    result = compute(backend, lambda b, x, m, v: b.batch_normalization(x, m, v, epsilon=0), x, mean, variance)
    assert result.tolist() == [[0.125, 0.25]]


@pytest.mark.parametrize("given", GIVEN, ids=str)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("data_type", ["float32", "float16"])
def test_instance_normalization_looks_at_each_channel_of_each_sample(
    backend: Backend, data_type: str, layout: Any, given: list[str]
) -> None:
    x = random(1, (2, 3, 4, 5), data_type)
    axis = 1 if layout == "nchw" else 3
    scale, bias = (random(i, [x.shape[axis]], data_type) for i in (2, 3))
    result = compute(
        backend,
        lambda b, x, s, c: b.instance_normalization(x, layout=layout, epsilon=0.01, **options_of(s, c, given)),
        x,
        scale,
        bias,
    )
    wide, places = x.astype(np.float64), (2, 3) if layout == "nchw" else (1, 2)
    expected = (wide - wide.mean(places, keepdims=True)) / np.sqrt(wide.var(places, keepdims=True) + 0.01)
    if "scale" in given:
        expected = expected * along(scale, [axis], 4)
    if "bias" in given:
        expected = expected + along(bias, [axis], 4)
    check(result, expected, data_type)


@pytest.mark.parametrize(
    ("rank", "axes"),
    [
        (0, None),
        (0, []),
        (1, None),
        (1, []),
        (1, [0]),
        (2, None),
        (3, []),
        (3, [2]),
        (3, [1]),
        (3, [0, 1, 2]),
        (4, None),
        (4, [3, 0, 1]),
        (5, [2]),
        (5, [3, 1]),
        (5, [4, 3]),
        (8, None),
        (8, [7, 0, 3, 5, 1, 2, 6, 4]),
    ],
    ids=str,
)
@pytest.mark.parametrize("data_type", ["float32", "float16"])
def test_layer_normalization_takes_any_axes_in_any_order(
    backend: Backend, data_type: str, rank: int, axes: list[int] | None
) -> None:
    x = random(1, SHAPE[:rank], data_type)
    over = list(range(1, rank)) if axes is None else axes
    scale, bias = (random(i, [x.shape[axis] for axis in over], data_type) for i in (2, 3))
    wide = x.astype(np.float64)
    mean, variance = wide.mean(tuple(over), keepdims=True), wide.var(tuple(over), keepdims=True)
    for given in GIVEN:

        def build(b: Builder, x: MLOperand, s: MLOperand, c: MLOperand) -> MLOperand:
            return b.layer_normalization(x, axes=axes, epsilon=0.01, **options_of(s, c, given))  # noqa: B023

        expected = (wide - mean) / np.sqrt(variance + 0.01)
        if "scale" in given:
            expected = expected * along(scale, over, rank)
        if "bias" in given:
            expected = expected + along(bias, over, rank)
        check(compute(backend, build, x, scale, bias), np.asarray(expected), data_type)


def test_epsilon_is_rounded_to_the_data_type() -> None:
    builder = direct_builder()
    node = builder.layer_normalization(builder.input("x", [2, 2], "float16")).node
    assert node is not None
    assert node.attributes["epsilon"] == float(np.float16(1e-5))


def test_normalizations_are_one_onnx_node_where_the_axes_are_in_place() -> None:
    builder = direct_builder()
    x, c = builder.input("x", [1, 3, 4, 4], "float32"), builder.input("c", [3], "float32")
    joined = builder.concat([x], axis=0)
    outputs = {
        "batch": builder.batch_normalization(joined, c, c),
        "instance": builder.instance_normalization(x, bias=c),
        "layer": builder.layer_normalization(x),
    }
    nodes = lower(builder.build(outputs)).finish().graph.node
    assert [node.op_type for node in nodes if node.op_type not in ("Identity", "Concat")] == [
        "BatchNormalization",
        "InstanceNormalization",
        "LayerNormalization",
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b, x: b.batch_normalization(x(2), x(2), x(2)), r"axis 1 is out of range for shape \[2\] of rank 1"),
        (
            lambda b, x: b.batch_normalization(x(2, 3), x(3), x(3), axis=-1),
            r"axis -1 is out of range for shape \[2, 3\]",
        ),
        (lambda b, x: b.batch_normalization(x(), x(1), x(1), axis=0), "input .* rank 0, but must have rank 1 to 8"),
        (
            lambda b, x: b.batch_normalization(x(2, 3), x(2), x(3)),
            r"mean \[2\] must be \[3\], the sizes of axes \[1\] of input \[2, 3\]",
        ),
        (lambda b, x: b.batch_normalization(x(2, 3), x(3), x(1)), r"variance \[1\] must be \[3\]"),
        (lambda b, x: b.batch_normalization(x(2, 3), x(3), x(3), scale=x(2)), r"scale \[2\] must be \[3\]"),
        (lambda b, x: b.batch_normalization(x(2, 3), x(3), x(3), bias=x(2)), r"bias \[2\] must be \[3\]"),
        (lambda b, x: b.batch_normalization(x(2, 3), x(3, 1), x(3)), r"mean \[3, 1\] has rank 2, but must have rank 1"),
        (lambda b, x: b.batch_normalization(x(2, 3), x(3, t="float16"), x(3)), "mean is float16, but must have the"),
        (lambda b, x: b.batch_normalization(x(2, 3), x(3), None), "variance must be an MLOperand, got NoneType"),
        (
            lambda b, x: b.batch_normalization(x(2, 3), x(3), x(3), epsilon=float("inf"), label="bn"),
            r"^\[bn\] batch_normalization: epsilon must be finite, got inf",
        ),
        (lambda b, x: b.instance_normalization(x(1, 2, 3)), "rank 3, but must have rank 4"),
        (lambda b, x: b.instance_normalization(x(1, 2, 3, 4, t="int32")), "int32, but must be float32 or float16"),
        (
            lambda b, x: b.instance_normalization(x(1, 2, 3, 4), scale=x(4)),
            r"scale \[4\] must be \[2\], the sizes of axes \[1\]",
        ),
        (
            lambda b, x: b.instance_normalization(x(1, 2, 3, 4), bias=x(2), layout="nhwc"),
            r"bias \[2\] must be \[4\], the sizes of axes \[3\]",
        ),
        (lambda b, x: b.instance_normalization(x(1, 2, 3, 4), layout="chwn"), "layout must be one of 'nchw', 'nhwc'"),
        (lambda b, x: b.layer_normalization(x(2, 3), axes=[1, 1]), r"axes \[1, 1\] has 1 twice"),
        (lambda b, x: b.layer_normalization(x(2, 3), axes=[2]), r"axes \[2\]: 2 is out of range for shape \[2, 3\]"),
        (lambda b, x: b.layer_normalization(x(), axes=[0]), r"axes \[0\]: 0 is out of range for shape \[\]"),
        (lambda b, x: b.layer_normalization(x(2, 3), axes=1), "axes must be a sequence of integers, got 1"),
        (
            lambda b, x: b.layer_normalization(x(2, 3, 4), scale=x(3, 4), axes=[2, 1]),
            r"scale \[3, 4\] must be \[4, 3\], the sizes of axes \[2, 1\] of input \[2, 3, 4\]",
        ),
        (lambda b, x: b.layer_normalization(x(2, 3, 4), bias=x(4)), r"bias \[4\] must be \[3, 4\]"),
        (lambda b, x: b.layer_normalization(x(3), scale=x(3)), r"scale \[3\] must be \[\], the sizes of axes \[\]"),
        (lambda b, x: b.layer_normalization(x(2, 3), bias=x(3, t="float16")), "bias is float16, but must have the"),
        (lambda b, x: b.layer_normalization(x(2, 3), epsilon=None), "epsilon must be a number, got None"),
    ],
)
def test_operands_that_do_not_fit_the_input_are_refused(
    call: Callable[[Builder, Callable[..., MLOperand]], MLOperand], message: str
) -> None:
    builder = direct_builder()
    names = itertools.count()

    def operand(*shape: int, t: Any = "float32") -> MLOperand:
        return builder.input(f"x{next(names)}", shape, t)

    with pytest.raises(ValidationError, match=message):
        call(builder, operand)
