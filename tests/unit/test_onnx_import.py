"""The import of ONNX models: shapes, constants, folding, problems, and files."""

from __future__ import annotations

import gc
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

import webnn
from tests.direct import direct_builder, ops, run_graph
from webnn.backends.base import Backend
from webnn.backends.onnxruntime import backend as backend_module
from webnn.backends.onnxruntime.backend import OnnxRuntimeBackend
from webnn.backends.onnxruntime.weights import leave_in_files
from webnn.errors import DataError, NotSupportedError, ValidationError
from webnn.formats.onnx import import_onnx
from webnn.formats.onnx.file.reading import Model, read_model
from webnn.formats.onnx.importing.problems import OnnxNotSupportedError
from webnn.graph.ir import Graph
from webnn.memory.mapped import place_in_file

FLOAT, INT64, BOOL, DOUBLE = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.DOUBLE


def value(name: str, shape: Sequence[Any] | None, element_type: int = FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type, shape)


def model_of(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[str],
    constants: dict[str, Any] | None = None,
    *,
    opset: int = 17,
    functions: Sequence[onnx.FunctionProto] = (),
) -> ModelProto:
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, [ValueInfoProto(name=name) for name in outputs], initializers)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=9)


def imported(model: Any, **options: Any) -> Graph:
    builder = direct_builder()
    return builder.build(import_onnx(model, builder, **options))


node = helper.make_node
RELU = model_of([node("Relu", ["x"], ["y"], name="act")], [value("x", ["batch", 3])], ["y"])


# Sizes.


def test_a_named_dimension_takes_its_size_from_shapes() -> None:
    graph = imported(RELU, shapes={"batch": 2})
    assert graph.inputs["x"].shape == (2, 3)
    assert graph.outputs["y"].shape == (2, 3)


def test_a_whole_shape_is_given_by_the_inputs_name_and_names_the_dimensions_of_the_others() -> None:
    two = model_of(
        [node("Add", ["x", "z"], ["y"])], [value("x", ["batch", 3]), value("z", ["batch", 1])], ["y"]
    )  # fmt: skip
    graph = imported(two, shapes={"x": [4, 3]})
    assert graph.inputs["z"].shape == (4, 1)


def test_the_whole_shape_of_a_vector_may_be_one_number() -> None:
    two = model_of([node("Add", ["x", "z"], ["y"])], [value("x", ["n"]), value("z", ["batch", "n"])], ["y"])
    assert imported(two, shapes={"x": 4, "batch": np.int64(2)}).outputs["y"].shape == (2, 4)
    with pytest.raises(ValidationError, match=r"shapes\['x'\] is \[4\], the model declares \[batch, 3\]"):
        imported(RELU, shapes={"x": 4})


def test_a_name_of_dimensions_that_differ_has_no_size_elsewhere() -> None:
    two = model_of(
        [node("Relu", ["x"], ["y"]), node("Add", ["x", "z"], ["s"])],
        [value("x", ["size", 3, "size"]), value("z", ["size", 1, 1])],
        ["y", "s"],
    )
    graph = imported(two, shapes={"x": [2, 3, 5], "z": [2, 1, 1]})
    assert graph.inputs["x"].shape == (2, 3, 5)
    with pytest.raises(ValidationError, match=r"input 'z' \[size, 1, 1\]\. .* shapes=\{'size': \.\.\.\}"):
        imported(two, shapes={"x": [2, 3, 5]})


@pytest.mark.parametrize("symbol", ["?", "-1"])
def test_names_that_stand_for_any_dimension_are_not_carried_from_one_input_to_another(symbol: str) -> None:
    two = model_of([node("Add", ["x", "z"], ["y"])], [value("x", [symbol, 3]), value("z", [symbol, 1])], ["y"])
    assert imported(two, shapes={"x": [4, 3], "z": [1, 1]}).outputs["y"].shape == (4, 3)
    with pytest.raises(ValidationError, match=r"shapes=\{'z': \[\.\.\., 1\]\}"):
        imported(two, shapes={"x": [4, 3]})


