"""Names, arguments and functions of other libraries raise errors that say what to write here."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import webnn
from webnn.graph import other_names
from webnn.graph.dtypes import DATA_TYPES
from webnn.graph.operator import OPERATORS, operator_signature
from webnn.graph.spelling import explained, misuse, names_in_camel_case

CLASSES: Mapping[type, Mapping[str, str]] = {
    webnn.ML: other_names.ML_OBJECT,
    webnn.MLContext: other_names.CONTEXT,
    webnn.MLGraph: other_names.GRAPH,
    webnn.MLGraphBuilder: other_names.BUILDER,
    webnn.MLOperand: other_names.OPERAND,
    webnn.MLTensor: other_names.TENSOR,
    webnn.Promise: other_names.PROMISE,
}
OBJECTS: Mapping[str, object] = {
    "builder": webnn.MLGraphBuilder,
    "context": webnn.MLContext,
    "graph": webnn.MLGraph,
    "operand": webnn.MLOperand,
    "promise": webnn.Promise,
    "tensor": webnn.MLTensor,
    "webnn": webnn,
}
"""What a message calls an object, and where its names are."""


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_names_of_other_libraries_are_not_attributes_but_say_what_to_write(cls: type) -> None:
    for name, hint in CLASSES[cls].items():
        assert not hasattr(cls, name)
        with pytest.raises(AttributeError, match=f"^{cls.__name__} has no attribute '{name}': {re.escape(hint)}$"):
            getattr(cls, name)


def test_names_of_other_packages_are_not_in_this_one_but_say_what_to_write() -> None:
    for name, hint in other_names.MODULE.items():
        assert name not in webnn.__all__
        with pytest.raises(AttributeError, match=f"^module 'webnn' has no attribute '{name}': {re.escape(hint)}$"):
            getattr(webnn, name)


def test_no_listing_shows_names_of_other_libraries(context: webnn.MLContext) -> None:
    tensor = context.create_tensor([1], "float32")
    for handle in (context, tensor, context.create_graph_builder(), webnn.ML()):
        assert set(dir(handle)) & set(CLASSES[type(handle)]) == set()
        assert {"__class__", *(name for name in vars(type(handle)) if name == "destroy")} <= set(dir(handle))


def broken(hint: str) -> list[str]:
    """The names in a hint that do not exist."""
    named = re.findall(r"\b(builder|context|graph|operand|promise|tensor|webnn)\.(\w+)", hint)
    return [f"{owner}.{name}" for owner, name in named if not hasattr(OBJECTS[owner], name)]


def test_every_name_that_a_hint_gives_exists() -> None:
    hints = [hint for table in (*CLASSES.values(), other_names.MODULE) for hint in table.values()]
    assert [name for hint in hints for name in broken(hint)] == []
    assert broken("write builder.conv3d(x), or graph.save(path)") == ["builder.conv3d"]


def test_every_name_that_a_table_maps_to_exists() -> None:
    parameters = {name for op in OPERATORS for name in operator_signature(op).parameters}
    for function in (webnn.ML.create_context, webnn.MLContext.create_tensor, webnn.MLContext.stream, webnn.load_onnx):
        parameters |= set(inspect.signature(function).parameters)
    assert {ours for names in other_names.ARGUMENTS.values() for ours in names} - parameters == set()
    assert set(other_names.FUNCTIONS.values()) - set(OPERATORS) == set()
    assert set(other_names.DATA_TYPE_NAMES.values()) - set(DATA_TYPES) == set()


@pytest.mark.parametrize("name", [name for name in OPERATORS if "_" in name])
def test_an_operator_in_camel_case_names_the_method(name: str) -> None:
    (given,) = names_in_camel_case([name], "builder")
    with pytest.raises(AttributeError, match=f"no attribute '{given}': write builder.{name}$"):
        getattr(webnn.MLGraphBuilder, given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b, x: b.reduce_sum(x, axis=0), r"reduce_sum: there is no argument 'axis', write axes="),
        (lambda b, x: b.reduce_sum(x, keepDimensions=True), "'keepDimensions', write keep_dimensions="),
        (lambda b, x: b.reduce_sum(x, keep_dimension=True), "'keep_dimension', write keep_dimensions="),
        (lambda b, x: b.reduce_sum(x, nothing=1), "'nothing'; the call is reduce_sum"),
        (lambda b, x: b.relu(x=x), "'x', write input="),
        (lambda b, x: b.gemm(x, x, transA=True), "'transA', write a_transpose="),
        (lambda b, x: b.softmax(x), r"missing a required argument: 'axis'; the call is softmax\(input, axis, \*"),
        (lambda b, x: b.input("y", [1], dtype="float32"), "'dtype', write data_type="),
    ],
)
def test_arguments_that_do_not_fit_are_explained(
    context: webnn.MLContext, call: Callable[[Any, Any], object], message: str
) -> None:
    builder = context.create_graph_builder()
    with pytest.raises(TypeError, match=message):
        call(builder, builder.input("x", [2, 2], "float32"))


@pytest.mark.parametrize(
    ("function", "given", "message"),
    [
        (webnn.load_onnx, {"model": "m.onnx", "shape": 1}, "load_onnx: there is no argument 'shape', write shapes="),
        (webnn.load_onnx, {"path": "m.onnx"}, "load_onnx: there is no argument 'path', write model="),
        (webnn.load_webnn, {"path": "m", "output_names": ["y"]}, "'output_names'; the call is load_webnn"),
        (webnn.Model, {"path": "m", "providers": []}, "Model: there is no argument 'providers', write backend="),
        (webnn.MLGraphBuilder.build, {"self": None, "y": 1}, r"'y'; the call is build\(outputs\)"),
    ],
)
def test_arguments_of_functions_that_load_are_explained(
    function: Callable[..., object], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        function(**given)


def test_a_call_of_many_parameters_shows_their_names_only() -> None:
    with pytest.raises(TypeError, match=r"'deviceType', write device_type=; .*.*, backend, .*, threads,"):
        webnn.create_context(deviceType="cpu")  # type: ignore[call-arg]


def test_an_error_of_the_function_itself_is_kept() -> None:
    @explained
    def fails(count: int) -> int:
        return count + "1"  # type: ignore[operator]

    with pytest.raises(TypeError, match="unsupported operand"):
        fails(1)
    assert misuse("fails", inspect.signature(fails), (1,), {}) is None


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (np.exp, "np.exp computes with arrays, and an operand holds no data: use builder.exp$"),
        (np.maximum.reduce, "np.maximum .* use builder.max$"),
        (np.mean, "np.mean .* use builder.reduce_mean$"),
        (np.linalg.det, "np.det .* use the methods of the builder$"),
    ],
)
def test_numpys_functions_do_not_take_operands(
    context: webnn.MLContext, function: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        function(context.create_graph_builder().input("x", [2, 2], "float32"))


def test_numpys_functions_behind_pythons_operators_are_these(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    x: Any = builder.input("x", [2], "float32")
    array = np.array([1, 2], np.float32)
    graph = builder.build({"y": array * x - np.float32(1), "z": np.negative(x)})
    outputs = context.compute(graph, array)
    assert [outputs["y"].tolist(), outputs["z"].tolist()] == [[0, 3], [-1, -2]]


@pytest.mark.parametrize(
    "use", [lambda x: x + 1, lambda x: 1 - x, lambda x: x[0], lambda x: -x, float, lambda x: x > 0, list]
)
def test_handles_without_data_say_how_to_get_it(context: webnn.MLContext, use: Callable[[Any], object]) -> None:
    tensor = context.create_tensor(np.ones(3, np.float32), readable=True)
    with pytest.raises(TypeError, match=r"has no data here; read it first: await context.read_tensor\(tensor\)"):
        use(tensor)
    promise = context.read_tensor(tensor)
    with pytest.raises(TypeError, match=r"a promise has no data: await it, or call promise.result\(\)"):
        use(promise)
    assert promise.result().tolist() == [1, 1, 1]


def test_a_graph_is_not_called_but_says_how_to_run_it(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    graph: Any = builder.build({"y": builder.relu(builder.input("x", [1], "float32"))})
    with pytest.raises(TypeError, match=r"is not callable: write context.compute\(graph, inputs\)"):
        graph({"x": [1]})
    with pytest.raises(webnn.errors.ValidationError, match="before"):
        context.stream(graph, [], before=graph)


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        ("double", "float32"),
        (float, "float32"),
        ("f2", "float16"),
        (np.dtype(np.float64), "float32"),
        ("torch.int64", "int64"),
        ("tensor(float)", "float32"),
        (np.bool_, "uint8"),
    ],
)
def test_a_data_type_of_another_library_is_refused_with_ours(context: webnn.MLContext, given: Any, ours: str) -> None:
    with pytest.raises(webnn.errors.ValidationError, match=f"data type must be one of .*; write '{ours}'$"):
        context.create_tensor([1], given)


def test_shape_and_data_type_have_one_order_and_are_told_apart(context: webnn.MLContext) -> None:
    descriptor = webnn.MLOperandDescriptor([2, 3], np.float32)
    assert descriptor == webnn.MLOperandDescriptor("float32", [2, 3]) == eval(repr(descriptor), vars(webnn))
    assert str(descriptor) == "float32 [2, 3]"
    assert descriptor == webnn.MLOperandDescriptor(data_type="float32", shape=[2, 3])
    assert context.create_tensor([2, 3], "float32").descriptor == descriptor
    assert context.create_graph_builder().input("x", [2, 3], "float32").descriptor == descriptor


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x // 2, r"no //: write builder.floor\(a / b\)"),
        (lambda x: 7 // x, r"no //: write builder.floor\(a / b\)"),
        (lambda x: x % 2, r"no %: write a - b \* builder.floor\(a / b\)"),
        (lambda x: 7 % x, r"no %: write a - b \* builder.floor\(a / b\)"),
        (float, "has no number: build a graph, run it and read its output"),
        (int, "has no number: build a graph, run it and read its output"),
    ],
)
def test_an_operand_says_what_to_write_for_what_python_cannot_do_with_it(
    context: webnn.MLContext, call: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        call(context.create_graph_builder().input("x", [2], "float32"))


def test_what_the_messages_about_quotients_say_of_integers_is_so(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    a, b = (builder.input(name, [4], "int32") for name in "ab")
    graph = builder.build({"quotient": a / b, "rest": a - b * (a / b)})
    found = context.compute(graph, {"a": [7, -7, 7, -7], "b": [2, 2, -2, -2]})
    assert {name: array.tolist() for name, array in found.items()} == {
        "quotient": [3, -3, -3, 3],
        "rest": [1, -1, 1, -1],
    }


def test_objects_are_shown_by_what_they_are(context: webnn.MLContext) -> None:
    builder = context.create_graph_builder()
    assert repr(builder) == "<MLGraphBuilder, no inputs>"
    graph = builder.build({"y": builder.relu(builder.input("x", [1], "float32"))})
    assert repr(builder) == "<MLGraphBuilder, inputs 'x', built>"
    stream = context.stream(graph, [[1.0], [2.0]])
    assert repr(stream) == "<Stream: 0 taken, 0 delivered>"
    assert len(list(stream)) == 2
    assert repr(stream) == "<Stream: 2 taken, 2 delivered>"
    assert repr(webnn.ML()) == "<ML>"
    (figures,) = context.statistics().graphs
    assert re.fullmatch(r"<Histogram of 2: median \S+ s, 99 % \S+ s>", repr(figures.run))
    assert repr(webnn.Histogram()) == "<Histogram: no times>"
