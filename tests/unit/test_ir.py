from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.descriptor import MLOperandDescriptor
from webnn.graph.ir import Graph, Node
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Graph]


def test_a_graph_holds_only_what_its_outputs_need() -> None:
    builder = direct_builder()
    x, unused = builder.input("x", [2], "float32"), builder.input("unused", [2], "float32")
    builder.relu(unused)
    builder.add(unused, builder.constant("float32", 1))
    graph = builder.build({"y": builder.neg(builder.abs(x))})
    assert list(graph.inputs) == ["x"]
    assert [node.op for node in graph.nodes] == ["abs", "neg"]
    assert graph.constants == ()


def test_producers_come_first_and_once() -> None:
    builder = direct_builder()
    x = builder.input("x", [2], "float32")
    shared = builder.abs(x)
    left, right = builder.neg(shared), builder.relu(shared)
    graph = builder.build({"right": right, "both": builder.add(left, right), "left": left})
    assert [node.op for node in graph.nodes] == ["abs", "relu", "neg", "add"]
    assert list(graph.outputs) == ["right", "both", "left"]


def test_inputs_keep_the_order_in_which_they_were_made() -> None:
    builder = direct_builder()
    a, b = builder.input("a", [2], "float32"), builder.input("b", [2], "float32")
    assert list(builder.build({"y": builder.sub(b, a)}).inputs) == ["a", "b"]


def test_a_constant_is_listed_once_and_counted_in_bytes() -> None:
    builder = direct_builder()
    x = builder.input("x", [2], "float32")
    weight, bias = builder.constant(np.ones((3, 2), np.float32)), builder.constant(np.ones(2, np.float32))
    graph = builder.build({"y": builder.add(builder.add(builder.mul(weight, x), bias), bias)})
    assert graph.constants == (weight, bias)
    assert graph.constant_bytes == 32


def test_the_descriptors_are_those_of_inputs_and_outputs() -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 3], "int32")
    graph = builder.build({"y": builder.cast(x, "float16")})
    assert graph.input_descriptors["x"].key == ("int32", (2, 3))
    assert graph.output_descriptors["y"].key == ("float16", (2, 3))


def test_a_node_gives_its_operands_by_name() -> None:
    builder = direct_builder()
    x = builder.input("x", [2, 3], "float32")
    gemm = builder.gemm(x, builder.constant(np.ones((3, 4), np.float32))).node
    concat = builder.concat([x, x], 0).node
    assert gemm is not None
    assert concat is not None
    assert gemm["a"] is x
    assert gemm.get("c") is None
    assert concat.many("inputs") == (x, x)
    assert list(concat.inputs()) == [x, x]


def test_a_node_is_named_with_its_label() -> None:
    builder = direct_builder()
    x = builder.input("x", [2], "float32")
    assert [builder.relu(x, label="stem").node.where, builder.relu(x).node.where] == ["[stem] relu", "relu"]  # type: ignore[union-attr]


def stem() -> Graph:
    builder = direct_builder()
    x, w = builder.input("x", [1, 3, 8, 8], "float32"), builder.constant(np.ones((4, 3, 3, 3), np.float32))
    first, rest = builder.split(builder.relu(builder.conv2d(x, w, padding=[1, 1, 1, 1], label="stem")), [1, 3], axis=1)
    return builder.build({"a": builder.softmax(first, 1), "b": builder.concat([rest, first], 1)})


def frozen_parts() -> list[Any]:
    graph = stem()
    node = graph.nodes[0]
    return [graph, node, node.output, node["filter"], node.output.descriptor]


@pytest.mark.parametrize("part", frozen_parts(), ids=repr)
def test_no_attribute_of_a_finished_graph_can_be_assigned_or_deleted(part: Any) -> None:
    assert fields(part)
    for field in fields(part):
        before = getattr(part, field.name)
        with pytest.raises(FrozenInstanceError, match=rf"cannot assign to field '{field.name}'"):
            setattr(part, field.name, before)
        with pytest.raises(FrozenInstanceError, match=rf"cannot delete field '{field.name}'"):
            delattr(part, field.name)
        assert getattr(part, field.name) is before