def test_a_message_on_open_dimensions_proposes_an_argument() -> None:
    inputs = [value("x", ["batch", "width"]), value("y", [None, "batch", 3]), value("z", None)]
    model = model_of([node("Sum", ["x", "y", "z"], ["s"])], inputs, ["s"])
    with pytest.raises(ValidationError, match=r"shapes=\{'width': \.\.\., 'y': \[\.\.\., 2, 3\], 'z': \[\.\.\.\]\}$"):
        imported(model, shapes={"batch": 2})


def test_all_open_dimensions_are_reported_together() -> None:
    model = model_of([node("Add", ["x", "z"], ["y"])], [value("x", ["batch", None]), value("z", None)], ["y"])
    with pytest.raises(ValidationError, match=r"input 'x' \[batch, \?\]; input 'z' declares no shape"):
        imported(model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shapes": {"x": [2, 4]}}, r"shapes\['x'\] is \[2, 4\], the model declares \[batch, 3\]"),
        ({"shapes": {"x": [2]}}, r"shapes\['x'\] is \[2\], the model declares"),
        ({"shapes": {"w": 2}}, "shapes: the model has no input or dimension 'w'; it has batch, x"),
        ({"shapes": {"x": [2, 3], "batch": 3}}, "dimension 'batch' is 3"),
        ({"shapes": {"batch": -1}}, r"shapes\['batch'\] must be an integer from 0"),
        ({"shapes": [1, 2]}, "shapes must be a mapping of names, got list"),
        ({"constants": {"y": 1}}, "constants: the model has no input 'y'"),
        ({"constants": {"x": "a"}}, r"constants\['x'\] cannot be converted to float32"),
        ({"shapes": {"batch": 1}, "dtypes": {"x": "bool"}}, r"dtypes\['x'\] must be one of"),
        ({"outputs": ["z"]}, "the model has no value 'z'; its outputs are y"),
        ({"outputs": "y"}, "outputs must be a list of names, got 'y'"),
        ({"outputs": []}, "outputs must not be empty"),
        ({"inputs": {"x": 3}}, r"inputs\['x'\] must be an MLOperand, got int"),
    ],
)
def test_options_that_do_not_fit_the_model_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        imported(RELU, **options)


def test_inputs_that_no_output_needs_take_no_shape() -> None:
    model = model_of([node("Relu", ["x"], ["y"])], [value("x", [2]), value("unused", ["n"])], ["y"])
    assert list(imported(model).inputs) == ["x"]


