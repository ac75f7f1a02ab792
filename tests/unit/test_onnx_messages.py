"""The messages of ONNX without the onnx package, and the signatures of its operators, agree with the package."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import defs, helper, numpy_helper

from webnn.backends.onnx import messages
from webnn.backends.onnx.model import OPSET, onnx_type
from webnn.backends.onnx.signatures import SIGNATURES, signature


@pytest.mark.parametrize("order", ["messages first", "package first"])
def test_the_classes_are_those_of_the_package(order: str) -> None:
    ours, package = "from webnn.backends.onnx import messages as ours", "import onnx"
    lines = [ours, package] if order == "messages first" else [package, ours]
    lines.append("assert all(getattr(ours, name) is getattr(onnx, name) for name in ours.__all__ if name[0].isupper())")
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_the_classes_work_with_each_implementation_of_protobuf(implementation: str) -> None:
    """Those in C are made without the modules of protobuf that are written in Python."""
    script = """
import sys
from webnn.backends.onnx.messages import AttributeProto, NodeProto, TensorProto, attribute, tensor
print("google.protobuf.text_format" in sys.modules)
import pickle, numpy
node = NodeProto(op_type="Relu", attribute=[attribute("t", tensor("w", numpy.ones(2), TensorProto.DOUBLE))])
again = NodeProto.FromString(node.SerializeToString())
assert again == node == pickle.loads(pickle.dumps(node))
assert AttributeProto.TENSOR == again.attribute[0].type == AttributeProto.AttributeType.Value("TENSOR")
import onnx
assert onnx.NodeProto is NodeProto and onnx.TensorProto is type(again.attribute[0].t)
onnx.checker.check_node(onnx.helper.make_node("Relu", ["x"], ["y"]))
assert "Relu" in str(again)
"""
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation}
    printed = subprocess.run(
        [sys.executable, "-c", script], check=True, env=environment, capture_output=True, text=True, timeout=50
    )
    assert printed.stdout.strip() == str(implementation == "python")


def test_the_package_is_not_imported_for_the_messages() -> None:
    script = "import sys; import webnn.backends.onnx.messages; assert 'onnx' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    "value",
    [
        3,
        np.int64(-3),
        True,
        0.5,
        np.float32(0.25),
        2.0,
        "text",
        b"bytes",
        [1, 2],
        (3,),
        np.arange(3),
        [0.5, 1],
        ["a", b"b"],
    ],
    ids=repr,
)
def test_attributes_are_those_of_the_package(value: Any) -> None:
    assert messages.attribute("name", value) == helper.make_attribute("name", value)


@pytest.mark.parametrize(
    "array",
    [
        np.array([0, 1, 127, 128, 2**31 - 1, -1, -(2**31)], np.int32),
        np.array([2**63 - 1, -(2**63), 2**35, 5]),
        np.array([3, 127], np.int64),
        np.array([200, 0, 255], np.uint8),
        np.array([2**32 - 1], np.uint32),
        np.array([7, 2**40], np.uint64),
        np.array([0.5, -0.0, np.inf, 1e-45], np.float32),
        np.array([0.1, 1e30], np.float64),
    ],
    ids=lambda array: array.dtype.name,
)
def test_attributes_of_arrays_are_those_of_lists(array: np.ndarray[Any, Any]) -> None:
    assert messages.attribute("a", array) == helper.make_attribute("a", array.tolist())


def test_an_attribute_of_nan_is_kept() -> None:
    (number,) = messages.attribute("a", np.array([np.nan], np.float32)).floats
    assert np.isnan(number)


def test_attributes_hold_tensors_and_graphs() -> None:
    tensor = numpy_helper.from_array(np.ones(3, np.float32), "one")
    graph = helper.make_graph([], "body", [], [], [tensor])
    assert messages.attribute("t", tensor) == helper.make_attribute("t", tensor)
    assert messages.attribute("g", graph) == helper.make_attribute("g", graph)


@pytest.mark.parametrize(
    "value", [[], None, {}, [1, "a"], object()], ids=["no items", "none", "dict", "mixed", "object"]
)
def test_a_value_without_a_kind_is_no_attribute(value: Any) -> None:
    with pytest.raises(TypeError, match=r"attribute 'name': .* is of no kind that an attribute can have"):
        messages.attribute("name", value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array(2, np.int64),
        np.arange(4, dtype=np.float16)[::2],
        np.array([1, -2, 7], ml_dtypes.int4),
        np.array([1, 2, 15, 4], ml_dtypes.uint4),
        np.zeros((0, 3), np.int32),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)
def test_tensors_are_those_of_the_package(array: np.ndarray[Any, Any]) -> None:
    assert messages.tensor("name", array, onnx_type(array.dtype.name)) == numpy_helper.from_array(array, "name")


def test_models_are_those_of_the_package() -> None:
    x = messages.value_info("x", onnx.TensorProto.FLOAT, [2, 3])
    y = messages.value_info("y", onnx.TensorProto.FLOAT, ())
    assert x == helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2, 3])
    assert y == helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [])
    node = messages.node("ReduceSum", ["x"], ["y"], name="sum", domain="d", keepdims=0, noop_with_empty_axes=None)
    assert node == helper.make_node("ReduceSum", ["x"], ["y"], name="sum", domain="d", keepdims=0)
    weight = numpy_helper.from_array(np.ones(3, np.float32), "w")
    graph = messages.graph([node], "g", [x], [y], [weight])
    assert graph == helper.make_graph([node], "g", [x], [y], [weight])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("d", 1)]
    expected = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    assert messages.model(graph, {"": 21, "d": 1}, 10) == expected


def signature_of(schema: Any) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
    """The types of the standard: of inputs, outputs, and whether the last input is variadic."""
    # The results of comparisons have a variable for their type, which can only be bool.
    fixed = {c.type_param_str: c.allowed_type_strs[0] for c in schema.type_constraints if len(c.allowed_type_strs) == 1}
    inputs, outputs = (
        tuple(fixed.get(each.type_str, each.type_str) for each in side) for side in (schema.inputs, schema.outputs)
    )
    variadic = defs.OpSchema.FormalParameterOption.Variadic
    return inputs, outputs, bool(schema.inputs) and schema.inputs[-1].option == variadic


def test_the_signatures_are_those_of_the_standard() -> None:
    names = {schema.name for schema in defs.get_all_schemas_with_history() if schema.domain == ""}
    schemas = {name: defs.get_schema(name, OPSET, "") for name in names if defs.has(name, OPSET, "")}
    expected = {name: signature_of(schema) for name, schema in schemas.items() if not schema.deprecated}
    listed = [name for op_types in SIGNATURES.values() for name in op_types.split()]
    assert len(listed) == len(set(listed))
    assert {name: signature(name) for name in listed} == expected
    assert signature("Scatter") is None


@pytest.mark.parametrize("count", [0, 5, 1000])
@pytest.mark.parametrize("bounds", [(0, 100), (0, 70_000), (-3, 5), (0, 1 << 40), (-(1 << 63), (1 << 63) - 1)], ids=str)
def test_lists_of_numbers_are_read_and_written_as_arrays(bounds: tuple[int, int], count: int) -> None:
    random = np.random.default_rng(0)
    integers, floats = random.integers(*bounds, count), random.standard_normal(count)
    made = onnx.AttributeProto(name="n", floats=[1.0, 2.0])
    made.ints.extend(integers.tolist())
    tensor = onnx.TensorProto(name="t", dims=[count])
    tensor.int64_data.extend(integers.tolist())
    tensor.uint64_data.extend(integers.view(np.uint64).tolist())
    tensor.float_data.extend(floats.tolist())
    tensor.double_data.extend(floats.tolist())
    fields: list[tuple[Any, str, np.ndarray[Any, Any]]] = [
        (made, "ints", integers),
        (tensor, "int64_data", integers),
        (tensor, "uint64_data", integers.view(np.uint64)),
        (tensor, "float_data", floats.astype(np.float32)),
        (tensor, "double_data", floats),
    ]
    for message, field, wanted in fields:
        array = messages.number_array(message, field)
        assert array.dtype == wanted.dtype
        np.testing.assert_array_equal(array, wanted)
    if count:
        assert list(messages.attribute("n", integers).ints) == integers.tolist()