@pytest.mark.parametrize("part", frozen_parts(), ids=repr)
def test_the_containers_of_a_finished_graph_are_read_only(part: Any) -> None:
    for field in fields(part):
        value = getattr(part, field.name)
        assert not isinstance(value, list | dict | set), field.name
        if isinstance(value, Mapping):
            with pytest.raises(TypeError, match="does not support item assignment"):
                value["x"] = None  # type: ignore[index]


def test_a_node_does_not_see_later_changes_of_what_it_was_made_from() -> None:
    x = direct_builder().input("x", [2], "float32")
    operands: dict[str, Any] = {"input": x}
    attributes: dict[str, Any] = {"alpha": 1.0}
    node = Node("elu", operands, attributes, "", outputs=[x.descriptor], owner=x.owner)
    operands["other"], attributes["alpha"] = x, 2.0
    assert (dict(node.operands), dict(node.attributes)) == ({"input": x}, {"alpha": 1.0})


def test_a_graph_does_not_see_later_changes_of_the_outputs_it_was_built_from() -> None:
    builder = direct_builder()
    outputs = {"y": builder.relu(builder.input("x", [2], "float32"))}
    graph = builder.build(outputs)
    outputs["z"] = outputs["y"]
    assert list(graph.outputs) == ["y"]


def test_a_node_is_replaced_by_one_like_it_with_outputs_of_its_own() -> None:
    builder = direct_builder()
    x, y = builder.input("x", [2], "float32"), builder.input("y", [2], "float32")
    node = builder.clamp(x, max_value=6, label="six").node
    assert node is not None
    other = node.replace(operands={"input": y})
    assert (other.op, other.label, other["input"], dict(other.attributes)) == ("clamp", "six", y, dict(node.attributes))
    assert other.output is not node.output
    assert other.output.node is other
    assert other.output.owner is x.owner
    assert other.output.descriptor is node.output.descriptor
    assert node["input"] is x


def test_each_part_of_a_node_can_be_replaced() -> None:
    x = direct_builder().input("x", [2], "float32")
    node = Node("elu", {"input": x}, {"alpha": 1.0}, "", outputs=[x.descriptor], owner=x.owner)
    row = MLOperandDescriptor("float16", [1, 2])
    other = node.replace(op="linear", attributes={"alpha": 2.0, "beta": 0.0}, label="l", outputs=[row, row])
    assert (other.where, dict(other.attributes)) == ("[l] linear", {"alpha": 2.0, "beta": 0.0})
    assert [output.descriptor for output in other.outputs] == [row, row]


def test_a_graph_can_be_built_from_replaced_nodes() -> None:
    builder = direct_builder()
    x = builder.input("x", [3], "float32")
    graph = builder.build({"y": builder.neg(builder.relu(x))})
    relu, neg = graph.nodes
    absolute = relu.replace(op="abs")
    changed = Graph(graph.inputs.values(), {"y": neg.replace(operands={"input": absolute.output}).output})
    assert [node.op for node in changed.nodes] == ["abs", "neg"]
    assert run_graph(changed, {"x": [-1, 0, 2]}, ArraysBackend())["y"].tolist() == [-1, 0, -2]
    assert run_graph(graph, {"x": [-1, 0, 2]}, ArraysBackend())["y"].tolist() == [0, 0, -2]


def test_a_descriptor_can_be_copied_and_pickled() -> None:
    descriptor = MLOperandDescriptor("int4", [3, 5])
    for other in (copy.copy(descriptor), copy.deepcopy(descriptor), pickle.loads(pickle.dumps(descriptor))):
        assert other == descriptor
        assert (other.key, other.byte_length, other.dtype) == (("int4", (3, 5)), 8, descriptor.dtype)