# What is known is folded away.


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64])
def test_quotients_of_all_integers_are_folded_toward_zero(dtype: Any) -> None:
    """The smallest integer has no absolute value: -128 / -127 is 1."""
    info = np.iinfo(dtype)
    numbers = sorted({info.min, info.min + 1, max(info.min, -7), 1, 2, 3, info.max // 2, info.max - 1, info.max})
    pairs = [(a, b) for a in numbers for b in numbers if b and (a, b) != (info.min, -1)]
    a, b = np.array(pairs, dtype).T
    model = model_of([node("Div", ["a", "b"], ["y"])], [], ["y"], {"a": a, "b": b}, opset=21)
    builder = direct_builder()
    (y,) = builder.build(import_onnx(model, builder)).constants
    wanted = [abs(int(p)) // abs(int(q)) * (1 if (p < 0) == (q < 0) else -1) for p, q in pairs]
    assert y.constant is not None
    assert y.constant.tolist() == wanted


def test_shape_arithmetic_folds_away(backend: Backend) -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Unsqueeze", ["n", "first"], ["n1"]),
        node("Concat", ["n1", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["flat"]),
        node("Range", ["zero", "n", "one"], ["r"]),
        node("Cast", ["r"], ["rf"], to=FLOAT),
        node("Unsqueeze", ["rf", "last"], ["column"]),
        node("ConstantOfShape", ["s"], ["ones"], value=numpy_helper.from_array(np.ones(1, np.float32))),
        node("ReduceSum", ["ones"], ["count"], keepdims=0),
        node("Div", ["flat", "count"], ["mean"]),
        node("Add", ["mean", "column"], ["y"]),
    ]
    constants = {
        "zero": np.int64(0),
        "one": np.int64(1),
        "first": np.array([0]),
        "last": np.array([1]),
        "rest": np.array([-1]),
    }
    graph = imported(model_of(nodes, [value("x", ["n", 2, 3])], ["y"], constants), shapes={"n": 2})
    assert ops(graph) == ["reshape", "div", "add"]
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    result = run_graph(graph, {"x": x}, backend)["y"]
    np.testing.assert_allclose(result, x.reshape(2, 6) / 12 + [[0], [1]], rtol=1e-6)


def test_an_if_with_a_known_condition_becomes_one_of_its_branches() -> None:
    then = helper.make_graph([node("Relu", ["x"], ["a"])], "then", [], [value("a", None)])
    other = helper.make_graph([node("NonZero", ["x"], ["b"])], "else", [], [value("b", None)])
    nodes = [
        node("Equal", ["rate", "sixteen"], ["c"]),
        node("If", ["c"], ["y"], then_branch=then, else_branch=other, name="choice"),
    ]
    inputs = [value("x", [2]), value("rate", [], INT64)]
    model = model_of(nodes, inputs, ["y"], {"sixteen": np.int64(16000)})
    graph = imported(model, constants={"rate": 16000})
    assert ops(graph) == ["relu"]
    assert list(graph.inputs) == ["x"]
    with pytest.raises(
        NotSupportedError,
        match=r"b \(NonZero\): .*\n  choice \(If\): the condition is computed when the model runs.*constants=",
    ):
        imported(model)


def test_functions_of_the_model_are_imported_with_their_attributes() -> None:
    slope = onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="slope")
    inner = node("LeakyRelu", ["a"], ["b"])
    inner.attribute.append(slope)
    function = helper.make_function(
        "local", "Leaky", ["a", "absent"], ["b"], [inner], [helper.make_opsetid("", 17)], ["slope"]
    )
    call = node("Leaky", ["x"], ["y"], domain="local", slope=0.25)
    graph = imported(model_of([call], [value("x", [2])], ["y"], functions=[function]))
    assert graph.nodes[0].op == "leaky_relu"
    assert graph.nodes[0].attributes["alpha"] == 0.25


def test_operators_without_a_function_of_ours_follow_the_standards_own_definition(backend: Backend) -> None:
    model = model_of([node("MeanVarianceNormalization", ["x"], ["y"])], [value("x", [2, 3, 4, 5])], ["y"])
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    result = run_graph(imported(model), {"x": x}, backend)["y"]
    expected = (x - x.mean((0, 2, 3), keepdims=True)) / x.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


# What comes out.


def test_operators_carry_the_names_of_their_nodes() -> None:
    nodes = [node("Mish", ["x"], ["m"], name="/block/act"), node("Relu", ["m"], ["y"])]
    graph = imported(model_of(nodes, [value("x", [2])], ["y"], opset=18))
    assert [n.label for n in graph.nodes] == ["/block/act"] * 3 + ["y"]


def test_operators_in_the_body_of_a_loop_carry_the_names_of_its_nodes() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y)
        <int64 trips = {2}, bool go = {1}> {
            [loop] y = Loop (trips, go, x) <body = graph (int64 i, bool c, float[2] a) => (bool d, float[2] b) {
                d = Identity (c)
                [act] m = Mish (a)
                b = Relu (m)
            }>
        }"""
    )
    assert [n.label for n in imported(model).nodes] == [*["act"] * 3, "b"] * 2


def test_types_that_webnn_lacks_are_held_by_their_neighbours() -> None:
    nodes = [node("Not", ["b"], ["nb"]), node("Add", ["d", "half"], ["y"]), node("Cast", ["nb"], ["z"], to=DOUBLE)]
    inputs = [value("b", [2], BOOL), value("d", [2], DOUBLE)]
    graph = imported(model_of(nodes, inputs, ["nb", "y", "z"], {"half": np.float64(0.5)}))
    assert {name: operand.data_type for name, operand in graph.inputs.items()} == {"b": "uint8", "d": "float32"}
    assert [o.data_type for o in graph.outputs.values()] == ["uint8", "float32", "float32"]


def test_inputs_and_outputs_are_presented_in_the_data_types_asked_for() -> None:
    model = model_of([node("Gather", ["table", "ids"], ["y"])], [value("ids", [2], INT64)], ["y"], {"table": np.eye(3)})
    graph = imported(model, dtypes={"ids": "int32", "y": "float16"})
    assert graph.inputs["ids"].data_type == "int32"
    assert graph.outputs["y"].data_type == "float16"


def test_outputs_may_be_values_inside_of_the_model_inputs_and_constants(backend: Backend) -> None:
    nodes = [node("Relu", ["x"], ["m"]), node("Loop", ["m"], ["y"])]
    graph = imported(model_of(nodes, [value("x", [2])], ["y"], {"c": np.float32([1, 2])}), outputs=["m", "x", "c"])
    results = run_graph(graph, {"x": np.float32([-1, 1])}, backend)
    assert {name: array.tolist() for name, array in results.items()} == {"m": [0, 1], "x": [-1, 1], "c": [1, 2]}


def test_building_goes_on_after_an_import_and_before_it(backend: Backend) -> None:
    builder = direct_builder(backend)
    x = builder.input("image", [2, 3], "float16")
    outputs = import_onnx(RELU, builder, inputs={"x": builder.neg(x)})
    graph = builder.build({"z": builder.neg(outputs["y"])})
    x_data = np.float16([[1, -2, 3], [-4, 5, -6]])
    assert run_graph(graph, {"image": x_data}, backend)["z"].tolist() == np.minimum(x_data, 0).tolist()


def test_load_onnx_gives_a_graph_that_runs() -> None:
    with webnn.ML().create_context() as context:
        graph = webnn.load_onnx(RELU.SerializeToString(), context, shapes={"batch": 1})
        assert context.compute(graph, {"x": [[-1, 0, 2]]})["y"].tolist() == [[0, 0, 2]]


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("x", [[1, 2], [3]], "cannot be converted to float32: .*inhomogeneous"),
        ("x", None, "cannot be converted to float32: None is allowed for optional inputs only"),
        ("x", [1, 2, 3], r"is \[3\], the model declares \[batch, 3\]"),
        ("x", 1, r"is \[\], the model declares \[batch, 3\]"),
        ("n", 2.5, "cannot be converted to int64: 2.5 does not fit that type"),
        ("n", [2, 3], r"is \[2\], the model declares \[1\]"),
    ],
)
def test_a_constant_that_does_not_fit_the_model_is_refused(name: str, given: Any, message: str) -> None:
    model = model_of([node("Expand", ["x", "n"], ["y"])], [value("x", ["batch", 3]), value("n", [1], INT64)], ["y"])
    with pytest.raises(ValidationError, match=rf"constants\['{name}'\] {message}"):
        imported(model, constants={"x": np.ones((1, 3)), "n": 3, name: given})


def test_a_number_stands_for_a_constant_of_one_element() -> None:
    model = model_of([node("Tile", ["x", "n"], ["y"])], [value("x", [3]), value("n", [1], INT64)], ["y"])
    assert imported(model, constants={"n": 2}).outputs["y"].shape == (6,)


def test_other_objects_than_a_context_are_refused_and_a_builder_with_the_function_that_takes_one() -> None:
    loaders: dict[str, Any] = {"import_onnx": webnn.load_onnx, "import_webnn": webnn.load_webnn}
    for builders, load in loaders.items():
        with pytest.raises(ValidationError, match=f"{load.__name__} takes a context, got a builder; use {builders}"):
            load("model", direct_builder())
        with pytest.raises(ValidationError, match=f"{load.__name__}: context must be an MLContext, got 'cpu'"):
            load("model", "cpu")


@pytest.mark.parametrize("shapes", [{"past": 0}, {"cache": [1, 0]}])
def test_an_input_without_elements_can_only_be_a_constant(shapes: dict[str, Any]) -> None:
    inputs = [value("x", [1, 3]), value("cache", [1, "past"])]
    model = model_of([node("Concat", ["cache", "x"], ["y"], axis=1)], inputs, ["y"])
    with pytest.raises(ValidationError, match=r"has the size 0, .*: constants={'cache': numpy\.zeros\(\.\.\.\)}"):
        imported(model, shapes=shapes)
    graph = imported(model, constants={"cache": np.zeros((1, 0), np.float32)})
    assert graph.outputs["y"].shape == (1, 3)


def test_a_context_made_for_a_model_that_cannot_be_loaded_is_destroyed() -> None:
    with pytest.raises(ValidationError, match="leaves dimensions open"):
        webnn.load_onnx(RELU)


# What cannot be expressed.


def test_all_that_cannot_be_expressed_is_reported_at_once() -> None:
    nodes = [
        node("NonZero", ["x"], ["a"], name="first"),
        node("NonMaxSuppression", ["a"], ["b"], name="second"),
        node("Relu", ["b"], ["c"], name="innocent"),
        node("Reshape", ["x", "shape"], ["d"], name="third"),
        node("Conv", ["x", "w"], ["e"], name="fourth"),
        node("BatchNormalization", ["x4", "k", "k", "k", "k"], ["f", "mean"], name="fifth"),
    ]
    inputs = [value("x", [2, 2]), value("shape", [1], INT64), value("w", [1, 1]), value("x4", [1, 1, 4, 4])]
    with pytest.raises(OnnxNotSupportedError) as caught:
        imported(model_of(nodes, inputs, ["c", "d", "e", "mean"], {"k": np.ones(1, np.float32)}))
    problems = {problem.node: problem for problem in caught.value.problems}
    assert list(problems) == ["first", "second", "third", "fourth", "fifth"]
    assert "Where with a mask" in problems["first"].nearest
    assert "shape (input 1) is computed when the model runs" in problems["third"].reason
    assert "output 1 (mean) is used" in problems["fifth"].reason
    assert "5 nodes of the ONNX model cannot be expressed" in str(caught.value)


def test_unsupported_nodes_are_reported_with_values_to_cut_the_model_at() -> None:
    """A detector, as exporters write it: boxes are selected at the end."""
    nodes = [
        node("Sigmoid", ["x"], ["scores"]),
        node("Relu", ["x"], ["boxes"]),
        node("NonMaxSuppression", ["boxes", "scores", "most"], ["chosen"]),
        node("Gather", ["boxes", "chosen"], ["found"]),
        node("Neg", ["x"], ["mask"]),
    ]
    model = model_of(nodes, [value("x", [1, 4, 4])], ["found", "mask"], {"most": np.array([3])})
    with pytest.raises(OnnxNotSupportedError, match=r"outputs=\['boxes', 'scores', 'mask'\]$") as caught:
        imported(model)
    assert caught.value.reachable == ("boxes", "scores", "mask")
    assert list(imported(model, outputs=caught.value.reachable).outputs) == ["boxes", "scores", "mask"]


def test_an_output_that_is_not_asked_for_may_be_out_of_reach() -> None:
    nodes = [node("NonZero", ["x"], ["a"]), node("Relu", ["x"], ["y"])]
    assert ops(imported(model_of(nodes, [value("x", [2])], ["a", "y"]), outputs=["y"])) == ["relu"]


def test_models_older_than_opset_7_are_converted(backend: Backend) -> None:
    """Gemm of opset 6 says with an attribute that its third input may be broadcast."""
    weights = {"w": np.ones((3, 5), np.float32), "b": np.arange(5, dtype=np.float32)}
    gemm = node("Gemm", ["x", "w", "b"], ["y"], broadcast=1)
    model = model_of([gemm], [value("x", [2, 3])], ["y"], weights, opset=6)
    for source in (model, model.SerializeToString()):
        (y,) = run_graph(imported(source), {"x": np.ones((2, 3), np.float32)}, backend).values()
        np.testing.assert_array_equal(y, np.tile(np.arange(5, dtype=np.float32) + 3, (2, 1)))


def test_an_old_model_may_have_weights_that_are_no_inputs(backend: Backend) -> None:
    """Version 3 of the format asks for them among the inputs, and onnxruntime does not."""
    model = model_of([node("Not", ["w"], ["y"])], [], ["y"], {"w": np.array([True, False])}, opset=1)
    model.ir_version = 3
    (y,) = run_graph(imported(model), {}, backend).values()
    assert y.tolist() == [False, True]
    assert model.ir_version == 3


@pytest.mark.parametrize("shape", [(2, 3), (1, 3, 2), (1, 3, 3, 3), (1, 3, 4, 5)], ids=str)
def test_the_slopes_of_an_old_prelu_are_those_of_its_channels(shape: tuple[int, ...], backend: Backend) -> None:
    """The converter leaves the slopes as they are, which opset 7 broadcasts to the last dimension."""
    slopes = np.array([0.5, 2, -1], np.float32)
    x = np.linspace(-3, 3, math.prod(shape), dtype=np.float32).reshape(shape)
    model = model_of([node("PRelu", ["x", "slopes"], ["y"])], [value("x", shape)], ["y"], {"slopes": slopes}, opset=6)
    (y,) = run_graph(imported(model), {"x": x}, backend).values()
    by_channel = slopes.reshape(3, *[1] * (len(shape) - 2))
    np.testing.assert_array_equal(y, np.where(x < 0, x * by_channel, x))


def test_an_old_model_that_the_converter_of_onnx_refuses_is_reported() -> None:
    model = model_of([node("Pad", ["x"], ["y"], paddings=[1, 1])], [value("x", [2])], ["y"], opset=1)
    with pytest.raises(NotSupportedError, match=r"opset 1, and .*version_converter cannot .*: No Adapter .* for Pad"):
        imported(model)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (value("y", [2, 4]), r"declares for its output y the shape \[2, 4\], it has \[2, 3\]"),
        (value("y", [2, "n", 3]), r"the shape \[2, n, 3\], it has \[2, 3\]"),
        (value("y", [2, 3], onnx.TensorProto.INT64), "the type int64, it has float32"),
    ],
)
def test_a_wrong_declaration_of_an_output_is_a_warning(declared: onnx.ValueInfoProto, said: str) -> None:
    model = model_of([node("Relu", ["x"], ["y"])], [value("x", [2, 3])], ["y"])
    model.graph.output[0].CopyFrom(declared)
    with pytest.warns(UserWarning, match=said):
        assert imported(model).outputs["y"].shape == (2, 3)


def test_an_open_declaration_of_an_output_is_no_warning() -> None:
    model = model_of([node("Relu", ["x"], ["y"])], [value("x", [2, 3])], ["y"])
    model.graph.output[0].CopyFrom(value("y", ["n", 3]))
    imported(model)


# Inputs with a default, an initializer of the same name.


SCALED = model_of([node("Mul", ["x", "w"], ["y"])], [value("x", [3]), value("w", [3])], ["y"], {"w": np.ones(3, "f4")})


def test_an_input_with_a_default_takes_another_value(backend: Backend) -> None:
    x = np.arange(3, dtype=np.float32)
    for options, factor in (({}, 1), ({"constants": {"w": [2, 2, 2]}}, 2)):
        graph = imported(SCALED, **options)
        assert list(graph.inputs) == ["x"]
        assert run_graph(graph, {"x": x}, backend)["y"].tolist() == (factor * x).tolist()


def test_an_input_with_a_default_may_be_an_operand_of_the_builder(backend: Backend) -> None:
    builder = direct_builder()
    graph = builder.build(import_onnx(SCALED, builder, inputs={"w": builder.input("scale", [3], "float32")}))
    found = run_graph(graph, {"x": np.ones(3, np.float32), "scale": np.arange(3, dtype=np.float32)}, backend)
    assert found["y"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"constants": {"w": [1, 2]}}, r"constants\['w'\] is \[2\], the model declares \[3\]"),
        ({"shapes": {"w": [5]}}, r"shapes\['w'\]: this input has a default .* constants=\{'w': \.\.\.\}"),
        ({"dtypes": {"w": "float16"}}, r"dtypes\['w'\]: this input has a default"),
    ],
)
def test_options_that_do_not_fit_an_input_with_a_default_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        imported(SCALED, **options)


# Files.


WEIGHT = np.arange(20000, dtype=np.float32).reshape(100, 200)
MATMUL = model_of([node("MatMul", ["x", "w"], ["y"])], [value("x", [1, 100])], ["y"], {"w": WEIGHT})


@pytest.mark.parametrize("external", [False, True])
def test_weights_stay_in_their_file(tmp_path: Path, backend: Backend, external: bool) -> None:
    path = tmp_path / "model.onnx"
    model = ModelProto()
    model.CopyFrom(MATMUL)
    onnx.save(model, path, save_as_external_data=external, location="weights.bin", size_threshold=0)
    graph = imported(str(path))
    (constant,) = graph.constants
    assert constant.constant is not None
    np.testing.assert_array_equal(constant.constant, WEIGHT)
    place = place_in_file(constant.constant)
    assert place is not None
    assert place[0] == (tmp_path / ("weights.bin" if external else "model.onnx")).resolve()
    assert place[0].read_bytes()[place[1] :].startswith(WEIGHT.tobytes())
    x = np.ones((1, 100), np.float32)
    np.testing.assert_allclose(run_graph(graph, {"x": x}, backend)["y"], x @ WEIGHT, rtol=1e-5)


def test_a_file_that_changed_after_it_was_mapped_is_not_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(MATMUL, path)
    (constant,) = imported(path).constants
    assert constant.constant is not None
    other = tmp_path / "other"
    onnx.save(MATMUL, other)
    other.replace(path)
    assert place_in_file(constant.constant) is None


@pytest.mark.parametrize("removed", [False, True])
def test_a_file_that_changes_while_onnxruntime_compiles_gives_the_weights_that_it_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, removed: bool
) -> None:
    path, other = tmp_path / "model.onnx", tmp_path / "other"
    model = ModelProto()
    model.CopyFrom(MATMUL)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    other.write_bytes(bytes((tmp_path / "weights.bin").stat().st_size))
    graph = imported(str(path))

    def late(*given: Any) -> Any:
        found = leave_in_files(*given)
        if removed:
            (tmp_path / "weights.bin").unlink(missing_ok=True)
        elif other.exists():
            other.replace(tmp_path / "weights.bin")
        return found

    monkeypatch.setattr(backend_module, "leave_in_files", late)
    x = np.ones((1, 100), np.float32)
    np.testing.assert_allclose(run_graph(graph, {"x": x}, OnnxRuntimeBackend())["y"], x @ WEIGHT, rtol=1e-5)


def test_a_graph_that_is_collected_last_of_all_ends_without_a_word(tmp_path: Path) -> None:
    """When the variables of `builtins` are cleared, nothing can be imported any more."""
    path = tmp_path / "model.onnx"
    onnx.save(MATMUL, path)
    program = f"""
import builtins, numpy, webnn
builtins.kept = graph = webnn.load_onnx({str(path)!r})
graph.context.compute(graph, {{"x": numpy.ones((1, 100), numpy.float32)}})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_bytes_and_protos_are_read_too() -> None:
    for source in (MATMUL, MATMUL.SerializeToString(), bytearray(MATMUL.SerializeToString())):
        (constant,) = imported(source).constants
        np.testing.assert_array_equal(constant.constant, WEIGHT)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "sub/../../secret", "link", "", "\0", "missing", "."])
