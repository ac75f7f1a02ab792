"""Convolution and its transpose: against loops over every product, and every error message."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from tests.direct import compute, direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.base import Backend
from webnn.backends.onnx.lower import lower
from webnn.errors import MLError, ValidationError
from webnn.graph.dtypes import DataType

Array = np.ndarray[Any, Any]
Options = dict[str, Any]
FILTERS = {"conv2d": ("oihw", "hwio", "ohwi", "ihwo"), "conv_transpose2d": ("iohw", "hwoi", "ohwi")}
TOLERANCE = {"float32": 1e-5, "float16": 1e-2}


def reordered(array: Array, source: str, target: str) -> Array:
    return np.ascontiguousarray(array.transpose([source.index(axis) for axis in target]))


def products(op: str, x: Array, filter: Array, options: Options, sizes: Sequence[int]) -> Array:
    """Both operators, in "nchw" and "oihw" or "iohw": each small position and tap pair up with one large position."""
    transposed = op == "conv_transpose2d"
    groups, pads = options["groups"], options["padding"]
    channels = x.shape[1] // groups
    made = filter.shape[1] if transposed else filter.shape[0] // groups
    y = np.zeros((x.shape[0], made * groups, *sizes))
    small, large = (x.shape[2:], sizes) if transposed else (sizes, x.shape[2:])
    for row, column, top, left in np.ndindex(small[0], small[1], *filter.shape[2:]):
        far = (
            row * options["strides"][0] + top * options["dilations"][0] - pads[0],
            column * options["strides"][1] + left * options["dilations"][1] - pads[2],
        )
        if not (0 <= far[0] < large[0] and 0 <= far[1] < large[1]):
            continue
        source, target = ((row, column), far) if transposed else (far, (row, column))
        for group in range(groups):
            taken = slice(group * channels, (group + 1) * channels)
            put = slice(group * made, (group + 1) * made)
            weights = filter[taken, :, top, left].T if transposed else filter[put, :, top, left]
            y[:, put, target[0], target[1]] += x[:, taken, source[0], source[1]] @ weights.T
    return y


@pytest.mark.parametrize("data_type", ["float32", "float16"])
@pytest.mark.parametrize("op", FILTERS)
@pytest.mark.parametrize("seed", range(12))
def test_convolutions_are_sums_of_products(backend: Backend, op: str, data_type: DataType, seed: int) -> None:
    draw = random.Random(seed)
    rng = np.random.default_rng(seed)
    groups, channels, made = draw.choice([(1, 2, 3), (2, 1, 2), (3, 1, 1), (2, 2, 1)])
    window = [draw.randint(1, 3), draw.randint(1, 3)]
    x = rng.standard_normal((draw.randint(1, 2), groups * channels, draw.randint(4, 6), draw.randint(4, 6)))
    x = x.astype(data_type)
    filter_shape = (groups * made, channels) if op == "conv2d" else (groups * channels, made)
    filter = rng.standard_normal((*filter_shape, *window)).astype(data_type)
    bias = rng.standard_normal(groups * made).astype(data_type)
    options: Options = {
        "padding": [draw.choice([0, 1, 2]) for _ in range(4)],
        "strides": [draw.choice([1, 2, 3]) for _ in range(2)],
        "dilations": [draw.choice([1, 2]) for _ in range(2)],
        "groups": groups,
    }
    if op == "conv_transpose2d":
        options["output_padding"] = [draw.randrange(stride) for stride in options["strides"]]
    layout = draw.choice(["nchw", "nhwc"])
    filter_layout = FILTERS[op][seed % len(FILTERS[op])]
    builder = direct_builder(backend)
    feeds = {"x": reordered(x, "nchw", layout)}
    weights = reordered(filter, FILTERS[op][0], filter_layout)
    if draw.random() < 0.5:
        filter_operand = builder.constant(weights)
    else:
        filter_operand, feeds["filter"] = builder.input("filter", weights.shape, data_type), weights
    if with_bias := draw.random() < 0.5:
        options["bias"] = builder.constant(bias)
    y = getattr(builder, op)(
        builder.input("x", feeds["x"].shape, data_type),
        filter_operand,
        input_layout=layout,
        filter_layout=filter_layout,
        **options,
    )
    sizes = [y.shape[layout.index(axis)] for axis in "hw"]
    expected = products(op, x.astype(np.float64), filter.astype(np.float64), options, sizes)
    if with_bias:
        expected = expected + bias.astype(np.float64)[:, None, None]
    result = run_graph(builder.build({"y": y}), feeds, backend)["y"]
    assert result.dtype == data_type
    np.testing.assert_allclose(result, reordered(expected, "nchw", layout), rtol=1e-3, atol=TOLERANCE[data_type])


@pytest.mark.parametrize("op", FILTERS)
def test_the_reference_keeps_what_is_left_of_large_numbers_that_cancel_out(op: str) -> None:
    x, filter = np.array([1e8, 1, -1e8], np.float32).reshape(1, 3, 1, 1), np.ones((1, 3, 1, 1), np.float32)
    filter = filter if op == "conv2d" else reordered(filter, "oihw", "iohw")
    assert compute(ArraysBackend(), lambda b, x, f: getattr(b, op)(x, f), x, filter).item() == 1


def test_output_sizes_replace_output_padding(backend: Backend) -> None:
    x, filter = np.ones((1, 1, 2, 2), np.float32), np.ones((1, 1, 3, 2), np.float32)

    def build(sizes: Options) -> Array:
        return compute(backend, lambda b, x, f: b.conv_transpose2d(x, f, strides=[3, 2], **sizes), x, filter)

    by_sizes = build({"output_sizes": [8, 5], "output_padding": [99, 99]})
    np.testing.assert_array_equal(by_sizes, build({"output_padding": [2, 1]}))
    assert by_sizes[0, 0, 6:].sum() == by_sizes[0, 0, :, 4].sum() == 0


def test_a_transposed_convolution_is_cut_off_at_its_end(backend: Backend) -> None:
    x, filter = np.arange(3, dtype=np.float32).reshape(1, 1, 3, 1), np.ones((1, 1, 2, 1), np.float32)
    options: Options = {"strides": [2, 1], "padding": [0, 3, 0, 0], "output_sizes": [4, 1]}
    result = compute(backend, lambda b, x, f: b.conv_transpose2d(x, f, **options), x, filter)
    assert result.ravel().tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("strides", [[2**32 - 1, 2**32 - 1], [1, 2**32 - 1]])
def test_windows_may_step_beyond_the_input(backend: Backend, strides: list[int]) -> None:
    x, filter = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2), np.ones((1, 1, 1, 1), np.float32)
    options: Options = {"strides": strides, "dilations": [2**32 - 1, 2**32 - 1]}
    result = compute(backend, lambda b, x, f: b.conv2d(x, f, **options), x, filter)
    np.testing.assert_array_equal(result, x[:, :, : 2 if strides[0] == 1 else 1, :1])


def test_padding_may_be_larger_than_the_filter(backend: Backend) -> None:
    x, filter = np.ones((1, 1, 1, 1), np.float32), np.full((1, 1, 1, 1), 2, np.float32)
    result = compute(backend, lambda b, x, f: b.conv2d(x, f, padding=[2, 1, 0, 3]), x, filter)
    expected = np.zeros((1, 1, 4, 4))
    expected[0, 0, 2, 0] = 2
    np.testing.assert_array_equal(result, expected)


def test_a_convolution_is_one_onnx_node_and_transposes_only_for_other_layouts() -> None:
    def operators(**options: Any) -> list[str]:
        builder = direct_builder()
        x = builder.input("x", [1, 2, 2, 2], "float32")
        filter = builder.constant(np.ones((2, 2, 2, 2), np.float32))
        model = lower(builder.build({"y": builder.conv2d(x, filter, **options)})).finish()
        onnx.checker.check_model(model)
        return [node.op_type for node in model.graph.node]

    assert operators() == ["Conv"]
    assert operators(input_layout="nhwc") == ["Transpose", "Conv", "Transpose"]
    assert operators(filter_layout="hwio") == ["Transpose", "Conv"]


def test_a_node_has_every_option_resolved() -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 2, 5, 5], "float16")
    filter = builder.input("filter", [2, 1, 3, 3], "float16")
    node = builder.conv_transpose2d(x, filter, strides=[2, 3], output_sizes=[12, 15], groups=2).node
    assert node is not None
    assert dict(node.attributes) == {
        "padding": (0, 0, 0, 0),
        "strides": (2, 3),
        "dilations": (1, 1),
        "output_padding": (1, 0),
        "output_sizes": (12, 15),
        "groups": 2,
        "input_layout": "nchw",
        "filter_layout": "iohw",
    }


BOTH = [
    ({"padding": [1, 1]}, r"padding must have 4 items, got \[1, 1\]"),
    ({"padding": 1}, "padding must be a sequence of integers, got 1"),
    ({"padding": [0, 0, 0, -1]}, r"padding\[3\] must be an integer from 0 to 4294967295, got -1"),
    ({"strides": [1]}, r"strides must have 2 items, got \[1\]"),
    ({"strides": [1, 0]}, r"strides must be at least 1, got \[1, 0\]"),
    ({"dilations": [1, 2, 3]}, r"dilations must have 2 items, got \[1, 2, 3\]"),
    ({"dilations": [0, 1]}, r"dilations must be at least 1, got \[0, 1\]"),
    ({"groups": 0}, "groups must be at least 1, got 0"),
    ({"groups": 1.5}, "groups must be an integer, got 1.5"),
    ({"input_layout": "chwn"}, "input_layout must be one of 'nchw', 'nhwc', got 'chwn'"),
    ({"bias": "bias"}, r"bias must be an MLOperand, got str 'bias'"),
]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *BOTH,
        ({"filter_layout": "iohw"}, "filter_layout must be one of 'oihw', 'hwio', 'ohwi', 'ihwo', got 'iohw'"),
        (
            {"groups": 3},
            r'the 4 channels of input \[1, 4, 5, 5\] in layout "nchw" cannot be divided into 3 equal groups',
        ),
        ({"groups": 2}, r'filter \[6, 4, 3, 3\] in layout "oihw" takes 4 input channels per group, but .* has 2'),
        ({"filter_layout": "ihwo"}, r'in layout "ihwo" takes 6 input channels, but input .* in layout "nchw" has 4'),
        ({"input_layout": "nhwc"}, r'takes 4 input channels, but input \[1, 4, 5, 5\] in layout "nhwc" has 5'),
        ({"dilations": [3, 1]}, r"output height would be -1, .* input \[5, 5\] .* dilations \[3, 1\]"),
        ({"padding": [0, 0, 2**32 - 1, 0]}, "output width would be 4294967298, but must be 1 to 2147483647"),
        ({"padding": [50000, 0, 50000, 0]}, r"has 15001800054 elements; at most 2147483647 are supported"),
    ],
)
def test_conv2d_names_arguments_that_do_not_match(options: Options, message: str) -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 4, 5, 5], "float32")
    filter = builder.input("filter", [6, 4, 3, 3], "float32")
    with pytest.raises(ValidationError, match=r"^\[stem\] conv2d: .*" + message):
        builder.conv2d(x, filter, label="stem", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *BOTH,
        ({"filter_layout": "oihw"}, "filter_layout must be one of 'iohw', 'hwoi', 'ohwi', got 'oihw'"),
        ({"filter_layout": "ohwi"}, r'in layout "ohwi" takes 3 input channels, but .* in layout "nchw" has 4'),
        ({"groups": 2**31 - 1}, r"with 2147483647 groups makes 12884901882 output channels; at most 2147483647"),
        ({"output_padding": [1]}, r"output_padding must have 2 items, got \[1\]"),
        ({"output_padding": [0, 1]}, r"output_padding \[0, 1\] must be less than strides \[1, 1\]"),
        ({"output_sizes": [1]}, r"output_sizes must have 2 items, got \[1\]"),
        ({"output_sizes": [6, 7]}, r"output_sizes must be \[7, 7\] to \[7, 7\], got \[6, 7\]"),
        ({"output_sizes": [15, 13], "strides": [3, 2]}, r"must be \[15, 11\] to \[17, 12\], got \[15, 13\]"),
        ({"padding": [4, 3, 0, 0]}, r"the output height would be 0, .* padding \[4, 3, 0, 0\]"),
        ({"strides": [1, 2**32 - 1]}, "the output width would be 17179869183, but must be 1 to 2147483647"),
    ],
)
def test_conv_transpose2d_names_arguments_that_do_not_match(options: Options, message: str) -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 4, 5, 5], "float32")
    filter = builder.input("filter", [4, 6, 3, 3], "float32")
    with pytest.raises(ValidationError, match=r"^\[up\] conv_transpose2d: .*" + message):
        builder.conv_transpose2d(x, filter, label="up", **options)


@pytest.mark.parametrize("op", FILTERS)
def test_operands_that_do_not_fit_are_refused(op: str) -> None:
    builder = direct_builder()
    call = getattr(builder, op)
    x = builder.input("x", [1, 2, 3, 3], "float32")
    filter = builder.input("filter", [2, 2, 1, 1], "float32")
    integers = builder.input("integers", [1, 2, 3, 3], "int32")
    flat = builder.input("flat", [2, 2, 1], "float32")
    half = builder.input("half", [2, 2, 1, 1], "float16")
    short = builder.input("short", [3], "float32")
    with pytest.raises(ValidationError, match=f"{op}: input is int32, but must be float32 or float16"):
        call(integers, filter)
    with pytest.raises(ValidationError, match=r"input \[2, 2, 1\] has rank 3, but must have rank 4"):
        call(flat, filter)
    with pytest.raises(ValidationError, match=r"filter \[2, 2, 1\] has rank 3, but must have rank 4"):
        call(x, flat)
    with pytest.raises(ValidationError, match=r"filter is float16, but must have the data type of input, float32"):
        call(x, half)
    with pytest.raises(ValidationError, match=r"bias \[3\] must be \[2\], with one value for each output channel"):
        call(x, filter, bias=short)
    with pytest.raises(ValidationError, match=r"bias \[1, 2, 3, 3\] has rank 4, but must have rank 1"):
        call(x, filter, bias=x)
    with pytest.raises(ValidationError, match="belongs to another builder"):
        call(x, direct_builder().input("filter", [2, 2, 1, 1], "float32"))


def test_output_channels_must_divide_into_equal_groups() -> None:
    builder = direct_builder()
    x = builder.input("x", [1, 4, 5, 5], "float32")
    filter = builder.input("filter", [3, 2, 3, 3], "float32")
    with pytest.raises(ValidationError, match=r"the 3 output channels of filter \[3, 2, 3, 3\] .* 2 equal groups"):
        builder.conv2d(x, filter, groups=2)


def test_transposed_groups_that_do_not_divide_the_channels_pass_validation_but_no_backend(backend: Backend) -> None:
    def build(b: Any, x: Any, f: Any) -> Any:
        y = b.conv_transpose2d(x, f, groups=3, label="up")
        assert y.shape == (1, 3, 2, 2)
        return y

    with pytest.raises(MLError, match=r"\[up\] conv_transpose2d: .*1 input channels do not make 3 equal groups"):
        compute(backend, build, np.ones((1, 1, 2, 2), np.float32), np.ones((1, 1, 1, 1), np.float32))
