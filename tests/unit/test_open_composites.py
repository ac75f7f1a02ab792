"""Operators that an import keeps as one kernel: WebNN spells them out, or decides cases that ONNX leaves open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import parser

from tests.direct import direct_builder, run_graph
from tests.onnx_nodes import Fixed, by_onnxruntime, computed, node_model, random
from webnn.backends.arrays.backend import ArraysBackend
from webnn.backends.onnx.lower import lower
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.errors import NotSupportedError
from webnn.formats import import_onnx
from webnn.graph.batching import why_not_separable
from webnn.graph.composites.bitwise import bits_shifted, of_bits
from webnn.graph.composites.blocks import blocks_of_channels, blocks_of_pixels
from webnn.graph.composites.columns import images_of_columns
from webnn.graph.composites.composite import Builder, expanded
from webnn.graph.composites.conv3d import convolved_volumes
from webnn.graph.composites.deform_conv import deformably_convolved
from webnn.graph.composites.determinant import determinants
from webnn.graph.composites.fourier import transformed
from webnn.graph.composites.functions import applied
from webnn.graph.composites.grid_sample import sampled_at
from webnn.graph.composites.max_unpool import unpooled
from webnn.graph.composites.modulo import remainder
from webnn.graph.composites.open_cases import (
    cast_in_range,
    computed_alone,
    gathered_in_range,
    reduced_in_range,
    scattered_in_any_order,
    sign_of_numbers,
)
from webnn.graph.composites.resampling import Axis, Resampling
from webnn.graph.composites.resize import resized
from webnn.graph.composites.reverse_sequence import sequences_reversed
from webnn.graph.composites.roi_align import aligned_regions
from webnn.graph.dtypes import DataType
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

NATIVE = OnnxRuntimeBackend().composites
RNG = np.random.default_rng(0)
NUMBERS = RNG.uniform(-90, 90, (2, 12, 4, 6)).astype(np.float32)
STATISTICS = (NUMBERS[0, :, 0, 0], abs(NUMBERS[0, :, 0, 1]) + 1)
UNSIGNED = RNG.integers(0, 2**32, (4, 6), np.uint32)
PLACES = RNG.uniform(-1.5, 1.5, (2, 3, 5, 2)).astype(np.float32)
REGIONS = np.array([[0, 0, 8, 6], [2.5, 1, 9.5, 7], [-3, 2, 20, 4]], np.float32)
INTEGERS = RNG.integers(-90, 90, (4, 6))
FILTERS = RNG.standard_normal((4, 12, 2, 3)).astype(np.float32)
OFFSETS = RNG.uniform(-4, 4, (2, 36, 2, 3)).astype(np.float32)
UNPOOLED = RNG.permutation(4 * NUMBERS.size)[: NUMBERS.size].reshape(NUMBERS.shape)
VOLUME = NUMBERS.reshape(2, 4, 3, 4, 6) / 90
BLOCKS = RNG.standard_normal((8, 1, 2, 3, 2)).astype(np.float32)
POINTS = RNG.standard_normal((6, 4, 1, 1, 1)).astype(np.float32)
SIGNAL = (RNG.standard_normal((2, 512, 2)) / 32).astype(np.float32)
Make = Callable[..., MLOperand]


def graph_of(make: Make, *arrays: np.ndarray[Any, Any]) -> tuple[Graph, dict[str, np.ndarray[Any, Any]]]:
    """The graph of one composite, and its inputs."""
    builder = direct_builder(composites=NATIVE)
    feeds = {f"x{i}": array for i, array in enumerate(arrays)}
    operands = [builder.input(name, array.shape, array.dtype.name) for name, array in feeds.items()]
    return builder.build({"y": make(builder, *operands)}), feeds


def cast_to(data_type: DataType) -> Make:
    return lambda b, x: cast_in_range(b, x, data_type)


def reduction(op: str, *axes: int, keeps: bool = False) -> Make:
    return lambda b, x: reduced_in_range(b, op, x, axes=axes, keep_dimensions=keeps)


def bits(name: str) -> Make:
    return lambda b, x, y: of_bits(b, name, x, y)


def modulo_five(b: Builder, x: MLOperand) -> MLOperand:
    return remainder(b, x, b.constant(np.array([5, -7, 5, -1000, 3, 2], x.descriptor.dtype)), fmod=False)


def float_remainder(b: Builder, x: MLOperand) -> MLOperand:
    return remainder(b, x, b.constant(x.data_type, 8), fmod=True)


def columns(kernel: tuple[int, int], dilations: tuple[int, int]) -> Make:
    options = {"strides": (1, 1), "dilations": dilations, "pads": (1, 0, 0, 1)}
    return lambda b, x: images_of_columns(b, x, (4, 6), kernel, **options)


def sampled(mode: str, padding: str) -> Make:
    return lambda b, x, grid: sampled_at(b, x, grid, mode=mode, padding=padding, aligned=False)


def resized_to(size: int, mode: str, coordinates: str) -> Make:
    resampling = Resampling(mode, coordinates, "ceil", -0.75, False, False, 0.0)
    return lambda b, x: resized(b, x, [Axis(2, x.shape[2], size, size / x.shape[2])], resampling, by="sizes")


def reversed_along(time: int) -> Make:
    return lambda b, x, lengths: sequences_reversed(b, x, lengths, time=time, batch=1 - time)


def regions(mode: str) -> Make:
    options: dict[str, Any] = {"mode": mode, "ratio": 2, "scale": 0.5, "pixels": "half_pixel"}
    return lambda b, x, rois, images: aligned_regions(b, x, rois, images, size=(2, 3), **options)


def deformed(groups: int, offset_groups: int) -> Make:
    options: dict[str, Any] = {"strides": (2, 1), "dilations": (1, 2), "pads": (1, 0, 0, 1)}
    names = ("input", "filter", "offset", "bias", "mask")

    def make(b: Builder, *operands: MLOperand) -> MLOperand:
        given = dict(zip(names, operands, strict=False))
        return deformably_convolved(b, given, (2, 3), groups=groups, offset_groups=offset_groups, **options)

    return make


def convolved(groups: int, **options: tuple[int, ...]) -> Make:
    given: dict[str, Any] = {"strides": (1, 1, 1), "dilations": (1, 1, 1), "pads": (0,) * 6, **options}
    return lambda b, x, filters, bias=None: convolved_volumes(b, x, filters, bias, groups=groups, **given)


def unpooled_by(kernel: tuple[int, int], strides: tuple[int, int]) -> Make:
    return lambda b, x, places: unpooled(b, x, places, kernel=kernel, strides=strides, pads=(0, 0, 0, 0))


CASES: list[tuple[str, Make, tuple[np.ndarray[Any, Any], ...]]] = [
    ("Cast", cast_to("uint8"), (abs(NUMBERS),)),
    ("Cast", cast_to("int32"), (NUMBERS,)),
    ("Cast", cast_to("int64"), (NUMBERS.astype(np.float16),)),
    ("Sign", sign_of_numbers, (np.trunc(NUMBERS / 40),)),
    ("ReduceL2", reduction("reduce_l2", 2, 3), (NUMBERS,)),
    ("ReduceMax", reduction("reduce_max", 1, 3), (NUMBERS,)),
    ("ReduceMax", reduction("reduce_max", 0, 1, 2, 3), (NUMBERS,)),
    ("ReduceMin", reduction("reduce_min", 2, keeps=True), (NUMBERS,)),
    ("ReduceL1", reduction("reduce_l1", 0, 1, 2, 3), (NUMBERS,)),
    ("ReduceProd", reduction("reduce_product", 1, 2), (NUMBERS / 60,)),
    ("ReduceSumSquare", reduction("reduce_sum_square", 0, 1, 2, 3, keeps=True), (NUMBERS / 9,)),
    ("Sigmoid", lambda b, x: computed_alone(b, b.sigmoid(x)), (NUMBERS,)),
    ("CumSum", lambda b, x: computed_alone(b, b.cumulative_sum(x, 1, exclusive=True)), (NUMBERS,)),
    (
        "BatchNormalization",
        lambda b, x, m, v: computed_alone(b, b.batch_normalization(x, m, v)),
        (NUMBERS, *STATISTICS),
    ),
    ("InstanceNormalization", lambda b, x: computed_alone(b, b.instance_normalization(x)), (NUMBERS,)),
    ("ScatterND", scattered_in_any_order, (INTEGERS, np.array([[2], [-4]]), INTEGERS[:2] + 1)),
    ("GatherElements", lambda b, x, i: gathered_in_range(b, x, i, axis=1), (INTEGERS, INTEGERS % 6 - 3)),
    ("BitwiseAnd", bits("bitwise_and"), (INTEGERS, INTEGERS[:1] * 3)),
    ("BitwiseOr", bits("bitwise_or"), (INTEGERS.astype(np.int8), INTEGERS[::-1].astype(np.int8))),
    ("BitwiseXor", bits("bitwise_xor"), (INTEGERS.astype(np.uint32), INTEGERS[::-1].astype(np.uint32))),
    ("Mod", modulo_five, (INTEGERS,)),
    ("Mod", float_remainder, (NUMBERS,)),
    ("BitShift", lambda b, x, y: bits_shifted(b, x, y, left=True), (UNSIGNED, UNSIGNED[:1] % 32)),
    (
        "BitShift",
        lambda b, x, y: bits_shifted(b, x, y, left=False),
        (UNSIGNED.astype(np.uint8), (UNSIGNED % 8).astype(np.uint8)),
    ),
    ("Det", determinants, (RNG.standard_normal((2, 3, 4, 4)).astype(np.float32),)),
    ("Col2Im", columns(kernel=(2, 3), dilations=(2, 1)), (NUMBERS.reshape(2, 12, 24)[..., :15],)),
    ("GridSample", sampled("linear", "zeros"), (NUMBERS / 90, PLACES)),
    ("GridSample", sampled("cubic", "reflection"), (NUMBERS / 90, PLACES)),
    (
        "Resize",
        resized_to(192, "linear", "asymmetric"),
        (np.moveaxis(NUMBERS, 2, 1).reshape(1, 2, 48, 6).repeat(2, 2),),
    ),
    ("Resize", resized_to(9, "nearest", "asymmetric"), (NUMBERS,)),
    ("ReverseSequence", reversed_along(0), (NUMBERS, np.arange(12) % 2 + 1)),
    ("ReverseSequence", reversed_along(1), (INTEGERS, np.array([1, 3, 6, 4], np.int32))),
    ("RoiAlign", regions("avg"), (NUMBERS, REGIONS, np.array([0, 1, 0]))),
    ("RoiAlign", regions("max"), (NUMBERS, REGIONS, np.array([1, 1, 0], np.int32))),
    ("DeformConv", deformed(groups=1, offset_groups=1), (NUMBERS / 90, FILTERS, OFFSETS[:, :12])),
    (
        "DeformConv",
        deformed(groups=2, offset_groups=3),
        (NUMBERS / 90, FILTERS[:, :6], OFFSETS, NUMBERS[0, :4, 0, 0] / 90, abs(OFFSETS[:, :18])),
    ),
    ("Conv", convolved(groups=1), (VOLUME, POINTS)),
    ("Conv", convolved(groups=2), (VOLUME, POINTS[:, :2], POINTS[:, 0, 0, 0, 0])),
    ("Conv", convolved(groups=4, strides=(1, 2, 1), pads=(1, 0, 2, 1, 1, 0)), (VOLUME, BLOCKS)),
    ("Conv", convolved(groups=4, dilations=(2, 1, 3)), (VOLUME, BLOCKS[:4], BLOCKS[:4, 0, 0, 0, 0])),
    ("MaxUnpool", unpooled_by((2, 2), (2, 2)), (NUMBERS, UNPOOLED)),
    ("DFT", lambda b, x: transformed(b, x, axis=1, length=512, inverse=False, onesided=False), (SIGNAL,)),
    ("Shrink", lambda b, x: applied(b, "shrink", x, bias=0.25, lambd=1.5), (NUMBERS / 30,)),
    ("DepthToSpace", lambda b, x: blocks_of_pixels(b, x, 2, depth_last=True), (NUMBERS,)),
    ("DepthToSpace", lambda b, x: blocks_of_pixels(b, x, 2, depth_last=False), (NUMBERS.astype(np.float16),)),
    ("SpaceToDepth", lambda b, x: blocks_of_channels(b, x, 2), (NUMBERS,)),
]


@pytest.mark.parametrize(("op_type", "make", "arrays"), CASES, ids=[f"{i} {row[0]}" for i, row in enumerate(CASES)])
def test_it_is_one_kernel_with_the_results_of_its_operators(
    op_type: str, make: Make, arrays: tuple[np.ndarray[Any, Any], ...]
) -> None:
    graph, feeds = graph_of(make, *arrays)
    emitted = [node.op_type for node in lower(graph).finish().graph.node]
    assert [name for name in emitted if name != "Cast" or op_type == "Cast"] == [op_type]  # (casts of float16)
    found = run_graph(graph, feeds, OnnxRuntimeBackend())["y"]
    for backend in (OnnxRuntimeBackend(), ArraysBackend()):
        np.testing.assert_allclose(found, run_graph(expanded(graph), feeds, backend)["y"], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("divisor", [None, 0, -1])
def test_a_remainder_that_a_processor_would_trap_at_is_computed_by_operators(divisor: int | None) -> None:
    def make(b: Builder, x: MLOperand, y: MLOperand) -> MLOperand:
        return remainder(b, x, y if divisor is None else b.constant(np.array([divisor, 3, 5])), fmod=True)

    x, y = np.array([-(2**63), 7, -8]), np.array([-1, 0, 3])
    graph, feeds = graph_of(make, x, y)
    assert "modulo" not in {node.op for node in graph.nodes}
    found = run_graph(graph, feeds, OnnxRuntimeBackend())["y"]
    if divisor is None:
        np.testing.assert_array_equal(found, [0, 7, -2])
    else:
        np.testing.assert_array_equal(found[1:], [1, -3])


def test_short_axes_are_resized_by_products_which_are_faster() -> None:
    graph, _ = graph_of(resized_to(40, "linear", "align_corners"), NUMBERS)
    assert {node.op for node in graph.nodes} == {"matmul"}


def test_rows_are_resized_as_images_of_one_row() -> None:
    resampling = Resampling("linear", "half_pixel", "floor", -0.75, False, False, 0.0)
    graph, _ = graph_of(lambda b, x: resized(b, x, [Axis(2, 6, 12, 2.0)], resampling, by="scales"), NUMBERS[0])
    assert "resample2d" in {node.op for node in graph.nodes}


def test_bits_that_are_all_shifted_out_leave_zero() -> None:
    """A processor shifts by the amount modulo the number of bits instead."""
    graph, feeds = graph_of(
        lambda b, x: bits_shifted(b, x, b.constant(np.uint8(9)), left=True), np.full(3, 255, np.uint8)
    )
    assert run_graph(graph, feeds, OnnxRuntimeBackend())["y"].tolist() == [0, 0, 0]


def test_channels_of_dilated_columns_along_one_axis_stay_apart() -> None:
    """onnxruntime 1.32 adds an element of one channel to another one there."""
    x = np.zeros((1, 4, 2), np.float32)
    x[0, 2:] = 1
    options = {"strides": [1], "dilations": [2], "pads": [0, 0]}
    graph, feeds = graph_of(lambda b, x: images_of_columns(b, x, [4], [2], **options), x)
    assert run_graph(graph, feeds, OnnxRuntimeBackend())["y"].tolist() == [[[0, 0, 0, 0], [1, 1, 1, 1]]]


def test_blocks_of_integers_are_moved_by_operators() -> None:
    large = np.arange(2**24, 2**24 + 32, dtype=np.int32).reshape(1, 4, 2, 4)
    graph, feeds = graph_of(lambda b, x: blocks_of_pixels(b, x, 2, depth_last=True), large)
    assert {node.op for node in graph.nodes} == {"reshape", "transpose"}
    found = run_graph(graph, feeds, OnnxRuntimeBackend())["y"]
    np.testing.assert_array_equal(found[0, 0, :2, :2].reshape(-1), large[0, :, 0, 0])


def test_too_many_bits_for_operators_are_refused() -> None:
    graph, _ = graph_of(bits("bitwise_and"), *[np.ones((2048, 2048), np.int32)] * 2)
    with pytest.raises(
        NotSupportedError, match=r"bitwise_and: .*\[2048, 2048\] .* too many bits to compute one by one"
    ):
        expanded(graph)


FILE = """
<ir_version: 10, opset_import: ["": 21]>
g (float[2, 4, 2, 2] x, int64[4] i, float[200, 100] data, int64[200, 100] places, int64[200, 1] rows) =>
  (c, s, l, m, k, d, e, a, r, g, t) <int64 three = {3}> {
    c = Cast <to = 7> (x)
    s = Sign (x)
    l = ReduceL2 (x)
    m = ReduceMax (x)
    k = ReduceMin <keepdims = 0> (x)
    d = DepthToSpace <blocksize = 2> (x)
    e = SpaceToDepth <blocksize = 2> (x)
    a = BitwiseAnd (i, three)
    r = Mod (i, three)
    g = GatherElements (data, places)
    t = ScatterND (data, rows, data)
}
"""


OF_ONE_KERNEL = """
<ir_version: 10, opset_import: ["": 21]>
g (float[2, 4, 6, 6] x, float[4] w) => (s, c, n, b, p, q) <int64 axis = {1}> {
    s = Sigmoid (x)
    c = CumSum (x, axis)
    n = InstanceNormalization (x, w, w)
    b = BatchNormalization (x, w, w, w, w)
    p = ReduceProd (x)
    q = ReduceSumSquare (x)
}
"""


def test_files_give_what_onnxruntime_gives_to_the_last_digit() -> None:
    model = parser.parse_model(OF_ONE_KERNEL)
    feeds: dict[str, Any] = {
        "x": NUMBERS.reshape(2, 4, 6, 12)[..., :6] / 30,
        "w": np.linspace(0.5, 2, 4, dtype=np.float32),
    }
    found = computed(model, feeds, OnnxRuntimeBackend(), NATIVE)
    for result, wanted in zip(found, by_onnxruntime(model, feeds), strict=True):
        np.testing.assert_array_equal(result, wanted)


def test_files_keep_them() -> None:
    builder = direct_builder(composites=NATIVE)
    outputs = import_onnx(parser.parse_model(FILE).SerializeToString(), builder)
    found = [operand.node.op for operand in outputs.values() if operand.node is not None]
    assert found == [
        *(
            "open_cast",
            "open_sign",
            "open_reduce_l2",
            "open_reduce_max",
            "open_reduce_min",
            "depth_to_space",
            "space_to_depth",
        ),
        *("bitwise_and", "modulo", "open_gather_elements", "open_scatter_nd"),
    ]


@pytest.mark.parametrize(
    ("count", "op"), [(3, "open_reduce_log_sum_exp"), (1000, "open_reduce_log_sum_exp"), (2000, "reduce_log_sum_exp")]
)
def test_logarithms_of_sums_of_few_exponentials_are_left_to_a_kernel(count: int, op: str) -> None:
    axes = Fixed(np.array([1]))
    model, feeds = node_model("ReduceLogSumExp", [100 * random(0, 1, count), axes])
    backend = OnnxRuntimeBackend()
    builder = direct_builder(backend, backend.composites)
    graph = builder.build(import_onnx(model, builder))
    assert [node.op for node in graph.nodes] == [op]
    assert why_not_separable(graph) is None
    (result,) = run_graph(graph, feeds, backend).values()
    np.testing.assert_allclose(result, by_onnxruntime(model, feeds)[0], rtol=1e-6)


def test_places_of_the_largest_elements_are_in_range_of_as_long_a_table() -> None:
    for size, op_types in ((3, ["ArgMax", "Reshape", "Gather"]), (2, ["ArgMax", "Reshape", "Clip", "Gather"])):
        builder = direct_builder(OnnxRuntimeBackend())
        place = builder.arg_max(builder.input("x", [1, 3], "float32"), 1, output_data_type="int64")
        table = builder.constant(np.arange(size, dtype=np.float32))
        graph = builder.build({"y": builder.gather(table, builder.reshape(place, [1, 1]))})
        assert [node.op_type for node in lower(graph).finish().graph.node] == op_types
