"""The OpenVINO backend, where onnxruntime-openvino is installed: `make openvino`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pytest
from PIL import Image

import webnn
from benchmarks import mobilenet_v2 as mobilenet
from tests.conformance import wpt
from tests.conformance.test_wpt_conformance import outputs_of
from webnn.errors import NotSupportedError, OperationError, ValidationError
from webnn.graph.dtypes import DataType

(OPENVINO,) = [info for info in webnn.available_backends() if info.name == "openvino"]
if not OPENVINO.available:
    pytest.skip(OPENVINO.reason, allow_module_level=True)

KNOWN: Final = {
    "batchNormalization float32 2D constant tensors default options": "12 ULP, 6 are allowed",
    "batchNormalization options.axis=0 + gelu": "55 ULP, 24 are allowed",
    "gru float32 tensors steps=2 with options.bias, options.recurrentBias, options.direction='both' and"
    " options.returnSequence=true": "7 ULP, 6 are allowed",
    "sigmoid float32 1D constant tensor": "199 ULP, 34 are allowed",
    "resample2d(upsample) float32 4D tensor options.axes=[0, 1]": "onnxruntime-openvino 1.24.1 refuses these axes",
    "resample2d(upsample) float32 4D tensor options.axes=[1, 0]": "onnxruntime-openvino 1.24.1 refuses these axes",
}
"""Cases that fail on onnxruntime-openvino 1.24.1, and why."""


@pytest.fixture(scope="module")
def context() -> Iterator[webnn.MLContext]:
    with webnn.create_context(backend="openvino") as context:
        yield context


@pytest.mark.parametrize("case", wpt.parameters(wpt.conformance_cases()))
def test_conformance(case: wpt.Case, context: webnn.MLContext) -> None:
    if case.stale is not None:
        pytest.skip(f"older than the specification: {case.stale}")
    try:
        outputs = outputs_of(case, context)
    except ValidationError as error:  # integers that it would compute as floats are refused at the call
        pytest.skip(str(error))
    except OperationError:
        if case.name in KNOWN:
            pytest.xfail(KNOWN[case.name])
        raise
    problems = [
        wpt.problem(outputs[name], spec, case.data["tolerance"]) for name, spec in case.data["expectedOutputs"].items()
    ]
    if any(problems) and case.name in KNOWN:
        pytest.xfail(KNOWN[case.name])
    assert not any(problems)


@pytest.mark.skipif(not mobilenet.MODEL.is_dir(), reason=f"no model in {mobilenet.MODEL}")
def test_mobilenet_gives_the_expected_output(context: webnn.MLContext) -> None:
    with Image.open(mobilenet.MODEL / "test.jpg") as image:
        frame = mobilenet.prepare(image)
    graph = mobilenet.build(context.create_graph_builder(), mobilenet.load(mobilenet.MODEL))
    expected = np.load(mobilenet.MODEL / "expected.npz")["probabilities"]
    np.testing.assert_allclose(context.compute(graph, frame)["probabilities"], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [{"device_type": "GPU.7"}, {"device_type": "XPU"}, {"load_config": "{"}, {"num_of_threads": "x"}, {"bogus": "1"}],
    ids=str,
)
def test_options_that_leave_only_the_cpu_provider_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(NotSupportedError, match="create_context: OpenVINO"):
        webnn.create_context(backend="openvino", backend_options=options)


def test_the_other_backend_of_onnxruntime_is_refused_where_it_is_too_old() -> None:
    with pytest.raises(NotSupportedError, match="is older than"):
        webnn.create_context(backend="onnxruntime")


@pytest.mark.parametrize("data_type", ["int64", "uint64"])
def test_64_bit_integers_that_openvino_would_cut_are_refused(data_type: DataType, context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x = builder.input("x", [2], data_type)
    graph = builder.build({"y": builder.reverse(x)})
    small, large = (np.array(numbers, data_type) for numbers in ([2**31 - 1, 5], [2**40 + 1, 5]))
    np.testing.assert_array_equal(context.compute(graph, small)["y"], small[::-1])
    with pytest.raises(OperationError, match=rf"input 'x' has {2**40 + 1}; OpenVINO holds {data_type} in 32 bits"):
        context.compute(graph, large)
    builder = context.create_graph_builder()
    x = builder.input("x", [2], data_type)
    constant = builder.build({"y": builder.concat([x, builder.constant(large)], 0)})
    with pytest.raises(OperationError, match=rf"a constant has {2**40 + 1}"):
        context.compute(constant, small)


@pytest.mark.parametrize("zero", [-128, -3, 0, 7])
@pytest.mark.parametrize("known", [True, False], ids=["constant", "input"])
def test_halves_are_quantized_to_even_with_any_zero_point(zero: int, known: bool, context: webnn.MLContext) -> None:
    """OpenVINO's own kernel adds the zero point first."""
    x = np.array([-1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 1e9, -np.inf, np.nan], np.float32)
    builder = context.create_graph_builder()
    scale = builder.constant(np.ones(1, np.float32))
    point = builder.constant(np.array([zero], np.int8)) if known else builder.input("zero", [1], "int8")
    graph = builder.build({"y": builder.quantize_linear(builder.input("x", [9], "float32"), scale, point, label="q")})
    feeds = {"x": x} if known else {"x": x, "zero": np.array([zero], np.int8)}
    expected = np.clip(np.nan_to_num(np.rint(x) + zero, nan=-128), -128, 127).astype(np.int8)
    np.testing.assert_array_equal(context.compute(graph, feeds)["y"], expected)
    (row,) = graph.explain().operators or ()
    assert row.providers == ("OpenVINOExecutionProvider",)
    assert (row.realization == "native") == (known and zero % 2 == 0)


