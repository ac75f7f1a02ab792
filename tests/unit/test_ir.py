from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.direct import direct_builder, run_graph
from webnn.backends.arrays.backend import ArraysBackend
from webnn.graph.builder import MLGraphBuilder
from webnn.graph.ir import Graph
from webnn.graph.operand import MLOperand

Builder = MLGraphBuilder[Graph]


def test_a_graph_holds_what_its_outputs_need_and_nothing_else() -> None:
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


def test_the_descriptors_say_what_goes_in_and_out() -> None:
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


def test_which_output_has_which_name_matters() -> None:
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
