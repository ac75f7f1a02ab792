"""Quantized nodes, compared with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.direct import direct_builder, ops
from tests.onnx_nodes import Array, Fixed, Given, by_onnxruntime, by_reference, check_node, computed, node_model, random
from webnn.backends.base import Backend, CompileOptions
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.processors import usable_cores
from webnn.errors import DataError, NotSupportedError
from webnn.formats.onnx import import_onnx
from webnn.formats.onnx.importing.operator_table import MICROSOFT
from webnn.graph.ir import Graph

UINT8, INT8 = np.dtype(np.uint8), np.dtype(np.int8)
NATIVE = OnnxRuntimeBackend()


def for_onnxruntime(model: ModelProto) -> Graph:
    """The graph that the importer makes for onnxruntime, with composites."""
    builder = direct_builder(composites=NATIVE.composites)
    return builder.build(import_onnx(model.SerializeToString(), builder))


def scale(seed: int, *shape: int, dtype: Any = np.float32) -> Array:
    return np.asarray(np.random.default_rng(seed).uniform(0.02, 0.1, shape)).astype(dtype)


def quantity(seed: int, *shape: int, dtype: Any = np.uint8, size: float = 0.03, zero: int = 3) -> list[Given]:
    """Integers, their scale and their zero point, the latter two constants."""
    return [random(seed, *shape, dtype=dtype), Fixed(np.array(size, np.float32)), Fixed(np.array(zero, dtype))]


def weights(seed: int, *shape: int) -> Array:
    """Integers of 7 bits, which onnxruntime can multiply with uint8 without saturation."""
    return random(seed, *shape, dtype=np.int8) // 2


def into(dtype: Any = np.uint8, size: float = 0.05, zero: int = 7) -> list[Given]:
    return [Fixed(np.array(size, np.float32)), Fixed(np.array(zero, dtype))]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("per_axis", [None, 0, 1, -1])
def test_quantizing_and_dequantizing(backend: Backend, dtype: Any, per_axis: int | None) -> None:
    shape = (2, 3, 4)
    parameters = () if per_axis is None else (shape[per_axis],)
    options = {} if per_axis is None else {"axis": per_axis}
    sizes, zeros = scale(1, *parameters), random(2, *parameters, dtype=dtype)
    x = random(0, *shape) * 20
    check_node(backend, "QuantizeLinear", [x, Fixed(sizes), Fixed(zeros)], **options)
    integers = random(0, *shape, dtype=dtype)
    check_node(backend, "DequantizeLinear", [integers, sizes, zeros], **options)
    check_node(backend, "DequantizeLinear", [integers, Fixed(sizes)], **options)
    if dtype in (np.uint8, np.int8):
        check_node(backend, "QuantizeLinear", [x, sizes, zeros], **options)


@pytest.mark.parametrize(("dtype", "zero"), [(np.uint16, 32769), (np.uint16, 0), (np.int16, -3)])
@pytest.mark.parametrize("restored", ["the same", "another scale", "another zero point", "an axis", "none"])
def test_values_in_steps_of_16_bits_are_one_composite_if_they_are_restored_as_they_were(
    backend: Backend, dtype: Any, zero: int, restored: str
) -> None:
    size, offset = np.array(0.125, np.float32), np.array(zero, dtype)
    again, other = size, offset
    match restored:
        case "another scale":
            again = size * 2
        case "another zero point":
            other = offset + 1
        case "an axis":
            size = again = np.array([0.125, 0.5, 0.25], np.float32)
            offset = other = np.array([zero] * 3, dtype)
    # Halves, beyond both ends, and what rounds to the ends.
    x = np.array([*np.arange(-40, 41) / 16, 1e4, -1e4, np.inf, -np.inf, 4095.93, -4096.07], np.float32)
    x = np.repeat(x[:, None], 3, 1)
    parameters = [numpy_helper.from_array(a, n) for a, n in ((size, "s"), (offset, "z"), (again, "a"), (other, "o"))]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "a", "o"] if restored != "none" else ["q", "a"], ["y"]),
    ]
    described = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xy"]
    main = helper.make_graph(nodes, "g", described[:1], described[1:], parameters)
    model = helper.make_model(main, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    is_composite = restored == "the same" or (restored == "none" and not zero)
    assert ("fake_quantize" in ops(for_onnxruntime(model))) is is_composite
    for composites in (backend.composites, ()):
        (found,) = computed(model, {"x": x}, backend, composites)
        np.testing.assert_array_equal(found, by_onnxruntime(model, {"x": x})[0])


@pytest.mark.parametrize("dtype", [ml_dtypes.int2, ml_dtypes.uint2])
@pytest.mark.parametrize("as_bytes", [True, False])
def test_weights_of_2_bits(backend: Backend, dtype: Any, as_bytes: bool) -> None:
    bounds = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    numbers = np.random.default_rng(0).integers(bounds.min, bounds.max + 1, (5, 7))
    weights, step = numbers.astype(dtype), Fixed(scale(1, 7))
    model, feeds = node_model("DequantizeLinear", [Fixed(weights), step, Fixed(numbers[0].astype(dtype))], version=25)
    if not as_bytes:
        tensor = model.graph.initializer[0]
        tensor.CopyFrom(helper.make_tensor(tensor.name, tensor.data_type, (5, 7), numbers.reshape(-1)))
    (found,) = computed(model, feeds, backend)
    np.testing.assert_allclose(found, (numbers - numbers[0]) * scale(1, 7), rtol=1e-6)


@pytest.mark.parametrize("dtype", [ml_dtypes.int2, ml_dtypes.uint2])
def test_activations_of_2_bits_stay_within_them(backend: Backend, dtype: Any) -> None:
    parameters = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])]
    nodes = [*parameters, helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    constants = [
        numpy_helper.from_array(np.float32(0.5), "s"),
        numpy_helper.from_array(np.array(1).astype(dtype), "z"),
    ]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [40]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=13)
    x = random(0, 40) * 3
    (found,) = computed(model, {"x": x}, backend)
    bounds = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
    levels = np.clip(np.round(x / 0.5) + 1, bounds.min, bounds.max)
    np.testing.assert_allclose(found, (levels - 1) * 0.5)


def test_a_zero_point_of_16_bits_must_be_known(backend: Backend) -> None:
    inputs: list[Given] = [random(0, 5), scale(1), np.array(3, np.uint16)]
    model, feeds = node_model("QuantizeLinear", inputs)
    with pytest.raises(NotSupportedError, match="not known whether its 16 bits are signed"):
        computed(model, feeds, backend)


def test_without_a_zero_point_it_is_uint8_and_0(backend: Backend) -> None:
    (result,) = check_node(backend, "QuantizeLinear", [random(0, 5) * 10, scale(1)], version=10)
    assert result.dtype == UINT8
    check_node(backend, "DequantizeLinear", [random(0, 5, dtype=np.int32), scale(1)], version=10)


def test_the_attribute_names_the_type(backend: Backend) -> None:
    x = random(0, 5) * 10
    (result,) = check_node(backend, "QuantizeLinear", [x, scale(1)], output_dtype=TensorProto.INT8)
    assert result.dtype == INT8
    check_node(backend, "QuantizeLinear", [x * 1e4, scale(1)], output_dtype=TensorProto.INT16)


@pytest.mark.parametrize(("axis", "block"), [(0, 2), (1, 3), (1, 2), (1, 4), (2, 5), (1, 10**12)])
def test_blocks_of_which_the_last_may_not_be_whole(backend: Backend, axis: int, block: int) -> None:
    shape = (4, 6, 5)
    blocks = [-(-size // block) if i == axis else size for i, size in enumerate(shape)]
    sizes, zeros = scale(1, *blocks), random(2, *blocks, dtype=np.uint8)
    whole = shape[axis] % block == 0
    expected = by_onnxruntime if whole else _by_block(axis, block)
    options = {"axis": axis, "block_size": block, "expected": expected}
    x, integers = random(0, *shape), random(0, *shape, dtype=np.uint8)
    check_node(backend, "DequantizeLinear", [integers, Fixed(sizes), Fixed(zeros)], **options)
    check_node(backend, "DequantizeLinear", [integers, sizes, zeros], **options)
    if whole:
        check_node(backend, "QuantizeLinear", [x, Fixed(sizes), Fixed(zeros)], **options)
        wide = Fixed(random(2, *blocks, dtype=np.int16))
        check_node(backend, "QuantizeLinear", [x, Fixed(sizes), wide], **options)
        check_node(backend, "QuantizeLinear", [x, sizes], output_dtype=TensorProto.INT16, **options)


def _by_block(axis: int, block: int) -> Any:
    def expected(model: ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
        values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer} | dict(feeds)
        x, sizes, zeros = (values[f"input{i}"] for i in range(3))
        sizes, zeros = (np.repeat(p, min(block, 9), axis).take(range(x.shape[axis]), axis) for p in (sizes, zeros))
        return [(x.astype(np.float32) - zeros) * sizes]

    return expected


@pytest.mark.parametrize("dtype", [ml_dtypes.int4, ml_dtypes.uint4])
def test_integers_of_4_bits_are_dequantized_in_blocks(backend: Backend, dtype: Any) -> None:
    low = 0 if dtype is ml_dtypes.uint4 else -8
    integers = np.random.default_rng(0).integers(low, low + 16, (4, 6)).astype(dtype)
    zeros = np.random.default_rng(1).integers(low, low + 16, (2, 6)).astype(dtype)
    inputs = [Fixed(integers), scale(2, 2, 6), Fixed(zeros)]
    check_node(backend, "DequantizeLinear", inputs, axis=0, block_size=2)


def test_dequantizing_to_another_type(backend: Backend) -> None:
    integers, half = random(0, 3, 4, dtype=np.int8), scale(1, dtype=np.float16)
    check_node(backend, "DequantizeLinear", [integers, half], tolerance=2e-3)
    check_node(
        backend,
        "DequantizeLinear",
        [integers, scale(1)],
        output_dtype=TensorProto.FLOAT16,
        version=23,
        expected=by_reference,
        tolerance=2e-3,
    )


@pytest.mark.parametrize("offset", [0, 5, -5, 0.25])
def test_the_range_of_a_dynamic_quantization_includes_0(backend: Backend, offset: float) -> None:
    x = random(0, 3, 4) + np.float32(offset)
    check_node(backend, "DynamicQuantizeLinear", [x], outputs=[True] * 3)
    check_node(backend, "DynamicQuantizeLinear", [np.zeros((2, 2), np.float32)], outputs=[True] * 3)


@pytest.mark.parametrize("signs", [("uint8", "uint8"), ("uint8", "int8"), ("int8", "int8")])
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("size", [5, 3000])
def test_products_of_integers_are_exact(backend: Backend, signs: tuple[str, str], fixed: bool, size: int) -> None:
    a, b = random(0, 3, size, dtype=signs[0]), random(1, size, 4, dtype=signs[1])
    inputs: list[Given] = [a, Fixed(b) if fixed else b]
    columns = random(3, 4, dtype=signs[1])
    check_node(backend, "MatMulInteger", inputs, expected=_product(0, 0))
    zeros: list[Given] = [Fixed(np.array(100, signs[0])), Fixed(columns)]
    check_node(backend, "MatMulInteger", [*inputs, *zeros], expected=_product(100, columns))
    scalars: list[Given] = [np.array(5, sign) for sign in signs]
    check_node(backend, "MatMulInteger", [*inputs, *scalars], expected=_product(5, 5))


def _product(a_zero: int, b_zero: int | Array) -> Any:
    """onnxruntime itself is not exact: without VNNI instructions it saturates products of uint8 and int8."""

    def expected(model: ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
        values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer} | dict(feeds)
        a, b = (values[f"input{i}"].astype(np.int64) for i in (0, 1))
        return [((a - a_zero) @ (b - np.asarray(b_zero, np.int64))).astype(np.int32)]

    return expected


def test_the_largest_products_are_exact(backend: Backend) -> None:
    a, b = np.full((1, 30000), 255, np.uint8), np.full((30000, 1), 255, np.uint8)
    lowest = np.full((30000, 1), -128, np.int8)
    for factor in (b, lowest):
        check_node(backend, "MatMulInteger", [a, Fixed(factor)], expected=_product(0, 0))
        check_node(backend, "MatMulInteger", [a, factor], expected=_product(0, 0))


def test_stacks_of_products(backend: Backend) -> None:
    inputs = [random(0, 2, 3, 4, dtype=np.uint8), random(1, 2, 4, 5, dtype=np.uint8)]
    check_node(backend, "MatMulInteger", [*inputs, np.array(3, np.uint8), np.array(200, np.uint8)])


@pytest.mark.parametrize("both", [False, True])
def test_products_that_become_floats_at_once_are_never_integers(backend: Backend, both: bool) -> None:
    model, feeds = node_model("MatMulInteger", [random(0, 3, 5, dtype=np.uint8), Fixed(weights(1, 5, 4))])
    (product,) = model.graph.node
    product.name = "product"
    model.graph.node.append(helper.make_node("Cast", ["output0"], ["floats"], to=TensorProto.FLOAT))
    if not both:
        del model.graph.output[:]
    model.graph.output.append(onnx.ValueInfoProto(name="floats"))
    builder = direct_builder()
    nodes = builder.build(import_onnx(model, builder)).nodes
    assert [node.op for node in nodes if node.op not in ("cast", "identity")] == ["matmul"]
    assert [node.label for node in nodes if node.op == "matmul"] == ["product"]
    assert sum(node.output.data_type == "int32" for node in nodes) == both
    for result, wanted in zip(computed(model, feeds, backend), by_onnxruntime(model, feeds), strict=True):
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("channels", [4, 128])
def test_convolutions_of_integers_are_exact(backend: Backend, groups: int, channels: int) -> None:
    x, w = random(0, 1, channels, 5, 6, dtype=np.uint8), random(1, 4, channels // groups, 3, 3, dtype=np.uint8)
    options = {"group": groups, "pads": [1, 1, 0, 1], "strides": [2, 1]}
    check_node(backend, "ConvInteger", [x, Fixed(w)], **options)
    check_node(backend, "ConvInteger", [x, w, np.array(100, np.uint8), np.array(7, np.uint8)], **options)
    zeros = [Fixed(np.array(9, np.uint8)), Fixed(np.array(7, np.uint8))]
    check_node(backend, "ConvInteger", [x, Fixed(w), *zeros], group=groups)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("zero", [None, 5, [5]])
@pytest.mark.parametrize("shape", [(2, 3, 9), (2, 3, 9, 8)])
def test_convolutions_of_integers_are_one_kernel(
    backend: Backend, dtype: Any, zero: Any, shape: tuple[int, ...]
) -> None:
    over = len(shape) - 2
    x, w = random(0, *shape, dtype=np.uint8), random(1, 4, 3, *[3] * over, dtype=dtype)
    zeros = [None, None] if zero is None else [Fixed(np.array(9, np.uint8)), Fixed(np.array(zero, dtype))]
    for options in (
        {"auto_pad": "SAME_UPPER", "strides": [2] * over},
        {"dilations": [2] * over, "pads": [1] * 2 * over},
    ):
        check_node(backend, "ConvInteger", [x, Fixed(w), *zeros], **options)
        model, _ = node_model("ConvInteger", [x, Fixed(w), *zeros], **options)
        if "matmul_integer" in NATIVE.composites:  # the processor multiplies 8-bit integers exactly
            assert [op for op in ops(for_onnxruntime(model)) if op != "reshape"] == ["conv_integer"]


@pytest.mark.parametrize(
    ("x", "w", "options"),
    [
        (np.uint8, np.int8, {"group": 2}),
        (np.int8, np.int8, {}),
        (np.uint8, np.int8, {"by_filter": True}),
    ],
)
def test_other_convolutions_of_integers_are_floats(x: Any, w: Any, options: dict[str, Any]) -> None:
    options = dict(options)
    zeros = [Fixed(np.array(3, x)), Fixed(np.arange(6).astype(w))] if options.pop("by_filter", False) else []
    filters = Fixed(random(1, 6, 4 // options.get("group", 1), 3, 3, dtype=w))
    model, feeds = node_model("ConvInteger", [random(0, 1, 4, 7, 7, dtype=x), filters, *zeros], **options)
    assert {"conv2d", "cast"} <= set(ops(for_onnxruntime(model)))
    (result,) = computed(model, feeds, NATIVE, NATIVE.composites)
    if not zeros:  # of which onnxruntime has one for all filters only
        np.testing.assert_array_equal(result, by_onnxruntime(model, feeds)[0])


@pytest.mark.parametrize("bias", [True, False])
def test_products_to_floats(backend: Backend, bias: bool) -> None:
    a, b = random(0, 3, 8, dtype=np.uint8), weights(1, 8, 4)
    added = random(5, 4) if bias else None
    zeros = [np.array(100, np.uint8), random(4, 4, dtype=np.int8)]
    inputs = [a, Fixed(b), scale(2), Fixed(scale(3, 4)), *zeros, added]
    check_node(backend, "MatMulIntegerToFloat", inputs, domain=MICROSOFT)
    check_node(backend, "MatMulIntegerToFloat", [a, b, scale(2), scale(3), None, None, added], domain=MICROSOFT)
    x = random(6, 2, 3, 8)
    check_node(backend, "DynamicQuantizeMatMul", [x, Fixed(b), scale(3, 4), None, added], domain=MICROSOFT)
    check_node(backend, "DynamicQuantizeMatMul", [x, b, scale(3), np.array(3, np.int8), added], domain=MICROSOFT)


def test_quantized_products_have_a_scale_for_each_matrix_or_column(backend: Backend) -> None:
    a, y = quantity(0, 2, 3, 8), into(size=0.3)
    columns: list[Given] = [weights(1, 8, 4), Fixed(scale(2, 4)), Fixed(np.zeros(4, np.int8))]
    steps = 1 if type(backend).__name__ == "ArraysBackend" else 0
    check_node(backend, "QLinearMatMul", [*a, *quantity(1, 8, 4), *y], tolerance=steps)
    check_node(backend, "QLinearMatMul", [*a, *columns, *y], tolerance=steps)
    check_node(backend, "QLinearMatMul", [*a, Fixed(columns[0]), *columns[1:], *y], tolerance=steps)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_quantized_convolutions_have_groups_and_a_scale_for_each_channel(
    backend: Backend, bias: bool, per_channel: bool, groups: int
) -> None:
    channels = (6,) if per_channel else ()
    w: list[Given] = [
        Fixed(weights(1, 6, 4 // groups, 3, 3)),
        Fixed(scale(2, *channels)),
        Fixed(np.zeros(channels, np.int8)),
    ]
    added = [Fixed(random(3, 6, dtype=np.int16).astype(np.int32))] if bias else []
    options = {"group": groups, "pads": [1, 1, 1, 1], "strides": [1, 2]}
    check_node(backend, "QLinearConv", [*quantity(0, 2, 4, 5, 6), *w, *into(size=0.2), *added], tolerance=1, **options)


@pytest.mark.parametrize("op_type", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_quantized_sums_and_products_of_elements(backend: Backend, op_type: str, dtype: Any) -> None:
    inputs = [*quantity(0, 2, 3, 4, dtype=dtype), *quantity(1, 4, dtype=dtype, size=0.04), *into(dtype)]
    check_node(backend, op_type, inputs, domain=MICROSOFT, tolerance=1)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_quantized_activations_are_one_step_off_at_most(backend: Backend, dtype: Any) -> None:
    x = quantity(0, 2, 3, 4, dtype=dtype)
    check_node(backend, "QLinearSigmoid", [*x, *into(dtype, 1 / 256, 0)], domain=MICROSOFT, tolerance=1)
    check_node(backend, "QLinearLeakyRelu", [*x, *into(dtype)], domain=MICROSOFT, tolerance=1, alpha=0.2)
    softmax = [*quantity(0, 2, 3, 4, dtype=np.uint8), *into(np.uint8, 1 / 256, 0)]
    check_node(backend, "QLinearSoftmax", softmax, domain=MICROSOFT, tolerance=1, opset=13, axis=-1)


@pytest.mark.parametrize("last", [0, 1])
def test_quantized_poolings_take_channels_first_or_last(backend: Backend, last: int) -> None:
    x = quantity(0, 2, 5, 6, 4) if last else quantity(0, 2, 4, 5, 6)
    options = {"domain": MICROSOFT, "channels_last": last, "tolerance": 1}
    check_node(backend, "QLinearGlobalAveragePool", [*x, *into()], **options)
    check_node(backend, "QLinearAveragePool", [*x, *into()], kernel_shape=[2, 3], strides=[2, 1], **options)
    check_node(backend, "QLinearAveragePool", [*x, *into()], kernel_shape=[3, 3], pads=[1, 1, 1, 1], **options)


@pytest.mark.parametrize("counted", [0, 1])
def test_a_quantized_pooling_counts_what_is_beyond_the_end(backend: Backend, counted: int) -> None:
    x = quantity(0, 2, 4, 5, 6)
    options = {"domain": MICROSOFT, "tolerance": 1, "kernel_shape": [3, 3], "strides": [3, 2], "ceil_mode": 1}
    for pads in ([0, 0, 0, 0], [1, 1, 0, 1]):
        options |= {"pads": pads, "count_include_pad": counted}
        check_node(backend, "QLinearAveragePool", [*x, *into()], **options)


def test_quantized_operands_are_brought_to_one_scale(backend: Backend) -> None:
    x, y = quantity(0, 2, 3), quantity(1, 2, 4, size=0.04)
    check_node(backend, "QLinearConcat", [*into(), *x, *y], domain=MICROSOFT, axis=1, tolerance=1)
    condition = np.array([[True], [False]])
    inputs = [condition, *x, *quantity(1, 2, 3, size=0.04), *into()]
    check_node(backend, "QLinearWhere", inputs, domain=MICROSOFT, tolerance=1)


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("output", [True, False])
def test_quantized_gemm_gives_integers_or_floats(backend: Backend, transposed: int, output: bool) -> None:
    shape = (4, 8) if transposed else (8, 4)
    b: list[Given] = [Fixed(weights(1, *shape)), Fixed(scale(2, 4)), Fixed(np.zeros(4, np.int8))]
    c = Fixed(random(3, 4, dtype=np.int16).astype(np.int32))
    y = into(size=0.3) if output else []
    inputs = [*quantity(0, 3, 8), *b, c, *y]
    options = {"transB": transposed, "domain": MICROSOFT, "tolerance": 1 if output else 1e-4}
    check_node(backend, "QGemm", inputs, **options)
    check_node(backend, "QGemm", inputs, alpha=0.5, **options)


def test_quantized_operators_are_left_to_the_backend() -> None:
    w: list[Given] = [Fixed(random(1, 6, 4, 3, 3, dtype=np.int8)), Fixed(scale(2, 6)), Fixed(np.zeros(6, np.int8))]
    model, _ = node_model("QLinearConv", [*quantity(0, 2, 4, 5, 6), *w, *into()])
    builder = direct_builder()
    graph = builder.build(import_onnx(model, builder))
    assert sorted(node.op for node in graph.nodes) == [
        "conv2d",
        "dequantize_linear",
        "dequantize_linear",
        "quantize_linear",
    ]


def quantized_lstm(*, batch: int = 1, directions: int = 1, by_gate: bool = False, zero: int = 0) -> list[Given]:
    """The inputs of a `DynamicQuantizeLSTM` of 5 hidden states over 4 steps of 3 numbers."""
    w, r = weights(1, directions, 3, 20), weights(2, directions, 5, 20)
    sizes = (directions, 20) if by_gate else (directions,)
    parameters: list[Given] = []
    for i in (3, 4):
        parameters += [Fixed(scale(i, *sizes)), Fixed(np.full(sizes, zero, np.int8))]
    inputs: list[Given] = [random(0, 4, batch, 3), Fixed(w), Fixed(r), Fixed(random(5, directions, 40)), None]
    return [*inputs, random(6, directions, batch, 5), random(7, directions, batch, 5), None, *parameters]


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("by_gate", [False, True])
@pytest.mark.parametrize("outputs", [[True] * 3, [False, True, False]])
def test_lstms_with_quantized_weights(backend: Backend, direction: str, by_gate: bool, outputs: list[bool]) -> None:
    inputs = quantized_lstm(directions=2 if direction == "bidirectional" else 1, by_gate=by_gate)
    options: dict[str, Any] = {"outputs": outputs, "hidden_size": 5, "direction": direction, "domain": MICROSOFT}
    # The operators do not round the hidden states to 8 bits after each step, as onnxruntime does.
    check_node(backend, "DynamicQuantizeLSTM", inputs, tolerance=0.02, **options)
    model, feeds = node_model("DynamicQuantizeLSTM", inputs, **options)
    if "dynamic_quantize_lstm" in ops(for_onnxruntime(model)):  # the processor multiplies 8-bit integers exactly
        results = computed(model, feeds, NATIVE, NATIVE.composites)
        for result, wanted in zip(results, by_onnxruntime(model, feeds), strict=True):
            np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize(
    "changes",
    [
        {"clip": 1.0},
        {"input_forget": 1},
        {"activations": ["Sigmoid", "Relu", "Tanh"]},
        {"peephole": True},
        {"lengths": True},
        {"zero": 3},
    ],
)
def test_quantized_lstms_with_other_options_are_operators(changes: dict[str, Any]) -> None:
    options: dict[str, Any] = {"hidden_size": 5, "domain": MICROSOFT, **changes}
    inputs = quantized_lstm(by_gate=True, zero=options.pop("zero", 0))
    if options.pop("peephole", False):
        inputs[7] = Fixed(random(8, 1, 15))
    if options.pop("lengths", False):
        inputs[4] = np.array([3], np.int32)
    model, feeds = node_model("DynamicQuantizeLSTM", inputs, **options)
    assert "dynamic_quantize_lstm" not in ops(for_onnxruntime(model))
    (result,) = computed(model, feeds, NATIVE, NATIVE.composites)
    if "zero" not in changes:  # which onnxruntime refuses
        np.testing.assert_allclose(result, by_onnxruntime(model, feeds)[0], rtol=0, atol=0.06)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "bidirectional"}, r"X \[4, 1, 3\] and W \[1, 20, 3\] do not fit each other"),
        ({"activations": ["Sigmoid", "Tanh", "Tanh"] * 2}, "activations must be 3 names"),
    ],
)
def test_quantized_lstms_whose_parts_do_not_fit_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    model, _ = node_model("DynamicQuantizeLSTM", quantized_lstm(), hidden_size=5, domain=MICROSOFT, **options)
    with pytest.raises(DataError, match=message):
        for_onnxruntime(model)


def test_quantized_lstms_of_several_sequences_have_onnxruntimes_threads() -> None:
    """Each thread rounds its own sequences together, so the results depend on how many there are."""
    model, feeds = node_model("DynamicQuantizeLSTM", quantized_lstm(batch=4), hidden_size=5, domain=MICROSOFT)
    graph = for_onnxruntime(model)
    if "dynamic_quantize_lstm" not in ops(graph):
        pytest.skip("products of 8-bit integers are not exact on this processor")
    assert NATIVE.narrow_options(graph, CompileOptions()) is None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (result,) = computed(model, feeds, NATIVE, NATIVE.composites)
    np.testing.assert_array_equal(result, session.run(None, feeds)[0])


def test_weights_of_lstms_that_are_not_known_or_do_not_fit_are_refused(backend: Backend) -> None:
    w, r, one = weights(1, 1, 3, 20), weights(2, 1, 5, 20), [Fixed(scale(3, 1)), Fixed(np.zeros(1, np.int8))]
    options: dict[str, Any] = {"domain": MICROSOFT, "hidden_size": 5}
    rest: list[Given] = [Fixed(r), None, None, None, None, None, *one, *one]
    with pytest.raises(NotSupportedError, match=r"the weights \(input 1\) is computed when the model runs"):
        computed(*node_model("DynamicQuantizeLSTM", [random(0, 4, 2, 3), w, *rest], **options), backend)
    rest[-2] = Fixed(scale(3, 7))
    with pytest.raises(DataError, match=r"scales \[7\] and \[1\] do not fit weights \[1, 5, 20\]"):
        computed(*node_model("DynamicQuantizeLSTM", [random(0, 4, 2, 3), Fixed(w), *rest], **options), backend)