def test_a_graph_says_which_operators_openvino_has_taken(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x = builder.input("x", [2, 8], "float32")
    product = builder.matmul(x, builder.constant(np.ones((8, 8), np.float32)), label="mm")
    q, scale, zero = (
        builder.input("q", [4], "int32"),
        builder.input("scale", [1], "float32"),
        builder.input("zero", [1], "int32"),
    )
    floats = builder.dequantize_linear(q, scale, zero, label="dq")
    graph = builder.build({"y": builder.not_equal(product, x, label="ne"), "floats": floats})
    context.compute(graph, {name: np.ones(each.shape, each.dtype) for name, each in graph.inputs.items()})
    rows = {row.label: row for row in graph.explain().operators or ()}
    assert rows["ne"].providers == ("OpenVINOExecutionProvider",)
    assert "CPUExecutionProvider" in rows["dq"].providers
    assert (rows["ne"].realization, rows["mm"].realization) == ("composed", "native")


def test_operators_on_both_sides_of_a_test_for_nan_are_no_circle(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x = builder.input("x", [4], "float32")
    square = builder.mul(x, x)
    graph = builder.build({"sign": builder.sign(square), "nan": builder.where(builder.is_nan(square), square, x)})
    outputs = context.compute(graph, np.array([0, -2, 3, np.nan], np.float32))
    assert outputs["sign"][:3].tolist() == [0, 1, 1]
    np.testing.assert_array_equal(outputs["nan"], [0, -2, 3, np.nan])
    assert {row.providers for row in graph.explain().operators or ()} == {("OpenVINOExecutionProvider",)}


# fmt: off
OF_ONE: Final = (
    "abs", "ceil", "clamp", "cos", "elu", "erf", "exp", "floor", "gelu", "hard_sigmoid", "hard_swish", "identity",
    "is_nan", "leaky_relu", "linear", "log", "neg", "reciprocal", "reduce_l1", "reduce_l2", "reduce_max", "reduce_mean",
    "reduce_min", "reduce_sum", "reduce_sum_square", "relu", "round_even", "sigmoid", "sign", "sin", "softmax",
    "softplus", "softsign", "sqrt", "tan", "tanh",
)
OF_TWO: Final = (
    "add", "div", "equal", "greater", "greater_or_equal", "lesser", "lesser_or_equal", "max", "min", "mul", "not_equal",
    "pow", "sub",
)
WITHOUT_NAN: Final = (
    "clamp", "exp", "greater", "greater_or_equal", "hard_sigmoid", "max", "min", "relu", "softmax",
)
# fmt: on
"""Operators that take NaN to be a number on onnxruntime-openvino 1.24.1, as docs/devices.md tells."""
MORE: Final = {"clamp": {"min_value": -1, "max_value": 1}, "softmax": {"axis": 1}}


@pytest.mark.parametrize("op", [*OF_ONE, *OF_TWO])
def test_operators_that_lose_nan_are_known(op: str, context: webnn.MLContext) -> None:
    results = []
    with webnn.create_context(backend="arrays") as reference:
        for one in (context, reference):
            builder = one.create_graph_builder()
            x, y = (builder.input(name, [2, 4], "float32") for name in "xy")
            made = getattr(builder, op)(*((x, y) if op in OF_TWO else (x,)), **MORE.get(op, {}))
            graph = builder.build({"made": made, "y": builder.identity(y)})
            given = np.array([[np.nan, 1, -2, 0], [0, 3, -0.5, np.nan]], np.float32)
            results.append(one.compute(graph, {"x": given, "y": np.full((2, 4), 0.5, np.float32)})["made"])
    found, expected = (np.isnan(each) if each.dtype.kind == "f" else each for each in results)
    assert np.array_equal(found, expected) is (op not in WITHOUT_NAN)


def test_the_precision_is_told(context: webnn.MLContext) -> None:
    hint = {"load_config": '{"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}'}
    with webnn.create_context(backend="openvino", backend_options=hint) as narrow:
        for each, data_types in ((context, ("float32",)), (narrow, ("bfloat16",))):
            builder = each.create_graph_builder()
            graph = builder.build({"y": builder.tanh(builder.input("x", [4], "float32"))})
            each.compute(graph, np.ones(4, np.float32))
            (row,) = graph.explain().operators or ()
            assert row.data_types == data_types


def test_the_device_is_told(context: webnn.MLContext) -> None:
    assert (context.device.type, context.device.provider) == ("cpu", "OpenVINOExecutionProvider")
    assert not context.accelerated