def test_the_structure_hash_is_that_of_earlier_versions() -> None:
    # Compiled graphs on disk are found by it: a change makes all of them useless.
    assert stem().structure_hash == "988cf09673ee068965308ab7788cde18b18a7cd7b776e384f89547f20393a666"


def hash_of(make: Callable[[Builder], dict[str, MLOperand]]) -> str:
    builder = direct_builder()
    return builder.build(make(builder)).structure_hash


def diamond(builder: Builder, *, right_first: bool = False, label: str = "") -> dict[str, MLOperand]:
    x = builder.input("x", [2], "float32")
    if right_first:
        right = builder.elu(x, alpha=2)
        left = builder.add(x, builder.constant(np.ones(2, np.float32)), label=label)
    else:
        left = builder.add(x, builder.constant(np.zeros(2, np.float32)))
        right = builder.elu(x, alpha=2, label=label)
    return {"y": builder.mul(left, right)}


def test_the_structure_does_not_depend_on_the_order_of_creation() -> None:
    assert hash_of(diamond) == hash_of(lambda builder: diamond(builder, right_first=True))


def test_the_structure_does_not_depend_on_labels_and_unused_operands() -> None:
    def labelled(builder: Builder) -> dict[str, MLOperand]:
        builder.neg(builder.input("unused", [3], "int8"))
        return diamond(builder, label="stem")

    assert hash_of(diamond) == hash_of(labelled)


def chain(
    *,
    name: str = "x",
    output: str = "y",
    shape: int = 2,
    data_type: str = "float32",
    alpha: float = 1.0,
    swap: bool = False,
) -> Callable[[Builder], dict[str, MLOperand]]:
    def make(builder: Builder) -> dict[str, MLOperand]:
        x = builder.input(name, [shape], data_type)  # type: ignore[call-overload]
        a, b = builder.elu(x, alpha=alpha), builder.relu(x)
        return {output: builder.sub(b, a) if swap else builder.sub(a, b)}

    return make


@pytest.mark.parametrize(
    "other",
    [
        chain(name="z"),
        chain(output="z"),
        chain(shape=3),
        chain(data_type="float16"),
        chain(alpha=1.5),
        chain(swap=True),
        lambda builder: {"y": builder.sub(x := builder.input("x", [2], "float32"), builder.relu(x))},
    ],
    ids=["input", "output", "shape", "type", "option", "operands", "operators"],
)
def test_the_structure_depends_on(other: Callable[[Builder], dict[str, MLOperand]]) -> None:
    assert hash_of(chain()) == hash_of(chain())
    assert hash_of(chain()) != hash_of(other)


def test_the_structure_depends_on_which_output_has_which_name() -> None:
    def outputs(builder: Builder, swapped: bool) -> dict[str, MLOperand]:
        x = builder.input("x", [2], "float32")
        pair = [builder.neg(x), builder.abs(x)]
        return dict(zip(["a", "b"], reversed(pair) if swapped else pair, strict=True))

    assert hash_of(lambda builder: outputs(builder, False)) != hash_of(lambda builder: outputs(builder, True))


def test_a_graph_may_be_twenty_thousand_nodes_deep() -> None:
    builder = direct_builder()
    operand = builder.input("x", [1], "float32")
    for _ in range(20_000):
        operand = builder.neg(operand)
    graph = builder.build({"y": operand})
    assert len(graph.nodes) == 20_000
    assert len(graph.structure_hash) == 64
    assert run_graph(graph, {"x": [3]}, ArraysBackend())["y"].tolist() == [3]
    del operand, graph, builder  # taking it apart must not recurse either


def test_a_graph_with_many_paths_is_walked_once() -> None:
    builder = direct_builder()
    operand = builder.input("x", [1], "float32")
    for _ in range(200):  # 2**200 paths from the output to the input
        operand = builder.max(operand, operand)
    assert len(builder.build({"y": operand}).nodes) == 200