def test_external_data_outside_of_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(80000))
    (folder / "link").symlink_to(tmp_path / "secret")
    model = ModelProto()
    model.CopyFrom(MATMUL)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(DataError, match=r"not in the folder of the model|cannot be read|not a file name"):
        imported(folder / "model.onnx")
    with pytest.raises(DataError, match="load the model by its path"):
        imported(model)


def test_a_model_that_is_a_link_may_have_its_weights_beside_its_target(tmp_path: Path) -> None:
    """As models of Hugging Face lie in their cache."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    onnx.save(MATMUL, tmp_path / "blobs" / "1", save_as_external_data=True, location="weights", size_threshold=0)
    (tmp_path / "blobs" / "weights").rename(tmp_path / "blobs" / "2")
    (tmp_path / "snapshot" / "model.onnx").symlink_to("../blobs/1")
    (tmp_path / "snapshot" / "weights").symlink_to("../blobs/2")
    (constant,) = imported(tmp_path / "snapshot" / "model.onnx").constants
    np.testing.assert_array_equal(constant.constant, WEIGHT)
    (tmp_path / "secret").write_bytes(bytes(80000))
    (tmp_path / "snapshot" / "weights").unlink()
    (tmp_path / "snapshot" / "weights").symlink_to("../secret")
    with pytest.raises(DataError, match="not in the folder of the model"):
        imported(tmp_path / "snapshot" / "model.onnx")


def with_weights_elsewhere(folder: Path, weights: bytes, **place: str) -> Path:
    """MATMUL with its weights in a file of the folder, at this place."""
    (folder / "weights").write_bytes(weights)
    model = ModelProto()
    model.CopyFrom(MATMUL)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.ClearField("external_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in place.items():
        tensor.external_data.add(key=key, value=text)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


@pytest.mark.parametrize(
    "place",
    [
        {"offset": "0", "length": "79996"},
        {"offset": "8", "length": "80000"},
        {"offset": "8"},
        {"offset": "80004"},
        {"offset": "-4", "length": "80000"},
        {"offset": "x", "length": "80000"},
    ],
)
def test_external_data_must_be_where_it_is_said_to_be(tmp_path: Path, place: dict[str, str]) -> None:
    path = with_weights_elsewhere(tmp_path, bytes(80000), location="weights", **place)
    with pytest.raises(DataError, match="tensor 'w'"):
        imported(path)


def test_external_data_has_the_name_of_its_file(tmp_path: Path) -> None:
    path = with_weights_elsewhere(tmp_path, bytes(80000), offset="0")
    with pytest.raises(DataError, match=r"tensor 'w' is in another file, but .* does not name it as its location"):
        imported(path)


@pytest.mark.parametrize("length", [{}, {"length": "0"}])
def test_external_data_without_a_length_has_the_tensors_own(tmp_path: Path, length: dict[str, str]) -> None:
    weights = np.arange(20000, dtype=np.float32).reshape(tuple(MATMUL.graph.initializer[0].dims))
    data = bytes(8) + weights.tobytes() + bytes(12)
    graph = imported(with_weights_elsewhere(tmp_path, data, location="weights", offset="8", **length))
    (found,) = graph.constants
    assert found.constant is not None
    np.testing.assert_array_equal(found.constant, weights)


def test_other_objects_and_bytes_than_a_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"a model must be a path, bytes or an onnx\.ModelProto, got int"):
        imported(3)
    with pytest.raises(FileNotFoundError, match=r"nothing\.onnx"):
        imported(tmp_path / "nothing.onnx")
    with pytest.raises(OSError, match="is not a regular file"):
        imported(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        imported("a\0b.onnx")
    with pytest.raises(DataError, match="does not hold an ONNX graph"):
        imported(b"")
    with pytest.raises(DataError, match="cannot be read as an ONNX model"):
        imported(b"not a model at all")


def test_importing_the_package_does_not_load_onnx() -> None:
    script = "import sys, webnn; webnn.load_onnx; print({'onnx', 'onnxruntime'} & set(sys.modules))"
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "kind", ["BOOL", "INT8", "UINT8", "INT16", "UINT16", "FLOAT16", "BFLOAT16", "UINT32", "INT4", "UINT4"]
)
def test_elements_in_a_field_of_a_wider_type_are_read_as_onnx_reads_them(kind: str) -> None:
    element_type = TensorProto.DataType.Value(kind)
    values = [0, 1, 7] if kind.startswith(("U", "B")) else [-3, 0, 7]
    tensor = helper.make_tensor("t", element_type, [3], values)
    assert not tensor.HasField("raw_data")
    model = read_model(helper.make_model(helper.make_graph([], "g", [], [], [tensor])))
    found, expected = model.array(tensor), numpy_helper.to_array(tensor)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("data_type", [TensorProto.FLOAT, TensorProto.BFLOAT16])
def test_the_parsed_file_is_freed_with_the_end_of_the_import(monkeypatch: pytest.MonkeyPatch, data_type: int) -> None:
    parsed: list[ref[Model]] = []

    def noted(source: Any) -> Model:
        model = read_model(source)
        parsed.append(ref(model))
        return model

    monkeypatch.setattr("webnn.formats.onnx.file.reading.read_model", noted)
    x, y = (helper.make_tensor_value_info(name, data_type, [2]) for name in "xy")
    node = helper.make_node("Neg", ["x"], ["y"])
    model = helper.make_model(helper.make_graph([node], "g", [x], [y]), opset_imports=[helper.make_opsetid("", 21)])
    gc.collect()
    gc.disable()
    try:
        import_onnx(model.SerializeToString(), direct_builder())
        assert parsed[0]() is None
    finally:
        gc.enable()
