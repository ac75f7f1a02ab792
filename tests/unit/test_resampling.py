"""Resampling: against the specification's formulas in exact fractions, and every error message."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
import pytest

from tests.direct import compute, direct_builder
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.backends.sampling import nearest
from webnn.errors import ValidationError

Array = np.ndarray[Any, Any]
Options = dict[str, Any]
TYPES = ("float32", "float16", "int8", "uint8")
SIZES = [(1, 1), (1, 5), (5, 1), (2, 4), (4, 2), (3, 7), (7, 3), (10, 3), (6, 4)]


def weights(inputs: int, outputs: int, mode: str) -> Array:
    """The weight of each input in each output."""
    result = np.zeros((outputs, inputs))
    for output in range(outputs):
        scale = Fraction(outputs, inputs)
        place = min(max((output + Fraction(1, 2)) / scale - Fraction(1, 2), Fraction(0)), Fraction(inputs - 1))
        if mode == "nearest-neighbor":
            result[output, math.ceil(place - Fraction(1, 2))] = 1
        else:
            low, high = math.floor(place), math.ceil(place)
            result[output, low] += float(1 - (place - low))
            result[output, high] += float(place - low)
    return result


def resampled(x: Array, mode: str, axes: tuple[int, int], sizes: tuple[int, int]) -> Array:
    result = x.astype(np.float64)
    for axis, size in zip(axes, sizes, strict=True):
        taken = np.tensordot(weights(x.shape[axis], size, mode), result, (1, axis))
        result = np.moveaxis(taken, 0, axis)
    return result


def values(shape: tuple[int, ...], data_type: str) -> Array:
    rng = np.random.default_rng(len(shape) + sum(shape))
    if data_type.startswith("float"):
        return rng.standard_normal(shape).astype(data_type)
    info = np.iinfo(data_type)
    return rng.integers(info.min, info.max, shape, dtype=data_type, endpoint=True)


@pytest.mark.parametrize("data_type", TYPES)
@pytest.mark.parametrize("mode", ["nearest-neighbor", "linear"])
@pytest.mark.parametrize("axes", list(itertools.permutations(range(4), 2)), ids=str)
def test_outputs_lie_where_the_specification_says(
    backend: Backend, data_type: str, mode: Any, axes: tuple[int, int]
) -> None:
    for (first, to_first), (second, to_second) in zip(SIZES, [*SIZES[4:], *SIZES[:4]], strict=True):
        shape = [2, 2, 2, 2]
        shape[axes[0]], shape[axes[1]] = first, second
        x, sizes = values(tuple(shape), data_type), (to_first, to_second)
        result = compute(backend, lambda b, x, s=sizes: b.resample2d(x, mode=mode, sizes=s, axes=axes), x)
        assert result.dtype == data_type
        expected = resampled(x, mode, axes, sizes)
        if mode == "nearest-neighbor":
            np.testing.assert_array_equal(result, expected.astype(data_type))
        elif data_type.startswith("float"):
            np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 if data_type == "float32" else 2e-3)
        else:
            assert np.abs(result - expected).max() <= 0.5 + 1e-3


def test_the_specifications_example(backend: Backend) -> None:
    x = np.array([[0, 1, 2, 3], [0, 1, 2, 3], [12, 13, 14, 15], [12, 13, 14, 15]], np.float32).reshape(1, 1, 4, 4)
    result = compute(backend, lambda b, x: b.resample2d(x, mode="linear", sizes=[8, 8]), x)
    assert result[0, 0, 2].tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    assert result[0, 0, :, 0].tolist() == [0, 0, 0, 3, 9, 12, 12, 12]


def test_interpolated_integers_are_rounded_halves_to_even(backend: Backend) -> None:
    x = np.array([[0, 1, 2, 3, -1, -2]], np.int8).reshape(1, 1, 1, 6)
    result = compute(backend, lambda b, x: b.resample2d(x, mode="linear", sizes=[1, 3]), x)
    assert result.ravel().tolist() == [0, 2, -2]


@pytest.mark.parametrize(("inputs", "outputs"), [(10, 3), (22, 11), (6, 1), (1000, 12), (14, 1)])
def test_ties_go_to_the_lower_neighbour_whatever_the_sizes(backend: Backend, inputs: int, outputs: int) -> None:
    x = np.arange(inputs, dtype=np.float32).reshape(1, 1, inputs, 1)
    result = compute(backend, lambda b, x: b.resample2d(x, sizes=[outputs, 1]), x)
    exact = [math.ceil(Fraction(2 * o + 1, 2) * inputs / outputs - 1) for o in range(outputs)]
    assert nearest(inputs, outputs).tolist() == exact
    assert result.ravel().tolist() == exact


def test_resize_is_used_where_its_floats_are_exact() -> None:
    def operators(inputs: int, outputs: int, **options: Any) -> list[str]:
        builder = direct_builder()
        x = builder.input("x", [1, 1, inputs, inputs], "float32")
        model = lower(builder.build({"y": builder.resample2d(x, sizes=[outputs, outputs], **options)})).finish()
        return [node.op_type for node in model.graph.node]

    for inputs, outputs in ((3, 6), (6, 3), (9, 3), (720, 1080), (7, 5)):
        assert operators(inputs, outputs) == ["Resize"]
    assert operators(10, 3) == ["Gather", "Gather"]
    assert operators(10, 3, mode="linear") == ["Resize"]
    assert operators(10, 3, mode="linear", axes=[2, 1]) == ["Resize"]


@pytest.mark.parametrize(
    ("sizes", "coordinates"), [((6, 9), "asymmetric"), ((3, 3), "half_pixel"), ((6, 4), "half_pixel")]
)
def test_repeating_each_element_is_written_as_onnxruntime_knows_it(sizes: tuple[int, int], coordinates: str) -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 1, 3, 9], "float32")
    model = lower(builder.build({"y": builder.resample2d(x, sizes=sizes)})).finish()
    (resize,) = (node for node in model.graph.node if node.op_type == "Resize")
    written = {a.name: onnx.helper.get_attribute_value(a) for a in resize.attribute}
    assert written["coordinate_transformation_mode"] == coordinates.encode()


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({}, (1, 3, 4, 5)),
        ({"scales": [2, 0.5]}, (1, 3, 8, 2)),
        ({"scales": [0.25, 1.99], "axes": [3, 1]}, (1, 5, 4, 1)),
        ({"scales": [2, 2], "sizes": [3, 6]}, (1, 3, 3, 6)),
        ({"sizes": [7, 2], "axes": [0, 2]}, (7, 3, 2, 5)),
    ],
)
def test_sizes_come_from_sizes_or_scales(options: Options, shape: tuple[int, ...]) -> None:
    builder = direct_builder()
    y = builder.resample2d(builder.input("x", [1, 3, 4, 5], "int8"), **options)
    assert (y.data_type, y.shape) == ("int8", shape)


def test_scales_are_32_bit_floats() -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 1, 10, 10], "float32")
    assert builder.resample2d(x, scales=[0.7, 0.3]).shape == (1, 1, 6, 3)  # 0.699999988 and 0.300000012


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "cubic"}, "mode must be one of 'nearest-neighbor', 'linear', got 'cubic'"),
        ({"scales": 2.0}, "scales must be a sequence of numbers, got 2.0"),
        ({"scales": np.array(2.0)}, r"scales must be a sequence of numbers, got array\(2.\)"),
        ({"scales": [1, 1, 2, 2]}, r"scales must have 2 items, got \[1.0, 1.0, 2.0, 2.0\]"),
        ({"scales": [1, "2"]}, r"scales\[1\] must be a number, got '2'"),
        ({"scales": [1, math.nan]}, r"scales\[1\] must be finite, got nan"),
        ({"scales": [1, -2]}, r"scales must be positive and finite as float32, got \[1.0, -2.0\]"),
        ({"scales": [0, 2]}, r"scales must be positive and finite as float32, got \[0.0, 2.0\]"),
        ({"scales": [1, 1e-50]}, r"scales must be positive and finite as float32, got \[1.0, 1e-50\]"),
        ({"scales": [1, 1e39]}, r"scales must be positive and finite as float32, got \[1.0, 1e\+39\]"),
        (
            {"scales": [0.125, 1]},
            r"the output size of axis 2 would be 0, .*: input \[1, 3, 4, 5\], scales \[0.125, 1.0\]",
        ),
        ({"scales": [1, 1e30]}, r"the output size of axis 3 would be 5\d+, but must be 1 to 2147483647"),
        ({"sizes": [1, 1, 4, 6]}, r"sizes must have 2 items, got \[1, 1, 4, 6\]"),
        ({"sizes": [0, 1]}, r"sizes must be at least 1, got \[0, 1\]"),
        (
            {"sizes": [2**31, 1]},
            r"the output size of axis 2 would be 2147483648, but must be 1 to 2147483647: sizes \[2147483648, 1\]",
        ),
        ({"sizes": [2**32, 1]}, r"sizes\[0\] must be an integer from 0 to 4294967295, got 4294967296"),
        ({"axes": [0, 1, 2]}, r"axes must have 2 items, got \[0, 1, 2\]"),
        ({"axes": [3, 4]}, r"axes \[3, 4\]: 4 is out of range for shape \[1, 3, 4, 5\]"),
        ({"axes": [0, 0]}, r"axes \[0, 0\] has 0 twice"),
    ],
)
def test_resample2d_names_arguments_that_do_not_match(options: Options, message: str) -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 3, 4, 5], "float32")
    with pytest.raises(ValidationError, match=r"^\[up\] resample2d: .*" + message):
        builder.resample2d(x, label="up", **options)


def test_inputs_that_do_not_fit_are_refused() -> None:
    builder = direct_builder()
    with pytest.raises(ValidationError, match="resample2d: input is int32, but must be float32 or float16 or int8"):
        builder.resample2d(builder.input("x", [1, 1, 1, 1], "int32"))
    with pytest.raises(ValidationError, match=r"input \[2, 4\] has rank 2, but must have rank 4"):
        builder.resample2d(builder.input("y", [2, 4], "float32"))
